"""EventRecorder: an observer that keeps every event, for the assertions of tests.

recorder = EventRecorder()
batch = await process_prompts(strategy, prompts, observers=[recorder])
assert [event.attempt for event in recorder.of_type(ItemRetried)] == [1, 2]
"""

from __future__ import annotations

from typing import Any, TypeVar, get_args

from .._core.events import Event, ProcessingEvent
from ..abc import BaseObserver

E = TypeVar("E")

_RECORDS: dict[ProcessingEvent, type[Event]] = {record.name: record for record in get_args(Event)}


class EventRecorder(BaseObserver):
    """Keeps every event of the batches that it observes, as the records of `paceline.observers`, in the order of their arrival."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        """All events."""

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({len(self.events)} events)"

    async def on_event(self, event: ProcessingEvent, data: dict[str, Any]) -> None:
        """Keep an event."""
        self.events.append(_RECORDS[event](**data))

    def of_type(self, kind: type[E], item_id: str | None = None) -> list[E]:
        """Return the events of one type, in order.

        Args:
            kind: Class of `paceline.observers`, such as `ItemRetried`.
            item_id: Id of the only item whose events are returned; None: all.
        """
        events = self.events if item_id is None else self.of_item(item_id)
        return [event for event in events if isinstance(event, kind)]

    def of_item(self, item_id: str) -> list[Event]:
        """Return the events of one item, in order."""
        return [event for event in self.events if getattr(event, "item_id", None) == item_id]

    def names(self, item_id: str | None = None) -> list[ProcessingEvent]:
        """Return the names of all events, or of those of one item, in order: `["item_started", "item_completed"]`."""
        return [event.name for event in (self.events if item_id is None else self.of_item(item_id))]

    def clear(self) -> None:
        """Forget all events."""
        self.events.clear()
