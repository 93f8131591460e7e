"""What stands around the calls: middlewares, which may change items and results, and observers, which are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._core.events import ProcessingEvent
    from .._core.outcome import WorkItemResult
    from ..work import LLMWorkItem


class Middleware:
    """Sees every item and every result; override what is of interest.

    Returning None leaves the item or result as it is, returning another one replaces it. What a hook raises never loses an
    item: an exception of `before_process` settles it as a bug, one of the others is logged and counted.
    """

    async def before_process(self, work_item: LLMWorkItem[Any]) -> LLMWorkItem[Any] | None:
        """See an item before its first call; may raise `Skip`. A replacement must keep the id."""

    async def after_process(self, result: WorkItemResult[Any]) -> WorkItemResult[Any] | None:
        """See an item's result before anyone else does. A replacement must keep the id and the index."""

    async def on_retry(self, work_item: LLMWorkItem[Any], attempt: int, error: Exception) -> None:
        """Hear that the call numbered `attempt` failed and that the item will be called again."""


class BaseObserver:
    """Is told what happens. What it raises is logged and counted, and harms no item."""

    async def on_event(self, event: ProcessingEvent, data: dict[str, Any]) -> None:
        """Hear of one event; `data` has the fields of its record in `paceline.observers`."""
