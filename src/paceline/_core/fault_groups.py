"""Fault groups: faults that are alike, counted in bounded memory.

Rules owned here:

1. Two faults are alike if they have the same kind, and the same message but for what varies with the item: numbers, ids, dates, hexadecimal
   digits, and quoted text.
2. Of an HTTP error whose message quotes the body, only the status and the provider's own sentence count: bodies have ids of requests.
3. At most `MOST_GROUPS` groups are kept. When another one is needed, the rarest is dropped: a count is exact for a group that was never
   dropped, and otherwise too low.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from .fault import Fault, FaultKind

SHOWN_GROUPS = 3
"""Groups that are shown to people, the most frequent ones."""
MOST_GROUPS = 100
"""Groups that are kept."""

_COMPARED = 200  # characters that are compared: what comes later is detail
_READ = 1_000  # characters of a message that are read
_SHOWN = 160  # characters of a message that are shown
_BODY_MESSAGE = re.compile(
    r"""(?sx)
    ["']message["'] \s* : \s*
    (?: " (?P<double> (?: [^"\\] | \\. )* ) | ' (?P<single> (?: [^'\\] | \\. )* ) )
    """
)
_OPENAI = re.compile(r"\w+: Error code: ([45]\d\d) - ", re.ASCII)
_STATUS = re.compile(r"\b([45]\d\d)\b")
_ESCAPE = re.compile(r"\\([\"'\\])")
_VARYING = re.compile(
    r"""(?sx)
      ".*?(?:"|\Z)
    | `.*?(?:`|\Z)
    | (?<!\w)'.*?(?:'(?!\w)|\Z)          # not an apostrophe
    | (?<![\w.:/+-])[\w.:/+-]*\d(?:[\w.:/+-]|,(?=\d))*  # a number, a date, an id or a hash: what has a digit
    """
)


@attrs.frozen
class FaultGroup:
    """Faults that are alike."""

    kind: FaultKind
    """Their kind."""
    count: int
    """How many there are; at least that many, if there are more kinds of messages than are kept."""
    message: str
    """The provider's words in the first of them, in one line of at most 160 characters. Credentials are replaced."""

    @property
    def line(self) -> str:
        """The number and the message, for a list below the kind."""
        return f"{self.count:,} × {self.message}"

    def __str__(self) -> str:
        return f"{self.count:,} × {self.kind}: {self.message}" if self.message else f"{self.count:,} × {self.kind}"


class FaultGroups:
    """Counts faults by group."""

    def __init__(self) -> None:
        self._groups: dict[tuple[FaultKind, str], FaultGroup] = {}
        """The groups by key, in the order in which they were met."""

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, kind: FaultKind, message: str, count: int = 1) -> int:
        """Count faults of one kind and message; return how many there are."""
        key = (kind, comparable(message))
        known = self._groups.get(key)
        if known is not None:
            self._groups[key] = attrs.evolve(known, count=known.count + count)
            return known.count + count
        if len(self._groups) >= MOST_GROUPS:
            del self._groups[min(self._groups, key=lambda one: self._groups[one].count)]
        self._groups[key] = FaultGroup(kind, count, provider_words(message))
        return count

    def update(self, other: FaultGroups) -> None:
        """Count the faults of other groups too."""
        for (kind, text), group in other._groups.items():
            known = self._groups.get((kind, text))
            if known is None and len(self._groups) >= MOST_GROUPS:
                continue
            self._groups[kind, text] = group if known is None else attrs.evolve(known, count=known.count + group.count)

    def most_frequent(self, most: int = SHOWN_GROUPS) -> tuple[FaultGroup, ...]:
        """Return the largest groups, the most frequent first, and of equal ones the one that was met first."""
        return tuple(sorted(self._groups.values(), key=lambda group: -group.count)[:most])


def group_faults(faults: Iterable[tuple[str, str, int]], most: int = SHOWN_GROUPS) -> tuple[FaultGroup, ...]:
    """Return the largest groups of faults that were counted by kind and message.

    Args:
        faults: Kind, message and number of each.
        most: Number of groups.
    """
    groups = FaultGroups()
    for kind, message, count in faults:
        groups.add(FaultKind(kind), message, count)
    return groups.most_frequent(most)


def are_alike(one: Fault, other: Fault) -> bool:
    """Return whether two faults are alike."""
    return one.kind is other.kind and comparable(one.message) == comparable(other.message)


def comparable(message: str) -> str:
    """Return the part of a message by which faults are compared: equal for faults of one kind that are alike."""
    return _VARYING.sub("#", _words(message))[:_COMPARED]


def provider_words(message: str) -> str:
    """Return what a message says in one line: of a quoted body the HTTP status and the provider's sentence, otherwise its beginning."""
    text = " ".join(_words(message).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _words(message: str) -> str:
    message = message[:_READ]
    quoted = _BODY_MESSAGE.search(message)
    if quoted is None:
        return _OPENAI.sub(r"\1: ", message, count=1)
    words = _ESCAPE.sub(r"\1", quoted["double"] or quoted["single"] or "")
    status = _STATUS.search(message, 0, quoted.start())
    if not words.strip():
        return message
    return words if status is None else f"{status[1]}: {words}"
