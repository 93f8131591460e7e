"""The JSON in an answer: which part of a model's text is the value that was requested.

Rules owned here:

1. A text that is JSON from its first to its last character is the value, whatever its strings contain.
2. Thoughts are no part of an answer: neither a block between two marks of `_MARKS`, nor what stands before an end mark without a
   start mark (the server's chat template wrote the start), nor what stands after a start mark without an end mark.
3. Of the rest, the value is the one JSON object or array of a kind that the type accepts, in a fence or in text. A value that is
   neither must be the complete rest, or stand alone in a fence.
4. No value, or several, are a problem and never a guess. A part of an object that is not JSON does not count as a value.
5. Ambiguous JSON is a problem: a name that occurs twice in one object, NaN, and the infinities.
"""

from __future__ import annotations

import json
import math
import re
import string
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from ..._core.json_values import DuplicateKeyError, NonFiniteNumberError, decode_strict
from .validation_errors import MAX_FINDINGS, TOO_DEEP, UNKNOWN, Finding, json_finding, line_and_column

_MARKS = (
    ("<think>", "</think>"),  # DeepSeek, Qwen, GLM, MiniMax, Nemotron and most others
    ("<thinking>", "</thinking>"),  # what prompts for Claude ask for
    ("<thought>", "</thought>"),  # Gemini through its OpenAI endpoint, EXAONE
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<analysis>", "</analysis>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("<longcat_think>", "</longcat_think>"),
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # OpenThinker, Sky-T1
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A
    ("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),  # gpt-oss
)
"""Start and end of the thoughts in the texts of models, as the reasoning parsers of vLLM and SGLang know them."""

_EDGES = string.whitespace + "\ufeff\u200b"  # a byte order mark and a zero-width space are invisible
_END = re.compile("|".join(re.escape(end) for _, end in _MARKS), re.IGNORECASE)
_TOKEN = re.compile(
    f"(?=[<\\[{{◁])(?:(?P<start>{'|'.join(re.escape(start) for start, _ in _MARKS)})|(?P<end>{_END.pattern})|[{{\\[])",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+(?P<end>")?|[{}\[\]]', re.DOTALL)
_BRACKET = re.compile(r"[{}\[\]]")
_BEGINS_JSON = re.compile(r"""\{\s*["}]|\[\s*[^\s\w]|\[\s*[\dtfnNI]""")
_LOOKS_LIKE_JSON = re.compile(r"""\{\s*["'\w]|\[\s*["'\[{]""")
_FENCED = re.compile(r"(?<![`~])(`{3,}+|~{3,}+)[ \t]*+[\w+.-]*+[ \t]*+\r?\n(.*?)(?:\n[ \t]*\1|\Z)", re.DOTALL)
_INFO = re.compile(r"[A-Za-z][\w+.-]*\s+")
_EFFORT = 10  # characters read for each character of the text, so that a text full of brackets costs no more

_BOTH = frozenset(("object", "array"))
_DEEPEST = 10  # references and alternatives: a schema may refer to itself
_MOST_ERRORS = 100  # errors of the decoder, which each read the text once, for each unit of effort


@attrs.frozen
class JsonAnswer:
    """The value of an answer, or its problems as JSON."""

    body: str
    """The JSON text."""
    data: Any = attrs.field(default=UNKNOWN)
    """The decoded value; `UNKNOWN` if there are findings."""
    findings: tuple[Finding, ...] = ()
    """The problems."""


def read_json(text: str, *, objects: bool, arrays: bool) -> JsonAnswer:
    """Return the value of an answer. Never raises.

    Args:
        text: The answer.
        objects: Whether the type accepts an object.
        arrays: Whether the type accepts an array.
    """
    body = text.strip(_EDGES)
    answer = _decoded(body)
    if answer is not None:
        return answer
    parts = _Scan(text)
    for piece in parts.complete_pieces():
        answer = _decoded(piece)
        if answer is not None:
            return answer
    return _of_parts(text, parts, "{" * objects + "[" * arrays)


def without_thoughts(text: str) -> str:
    """Return an answer without the model's thoughts and without surrounding white space, by rule 2. Never raises."""
    return _Scan(text).outside.strip(_EDGES)


def root_kinds(schema: Mapping[str, Any], node: Any = None, depth: int = 0) -> frozenset[str]:
    """Return which of `object` and `array` a schema accepts at its root; both if it does not say.

    Args:
        schema: The complete schema.
        node: A part of it that stands for its root.
        depth: Number of references and alternatives above `node`.
    """
    node = schema if node is None else node
    if not isinstance(node, Mapping) or depth > _DEEPEST:
        return _BOTH
    if isinstance(reference := node.get("$ref"), str):
        group, _, name = reference.removeprefix("#/").partition("/")
        target = schema.get(group)
        return root_kinds(schema, target.get(name, True) if isinstance(target, Mapping) else True, depth + 1)
    if (named := node.get("type")) is not None:
        return _BOTH & frozenset([named] if isinstance(named, str) else named)
    if isinstance(choices := node.get("enum", [node["const"]] if "const" in node else None), list):
        return frozenset(
            "object" if isinstance(one, dict) else "array" for one in choices if isinstance(one, dict | list)
        )
    variants = node.get("anyOf") or node.get("oneOf")
    if isinstance(variants, list):
        return frozenset().union(*(root_kinds(schema, variant, depth + 1) for variant in variants))
    return _BOTH


class _Scan:
    """The parts of a text outside of thoughts: JSON objects and arrays, and what only begins like one."""

    def __init__(self, text: str) -> None:
        self.values: list[int] = []
        """Places of objects and arrays."""
        self.broken: list[int] = []
        """Places of brackets that begin neither."""
        self.is_cut_off = False
        """Whether an object or array begins that does not end."""
        self.in_thoughts = False
        """Whether thoughts were left out."""
        self._text = text
        self._outside: list[str] = []
        self._ends = [match.span() for match in _END.finditer(text)]
        self._effort = _EFFORT * len(text)
        position = begun = 0
        while (token := _TOKEN.search(text, position)) is not None:
            position = token.end()
            if token["start"] is not None:
                self._outside.append(text[begun : token.start()])
                self.in_thoughts = True
                end = self._end_mark_from(position)
                begun = position = len(text) if end is None else end[1]
            elif token["end"] is not None:
                self.values.clear()
                self.broken.clear()
                self._outside.clear()
                self.in_thoughts = True
                begun = position
            else:
                position = self._pass_value(token.start())
        self._outside.append(text[begun:])

    @property
    def outside(self) -> str:
        """All text outside of thoughts."""
        return "".join(self._outside)

    def complete_pieces(self) -> Iterator[str]:
        """Yield what may be the complete value: all text outside of thoughts without a fence around it; or a fence's content."""
        rest = [piece for piece in self._outside if piece.strip(_EDGES)]
        if len(rest) != 1:
            return
        (piece,) = rest
        shell = piece.strip(_EDGES)
        inner = shell.strip("`~").strip(_EDGES)
        yield inner
        if inner != shell and (word := _INFO.match(inner)):
            yield inner[word.end() :]
        fenced = [match[2] for match in _FENCED.finditer(piece)]
        if len(fenced) == 1 and not self.values:
            yield fenced[0].strip(_EDGES)

    def _pass_value(self, start: int) -> int:
        """Read an object or array; return the place behind it."""
        text = self._text
        if self._effort < 0:
            self.is_cut_off = True
            return len(text)
        if _BEGINS_JSON.match(text, start):
            try:
                _, end = _MARKING.raw_decode(text, start)
            except json.JSONDecodeError as error:
                self._effort -= error.pos - start + len(text) // _MOST_ERRORS
                return self._pass_broken(start)
            except (ValueError, RecursionError):  # read again, and reported, by `_decoded`
                end = len(text)
            self.values.append(start)
            return end
        return self._pass_broken(start)

    def _pass_broken(self, start: int) -> int:
        """Return the place behind a bracket that begins no value, and behind what it encloses."""
        self.broken.append(start)
        end_mark = self._end_mark_from(start)
        limit = len(self._text) if end_mark is None else end_mark[0]
        end = _balanced_end(self._text, start, limit)
        self._effort -= (end or limit) - start
        if end is not None:
            return end
        if end_mark is not None:
            return limit  # the thoughts before an end mark
        if _LOOKS_LIKE_JSON.match(self._text, start):
            self.is_cut_off = True
            return limit
        return start + 1

    def _end_mark_from(self, place: int) -> tuple[int, int] | None:
        """Return where the next end mark begins and ends."""
        index = bisect_left(self._ends, (place,))
        return self._ends[index] if index < len(self._ends) else None


def _balanced_end(text: str, start: int, limit: int) -> int | None:
    """Return the place behind the bracket that closes the one at `start`; None if it is not before `limit`."""
    depth = 0
    for place in _brackets(text, start, limit):
        if text[place] in "{[":
            depth += 1
            continue
        depth -= 1
        if not depth:
            return place + 1
    return None


def _brackets(text: str, start: int, limit: int) -> Iterator[int]:
    """Yield the places of brackets outside of strings, in time proportional to the text. A quote without an end does not begin a string."""
    for token in _BRACKETS.finditer(text, start, limit):
        if token[0][0] != '"':
            yield token.start()
        elif token["end"] is None:  # all later quotes follow a backslash, so none of them has an end either
            yield from (match.start() for match in _BRACKET.finditer(text, token.start(), limit))
            return


def _of_parts(text: str, parts: _Scan, brackets: str) -> JsonAnswer:
    values = [start for start in parts.values if text[start] in brackets]
    if len(values) + parts.is_cut_off == 1:
        start = (values or parts.broken[-1:])[0]
        return _decoded_at(text, start)
    if values:
        lines = " and ".join(f"line {line_and_column(text, start)[0]}" for start in (values + parts.broken[-1:])[:2])
        return _invalid(text, f"must be one JSON value; the answer has several, the first two at {lines}")
    broken = [start for start in parts.broken if text[start] in brackets or _LOOKS_LIKE_JSON.match(text, start)]
    if broken:
        return _decoded_at(text, broken[0])
    if parts.in_thoughts:
        return _invalid(text, "must be JSON; the answer has none outside of the model's thoughts")
    return _invalid(text, "must be JSON; the answer has none")


def _invalid(text: str, rule: str) -> JsonAnswer:
    return JsonAnswer(text, UNKNOWN, (Finding((), rule, text.strip(_EDGES)),))


def _decoded_at(text: str, start: int) -> JsonAnswer:
    """Decode the value that begins at a place, or report why it is not JSON."""
    try:
        _, end = _MARKING.raw_decode(text, start)
    except json.JSONDecodeError as error:
        return JsonAnswer(text, UNKNOWN, (json_finding(error, text),))
    except (ValueError, RecursionError):
        end = len(text)
    answer = _decoded(text[start:end])
    return _invalid(text, "must be JSON; the answer has none") if answer is None else answer


def _decoded(body: str) -> JsonAnswer | None:
    """Decode a text that is nothing but JSON; None if it is not."""
    try:
        try:
            return JsonAnswer(body, decode_strict(body))
        except (DuplicateKeyError, NonFiniteNumberError):
            return JsonAnswer(body, UNKNOWN, tuple(_ambiguities(_MARKING.decode(body))))
    except json.JSONDecodeError:
        return None
    except ValueError:
        return JsonAnswer(body, UNKNOWN, (Finding((), "must not have a number with that many digits"),))
    except RecursionError:
        return JsonAnswer(body, UNKNOWN, (Finding((), TOO_DEEP),))


class _DuplicateNames(dict[str, Any]):
    """An object in which a name occurs twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs)
        self.names = sorted(name for name, count in counts.items() if count > 1)


class _NonFinite(str):
    """The text of a number that JSON cannot express."""

    __slots__ = ()


_MARKING = json.JSONDecoder(
    object_pairs_hook=lambda pairs: fields if len(fields := dict(pairs)) == len(pairs) else _DuplicateNames(pairs),
    parse_float=lambda text: _NonFinite(text) if math.isinf(float(text)) else float(text),
    parse_constant=_NonFinite,
)


def _ambiguities(data: Any) -> list[Finding]:
    found: list[Finding] = []
    pending: list[tuple[tuple[str | int, ...], Any]] = [((), data)]
    while pending and len(found) < MAX_FINDINGS:
        place, value = pending.pop()
        if isinstance(value, _DuplicateNames):
            found += [Finding((*place, name), "occurs twice in one object") for name in value.names]
        if isinstance(value, _NonFinite):
            found.append(Finding(place, "must be a finite number, which JSON can hold", value))
        steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        pending += reversed([((*place, step), below) for step, below in steps])
    return found
