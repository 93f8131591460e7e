"""What observers are told, as frozen records; `ProcessingEvent` names them.

An observer gets the name and the record's fields as a dict. Records are built only when somebody listens.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar, TypeAlias

import attrs


class ProcessingEvent(enum.StrEnum):
    """The name of an event."""

    BATCH_STARTED = "batch_started"
    BATCH_COMPLETED = "batch_completed"
    ITEM_STARTED = "item_started"
    ITEM_COMPLETED = "item_completed"
    ITEM_FAILED = "item_failed"
    ITEM_RECALLED = "item_recalled"
    ITEM_RETRIED = "item_retried"
    ITEM_ESCALATED = "item_escalated"
    RATE_LIMIT_HIT = "rate_limit_hit"
    PACE_CHANGED = "pace_changed"


@attrs.frozen(kw_only=True)
class BatchStarted:
    """A batch begins."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.BATCH_STARTED
    total_items: int | None
    """None where the source does not know its length."""


@attrs.frozen(kw_only=True)
class BatchCompleted:
    """Every accepted item has its result."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.BATCH_COMPLETED
    total_items: int
    succeeded: int
    failed: int
    seconds: float


@attrs.frozen(kw_only=True)
class ItemStarted:
    """A call of the item begins."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.ITEM_STARTED
    item_id: str
    quota: str
    attempt: int


@attrs.frozen(kw_only=True)
class ItemCompleted:
    """The item has an output."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.ITEM_COMPLETED
    item_id: str
    quota: str
    attempts: int
    seconds: float
    tokens: dict[str, int]
    """The four counts of `TokenUsage`, over all attempts."""


@attrs.frozen(kw_only=True)
class ItemFailed:
    """The item is settled without an output."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.ITEM_FAILED
    item_id: str
    quota: str
    attempts: int
    seconds: float
    tokens: dict[str, int]
    kind: str
    error: str


@attrs.frozen(kw_only=True)
class ItemRecalled:
    """The item has a result without a call of its own: from the journal, or from another item with the same prompt."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.ITEM_RECALLED
    item_id: str
    kind: str | None
    """Of its fault; None: it has an output."""


@attrs.frozen(kw_only=True)
class ItemRetried:
    """The item will be called again after a failure."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.ITEM_RETRIED
    item_id: str
    quota: str
    attempt: int
    """The number of the call that failed."""
    delay: float
    """Seconds until it may be called."""
    kind: str
    error: str


@attrs.frozen(kw_only=True)
class ItemEscalated:
    """The item moves up its ladder."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.ITEM_ESCALATED
    item_id: str
    quota: str
    """The lane of the call that failed."""
    attempt: int
    """The number of that call."""
    step: int
    """The step that it moves to; the lowest is 0."""
    model: str | None
    """The model there, if it has a name."""
    kind: str
    error: str


@attrs.frozen(kw_only=True)
class RateLimitHit:
    """The provider refused a call; the item waits for its lane."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.RATE_LIMIT_HIT
    item_id: str
    quota: str
    retry_after: float | None


@attrs.frozen(kw_only=True)
class PaceChanged:
    """A lane's controller changed one of its handles."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.PACE_CHANGED
    quota: str
    handle: str
    """What changed: "workers", "calls a second", "tokens a second", or "gate"."""
    old: float
    new: float
    """Of the gate: seconds until it opens. Of a rate: inf while none is enforced."""
    reason: str


Event: TypeAlias = (
    BatchStarted
    | BatchCompleted
    | ItemStarted
    | ItemCompleted
    | ItemFailed
    | ItemRecalled
    | ItemRetried
    | ItemEscalated
    | RateLimitHit
    | PaceChanged
)


def data_of(event: Event) -> dict[str, Any]:
    """Return the event's fields by name: what an observer gets as `data`."""
    return {field.name: getattr(event, field.name) for field in attrs.fields(type(event))}
