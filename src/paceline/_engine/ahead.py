"""How far a source is read ahead of the calls, and when its reader is woken to read on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import Event

if TYPE_CHECKING:
    from .batch import Batch

_MOST = 8_000  # items, where one lane is full and another might be fed by reading on
_LOW_WATER = 0.75  # of what is read ahead: below it the reader is woken
_TO_SETTLE = 512  # items at most that are read only to be settled as not reached


class ReadAhead:
    """What the reader of one batch's source asks before it reads on."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._bell: Event | None = None
        """While the reader waits."""

    def is_wanted(self, share: float = 1.0) -> bool:
        """Whether to read on: a lane has room or nobody works, and what is read ahead stays within `share` of the bounds.

        Once nothing can be called any more, what is read is only to be settled: as fast as the results are taken.
        """
        batch = self._batch
        waiting = len(batch.ledger) - len(batch.calls)
        if batch.is_shut:
            return waiting < _TO_SETTLE and batch.has_room()
        if waiting >= share * _MOST or not (batch.keeper is None or batch.has_room()):
            return False
        return batch.workers == 0 or any(lane.has_room(share) for lane in batch.lanes.values())

    async def wait(self) -> None:
        """Wait until reading on may be of use."""
        self._bell = Event()
        await self._bell.wait()

    def look(self) -> None:
        """Wake the reader, to see whether it is to read on."""
        if self._bell is not None:
            self._bell.set()
            self._bell = None

    def look_if_low(self) -> None:
        """Wake the reader if it waits, and not much is left of what was read."""
        if self._bell is not None and self.is_wanted(_LOW_WATER):
            self.look()
