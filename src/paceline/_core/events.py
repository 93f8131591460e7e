"""Events: what observers receive, as frozen records; `ProcessingEvent` has their names.

An observer gets the name and the record's fields as a dict. Records are built only if there is an observer, and without slots, as the
dict is then the record's own, copied.
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


@attrs.frozen(kw_only=True, slots=False)
class BatchStarted:
    """A batch started."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.BATCH_STARTED
    total_items: int | None
    """Number of items; None if the source has no length."""


@attrs.frozen(kw_only=True, slots=False)
class BatchCompleted:
    """Every accepted item of the batch has its result."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.BATCH_COMPLETED
    total_items: int
    """Items accepted."""
    succeeded: int
    """Items with an output."""
    failed: int
    """Items that were settled with a fault; pending ones are not among them."""
    pending: int = 0
    """Items that were left when the batch ended: they can run again."""
    seconds: float
    """Wall-clock time of the batch, in seconds."""


@attrs.frozen(kw_only=True, slots=False)
class ItemStarted:
    """A call for the item started."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.ITEM_STARTED
    item_id: str
    """Id of the item."""
    quota: str
    """Quota key of the lane."""
    attempt: int
    """Number of the call, from 1; a throttled call is repeated under its number."""


@attrs.frozen(kw_only=True, slots=False)
class ItemCompleted:
    """The item is settled with an output."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.ITEM_COMPLETED
    item_id: str
    """Id of the item."""
    quota: str
    """Quota key of the lane of the last call."""
    attempts: int
    """Number of calls that counted."""
    seconds: float
    """Seconds from the start of the first attempt to the end of the last."""
    tokens: dict[str, int]
    """The four counts of `TokenUsage`, over all attempts."""


@attrs.frozen(kw_only=True, slots=False)
class ItemFailed:
    """The item is settled without an output; of the kind `pending`, it has not failed: its batch ended before it was reached."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.ITEM_FAILED
    item_id: str
    """Id of the item."""
    quota: str
    """Quota key of the lane of the last call."""
    attempts: int
    """Number of calls that counted."""
    seconds: float
    """Seconds from the start of the first attempt to the end of the last."""
    tokens: dict[str, int]
    """The four counts of `TokenUsage`, over all attempts."""
    kind: str
    """Kind of the fault."""
    error: str
    """Message of the fault."""


@attrs.frozen(kw_only=True, slots=False)
class ItemRecalled:
    """The item is settled without a call: its result is in the journal, or comes from another item with the same prompt."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.ITEM_RECALLED
    item_id: str
    """Id of the item."""
    kind: str | None
    """Kind of its fault; None if it has an output."""


@attrs.frozen(kw_only=True, slots=False)
class ItemRetried:
    """The item will be called again after a failure."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.ITEM_RETRIED
    item_id: str
    """Id of the item."""
    quota: str
    """Quota key of the lane."""
    attempt: int
    """Number of the call that failed."""
    delay: float
    """Seconds before the next call, at least."""
    kind: str
    """Kind of the fault."""
    error: str
    """Message of the fault."""


@attrs.frozen(kw_only=True, slots=False)
class ItemEscalated:
    """The item moves up its ladder after a failure."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.ITEM_ESCALATED
    item_id: str
    """Id of the item."""
    quota: str
    """Quota key of the lane of the call that failed."""
    attempt: int
    """Number of that call."""
    step: int
    """Step that it moves to; the lowest is 0."""
    model: str | None
    """Model of that step, if the strategy names it."""
    kind: str
    """Kind of the fault."""
    error: str
    """Message of the fault."""


@attrs.frozen(kw_only=True, slots=False)
class RateLimitHit:
    """The provider throttled a call, for its limits or for the item's own sake; the item waits in its lane."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.RATE_LIMIT_HIT
    item_id: str
    """Id of the item."""
    quota: str
    """Quota key of the lane."""
    retry_after: float | None
    """Seconds that the provider asked to wait."""


@attrs.frozen(kw_only=True, slots=False)
class PaceChanged:
    """A lane's controller changed its pace."""

    name: ClassVar[ProcessingEvent] = ProcessingEvent.PACE_CHANGED
    quota: str
    """Quota key of the lane."""
    handle: str
    """What changed: "workers", "calls a second", "tokens a second", or "gate"."""
    old: float
    """Value before the change. Workers: calls that may be in flight. Calls or tokens a second: the limit; infinite without one.
    Gate: seconds until the open breaker lets a probe start; 0 while it is closed."""
    new: float
    """Value after, in the same unit."""
    reason: str
    """Why it changed, in a sentence."""


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
"""An event, as a record. An observer receives its fields as a dict."""


def data_of(event: Event) -> dict[str, Any]:
    """Return the fields of an event by name, in a dict of its own: an observer's `data`."""
    return vars(event).copy()
