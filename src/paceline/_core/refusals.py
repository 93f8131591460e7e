"""Refusals: whether an item is refused like any other of its lane, or for its own sake.

A provider that limits the calls of a lane refuses them whatever they ask. Some items are refused whenever they are called: they are
larger than the whole limit, or a filter answers with the wrong status. They must not stand for the lane.

Rules owned here:

1. A refusal counts against its item if the lane has served a call that started after the item's previous refusal.
2. Each counted refusal is weighed with the lane's share: how many of the calls of items that it served in the end it had refused. The
   product is the likelihood of so many refusals by chance.
3. A refusal that is unlikely by chance is the item's own, and no evidence about the lane. Very unlikely ones end the item, once its
   lane has served others for as long as it would be waited for: a large item may only need a moment with few others.
4. Where most refusals were the items' own, another first one presumably is, too, unless the lane refuses nearly all calls now.
5. A refused item steps back until the lane has served other calls, twice as many after each refusal.
6. Any other outcome of a call clears the item.

              refused, not counted ─► LANE
    record ─┤ refused, counted ─────► LANE, OWN or FINAL, as the likelihood falls
"""

from __future__ import annotations

import enum
import math

import attrs

_OWN, _FINAL = 0.05, 1e-7  # likelihoods: one false alarm in twenty refusals; in ten million
_LATEST = 50  # calls that the share is taken of, about
_LATEST_ITEMS, _FEW_ITEMS = (
    20,
    1.5,
)  # refused items that rule 4 takes into account, about; fewer that were refused are no rule
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
    """Likelihood of these refusals if the lane refuses this item as often as others."""
    times: int = 0
    """All refusals."""
    order: int = -1
    """Number of the item's latest refused call in its lane; -1: none was refused."""
    since: float = math.inf
    """When the first of these calls was refused, in seconds."""

    @property
    def is_own(self) -> bool:
        """Whether the item is refused for its own sake, in all likelihood."""
        return self.likelihood < _OWN

    @property
    def step_back(self) -> int:
        """Calls that the lane serves to others before the item's turn comes again."""
        return 1 << min(self.times - 1, _MOST_DOUBLINGS) if self.times else 0


NOT_REFUSED = RefusalRecord()


@attrs.define
class LaneRefusals:
    """What a lane refuses and serves. Its calls are numbered as they start."""

    _started: int = 0
    _last_served: int = -1  # the highest number of a served call
    _refused: float = 0.0  # calls of items that were served in the end; sums that forget
    _called: float = 0.0
    _own_items: float = (
        0.0  # items that were refused for their own sake, and others that were refused; sums that forget
    )
    _other_items: float = 0.0
    _row: int = 0  # refusals since a call was served, and the numbers of the first and the last of them
    _row_first: int = 0
    _row_last: int = 0

    @property
    def share(self) -> float:
        """Share of the calls that the lane refuses; one call of each kind is assumed beforehand."""
        return (self._refused + 1.0) / (self._called + 2.0)

    def record_start(self) -> int:
        """Record the start of a call; return its number."""
        self._started += 1
        return self._started - 1

    def record_served(self, record: RefusalRecord, order: int) -> None:
        """Record that call number `order` was served, of an item with these refusals."""
        self._last_served = max(self._last_served, order)
        if order > self._row_first:
            self._row = 0
        keep = 1.0 - 1.0 / _LATEST
        self._refused = self._refused * keep + record.counted
        self._called = self._called * keep + record.counted + 1.0
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
        self._extend_row(order)
        if record.counted and self._last_served <= record.order:
            return attrs.evolve(record, times=record.times + 1, order=order), Blame.LANE
        since = min(record.since, now)
        after = RefusalRecord(record.counted + 1, record.likelihood * self.share, record.times + 1, order, since)
        if after.is_own and not record.is_own:
            self._record_item(own=True)
        if after.likelihood < _FINAL and now - since >= patience:
            return after, Blame.FINAL
        presumed = self._own_items > max(_FEW_ITEMS, self._other_items) and not self.is_closed
        return after, Blame.OWN if after.is_own or presumed else Blame.LANE

    def _record_item(self, *, own: bool) -> None:
        keep = 1.0 - 1.0 / _LATEST_ITEMS
        self._own_items = self._own_items * keep + own
        self._other_items = self._other_items * keep + (not own)

    def _extend_row(self, order: int) -> None:
        if not self._row:
            self._row_first = self._row_last = order
        self._row += 1
        self._row_first, self._row_last = min(self._row_first, order), max(self._row_last, order)

    @property
    def is_closed(self) -> bool:
        """Whether the latest calls were nearly all refused."""
        return self._row >= _CLOSED and self._row >= _CLOSED_SHARE * (self._row_last - self._row_first + 1)
