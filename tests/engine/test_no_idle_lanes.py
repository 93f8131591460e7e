"""No job waits that may start: whatever happens to jobs and lanes, a call that its lane allows starts at once."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline import LLMCallStrategy, ProcessorConfig, RetryPolicy, TokenUsage, open_pool
from paceline._core.pace import Served, Throttled
from paceline.exceptions import Busy
from paceline.testing import run_in_virtual_time
from paceline.typing import Backoff

from ..search import examples
from .support import FixedPace, Status

SECONDS = st.integers(0, 40).map(lambda quarter: quarter / 4)


class Rate(FixedPace):
    """Lets a call start every 0.3 seconds."""

    next_start = 0.0

    def admit_at(self, now: float, cost: float) -> float:
        return max(self.next_start, super().admit_at(now, cost))

    def started(self, now: float, cost: float) -> Any:
        self.next_start = now + 0.3
        return super().started(now, cost)


class Breaker(FixedPace):
    """After a refusal, lets one call after the other start until one is served; its limit stays the same."""

    is_open = False

    def admit_at(self, now: float, cost: float) -> float:
        return math.inf if self.is_open and self.in_flight else super().admit_at(now, cost)

    def settled(self, ticket: Any, now: float, signal: Any) -> None:
        super().settled(ticket, now, signal)
        self.is_open = isinstance(signal, Throttled) or (self.is_open and not isinstance(signal, Served))


PACES = {
    "one": lambda _: FixedPace(1),
    "two": lambda _: FixedPace(2),
    "five": lambda _: FixedPace(5),
    "rate": lambda _: Rate(5),
    "breaker": lambda _: Breaker(5),
}


@attrs.frozen
class Customer:
    """A batch, or one call."""

    start: float
    prompts: tuple[int, ...]
    lane: int
    timeout: float | None
    cancelled: float
    priority: int


@attrs.frozen
class Program:
    acts: tuple[str, ...]
    """What becomes of the calls of a prompt, in turn."""
    customers: tuple[Customer, ...]
    pace: str
    workers: int
    changed: tuple[tuple[float, int], ...]
    """When `max_workers` is set, and to what."""


CUSTOMERS = st.builds(
    Customer,
    start=SECONDS,
    prompts=st.lists(st.integers(0, 20), min_size=1, max_size=12).map(tuple),
    lane=st.sampled_from([0, 0, 0, 1]),
    timeout=st.sampled_from([None, None, 2.0, 6.0]),
    cancelled=st.sampled_from([math.inf, math.inf, 1.5, 4.0]),
    priority=st.integers(0, 1),
)
PROGRAMS = st.builds(
    Program,
    acts=st.lists(
        st.sampled_from(["answer", "answer", "throttle", "throttle", "overload"]), min_size=5, max_size=30
    ).map(tuple),
    customers=st.lists(CUSTOMERS, min_size=1, max_size=8).map(tuple),
    pace=st.sampled_from(sorted(PACES)),
    workers=st.sampled_from([1, 3, 1_000]),
    changed=st.lists(st.tuples(SECONDS, st.sampled_from([1, 2, 1_000])), max_size=2).map(tuple),
)


class Acts(LLMCallStrategy[str]):
    """Follows the program."""

    def __init__(self, program: Program, lane: int, starts: list[float]) -> None:
        self.program, self.lane, self.starts, self.calls = program, lane, starts, 0

    @property
    def quota(self) -> str:
        return f"lane {self.lane}"

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        acts, number = self.program.acts, int(prompt)
        self.starts.append(anyio.current_time())
        act = acts[(number + 7 * self.calls) % len(acts)]
        self.calls += 1
        await anyio.sleep(0.25 + number % 5 / 4)
        if act == "throttle":
            raise Status(429, {"retry-after": "1"} if number % 2 else {})
        if act == "overload":
            raise Status(503)
        return prompt, TokenUsage(10 * number, 1)


async def run(program: Program) -> list[str]:  # noqa: C901 - a task for each part of it
    """Run a program, and return what waited without need."""
    retry = RetryPolicy(max_attempts=2, patience=40.0, backoff=Backoff(base=0.5, longest=1.0))
    starts: list[float] = []
    strategies = [Acts(program, lane, starts) for lane in range(2)]
    idle: list[str] = []
    pool = open_pool(
        ProcessorConfig(max_workers=program.workers, timeout_per_item=4.0, retry=retry),
        pace=PACES[program.pace],
    )

    async def customer(each: Customer) -> None:
        await anyio.sleep(each.start)
        with anyio.move_on_after(each.cancelled):
            if len(each.prompts) > 1:
                prompts = [str(number) for number in each.prompts]
                await pool.process_prompts(strategies[each.lane], prompts, priority=each.priority)
            else:
                with suppress(Busy):
                    await pool.call(
                        strategies[each.lane], str(each.prompts[0]), timeout=each.timeout, priority=each.priority
                    )

    async def change(at: float, workers: int) -> None:
        await anyio.sleep(at)
        pool.config.max_workers = workers

    def startable() -> list[str]:
        scheduler, now = pool._pool._scheduler, anyio.current_time()
        if scheduler.in_flight >= pool.config.max_workers:
            return []
        return [quota for quota, lane in scheduler.lanes.items() if lane.ready_at(now) <= now]

    async def watch() -> None:
        while True:
            await anyio.sleep(0.03)
            before = len(starts)
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            waiting = startable()
            if waiting:
                await anyio.sleep(0.02)
                still = set(waiting).intersection(startable())
                if still and len(starts) == before:
                    idle.append(f"{sorted(still)} at {anyio.current_time():.2f}")

    with anyio.fail_after(1e4):
        async with pool, anyio.create_task_group() as watchers:
            watchers.start_soon(watch)
            async with anyio.create_task_group() as nursery:
                for each in program.customers:
                    nursery.start_soon(customer, each)
                for at, workers in program.changed:
                    nursery.start_soon(change, at, workers)
            watchers.cancel_scope.cancel()
    return idle


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@given(program=PROGRAMS)
@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
def test_no_job_waits_that_its_lane_may_start(backend, program):
    assert run_in_virtual_time(run, program, backend=backend) == []


class OneFirst(FixedPace):
    """Lets one call after the other start until one is served; its limit is the same all the time."""

    def admit_at(self, now: float, cost: float) -> float:
        has_served = any(isinstance(signal, Served) for signal in self.signals)
        return super().admit_at(now, cost) if has_served or not self.in_flight else math.inf


class Second(LLMCallStrategy[str]):
    """Answers after a second."""

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        await anyio.sleep(1)
        return prompt, None


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_once_nothing_but_its_limit_holds_a_lane_back_as_many_calls_start_as_that_allows(backend):
    async def seconds() -> float:
        began = anyio.current_time()
        async with open_pool(ProcessorConfig(max_workers=100), pace=lambda _: OneFirst(10)) as pool:
            batch = await pool.process_prompts(Second(), [str(number) for number in range(101)])
        assert batch.succeeded == 101
        return anyio.current_time() - began

    assert run_in_virtual_time(seconds, backend=backend) == pytest.approx(11, abs=0.1)
