"""Strategies that leave a cancel scope or a nursery open: each costs at most its item, and the message names the strategy."""

from __future__ import annotations

import logging
import sys
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from paceline import FaultKind, ProcessorConfig, RetryPolicy, open_pool, process_prompts
from paceline.testing import run_in_virtual_time
from paceline.typing import Backoff

from .support import USAGE, Echo

# the generators are garbage before they have ended: that is what is tested
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.parametrize("backend", ["trio", "asyncio"]),
]

ONCE = RetryPolicy(max_attempts=1, backoff=Backoff(base=0.1))


@asynccontextmanager
async def group() -> Any:
    """Open a nursery, as clients of some services do."""
    async with anyio.create_task_group() as nursery:
        yield nursery


class Leaky(Echo):
    """Returns out of an async generator that is suspended inside a scope or a nursery.

    Args:
        leaking: The prompts whose calls leak.
        kind: What they leave open.
    """

    def __init__(self, leaking: set[str], kind: str, seconds: float = 0.1) -> None:
        super().__init__(seconds)
        self.leaking, self.kind = leaking, kind
        self.held: list[Any] = []

    async def _open(self) -> Any:
        if "nursery" in self.kind:
            async with anyio.create_task_group() as nursery:
                nursery.start_soon(anyio.sleep, 0.5)
                yield None
        elif self.kind == "manager":
            async with group() as nursery:
                nursery.start_soon(anyio.sleep_forever)
                yield None
        elif self.kind == "scope":
            with anyio.CancelScope():
                yield None
        else:
            with anyio.fail_after(5):
                yield None

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        if prompt in self.leaking:
            generator = self._open()
            if "held" in self.kind:  # the garbage collector closes the others
                self.held.append(generator)
            async for _ in generator:
                return "leaked", USAGE
        return await super().execute(prompt, attempt, timeout)


KINDS = pytest.mark.parametrize("kind", ["timeout", "held timeout", "scope", "held nursery", "nursery", "manager"])
PROMPTS = [str(i) for i in range(20)]


@KINDS
def test_a_leak_costs_a_batch_at_most_its_item(backend, kind, caplog):
    async def main():
        with anyio.fail_after(1_000):
            return await process_prompts(Leaky({"3", "7"}, kind), PROMPTS, config=ProcessorConfig(retry=ONCE))

    caplog.set_level(logging.ERROR)
    batch = run_in_virtual_time(main, backend=backend)
    assert batch.total_items == 20
    assert {result.item_id for result in batch.results if result.error} <= {"3", "7"}
    for result in batch.results:
        if result.error:
            assert result.error.kind is FaultKind.BUG
            assert "Leaky.execute left a cancel scope or a nursery open" in result.error.message
    assert "Leaky.execute left a cancel scope or a nursery open" in caplog.text


@pytest.mark.parametrize("seconds", [0.1, 1.0])
def test_a_deadline_that_was_left_open_cuts_off_no_later_call(backend, seconds):
    strategy = Leaky({"3"}, "held timeout", seconds)

    async def main():
        with anyio.fail_after(1_000):
            return await process_prompts(
                strategy, [str(i) for i in range(100)], config=ProcessorConfig(max_workers=1, retry=ONCE)
            )

    batch = run_in_virtual_time(main, backend=backend)
    assert {result.item_id for result in batch.results if result.error} <= {"3"}
    assert batch.total_items == 100


@KINDS
def test_a_leak_costs_a_pool_only_its_call_and_not_the_task_that_made_it(backend, kind):
    finished = []
    strategy = Leaky({"3", "7"}, kind)

    async def call(pool, prompt):
        with anyio.fail_after(1_000) as scope:
            async with anyio.create_task_group() as nursery:
                nursery.start_soon(anyio.sleep, 0.01)
                result = await pool.call(strategy, prompt)
            await anyio.sleep(0.1)
            again = await pool.call(strategy, "again")
        finished.append((prompt, result, again.success, scope.cancelled_caught))

    async def main():
        async with open_pool(ProcessorConfig(retry=ONCE)) as pool:
            async with anyio.create_task_group() as nursery:
                for prompt in PROMPTS[:10]:
                    nursery.start_soon(call, pool, prompt)
            return pool.statistics().in_flight

    assert run_in_virtual_time(main, backend=backend) == 0
    assert len(finished) == 10
    for prompt, result, again, cancelled in finished:
        assert result.success == (prompt not in {"3", "7"})
        assert result.success or "Leaky.execute left" in result.error.message
        assert again
        assert not cancelled


def test_a_strategy_that_always_leaks_stops_no_batch_of_another(backend):
    leaking = Leaky(set(PROMPTS), "timeout")
    leaking.lane = "leaking"

    async def main():
        async with open_pool(ProcessorConfig(retry=ONCE, keep_going=True)) as pool:
            with anyio.fail_after(1_000):
                return await pool.process_prompts(leaking, PROMPTS), await pool.process_prompts(Echo(0.1), PROMPTS)

    bad, good = run_in_virtual_time(main, backend=backend)
    assert bad.total_items == 20
    assert good.succeeded == 20


@pytest.mark.parametrize("count", [1, 8, 20])
def test_nurseries_that_the_garbage_collector_would_close_stop_no_batch(backend, count):
    async def main():
        with anyio.fail_after(1_000):
            batch = await process_prompts(
                Leaky(set(PROMPTS[-count:]), "nursery"), PROMPTS, config=ProcessorConfig(retry=ONCE)
            )
            await anyio.sleep(10)
            return batch

    batch = run_in_virtual_time(main, backend=backend)
    assert batch.total_items == 20
    assert {result.item_id for result in batch.results if result.error} <= set(PROMPTS[-count:])


def test_generators_without_a_nursery_are_closed_as_without_a_pool(backend):
    closed = []

    async def plain() -> Any:
        try:
            yield None
        finally:
            closed.append(True)

    async def main():
        async with open_pool():
            async for _ in plain():
                break
            await anyio.sleep(1)
            inside = len(closed)
        async for _ in plain():
            break
        await anyio.sleep(1)
        return inside

    assert run_in_virtual_time(main, backend=backend) == len(closed) - 1


def test_a_pool_leaves_the_hooks_of_generators_as_they_were(backend):
    async def main():
        before = sys.get_asyncgen_hooks()
        async with open_pool(), open_pool():
            assert sys.get_asyncgen_hooks() != before
        return sys.get_asyncgen_hooks() == before

    assert run_in_virtual_time(main, backend=backend)
