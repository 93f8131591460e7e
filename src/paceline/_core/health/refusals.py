"""Refusals: whether an item is refused like any other of its lane, or for its own sake.

A provider that limits the calls of a lane refuses them whatever they ask. Some items are refused whenever they are called: they are
larger than the whole limit, or a filter answers with the wrong status. They must not stand for the lane.

Rules owned here:

1. A refusal counts against its item if the lane has served a call that started after the item's previous refusal.
2. The likelihood of an item's refusals by chance is the product of the lane's share of refused calls, one for each counted refusal
   after the first. The share is taken of the items that the lane served in the end.
3. Before that is weighed, the odds that a refused item is refused for its own sake are those of the lane's refused items lately: of
   how many it was unlikely that they were refused by chance, and how many were served in the end.
4. An item that is refused for its own sake more likely than by chance is no evidence about the lane. At a first refusal this does
   not hold where the lane refuses nearly all items now. An item ends once the odds are overwhelming and its lane has served others for
   as long as the item would be waited for: a large one may only need a moment with few others.
5. A refused item steps back until the lane has served other calls, twice as many after each refusal.
6. Any other outcome of a call clears the item.

              refused, not counted ─► LANE
    record ─┤ refused, counted ─────► LANE, OWN or FINAL, as the odds rise
"""

from __future__ import annotations

import enum
import math

import attrs

_UNLIKELY = 0.05  # likelihood by chance: one false alarm in twenty items that are refused more than once
_FINAL_ODDS = 1e7  # one false alarm in ten million refused items
_OWN_BEFORE, _OTHERS_BEFORE = 0.5, 2.0  # refused items of each kind that are assumed beforehand
_KEEP = 1 - 1 / 50  # of the sums of calls and of refused items, at the next one: they cover some 50
_CLOSED, _CLOSED_SHARE = 3, 0.6  # refusals in a row, and their share of the calls since the first of them
_MOST_DOUBLINGS = 16


class Blame(enum.Enum):
    """Whom a refusal tells about."""

    LANE = enum.auto()
    """The lane: it is evidence of a limit."""
    OWN = enum.auto()
    """The item; the lane serves others."""
    FINAL = enum.auto()
    """The item, which no further call would help."""


@attrs.frozen
class RefusalRecord:
    """The latest refusals of one item, in a row."""

    counted: int = 0
    """Refusals between which others were served."""
    likelihood: float = 1.0
    """Likelihood of the refusals after the first, if the lane refuses this item as often as others."""
    times: int = 0
    """All refusals."""
    order: int = -1
    """Number of the item's latest refused call in its lane; -1: none was refused."""
    since: float = math.inf
    """When the first of these calls was refused, in seconds."""
    is_own: bool = False
    """Whether the item is refused for its own sake, more likely than by chance."""

    @property
    def step_back(self) -> int:
        """Calls that the lane serves to others before the item's turn comes again."""
        return 1 << min(self.times - 1, _MOST_DOUBLINGS) if self.times else 0


NOT_REFUSED = RefusalRecord()


@attrs.define
class LaneRefusals:
    """What a lane refuses and serves. Its calls are numbered from 0 or 1 as they start, by the caller."""

    _last_served: int = -1  # the highest number of a served call
    _refused: float = 0.0  # calls of items that were served in the end; sums that forget
    _called: float = 0.0
    _own_items: float = (
        0.0  # refused items that were unlikely to be refused by chance, and those that were served; sums that forget
    )
    _other_items: float = 0.0
    _row: int = (
        0  # items that were refused since a call was served, and the numbers of the first and the last of these calls
    )
    _row_first: int = 0
    _row_last: int = 0

    @property
    def share(self) -> float:
        """Share of the calls that the lane refuses; one call of each kind is assumed beforehand."""
        return (self._refused + 1.0) / (self._called + 2.0)

    @property
    def own_odds(self) -> float:
        """Odds that an item is refused for its own sake, at its first refusal."""
        return (self._own_items + _OWN_BEFORE) / (self._other_items + _OTHERS_BEFORE)

    def record_served(self, record: RefusalRecord, order: int) -> None:
        """Record that call number `order` was served, of an item with these refusals."""
        if order > self._last_served:  # noqa: PLR1730 - a condition is faster than max(), and this runs for each call
            self._last_served = order
        if order > self._row_first:
            self._row = 0
        self._refused = self._refused * _KEEP + record.counted
        self._called = self._called * _KEEP + record.counted + 1.0
        if record.counted:
            self._record_item(own=False)

    def record_refusal(
        self, record: RefusalRecord, order: int, now: float, patience: float
    ) -> tuple[RefusalRecord, Blame]:
        """Record that call number `order` was refused, of an item with these refusals.

        Args:
            record: The item's earlier refusals.
            order: Number of the call.
            now: Current time, in seconds.
            patience: Seconds for which an item may be refused while others are served.

        Returns:
            The item's refusals with this one, and whom this one tells about.
        """
        if not record.times:
            self._extend_row(order)
        if record.counted and self._last_served <= record.order:
            return attrs.evolve(record, times=record.times + 1, order=order), Blame.LANE
        likelihood = record.likelihood * self.share if record.counted else 1.0
        if likelihood < _UNLIKELY <= record.likelihood:
            self._record_item(own=True)
        likely = self.own_odds > likelihood and (record.counted > 0 or not self.is_closed)
        since = min(record.since, now)
        after = RefusalRecord(
            record.counted + 1, likelihood, record.times + 1, order, since, is_own=record.is_own or likely
        )
        if not after.is_own:
            return after, Blame.LANE
        is_certain = self.own_odds >= _FINAL_ODDS * likelihood and now - since >= patience
        return after, Blame.FINAL if is_certain else Blame.OWN

    def _record_item(self, *, own: bool) -> None:
        self._own_items = self._own_items * _KEEP + own
        self._other_items = self._other_items * _KEEP + (not own)

    def _extend_row(self, order: int) -> None:
        if not self._row:
            self._row_first = self._row_last = order
        self._row += 1
        self._row_first, self._row_last = min(self._row_first, order), max(self._row_last, order)

    @property
    def is_closed(self) -> bool:
        """Whether nearly all items that were called lately were refused."""
        return self._row >= _CLOSED and self._row >= _CLOSED_SHARE * (self._row_last - self._row_first + 1)
