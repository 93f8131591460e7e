"""Lines of an input: each is blank, a prompt, or not usable for one reason.

1. A blank line is not a prompt, in all formats.
2. A prompt and a context come back in the result row as they were given, or are sent as they are. What JSON cannot hold (NaN, a
   number beyond the range of a float, half of a surrogate pair, a repeated key) is therefore refused, though Python's reader
   would accept it.
3. A reason may quote keys and ids, never a prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from .._core.exceptions import InvalidWorkItemError
from .._core.json_values import DuplicateKeyError, NonFiniteNumberError, decode_strict, kind_name
from .._core.request import Dialect, Request
from .lines import numbered
from .types import BOM, InputError, InputKind, InputRecord, Line, LineError, Lines, RawRecord, quote

_DEEPEST = 100  # levels of nesting: deeper than real data, and far below the interpreter's recursion limit
_BOM = "\ufeff"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_CHAT = "/v1/chat/completions"


def read_line(kind: InputKind, number: int, line: bytes) -> InputRecord | None:
    """Return the prompt of a line; None if it is blank.

    Args:
        kind: Format of the input, one whose records are lines.
        number: Line number, from 1.
        line: Bytes of the line, with or without its line end.

    Raises:
        LineError: No prompt can be made of it.
    """
    text = _strip(number, line)
    if text is None:
        return None
    if kind is InputKind.TEXT:
        if "\0" in text:
            raise LineError("contains a NUL byte, which is not text")
        return InputRecord(number, str(number), text, line=number)
    return _READERS[kind](number, _parse_object(line, text))


def kind_of(number: int, line: bytes) -> InputKind | None:
    """Return the format of a line of JSON, by its keys; None if it is not one of ours."""
    try:
        text = _strip(number, line)
        fields = _parse_object(line, text) if text is not None else {}
    except LineError:
        return None
    if "custom_id" in fields:
        return InputKind.ANTHROPIC if "params" in fields else InputKind.OPENAI
    if "key" in fields:
        return InputKind.GEMINI
    return InputKind.JSONL if "id" in fields or "prompt" in fields else None


def decode_line(line: bytes) -> str:
    """Return a line as text.

    Raises:
        LineError: It is not UTF-8.
    """
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        hint = " (it looks like UTF-16)" if line.startswith(_UTF_16) else ""
        raise LineError(f"not UTF-8 at byte {error.start + 1} of the line{hint}") from None


def is_blank(line: bytes) -> bool:
    """Whether a line that passed its check is blank."""
    begin = line.strip()[:1]
    if b"!" <= begin <= b"~":
        return False
    return not line.decode("utf-8", "replace").removeprefix(_BOM).strip()


def check_id(value: object, name: str) -> str:
    """Return an id, which is a string that is not blank.

    Args:
        value: The id.
        name: Name of the key or column that holds it, for messages.

    Raises:
        LineError: It is not an id.
    """
    if not isinstance(value, str):
        raise LineError(f"{name} must be a string, not {kind_name(value)}")
    if not value.strip():
        raise LineError(f"{name} must not be empty")
    return value


def _strip(number: int, line: bytes) -> str | None:
    """Return a line without its line end, the first also without its byte order mark; None if it is blank."""
    text = decode_line(line).rstrip("\r\n")
    if number == 1:
        text = text.removeprefix(_BOM)
        if not text and line.strip():
            raise LineError("contains only a byte order mark")
    stripped = text.strip()
    if not stripped:
        return None
    if stripped == _BOM:
        raise LineError("contains only a byte order mark")
    return text


def _parse_object(line: bytes, text: str) -> dict[str, Any]:
    if text.startswith(_BOM):
        raise LineError("has a byte order mark before its JSON")
    try:
        value = decode_strict(text)
        if b"\\u" in line and _ESCAPED_SURROGATE.search(line):
            json.dumps(value, ensure_ascii=False).encode()
    except (DuplicateKeyError, NonFiniteNumberError) as error:
        raise LineError(_reason(error)) from None
    except json.JSONDecodeError as error:
        hint = "" if line.endswith(b"\n") else "; the line has no line end: it looks cut off"
        raise LineError(f"not JSON: {error.msg.removesuffix(' at')} at column {error.colno}{hint}") from None
    except UnicodeEncodeError:
        raise LineError("a text has half of a surrogate pair, which is not a character") from None
    except RecursionError:
        raise LineError(f"nested more than {_DEEPEST} levels deep") from None
    except ValueError:  # the interpreter limits the digits of an integer
        raise LineError("a number has too many digits") from None
    if not isinstance(value, dict):
        raise LineError(f'must be a JSON object such as {{"id": "q1", "prompt": "..."}}, not {kind_name(value)}')
    if line.count(b"[") + line.count(b"{") > _DEEPEST and _depth(value) > _DEEPEST:
        raise LineError(f"nested more than {_DEEPEST} levels deep")
    return value


def _reason(error: DuplicateKeyError | NonFiniteNumberError) -> str:
    """Return why the strict decoder rejected a line."""
    if isinstance(error, DuplicateKeyError):
        return f"the key {quote(error.key)} is given twice"
    return "a number is too large" if error.text[-1].isdigit() else f"not JSON: {error.text} is not a JSON number"


def _read_own(number: int, fields: dict[str, Any]) -> InputRecord:
    _check_keys(fields, ("id", "prompt"), ("context",))
    if not isinstance(fields["prompt"], str):
        raise LineError(f"prompt must be a string, not {kind_name(fields['prompt'])}")
    return InputRecord(number, check_id(fields["id"], "id"), fields["prompt"], fields.get("context"), line=number)


def _read_openai(number: int, fields: dict[str, Any]) -> InputRecord:
    _check_keys(fields, ("custom_id", "method", "url", "body"))
    name = check_id(fields["custom_id"], "custom_id")
    if fields["method"] != "POST":
        raise LineError("method must be POST")
    if fields["url"] != _CHAT:
        found = quote(fields["url"]) if isinstance(fields["url"], str) else kind_name(fields["url"])
        raise LineError(f"url must be {_CHAT}, not {found}")
    return InputRecord(number, name, _request("openai", fields["body"], "body"), line=number)


def _read_gemini(number: int, fields: dict[str, Any]) -> InputRecord:
    _check_keys(fields, ("key", "request"))
    name = check_id(fields["key"], "key")
    return InputRecord(number, name, _request("gemini", fields["request"], "request"), line=number)


def _read_anthropic(number: int, fields: dict[str, Any]) -> InputRecord:
    _check_keys(fields, ("custom_id", "params"))
    name = check_id(fields["custom_id"], "custom_id")
    return InputRecord(number, name, _request("anthropic", fields["params"], "params"), line=number)


def _request(dialect: Dialect, body: object, name: str) -> Request:
    if not isinstance(body, dict):
        raise LineError(f"{name} must be an object, not {kind_name(body)}")
    try:
        return Request(dialect, body)
    except InvalidWorkItemError as error:
        raise LineError(f"{name}.{error}") from None


def _check_keys(fields: dict[str, Any], required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    for key in required:
        if key not in fields:
            unknown = next((key for key in fields if key not in required and key not in optional), None)
            raise LineError(f"has no {key}" + ("" if unknown is None else f", but the key {quote(unknown)}"))
    if len(fields) > len(required):
        for key in fields:
            if key not in required and key not in optional:
                known = [*required, *optional]
                raise LineError(f"unknown key {quote(key)}; known keys are {', '.join(known[:-1])} and {known[-1]}")


_READERS: Mapping[InputKind, Callable[[int, dict[str, Any]], InputRecord]] = MappingProxyType(
    {
        InputKind.JSONL: _read_own,
        InputKind.OPENAI: _read_openai,
        InputKind.GEMINI: _read_gemini,
        InputKind.ANTHROPIC: _read_anthropic,
    }
)


def _depth(value: object) -> int:
    deepest, left = 0, [(value, 1)]
    while left:
        value, depth = left.pop()
        deepest = max(deepest, depth)
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left.extend((child, depth + 1) for child in children if isinstance(child, (dict, list)))
    return deepest


class LineFormat:
    """Lines, each a prompt. An unknown format is recognised by the first line that shows it.

    Args:
        name: Name of the input, for messages.
        kind: Format of the lines; None: not known.
        is_json: Whether the lines are known to be JSON of some kind.
        may_guess: Whether a first line that begins with a brace means JSON, and any other means text.
    """

    header = b""

    def __init__(self, name: str, kind: InputKind | None, *, is_json: bool, may_guess: bool) -> None:
        self._name = name
        self._kind = kind
        self._is_json = is_json
        self._may_guess = may_guess

    @property
    def kind(self) -> InputKind:
        """The format, as far as it is known."""
        return self._kind or (InputKind.JSONL if self._is_json else InputKind.TEXT)

    @property
    def has_ids(self) -> bool:
        """Whether the lines have ids of their own; lines of text are named by their numbers."""
        return self.kind is not InputKind.TEXT

    def records(self, lines: Lines) -> Iterator[RawRecord]:
        """Yield the lines."""
        for number, line in numbered(lines):
            yield number, number, line

    def read(self, record: RawRecord) -> InputRecord | None:
        """Return the prompt of a line; None if it is blank."""
        position, _, data = record
        if isinstance(data, LineError):
            raise data
        if self._kind is None:
            self._recognise(position, data)
        return read_line(self.kind, position, data)

    def is_blank(self, data: Line) -> bool:
        """Whether a line that passed its check is blank."""
        return not isinstance(data, LineError) and is_blank(data)

    def raw(self, record: RawRecord) -> bytes:
        """Return the line, without a byte order mark before it."""
        position, _, data = record
        line: bytes = data.removeprefix(BOM) if position == 1 else data
        return line if line.endswith(b"\n") else line + b"\n"

    def _recognise(self, number: int, line: bytes) -> None:
        """Set the format of the lines, if this one shows it.

        Raises:
            InputError: They may be JSON, but only the user can know: prompts cost money.
        """
        begin = line.removeprefix(BOM).strip()
        if not begin:
            return
        if self._is_json:
            self._kind = kind_of(number, line)
        elif self._may_guess:
            self._is_json = begin.startswith(b"{")
            self._kind = kind_of(number, line) if self._is_json else InputKind.TEXT
        elif not begin.startswith((b"{", b"[")):
            self._kind = InputKind.TEXT
        else:
            found = kind_of(number, line)
            if found in {None, InputKind.JSONL}:
                raise InputError(f"{self._name}: begins like JSON; set --input-format to jsonl or text")
            self._kind = found
