"""How middlewares and observers are called: in order, each in bounded time, none able to lose an item.

`before_process` and `on_retry` go through the middlewares in the order given, `after_process` in the opposite one, as
layers around the call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

from anyio import move_on_after

from .._core.classify import describe
from .._core.config import ProcessorConfig
from .._core.events import Event, data_of
from .._core.exceptions import ConfigurationError, MisuseError, Skip
from .._core.fault import Fault, FaultKind
from .._core.results import WorkItemResult
from .._core.usage import TokenUsage
from ..abc import BaseObserver, LLMWorkItem, Middleware
from .guard import guarded, logger

T = TypeVar("T")


class Hooks:
    """The middlewares and observers of one processor."""

    def __init__(
        self, config: ProcessorConfig, middlewares: Sequence[Middleware], observers: Sequence[BaseObserver]
    ) -> None:
        self._config = config
        self._middlewares = tuple(_each(Middleware, "middlewares", middlewares))
        self._observers = tuple(_each(BaseObserver, "observers", observers))
        self.failures = 0
        """How often a hook raised or took too long, where that harmed no item."""

    @property
    def exist(self) -> bool:
        """Whether there are middlewares or observers."""
        return bool(self._middlewares or self._observers)

    @property
    def wrapping(self) -> bool:
        """Whether there are middlewares."""
        return bool(self._middlewares)

    @property
    def rewriting(self) -> bool:
        """Whether a middleware sees items before they are called, and may change them."""
        return any(type(one).before_process is not Middleware.before_process for one in self._middlewares)

    @property
    def listening(self) -> bool:
        """Whether there are observers: events need not be built for nobody."""
        return bool(self._observers)

    async def before(self, item: LLMWorkItem[Any]) -> tuple[LLMWorkItem[Any], Fault | None]:
        """Return the item as the middlewares left it, and the fault that settles it without a call, if any."""
        for middleware in self._middlewares:
            value, error = await self._bounded(middleware.before_process, item)
            if isinstance(error, Skip):
                return item, Fault(FaultKind.SKIPPED, str(error))
            if error is None and value is not None and not _replaces(item, value):
                error = MisuseError(f"before_process must return None or the item with its id, not {_named(value)}")
            if error is not None:
                logger.error("%s.before_process failed", type(middleware).__name__, exc_info=error)
                return item, Fault(FaultKind.BUG, f"before_process: {describe(error)}")
            item = value or item
        return item, None

    async def after(self, result: WorkItemResult[Any]) -> WorkItemResult[Any]:
        """Return the result as the middlewares left it."""
        for middleware in reversed(self._middlewares):
            value, error = await self._bounded(middleware.after_process, result)
            if error is None and value is not None and not _replaces(result, value):
                error = MisuseError(f"after_process must return None or the result with its id, not {_named(value)}")
            if error is not None:
                self._note(middleware.after_process, error)
            elif value is not None:
                result = value
        return result

    async def retry(self, item: LLMWorkItem[Any], attempt: int, error: BaseException) -> None:
        """Tell the middlewares of a retry."""
        for middleware in self._middlewares:
            await self.harmless(middleware.on_retry, item, attempt, error)

    async def tell(self, event: Event) -> None:
        """Tell the observers of an event."""
        data = data_of(event)
        for observer in self._observers:
            await self.harmless(observer.on_event, event.name, dict(data))

    async def harmless(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Await foreign code whose failure is only logged and counted."""
        _, error = await self._bounded(function, *args)
        if error is not None:
            self._note(function, error)

    async def _bounded(
        self, function: Callable[..., Awaitable[T]], *args: Any
    ) -> tuple[T | None, BaseException | None]:
        seconds = self._config.hook_timeout
        with move_on_after(seconds):
            return await guarded(function, *args)
        return None, TimeoutError(f"took longer than hook_timeout ({seconds:g} s)")

    def _note(self, function: Callable[..., Any], error: BaseException) -> None:
        self.failures += 1
        name = getattr(function, "__qualname__", repr(function))
        logger.error("%s failed; no item was harmed", name, exc_info=error)


def _each(kind: type[T], name: str, things: Sequence[T]) -> Iterator[T]:
    for thing in things:
        if not isinstance(thing, kind):
            raise ConfigurationError(f"{name} must be instances of {kind.__name__}, not {type(thing).__qualname__}")
        yield thing


def _replaces(old: Any, new: Any) -> bool:
    if type(new) is not type(old) or new.item_id != old.item_id:
        return False
    if not isinstance(new, WorkItemResult):
        return True
    error: object = new.error
    usage: object = new.usage
    return new.index == old.index and isinstance(error, Fault | None) and isinstance(usage, TokenUsage)


def _named(value: object) -> str:
    return (
        f"another {type(value).__qualname__}"
        if isinstance(value, (LLMWorkItem, WorkItemResult))
        else type(value).__qualname__
    )
