"""Hooks: calls middlewares and observers, each in bounded time.

Rules owned here:

1. `before_process` and `on_retry` go through the middlewares in the order given, `after_process` in the opposite order, as
   layers around the call. None of them runs while the controller counts a call: `before_process` comes before it may start, the others
   after it was settled.
2. Each hook gets `hook_timeout` seconds; one that takes longer has raised TimeoutError.
3. No hook can lose an item: a failure of `before_process` is the item's fault, any other is logged and counted.
4. Observers delay no item: each has a queue of its own and receives the events in their order. From `_MAX_QUEUED` events on, new ones
   are dropped; how many is logged and counted.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import attrs
from anyio import Event as Signal
from anyio import current_time, move_on_after
from anyio.lowlevel import checkpoint

from ..._core.config import ProcessorConfig
from ..._core.events import Event, data_of
from ..._core.exceptions import ConfigurationError, MisuseError, Skip
from ..._core.fault import Fault, FaultKind
from ..._core.provider_answers.classify import describe
from ..._core.quantity import quantity
from ..._core.results import WorkItemResult, is_result
from ..._core.usage import TokenUsage
from ...abc import BaseObserver, LLMWorkItem, Middleware
from ..loop.foreign import caught, guarded, logger
from ..tracing import Tracer

T = TypeVar("T")

_LAST_STEPS = 100  # of the event loop, for the last events of a pool that closes
_MAX_QUEUED = 20_000  # events: some seconds of thousands of calls, and about 10 MB
_HANDED_FOR = 2e-3  # seconds between two checkpoints while events are handed over: more than thousands of calls a second make meanwhile
_IDLE_STEPS = 3  # of the event loop without an event, after which the task that hands them over ends
_EXACT = 1 / 64  # of `hook_timeout`: an observer may be cut off so much earlier


@attrs.define(eq=False)
class _Listener:
    """An observer, and the events that it has not received yet."""

    observer: BaseObserver
    queue: deque[Event] = attrs.field(factory=deque)
    is_running: bool = False
    """Whether a task hands events to it."""
    done: Signal = attrs.field(factory=Signal)
    """Set once it has received all events."""
    dropped: int = 0


class Hooks:
    """The middlewares and observers of one processor.

    Raises:
        ConfigurationError: One of them is of another type.
    """

    def __init__(
        self, config: ProcessorConfig, middlewares: Sequence[Middleware], observers: Sequence[BaseObserver]
    ) -> None:
        self._config = config
        self._middlewares = tuple(_checked(Middleware, "middlewares", middlewares))
        self._listeners = [_Listener(each) for each in _checked(BaseObserver, "observers", observers)]
        self.has_middlewares = bool(self._middlewares)
        self.rewrite_items = any(type(one).before_process is not Middleware.before_process for one in self._middlewares)
        """Whether a middleware defines `before_process`, and so may change items before their calls."""
        self._tracer = next((each.observer for each in self._listeners if isinstance(each.observer, Tracer)), None)
        self._listeners = [each for each in self._listeners if not isinstance(each.observer, Tracer)]
        self.has_observers = bool(self._listeners)
        """Without observers, events need not be built."""
        self.tracer: Tracer | None = None
        """Receives batches, items and calls as they happen; None: nothing does."""
        self.reports_pace = self.has_observers
        """Whether anything receives the changes of the pace."""
        self._failures = 0
        self._start_soon: Callable[..., object] | None = None
        self._now: Callable[[], float] = current_time

    def open(self, start_soon: Callable[..., object], now: Callable[[], float]) -> None:
        """Let observers receive events, in tasks that `start_soon` starts; `now` returns the time in seconds."""
        self._start_soon, self._now = start_soon, now
        self.tracer = self._tracer if self._tracer is not None and self._tracer.is_on else None
        self.reports_pace = self.has_observers or self.tracer is not None

    def submit(self, item: LLMWorkItem[Any]) -> None:
        """Report an item that its batch accepts later."""
        if self.tracer is not None:
            self.tracer.submit(item)

    async def close(self) -> None:
        """Hand the last events to the observers that do not wait for anything; others had their time in `flush`."""
        for _ in range(_LAST_STEPS):
            if not any(listener.is_running for listener in self._listeners):
                break
            await checkpoint()
        self._start_soon = None
        for listener in self._listeners:
            left = len(listener.queue) + listener.is_running
            if left:
                name = type(listener.observer).__qualname__
                logger.warning("%s did not receive the last %s", name, quantity(left, "event"))
                listener.dropped += left
                listener.queue.clear()

    @property
    def failures(self) -> int:
        """Exceptions and timeouts of hooks that had no effect on an item."""
        return self._failures

    @property
    def dropped_events(self) -> int:
        """Events that observers did not receive, as they were too slow."""
        return sum(listener.dropped for listener in self._listeners)

    async def before_process(self, item: LLMWorkItem[Any]) -> tuple[LLMWorkItem[Any], Fault | None]:
        """Return the item as the middlewares left it, and the fault that settles it without a call, if any."""
        for middleware in self._middlewares:
            value, error = await self._bounded(middleware.before_process, item)
            if isinstance(error, Skip):
                return item, Fault(FaultKind.SKIPPED, str(error))
            if error is None and value is not None and not _may_replace(item, value):
                error = MisuseError(f"before_process must return None or the item with its id, not {_describe(value)}")
            if error is not None:
                logger.error("%s.before_process failed", type(middleware).__name__, exc_info=error)
                return item, Fault(FaultKind.BUG, f"before_process: {describe(error)}")
            item = value or item
        return item, None

    async def after_process(self, result: WorkItemResult[Any]) -> WorkItemResult[Any]:
        """Return the result as the middlewares left it."""
        for middleware in reversed(self._middlewares):
            value, error = await self._bounded(middleware.after_process, result)
            if error is None and value is not None and not _may_replace(result, value):
                error = MisuseError(f"after_process must return None or the result with its id, not {_describe(value)}")
            if error is not None:
                self._record_failure(middleware.after_process, error)
            elif value is not None:
                result = value
        return result

    async def on_retry(self, item: LLMWorkItem[Any], attempt: int, error: BaseException) -> None:
        """Report a retry to the middlewares."""
        for middleware in self._middlewares:
            await self.call(middleware.on_retry, item, attempt, error)

    def publish(self, event: Event) -> None:
        """Report an event to the observers; does not wait for them."""
        if self._start_soon is None:
            return
        for listener in self._listeners:
            if len(listener.queue) >= _MAX_QUEUED:
                if not listener.dropped:
                    logger.warning("%s is too slow: events are dropped", type(listener.observer).__qualname__)
                listener.dropped += 1
                continue
            listener.queue.append(event)
            if not listener.is_running:
                listener.is_running, listener.done = True, Signal()
                self._start_soon(self._hand_events, listener)

    async def _hand_events(self, listener: _Listener) -> None:
        """Hand events to an observer until none has come for a moment: a task for each would cost more than the event."""
        try:
            idle = 0
            while listener.queue or idle < _IDLE_STEPS:
                idle = 0 if listener.queue else idle + 1
                await self._hand_queue(listener)
                await checkpoint()
        finally:
            listener.is_running = False
            listener.done.set()

    async def _hand_queue(self, listener: _Listener) -> None:
        """Hand over what is queued, in one cancel scope, whose deadline moves with the events; one for each would cost 13 us on trio."""
        seconds, observer, queue = self._config.hook_timeout, listener.observer, listener.queue
        with move_on_after(seconds) as scope:
            began, latest = self._now(), -math.inf
            while queue and (now := self._now()) - began <= _HANDED_FOR:
                if now - latest > _EXACT * seconds:
                    latest, scope.deadline = now, now + seconds
                event = queue.popleft()
                try:
                    await observer.on_event(event.name, data_of(event))
                except BaseException as error:  # noqa: BLE001 - as in `guarded`
                    self._record_failure(observer.on_event, await caught(error))
            return
        self._record_failure(observer.on_event, TimeoutError(_too_slow(seconds)))

    async def flush(self) -> None:
        """Wait until the observers have received what was published, at most `hook_timeout` seconds."""
        running = [listener for listener in self._listeners if listener.is_running]
        if not running:
            return
        with move_on_after(self._config.hook_timeout):
            for listener in running:
                await listener.done.wait()

    async def call(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Await foreign code in bounded time; its failure is only logged and counted."""
        _, error = await self._bounded(function, *args)
        if error is not None:
            self._record_failure(function, error)

    async def _bounded(
        self, function: Callable[..., Awaitable[T]], *args: Any
    ) -> tuple[T | None, BaseException | None]:
        seconds = self._config.hook_timeout
        with move_on_after(seconds):
            return await guarded(function, *args)
        return None, TimeoutError(_too_slow(seconds))

    def _record_failure(self, function: Callable[..., Any], error: BaseException) -> None:
        self._failures += 1
        name = getattr(function, "__qualname__", repr(function))
        logger.error("%s failed; no item was harmed", name, exc_info=error)


def _too_slow(seconds: float) -> str:
    return f"took longer than hook_timeout ({seconds:g} s)"


def _checked(kind: type[T], name: str, things: Sequence[T]) -> Iterator[T]:
    for thing in things:
        if not isinstance(thing, kind):
            raise ConfigurationError(f"{name} must be instances of {kind.__name__}, not {type(thing).__qualname__}")
        yield thing


def _may_replace(old: Any, new: Any) -> bool:
    """Whether a hook's value is of the same type and id as the item or result that it replaces, and of valid fields."""
    if type(new) is not type(old) or new.item_id != old.item_id:
        return False
    if not is_result(new):
        return True
    error: object = new.error
    usage: object = new.usage
    return new.index == old.index and isinstance(error, Fault | None) and isinstance(usage, TokenUsage)


def _describe(value: object) -> str:
    return (
        f"another {type(value).__qualname__}"
        if isinstance(value, LLMWorkItem) or is_result(value)
        else type(value).__qualname__
    )
