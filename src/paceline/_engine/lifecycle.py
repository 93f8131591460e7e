"""Lifecycle: prepares each strategy before its first call, and cleans it up when the processor closes.

Rules owned here:

1. `prepare` succeeds at most once per instance, before its first call. A transient failure is retried by the same machine as a
   call's; any other is the fault of every item of that instance in this batch.
2. `cleanup` is called once for each instance whose `prepare` was started, when the processor closes: shielded from
   cancellation, each in bounded time, all concurrently.
3. Instances that override neither are not remembered, so a million of them cost nothing here.
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
from .attempt import fault_of, log_bug
from .guard import guarded
from .hooks import Hooks
from .job import Job

_MAX_CONCURRENT = 64  # instances prepared at the same time


@attrs.define
class Preparation:
    """A preparation in progress: its scope, and the jobs that wait for it."""

    scope: CancelScope
    jobs: list[Job]


class Lifecycle:
    """The strategies that one processor has prepared."""

    def __init__(self, config: ProcessorConfig, hooks: Hooks, draw: Callable[[], float]) -> None:
        self._config = config
        self._hooks = hooks
        self._draw = draw
        self._started: dict[int, LLMCallStrategy[Any]] = {}
        """Instances whose `prepare` was started, by identity."""
        self._ready: set[int] = set()
        """Identities of those whose `prepare` succeeded."""
        self._limiter = CapacityLimiter(_MAX_CONCURRENT)

    def is_ready(self, strategy: LLMCallStrategy[Any]) -> bool:
        """Whether a strategy can make calls."""
        return id(strategy) in self._ready or not _has_lifecycle(type(strategy))

    async def prepare(self, strategy: LLMCallStrategy[Any]) -> tuple[Fault, retry.Effect] | None:
        """Prepare an instance; if that fails, return the fault of its items and the effect on the batch."""
        self._started[id(strategy)] = strategy
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
            # For a throttled call the lane's controller determines the wait. There is no lane yet, so the wait is bounded here.
            await sleep(max(effect.delay, min(fault.retry_after or 1.0, self._config.retry.backoff.longest)))

    async def _prepare_once(self, strategy: LLMCallStrategy[Any]) -> Fault | None:
        seconds = self._config.timeout_per_item
        async with self._limiter:
            with move_on_after(seconds):
                _, error = await guarded(strategy.prepare)
                if error is None:
                    return None
                fault = fault_of(strategy, error)
                if fault.kind is FaultKind.BUG:
                    log_bug(strategy, error)
                return fault
            return Fault(FaultKind.TIMEOUT, f"it took longer than {seconds:g} s")

    async def cleanup(self) -> None:
        """Clean up every instance whose `prepare` was started; exceptions are logged."""
        strategies, self._started, self._ready = list(self._started.values()), {}, set()
        if not strategies:
            return
        with CancelScope(shield=True):  # bounded: every hook is
            async with create_task_group() as nursery:
                for strategy in strategies:
                    nursery.start_soon(self._hooks.call, strategy.cleanup)


def _has_lifecycle(cls: type[LLMCallStrategy[Any]]) -> bool:
    return cls.prepare is not LLMCallStrategy.prepare or cls.cleanup is not LLMCallStrategy.cleanup
