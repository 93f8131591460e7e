"""Random programs over one pool: batches, streams, calls, faults, cancellations, drains and settings at once lose nothing and leave nothing."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import Any

import anyio
import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline import (
    FaultKind,
    LLMCallStrategy,
    LLMWorkItem,
    ProcessorConfig,
    RetryPolicy,
    open_pool,
)
from paceline._engine.customers.intake import Intake
from paceline.abc import Middleware
from paceline.exceptions import Busy, JournalError, MisuseError, UnsavedError
from paceline.testing import run_in_virtual_time
from paceline.typing import Backoff

from ..search import examples
from .chaos import ACTS, LEFT_OPEN, USAGE, perform
from .journals import MemoryJournal
from .support import FixedPace, Status

SECONDS = st.integers(0, 40).map(lambda quarter: quarter / 4)


@attrs.frozen
class Act:
    """One customer of the pool.

    Attributes:
        kind: What it is: a batch, a stream that may be left early, or a call.
        start: When it starts.
        prompts: Numbers of prompts; a call has the first.
        strategy: Which of the strategies.
        cancelled: Seconds after which its task is cancelled; inf: never.
        native: Whether it is cancelled by asyncio itself, where that runs.
        timeout: Of a call.
        priority: Its priority.
    """

    kind: str
    start: float
    prompts: tuple[int, ...]
    strategy: int
    cancelled: float
    native: bool
    timeout: float | None
    priority: int


@attrs.frozen
class Event:
    """Something that happens to the pool."""

    at: float
    what: str


@attrs.frozen
class Program:
    acts: tuple[str, ...]
    """What becomes of the calls of a prompt, in turn."""
    customers: tuple[Act, ...]
    events: tuple[Event, ...]
    pace: int
    journaled: bool
    commit_seconds: float
    failing_commits: frozenset[int]
    hooked: bool
    failing_prepare: int
    ended: str
    """How the pool is left: by its end, an exception or a cancellation."""


NEVER = st.just(math.inf)
CUSTOMERS = st.builds(
    Act,
    kind=st.sampled_from(["call", "call", "batch", "stream"]),
    start=SECONDS,
    prompts=st.lists(st.integers(0, 12), min_size=1, max_size=6).map(tuple),
    strategy=st.integers(0, 2),
    cancelled=st.one_of(NEVER, NEVER, SECONDS),
    native=st.booleans(),
    timeout=st.sampled_from([None, None, 3.0, 8.0]),
    priority=st.integers(0, 2),
)
PROGRAMS = st.builds(
    Program,
    acts=st.lists(st.sampled_from([*ACTS, *LEFT_OPEN, "denied"]), min_size=13, max_size=39).map(tuple),
    customers=st.lists(CUSTOMERS, max_size=9).map(tuple),
    events=st.lists(st.builds(Event, SECONDS, st.sampled_from(["shrink", "grow", "drain"])), max_size=2).map(tuple),
    pace=st.sampled_from([1, 3, 50]),
    journaled=st.sampled_from([True, True, False]),
    commit_seconds=st.sampled_from([0.0, 0.5]),
    failing_commits=st.frozensets(st.integers(1, 6), max_size=3),
    hooked=st.booleans(),
    failing_prepare=st.integers(0, 2),
    ended=st.sampled_from(["end", "end", "exception", "cancelled"]),
)


class Acts(LLMCallStrategy[str]):
    """Follows the program; notes which prompts were answered, and when it is prepared and cleaned up."""

    def __init__(self, program: Program, number: int) -> None:
        self.program, self.number = program, number
        self.life: list[str] = []
        self.calls: Counter[str] = Counter()
        self.answered: list[str] = []
        """Items whose answers were returned, each of which is paid."""
        self.failures = program.failing_prepare if number == 1 else 0
        self.held: list[Any] = []

    @property
    def quota(self) -> str:
        return "shared" if self.number < 2 else "other"

    async def prepare(self) -> None:
        self.life.append("prepare")
        await anyio.sleep(0.5)
        if self.life.count("prepare") <= self.failures:
            raise Status(400)
        self.life.append("ready")

    async def cleanup(self) -> None:
        self.life.append("cleanup")

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        assert "ready" in self.life, "called before it is prepared"
        assert self.life[-1] != "cleanup", "called after it was cleaned up"
        acts, number = self.program.acts, int(prompt)
        act = acts[(number + 13 * self.calls[prompt]) % len(acts)]
        self.calls[prompt] += 1
        reply = await perform(act, 0.25 + number % 5 / 4, self.held)
        assert self.life[-1] != "cleanup", "cleaned up under a call"
        return (f"answer {prompt}", USAGE) if reply is None else reply


class Slow(Middleware):
    async def before_process(self, work_item: LLMWorkItem[Any]) -> None:
        await anyio.sleep(0.25)

    async def after_process(self, result: Any) -> None:
        await anyio.sleep(0.25)


@attrs.define
class World:
    """What came of a program."""

    results: list[list[Any]] = attrs.field(factory=list)
    """Of each batch that has ended without an exception, or of a stream to its end."""
    unsaved: list[Any] = attrs.field(factory=list)
    called: list[Any] = attrs.field(factory=list)


async def run_program(program: Program, journal: MemoryJournal | None, strategies: list[Acts], backend: str) -> World:  # noqa: C901, PLR0915
    world = World()
    retry = RetryPolicy(max_attempts=2, patience=30.0, backoff=Backoff(base=0.5, longest=1.0))
    config = ProcessorConfig(timeout_per_item=4.0, hook_timeout=3.0, retry=retry)
    hooks = [Slow()] if program.hooked else []
    pool = open_pool(config, journal=journal, middlewares=hooks, pace=lambda _: FixedPace(program.pace))

    async def customer(act: Act, index: int) -> None:
        strategy = strategies[act.strategy]
        items = [LLMWorkItem(f"{index}-{n}", strategy, str(prompt)) for n, prompt in enumerate(act.prompts)]
        try:
            if act.kind == "call":
                name = f"call {index % 5}"  # some have the id of another one
                world.called.append(
                    await pool.call(
                        strategy, str(act.prompts[0]), item_id=name, timeout=act.timeout, priority=act.priority
                    )
                )
            elif act.kind == "batch":
                world.results.append([len(items), *(await pool.process(items, priority=act.priority)).results])
            else:
                stream = pool._pool.stream(Intake(items), priority=act.priority)
                async with stream as results:
                    world.results.append([len(items)])
                    shown = world.results[-1]
                    try:
                        async for result in results:
                            shown.append(result)
                    finally:
                        streams.append((shown, results))
        except UnsavedError as error:
            world.unsaved += error.unsaved
            if error.batch.total_items:
                world.results.append([error.batch.total_items - len(error.unsaved), *error.batch.results])
        except (Busy, MisuseError, JournalError):
            pass

    async def run(act: Act, index: int) -> None:
        await anyio.sleep(act.start)
        if (
            act.native and backend == "asyncio" and act.kind != "stream"
        ):  # a cancellation between entering and leaving it
            task = asyncio.create_task(customer(act, index))
            if act.cancelled < math.inf:
                await asyncio.sleep(act.cancelled)
                task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
            return
        with anyio.move_on_after(act.cancelled):
            await customer(act, index)

    async def happen(event: Event) -> None:
        await anyio.sleep(event.at)
        if event.what == "drain":
            pool.drain()
        else:
            pool.config.max_workers = 1 if event.what == "shrink" else 1_000

    streams: list[Any] = []
    with anyio.fail_after(1e5):
        async with anyio.create_task_group() as others:
            try:
                with anyio.CancelScope() as scope:
                    async with pool:
                        for index, act in enumerate(program.customers):
                            others.start_soon(run, act, index)
                        for event in program.events:
                            others.start_soon(happen, event)
                        if program.ended == "end":
                            await anyio.sleep(100)
                        else:
                            await anyio.sleep(6.1)
                            if program.ended == "exception":
                                raise LookupError
                            scope.cancel()
                            await anyio.sleep(1)
            except LookupError:
                pass
            scheduler = pool._pool._scheduler
            assert scheduler.in_flight == 0
            for lane in scheduler.lanes.values():
                assert lane.in_flight == lane.pace.in_flight == 0
                assert not [job for job in lane.queue if job.waiting]
            assert pool.statistics().waiting == 0
    for shown, stream in streams:
        shown.extend(stream.undelivered)
    await anyio.sleep(1)
    assert tasks_left(backend) == []
    return world


def tasks_left(backend: str) -> list[Any]:
    """Return the tasks that the program has left behind."""
    if backend == "asyncio":
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    return [child for nursery in trio.lowlevel.current_task().child_nurseries for child in nursery.child_tasks]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@given(program=PROGRAMS)
@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_nothing_is_lost_and_nothing_left_whatever_the_customers_of_a_pool_do(backend, program):
    journal = MemoryJournal(
        delay=program.commit_seconds,
        failing=lambda number: JournalError("full") if number in program.failing_commits else None,
    )
    strategies = [Acts(program, number) for number in range(3)]
    world = run_in_virtual_time(
        run_program, program, journal if program.journaled else None, strategies, backend, backend=backend
    )
    for _, *results in world.results:
        ids = [result.item_id for result in results]
        unsaved = {result.item_id for result in world.unsaved}
        assert len(set(ids)) == len(ids), "two results of one item"
        assert not unsaved & set(ids), "a result that is shown and unsaved"
    for expected, *results in world.results:
        prefix = results[0].item_id.split("-")[0] if results else None
        left = [result for result in world.unsaved if result.item_id.split("-")[0] == prefix]
        act = program.customers[int(prefix)] if prefix else None
        is_cut_short = act is None or act.cancelled < math.inf or program.ended != "end"
        if not (
            is_cut_short and program.journaled and program.failing_commits
        ):  # then the log has what could not be stored
            assert not results or len(results) + len(left) >= expected, "an accepted item has no result"
    shown = [result for _, *results in world.results for result in results] + world.called
    for result in shown:
        if program.journaled and (result.error is None or result.error.kind is not FaultKind.PENDING):
            assert result.item_id in journal.kept, "shown before it was stored"
    for strategy in strategies:
        prepares, cleanups = strategy.life.count("prepare"), strategy.life.count("cleanup")
        assert cleanups == min(1, prepares), "cleaned up once, after the last"
        assert not prepares or strategy.life[-1] == "cleanup"
    assert journal.life == (["open", "close"] if program.journaled else [])
