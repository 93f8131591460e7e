"""When a strategy is prepared and cleaned up: once each, whatever happens in between.

Rules owned here:

1. `prepare` succeeds at most once for each instance, before its first call. A passing failure is retried by the same
   machine as a call's; any other is the fault of every item of that instance in this batch.
2. `cleanup` is called once for each instance whose `prepare` was begun, when the processor closes: shielded from
   cancellation, each in bounded time, all at once.
3. Instances that override neither cost nothing here, be they a million.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from anyio import CancelScope, CapacityLimiter, create_task_group, current_time, move_on_after, sleep

from .._core import retry
from .._core.config import ProcessorConfig
from .._core.fault import Fault, FaultKind
from ..abc import LLMCallStrategy
from .attempt import fault_of
from .guard import guarded
from .hooks import Hooks
from .job import Job

_AT_ONCE = 64  # instances that are prepared at the same time


@attrs.define
class Parked:
    """Jobs that wait for their strategy to be prepared, and the scope in which that is done."""

    scope: CancelScope
    jobs: list[Job]


class Lifecycle:
    """The strategies that one processor has met."""

    def __init__(self, config: ProcessorConfig, hooks: Hooks, draw: Callable[[], float]) -> None:
        self._config = config
        self._hooks = hooks
        self._draw = draw
        self._begun: dict[int, LLMCallStrategy[Any]] = {}
        self._ready: set[int] = set()
        self._at_once = CapacityLimiter(_AT_ONCE)

    def is_ready(self, strategy: LLMCallStrategy[Any]) -> bool:
        """Whether calls may be made."""
        return id(strategy) in self._ready or not _has_lifecycle(type(strategy))

    async def prepare(self, strategy: LLMCallStrategy[Any]) -> tuple[Fault, retry.Effect] | None:
        """Prepare an instance; if that fails, return the fault of its items, and what it means for the batch."""
        self._begun[id(strategy)] = strategy
        state, since = retry.NEW, current_time()
        while True:
            fault = await self._prepare_once(strategy)
            if fault is None:
                self._ready.add(id(strategy))
                return None
            event = retry.event_of(fault, starved=current_time() - since, chance=self._draw())
            state, effect = retry.step(self._config.retry, state, event)
            if not isinstance(effect, retry.CallAgain):
                return attrs.evolve(fault, message=f"prepare: {fault.message}"), effect
            # A lane's controller would time a throttled call; there is none yet, so the wait is bounded here.
            await sleep(max(effect.delay, min(fault.retry_after or 1.0, self._config.retry.backoff.longest)))

    async def _prepare_once(self, strategy: LLMCallStrategy[Any]) -> Fault | None:
        async with self._at_once:
            return await self._prepare_here(strategy)

    async def _prepare_here(self, strategy: LLMCallStrategy[Any]) -> Fault | None:
        seconds = self._config.timeout_per_item
        with move_on_after(seconds):
            _, error = await guarded(strategy.prepare)
            return None if error is None else fault_of(strategy, error)
        return Fault(FaultKind.TIMEOUT, f"it took longer than {seconds:g} s")

    async def cleanup(self) -> None:
        """Clean up every instance that was begun; what a cleanup raises is logged."""
        strategies, self._begun, self._ready = list(self._begun.values()), {}, set()
        if not strategies:
            return
        with CancelScope(shield=True):  # bounded: every hook is
            async with create_task_group() as nursery:
                for strategy in strategies:
                    nursery.start_soon(self._hooks.harmless, strategy.cleanup)


def _has_lifecycle(cls: type[LLMCallStrategy[Any]]) -> bool:
    return cls.prepare is not LLMCallStrategy.prepare or cls.cleanup is not LLMCallStrategy.cleanup
