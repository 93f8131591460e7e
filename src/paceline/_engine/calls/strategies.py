"""Strategies: prepares each one before its first call, and cleans it up when its last user has left.

Rules owned here:

1. `prepare` succeeds at most once per instance and event loop while anybody uses it. A transient failure is retried by the same machine as
   a call's. Any other leaves the items of that instance uncalled; the next batch tries again, and so do single calls after a while.
2. `cleanup` is called once no pool of the event loop uses the instance any more, for each whose `prepare` was started: shielded from
   cancellation, each in bounded time, all concurrently.
3. A pool uses an instance from its first item until the pool closes; one that stays open lets go of an instance without items after
   `_IDLE` seconds.
4. Instances that override neither are not remembered, so a million of them cost nothing here.
5. A preparation that no item waits for any more is cancelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from anyio import CancelScope, CapacityLimiter, Lock, create_task_group, current_time, move_on_after, sleep
from anyio.lowlevel import RunVar

from ..._core import retry
from ..._core.config import ProcessorConfig
from ..._core.fault import Fault, FaultKind
from ...abc import LLMCallStrategy
from ..lanes.job import Job
from ..lanes.scheduler import Scheduler
from ..lanes.submitter import Submitter
from ..loop.foreign import guarded
from ..loop.steps import in_steps
from .calls import fault_of, log_bug
from .hooks import Hooks

_MAX_CONCURRENT = 64  # instances prepared at the same time
_TRY_AGAIN = 5.0  # seconds after a failure before a single call prepares the instance again
_IDLE = 600.0  # seconds


@attrs.define(eq=False)
class _Shared:
    """An instance that pools of one event loop use."""

    strategy: LLMCallStrategy[Any]
    users: int = 0
    """Pools that use it."""
    is_started: bool = False
    """Whether `prepare` was started since the last `cleanup`."""
    is_ready: bool = False
    """Whether `prepare` has succeeded since the last `cleanup`."""
    lock: Lock = attrs.field(factory=Lock)
    """Held while it is prepared or cleaned up."""


_SHARED: RunVar[dict[int, _Shared]] = RunVar("paceline_strategies")
"""The instances that are in use in this event loop, by identity."""


@attrs.define(eq=False)
class _Preparation:
    """A preparation in progress, and the jobs that wait for it."""

    jobs: dict[Job, None]
    scope: CancelScope = attrs.field(factory=CancelScope)


@attrs.frozen
class _Failure:
    """A preparation that failed, and whose items know of it."""

    fault: Fault
    effect: retry.Effect
    at: float
    known_to: set[Submitter[Job]] = attrs.field(factory=set)


@attrs.define(eq=False)
class _Use:
    """That this pool uses an instance."""

    shared: _Shared
    last: float
    """When an item of it came last."""


class Strategies:
    """The strategies that one pool uses.

    Args:
        config: Settings of the pool.
        hooks: Calls `cleanup` in bounded time.
        scheduler: Receives the jobs whose strategy is ready.
        draw: Function that returns a random number from 0 to 1, for the jitter of waits.
        start_soon: Function that starts a task of the pool.
    """

    def __init__(
        self,
        config: ProcessorConfig,
        hooks: Hooks,
        scheduler: Scheduler,
        draw: Callable[[], float],
        start_soon: Callable[..., object],
    ) -> None:
        self._config = config
        self._hooks = hooks
        self._scheduler = scheduler
        self._draw = draw
        self._start_soon = start_soon
        self._uses: dict[int, _Use] = {}
        self._preparations: dict[int, _Preparation] = {}
        self._failures: dict[int, _Failure] = {}
        self._limiter = CapacityLimiter(_MAX_CONCURRENT)
        self._releases_idle = False
        self._next_release = math.inf

    # ------------------------------------------------------------------------------------------ jobs

    def route(self, job: Job) -> None:
        """Send an accepted job to its lane, or let it wait until its strategy is prepared."""
        strategy = job.origin
        if not has_lifecycle(type(strategy)):
            self._scheduler.enqueue(job)
            return
        key, now = id(strategy), current_time()
        use = self._uses.get(key)
        if use is not None:
            use.last = now
            if use.shared.is_ready:
                self._scheduler.enqueue(job)
                return
        self._wait_for(job, key, now)

    def route_all(self, jobs: Sequence[Job]) -> None:
        """Do the same with new jobs of one batch; those of one strategy that follow each other go to its lane together."""
        start, length = 0, len(jobs)
        while start < length:
            first, end = jobs[start], start + 1
            self.route(first)
            while end < length and first.waiting and jobs[end].origin is first.origin:
                end += 1
            if end > start + 1:
                self._scheduler.enqueue_beside(first, jobs[start + 1 : end])
            start = end

    def _wait_for(self, job: Job, key: int, now: float) -> None:
        submitter = job.submitter
        preparation, failure = self._preparations.get(key), self._failures.get(key)
        if submitter.stopped is not None:
            submitter.dismiss(job, submitter.stopped)
        elif now >= job.deadline:
            submitter.dismiss(job, submitter.overdue_fault(self._config))
        elif failure is not None and self._still_holds(failure, submitter, now):
            submitter.leave_unprepared(job, failure.fault, failure.effect)
        elif preparation is not None:
            preparation.jobs[job] = None
        else:
            self._preparations[key] = preparation = _Preparation({job: None})
            self._start_soon(self._prepare, job.origin, preparation)

    def _still_holds(self, failure: _Failure, submitter: Submitter[Job], now: float) -> bool:
        if submitter.starts_afresh:
            return submitter in failure.known_to
        return now < failure.at + _TRY_AGAIN

    def is_preparing_for(self, submitter: Submitter[Job]) -> bool:
        """Whether items of a submitter wait for a preparation."""
        return any(job.submitter is submitter for each in self._preparations.values() for job in each.jobs)

    def dismiss_jobs_of(self, submitter: Submitter[Job], reason: Fault) -> None:
        """Dismiss the jobs of a submitter that wait for a preparation."""
        for job in self.forget_jobs_of(submitter):
            submitter.dismiss(job, reason)

    def forget_jobs_of(self, submitter: Submitter[Job]) -> list[Job]:
        """Remove and return the jobs of a submitter that wait for a preparation."""
        jobs = []
        for preparation in self._preparations.values():
            for job in [job for job in preparation.jobs if job.submitter is submitter]:
                self._remove(preparation, job)
                jobs.append(job)
        return jobs

    def withdraw(self, job: Job) -> bool:
        """Forget a job that waits for a preparation; return whether it does."""
        preparation = self._preparations.get(id(job.origin))
        if preparation is None or job not in preparation.jobs:
            return False
        self._remove(preparation, job)
        return True

    def _remove(self, preparation: _Preparation, job: Job) -> None:
        del preparation.jobs[job]
        if not preparation.jobs:
            preparation.scope.cancel()

    # ------------------------------------------------------------------------------------------ prepare

    @property
    def is_preparing(self) -> bool:
        """Whether an instance is being prepared for jobs that wait."""
        return bool(self._preparations)

    async def _prepare(self, strategy: LLMCallStrategy[Any], preparation: _Preparation) -> None:
        key, failure = id(strategy), None
        with preparation.scope:
            failure = await self._prepare_shared(strategy)
        del self._preparations[key]
        jobs, is_ready = preparation.jobs, self._uses[key].shared.is_ready if key in self._uses else False
        if failure is not None:
            fault, effect = failure
            self._failures[key] = _Failure(fault, effect, current_time(), {job.submitter for job in jobs})
            for job in jobs:
                job.submitter.leave_unprepared(job, fault, effect)
        else:
            if is_ready:
                self._failures.pop(key, None)
            for job in jobs:  # after a cancellation: those that came too late for it
                self.route(job)
        self._scheduler.start_calls()

    async def _prepare_shared(self, strategy: LLMCallStrategy[Any]) -> tuple[Fault, retry.Effect] | None:
        shared = self._use(strategy).shared
        async with shared.lock:
            if shared.is_ready:
                return None
            failure = await self._prepare_by_policy(shared)
            shared.is_ready = failure is None
            return failure

    def _use(self, strategy: LLMCallStrategy[Any]) -> _Use:
        use = self._uses.get(id(strategy))
        if use is None:
            shared = _shared_strategies().setdefault(id(strategy), _Shared(strategy))
            shared.users += 1
            use = self._uses[id(strategy)] = _Use(shared, current_time())
            if self._releases_idle and self._next_release == math.inf:
                self._next_release = use.last + _IDLE
                self._scheduler.alarm.ring_by(self._next_release)
        return use

    async def _prepare_by_policy(self, shared: _Shared) -> tuple[Fault, retry.Effect] | None:
        """Prepare an instance; if that fails, return the fault of its items and the effect on the batch."""
        state, since = retry.NEW, current_time()
        while True:
            fault = await self._prepare_once(shared)
            if fault is None:
                return None
            event = retry.event_of(fault, starved=current_time() - since, chance=self._draw())
            state, effect = retry.step(self._config.retry, state, event)
            if not isinstance(effect, retry.CallAgain):
                return attrs.evolve(fault, message=f"prepare: {fault.message}"), effect
            # For a throttled call the lane's controller determines the wait. There is no lane yet, so the wait is bounded here.
            await sleep(max(effect.delay, min(fault.retry_after or 1.0, self._config.retry.backoff.longest)))

    async def _prepare_once(self, shared: _Shared) -> Fault | None:
        strategy, seconds = shared.strategy, self._config.timeout_per_item
        async with self._limiter:
            shared.is_started = True
            with move_on_after(seconds):
                _, error = await guarded(strategy.prepare)
                if error is None:
                    return None
                fault = fault_of(strategy, error)
                if fault.kind is FaultKind.BUG:
                    log_bug(strategy, error)
                return fault
            return Fault(FaultKind.TIMEOUT, f"it took longer than {seconds:g} s")

    # ------------------------------------------------------------------------------------------ cleanup

    async def release_all(self) -> None:
        """Let go of every instance, and clean up those that no other pool uses; exceptions are logged."""
        await self._release(list(self._uses))

    def keep_only_what_is_used(self) -> None:
        """Let go of instances that are idle for long, instead of keeping them until the pool closes."""
        self._releases_idle = True

    async def release_idle(self, now: float) -> None:
        """Let go of the instances that had no items for a while."""
        if now < self._next_release:
            return
        if any(now >= use.last + _IDLE for use in self._uses.values()):
            for submitter in self._scheduler.submitters:
                await in_steps(submitter.open_jobs(), self._record_open, now)
            await self._release([key for key, use in self._uses.items() if now >= use.last + _IDLE])
        self._next_release = min((use.last + _IDLE for use in self._uses.values()), default=math.inf)

    def _record_open(self, job: Job, now: float) -> None:
        """Record that the instance of an open job is not idle."""
        use = self._uses.get(id(job.origin))
        if use is not None:
            use.last = max(use.last, now)

    @property
    def next_release(self) -> float:
        """When an instance may have had no items for a while; inf: none is in use, or all are kept."""
        return self._next_release

    async def _release(self, keys: list[int]) -> None:
        uses = [self._uses.pop(key) for key in keys]
        for key in keys:
            self._failures.pop(key, None)  # another instance may come to have this identity
        if not uses:
            return
        with CancelScope(shield=True):  # bounded: every hook is
            async with create_task_group() as nursery:
                for use in uses:
                    nursery.start_soon(self._release_one, use.shared)

    async def _release_one(self, shared: _Shared) -> None:
        shared.users -= 1
        async with shared.lock:
            if not shared.users and shared.is_started:
                shared.is_started = shared.is_ready = False
                await self._hooks.call(shared.strategy.cleanup)
        if not shared.users and _shared_strategies().get(id(shared.strategy)) is shared:
            del _shared_strategies()[id(shared.strategy)]


def _shared_strategies() -> dict[int, _Shared]:
    try:
        return _SHARED.get()
    except LookupError:
        shared: dict[int, _Shared] = {}
        _SHARED.set(shared)
        return shared


def has_lifecycle(cls: type[LLMCallStrategy[Any]]) -> bool:
    """Whether strategies of this class are prepared or cleaned up."""
    return cls.prepare is not LLMCallStrategy.prepare or cls.cleanup is not LLMCallStrategy.cleanup
