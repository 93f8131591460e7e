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

from .fault import TOO_LARGE, Fault, FaultKind, FaultReason
from .printable import printable

SHOWN_GROUPS = 3
"""Groups that are shown to people, the most frequent ones."""
MOST_GROUPS = 100
"""Groups that are kept."""

_COMPARED = 200  # characters that are compared: what comes later is detail
_READ = 1_000  # characters of a message that are read
_SHOWN_IDS = 3  # ids of failed items that a group has
_LONGEST_ID = 40  # characters of an id that are shown
_SHOWN = 160  # characters of a message that are shown
_BODY_MESSAGE = re.compile(
    r"""(?sx)
    ["'](?:message|detail)["'] \s* : \s*
    (?: " (?P<double> (?: [^"\\] | \\. )* ) | ' (?P<single> (?: [^'\\] | \\. )* ) )
    """
)
_OPENAI = re.compile(r"\w+: Error code: ([45]\d\d) - ", re.ASCII)
_VERDICT = re.compile(
    rf"(?:refused [\d,]+ times? in a row, whereas .{{1,200}}? served others|{TOO_LARGE}): ",
    re.DOTALL,
)
"""What precedes the provider's words in the fault of an item that is refused for its own sake."""
_STATUS = re.compile(r"\b([45]\d\d)\b")
_RAW = re.compile(r"""[\s:-]*(?:\[?\{\s*["']|<[a-zA-Z!]).*""", re.DOTALL)
"""Data or a page that a message quotes: a server may echo the prompt in it."""
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
    ids: tuple[str, ...] = attrs.field(default=(), eq=False)
    """Ids of the first few failed items; empty for faults of calls."""
    reason: FaultReason | None = attrs.field(default=None, eq=False)
    """Why, of the first of them that says it."""

    @property
    def line(self) -> str:
        """The number and the message, for a list below the kind."""
        if not self.ids:
            return f"{self.count:,} × {self.message}"
        more = ", ..." if self.count > len(self.ids) else ""
        return f"{self.count:,} × {self.message} ({', '.join(map(_id_text, self.ids))}{more})"

    def __str__(self) -> str:
        return f"{self.count:,} × {self.kind}: {self.message}" if self.message else f"{self.count:,} × {self.kind}"


class FaultGroups:
    """Counts faults by group."""

    def __init__(self) -> None:
        self._groups: dict[tuple[FaultKind, str], FaultGroup] = {}
        """The groups by key, in the order in which they were met."""

    def __len__(self) -> int:
        return len(self._groups)

    def add(
        self,
        kind: FaultKind,
        message: str,
        count: int = 1,
        *,
        item_id: str | None = None,
        reason: FaultReason | None = None,
    ) -> int:
        """Count faults of one kind and message; return how many there are.

        Args:
            kind: Their kind.
            message: Their message.
            count: How many there are.
            item_id: Id of the item that failed; None for faults of calls.
            reason: Why they failed, if known.
        """
        ids = () if item_id is None else (item_id,)
        key = (kind, comparable(message))
        known = self._groups.get(key)
        if known is not None:
            self._groups[key] = attrs.evolve(
                known,
                count=known.count + count,
                ids=(known.ids + ids)[:_SHOWN_IDS],
                reason=known.reason or reason,
            )
            return known.count + count
        if len(self._groups) >= MOST_GROUPS:
            del self._groups[min(self._groups, key=lambda one: self._groups[one].count)]
        self._groups[key] = FaultGroup(kind, count, provider_words(message), ids, reason)
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

    def representative(self, most: int = SHOWN_GROUPS) -> tuple[FaultGroup, ...]:
        """Return the largest groups, and the largest one of each other kind: no kind is without a message."""
        ordered = self.most_frequent(len(self._groups))
        first: dict[FaultKind, FaultGroup] = {}
        for group in ordered:
            first.setdefault(group.kind, group)
        return tuple(group for index, group in enumerate(ordered) if index < most or first[group.kind] is group)


def group_faults(
    faults: Iterable[tuple[str, str, int, str | None]], most: int = SHOWN_GROUPS
) -> tuple[FaultGroup, ...]:
    """Return the largest groups of faults that were counted by kind and message.

    Args:
        faults: Kind, message, number and reason of each.
        most: Number of groups.
    """
    groups = FaultGroups()
    known = set(FaultReason)
    for kind, message, count, reason in faults:
        groups.add(FaultKind(kind), message, count, reason=FaultReason(reason) if reason in known else None)
    return groups.representative(most)


def _id_text(item_id: str) -> str:
    short = item_id if len(item_id) <= _LONGEST_ID else f"{item_id[: _LONGEST_ID - 1]}…"
    return printable(short, keep="")


def are_alike(one: Fault, other: Fault) -> bool:
    """Return whether two faults are alike."""
    return one.kind is other.kind and comparable(one.message) == comparable(other.message)


def comparable(message: str) -> str:
    """Return the part of a message by which faults are compared: equal for faults of one kind that are alike."""
    return _VARYING.sub("#", _words(message))[:_COMPARED]


def provider_words(message: str) -> str:
    """Return what a message says in one line: of a quoted body the HTTP status and the provider's sentence, otherwise its beginning.

    Data and pages are left out, as a server may echo a prompt in them.
    """
    words = _words(message)
    text = " ".join((_RAW.sub("", words) or ("data without a message" if words else "")).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _words(message: str) -> str:
    message = message[:_READ]
    verdict = _VERDICT.match(message)
    if verdict is None:
        return _words_of_provider(message)
    return verdict[0] + _words_of_provider(message[verdict.end() :])


def _words_of_provider(message: str) -> str:
    quoted = _BODY_MESSAGE.search(message)
    if quoted is None:
        return _OPENAI.sub(r"\1: ", message, count=1)
    words = _ESCAPE.sub(r"\1", quoted["double"] or quoted["single"] or "")
    status = _STATUS.search(message, 0, quoted.start())
    if not words.strip():
        return message
    return words if status is None else f"{status[1]}: {words}"
