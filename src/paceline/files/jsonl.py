"""Lines of an input: each is blank, a prompt, or not usable for one reason.

1. A blank line is not a prompt, in all formats.
2. An object has its prompt in `prompt`, its messages in `messages`, or any fields that a template names. Its other fields come back
   as the context; with a template, the complete object.
3. An object without an id is identified by its position, and that is reported once.
4. A reason may quote keys and ids, never a prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .._core.json_values import kind_name
from .batch_lines import ID_FIELDS, batch_kind, is_complete, read_batch_line, read_messages
from .json_lines import is_blank, parse_object, strip_line
from .lines import decoded, numbered
from .table import id_key, id_text
from .template import Template, parse_template, template_advice, value_at
from .types import BOM, InputError, InputKind, InputRecord, Line, LineError, Lines, RawRecord, Reading, quote

_BATCH = {InputKind.OPENAI, InputKind.GEMINI, InputKind.ANTHROPIC}


class ObjectRecords:
    """Makes input records of JSON objects.

    Args:
        name: Name of the input, for messages.
        reading: Options.
    """

    def __init__(self, name: str, reading: Reading) -> None:
        self._name = name
        self._reading = reading
        self._template: Template | None = None
        self.unnamed: int = 0
        """Objects without an id so far."""
        self._first_unnamed: int | None = None  # line of a batch API
        self._has_named = False

    def kind_of(self, fields: dict[str, Any]) -> InputKind | None:
        """Return the format of an object by its keys; None if it shows none."""
        found = batch_kind(fields)
        if self._reading.template is not None and (found is None or not is_complete(found, fields)):
            return InputKind.JSONL
        if found is None and not fields.keys().isdisjoint(("id", "prompt", "messages")):
            return InputKind.JSONL
        return found

    def read(self, kind: InputKind, position: int, line: int, fields: dict[str, Any]) -> InputRecord:
        """Return the prompt of an object.

        Raises:
            LineError: No prompt can be made of it.
            InputError: The template cannot be used, or an earlier line of a batch API has no id.
        """
        if kind is not InputKind.JSONL and kind in _BATCH:
            self._refuse_options(kind)
            found = read_batch_line(kind, fields)
            self._check_id(kind, found.id, line)
            name = found.id if found.id is not None else self._number(position)
            return InputRecord(position, name, found.request, found.context, line=line)
        prompt: Any
        context: Any
        if self._reading.template is not None:
            if self._template is None:
                self._template = parse_template(
                    self._reading.template, [*fields], self._name, noun="field", nested=True
                )
            name = self._id_of(position, fields)
            prompt, empty = self._template.fill(fields)
            return InputRecord(position, name, prompt, fields, line=line, empty_field=empty)
        if "prompt" not in fields and "messages" in fields:
            prompt, others = read_messages(fields)
        elif "prompt" in fields:
            others = fields.copy()
            prompt = others.pop("prompt")
            if prompt is None:
                prompt = ""
            if not isinstance(prompt, str):
                raise LineError(f"prompt must be a string, not {kind_name(prompt)}")
        else:
            unknown = ", ".join(map(quote, list(fields)[:20]))
            raise LineError(f"has no prompt; {template_advice([*fields])} (fields: {unknown or 'none'})")
        key: str | None
        if "id" in fields and self._reading.id_column is None:  # as the branch below has it, without four calls
            key, name = "id", id_text(fields["id"], "id")
        else:
            key = self._id_key(fields)
            name = self._number(position) if key is None else self._id_at(key, fields)
        if key is not None:
            others.pop(key, None)
        context = (others if others.keys() != {"context"} else others["context"]) if others else None
        empty = "prompt" if isinstance(prompt, str) and not prompt.strip() else None
        return InputRecord(position, name, prompt, context, line=line, empty_field=empty)

    def _check_id(self, kind: InputKind, name: str | None, line: int) -> None:
        """Check that all lines of a batch API have an id, or none has: a line without one is likely to have it misspelt.

        Raises:
            LineError: It has no id, and an earlier line has one.
            InputError: It has an id, and an earlier line, which was accepted, has none.
        """
        field = ID_FIELDS[kind]
        if name is None and self._has_named:
            raise LineError(f"{field} is missing; other lines have one")
        if name is None:
            self._first_unnamed = self._first_unnamed or line
        elif self._first_unnamed is not None:
            raise InputError(f"{self._name}:{self._first_unnamed}: {field} is missing, but line {line} has one; add it")
        self._has_named |= name is not None

    def _id_key(self, fields: dict[str, Any]) -> str | None:
        wanted = self._reading.id_column
        return (wanted or None) if wanted is not None else id_key(fields, self._reading)

    def _id_of(self, position: int, fields: dict[str, Any]) -> str:
        key = self._id_key(fields)
        return self._number(position) if key is None else self._id_at(key, fields)

    def _id_at(self, key: str, fields: dict[str, Any]) -> str:
        value = value_at(fields, key)
        if self._reading.id_column is not None and not isinstance(value, (str, int, float)) and value is not None:
            raise LineError(f"has no field {quote(key)}, which --id-column names, or it is not a text or a number")
        return id_text(value, key)

    def _number(self, position: int) -> str:
        self.unnamed += 1
        return str(position)

    def _refuse_options(self, kind: InputKind) -> None:
        given = {"--prompt": self._reading.template, "--id-column": self._reading.id_column}
        for option, value in given.items():
            if value is not None:
                raise InputError(
                    f"{self._name}: {option} is for tables and JSON objects; its lines are requests of a batch API ({kind})"
                )


class LineFormat:
    """Lines, each a prompt. An unknown format is recognised by the first line that shows it.

    Args:
        name: Name of the input, for messages.
        reading: Options; without a kind, the format of the lines is not known.
        is_json: Whether the lines are known to be JSON of some kind.
        may_guess: Whether a first line that begins with a brace means JSON, and any other means text.
    """

    header = b""

    def __init__(self, name: str, reading: Reading, *, is_json: bool, may_guess: bool) -> None:
        self._name = name
        self._reading = reading
        self._encoding = reading.encoding
        self._kind = reading.kind
        self._is_json = is_json
        self._may_guess = may_guess
        self._objects = ObjectRecords(name, reading)

    @property
    def kind(self) -> InputKind:
        """The format, as far as it is known."""
        return self._kind or (InputKind.JSONL if self._is_json else InputKind.TEXT)

    @property
    def has_ids(self) -> bool:
        """Whether the lines that were read have ids of their own; lines of text are named by their numbers."""
        return self.kind is not InputKind.TEXT and not self._objects.unnamed and self._reading.id_column != ""

    @property
    def ids_may_repeat(self) -> bool:
        """Whether lines may name themselves."""
        return self.kind is not InputKind.TEXT and self._reading.id_column != ""

    @property
    def id_field(self) -> str:
        """Name of the field of ids."""
        return ID_FIELDS.get(self.kind) or self._reading.id_column or "id"

    @property
    def notes(self) -> Sequence[str]:
        """Sentences about how the lines were read."""
        return numbered_note(self._name, self._objects.unnamed, "lines", self._reading)

    def records(self, lines: Lines) -> Iterator[RawRecord]:
        """Yield the lines."""
        for number, line in numbered(decoded(lines, self._encoding, self._name)):
            yield number, number, line

    def read(self, record: RawRecord) -> InputRecord | None:
        """Return the prompt of a line; None if it is blank."""
        position, _, data = record
        if isinstance(data, LineError):
            raise data
        if self._kind is None:
            self._recognise(position, data)
        text = strip_line(position, data, self._encoding)
        if text is None:
            return None
        kind = self.kind
        if kind is InputKind.TEXT:
            if self._reading.template is not None or self._reading.id_column is not None:
                option = "a prompt template" if self._reading.template is not None else "--id-column"
                raise InputError(
                    f"{self._name}: {option} is for CSV, Parquet and JSON; set --input-format if it is one of them"
                )
            if "\0" in text:
                raise LineError("contains a NUL byte, which is not text")
            return InputRecord(position, str(position), text, line=position)
        return self._objects.read(kind, position, position, parse_object(data, text))

    def is_blank(self, data: Line) -> bool:
        """Whether a line that passed its check is blank."""
        return not isinstance(data, LineError) and is_blank(data)

    def raw(self, record: RawRecord) -> bytes:
        """Return the line, without a byte order mark before it."""
        position, _, data = record
        line: bytes = data.removeprefix(BOM) if position == 1 else data
        if self.kind is not InputKind.TEXT:
            self.read(record)  # counts a line without an id
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
            self._kind = self._kind_of(number, line)
        elif self._may_guess:
            self._is_json = begin.startswith(b"{")
            self._kind = self._kind_of(number, line) if self._is_json else InputKind.TEXT
        elif not begin.startswith((b"{", b"[")):
            self._kind = InputKind.TEXT
        else:
            found = self._kind_of(number, line)
            if found in {None, InputKind.JSONL}:
                raise InputError(f"{self._name}: begins like JSON; set --input-format to jsonl, json or text")
            self._kind = found

    def _kind_of(self, number: int, line: bytes) -> InputKind | None:
        try:
            text = strip_line(number, line, self._encoding)
            return None if text is None else self._objects.kind_of(parse_object(line, text))
        except LineError:
            return None


def numbered_note(name: str, count: int, noun: str, reading: Reading) -> list[str]:
    """Return the sentence about records without an id, in a list; an empty list if all have one, or that was wanted."""
    if not count or reading.id_column is not None:
        return []
    said = f"{count:,} {noun} have no id, and are identified by their numbers, from 1"
    if count == 1:
        said = f"one of the {noun} has no id, and is identified by its number"
    return [f"{name}: {said}; --id-column names another field"]
