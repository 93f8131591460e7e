"""Read-ahead: how many items the reader of a source accepts before they can be called, and when it is woken to read on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import Event

if TYPE_CHECKING:
    from .batch import Batch

_MAX_WAITING = 8_000  # items: the bound where one lane is full and reading on may find work for another
_LOW_WATER = 0.75  # share of the bounds below which a waiting reader is woken
_MAX_TO_SETTLE = 512  # items read only to be settled as pending, once none of them can be called


class ReadAhead:
    """Decides whether the reader of one batch's source reads on."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._wake_up: Event | None = None
        """Set to wake the reader; None while it does not wait."""

    def is_wanted(self, share: float = 1.0) -> bool:
        """Whether to read on: a lane has room or no worker is busy, and less than `share` of the bounds is read ahead.

        If no item can be called any more, items are read only to be settled, as fast as their results are consumed.
        """
        batch = self._batch
        waiting = len(batch.ledger) - len(batch.calls)
        if batch.is_finished_calling:
            return waiting < _MAX_TO_SETTLE and batch.has_room()
        if waiting >= share * _MAX_WAITING or not (batch.keeper is None or batch.has_room()):
            return False
        return batch.workers == 0 or any(lane.has_room(share) for lane in batch.lanes.values())

    async def wait(self) -> None:
        """Wait until reading on may be useful."""
        self._wake_up = Event()
        await self._wake_up.wait()

    def wake(self) -> None:
        """Wake the reader, to check whether to read on."""
        if self._wake_up is not None:
            self._wake_up.set()
            self._wake_up = None

    def wake_if_low(self) -> None:
        """Wake the reader if it waits and little is left of what was read ahead."""
        if self._wake_up is not None and self.is_wanted(_LOW_WATER):
            self.wake()
