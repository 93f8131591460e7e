"""What an application does around the items of a batch, and the events that it receives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._core.events import ProcessingEvent
    from .._core.results import WorkItemResult
    from .work_item import LLMWorkItem


class Middleware:
    """Sees every item and every result; override the hooks you need.

    A hook that returns None leaves the item or result unchanged. No exception of a hook loses an item: if `before_process`
    raises, the item fails with a fault of the kind `bug`; an exception of the other hooks is logged and counted. Hooks of an
    item are awaited before its next step, in the order of the processor's `middlewares` (`after_process` in reverse), and are
    cancelled with the batch. None of them delays other items' calls, or counts as a call in flight.
    """

    async def before_process(self, work_item: LLMWorkItem[Any]) -> LLMWorkItem[Any] | None:
        """Return an item to call in place of `work_item`, with the same id; called once, before the item's first call.

        Not called for items whose results are recalled.

        Raises:
            Skip: Settle the item without a call, as `skipped`.
        """

    async def after_process(self, result: WorkItemResult[Any]) -> WorkItemResult[Any] | None:
        """Return a result in place of `result`, with the same id and index; called before it is committed and handed over.

        Not called for recalled results, nor for items that are pending because the batch was cancelled.
        """

    async def on_retry(self, work_item: LLMWorkItem[Any], attempt: int, error: Exception) -> None:
        """Receive the exception of attempt number `attempt` (from 1) of an item that will be called again; not for throttled calls."""


class BaseObserver:
    """Receives the events of batches and calls. No call waits for it: an exception is logged and counted, and has no effect on any item.

    Each observer receives the events in their order, one after the other, from a queue of its own. If 20,000 wait there, new ones are
    dropped; how many is logged, and is `dropped_events` of the statistics.
    """

    async def on_event(self, event: ProcessingEvent, data: dict[str, Any]) -> None:
        """Receive one event.

        Args:
            event: Kind of the event.
            data: Fields of the event's record in `paceline.observers`, as a dict of its own for each observer.

        A batch returns its results once the events were received, or after `hook_timeout` seconds. Cancelled when the processor or pool is
        left and it has not returned.
        """
