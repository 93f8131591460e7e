"""PoolThread: calls from event loops of either kind, cancellation, and the end."""

from __future__ import annotations

import gc
import threading

import anyio
import pytest
import trio

from paceline import LLMCallStrategy
from paceline._core.pace import PaceController
from paceline.contrib.pool_thread import PoolThread
from paceline.exceptions import ConfigurationError, MisuseError

BACKENDS = ["trio", "asyncio"]
LIMIT = 20  # seconds: a hang is a failure of the test


class Board(LLMCallStrategy[str]):
    """Answers with the prompt; a prompt that begins with `hang` never."""

    def __init__(self):
        self.events = []
        self.hangs = threading.Event()
        self.cancelled = threading.Event()

    @property
    def quota(self):
        return "board"

    async def prepare(self):
        self.events.append("prepare")

    async def cleanup(self):
        self.events.append("cleanup")

    async def execute(self, prompt, attempt, timeout):
        if prompt.startswith("hang"):
            self.hangs.set()
            try:
                await trio.sleep_forever()
            finally:
                self.cancelled.set()
        if prompt == "fail":
            raise ValueError("no")
        return prompt, None


@pytest.fixture
def pool():
    thread = PoolThread()
    yield thread
    thread.close()
    assert not any(each.name == "paceline" for each in threading.enumerate())


def run(main, backend):
    async def bounded():
        with anyio.fail_after(LIMIT):
            return await main()

    return anyio.run(bounded, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_tasks_call_at_once_and_each_gets_its_own_answer(pool, backend):
    strategy, answers = Board(), {}

    async def ask(number):
        answers[number] = (await pool.call(strategy, f"question {number}")).output

    async def main():
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(ask, number)

    run(main, backend)
    assert answers == {number: f"question {number}" for number in range(50)}


def test_one_pool_serves_one_event_loop_after_the_other(pool):
    strategy = Board()
    for backend in (*BACKENDS, *BACKENDS):
        result = run(lambda: pool.call(strategy, "a"), backend)
        assert result.output == "a"
    assert strategy.events.count("prepare") == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_caller_that_is_cancelled_cancels_its_call_and_no_other(pool, backend):
    strategy = Board()

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pool.call, strategy, "hang")
            while not strategy.hangs.is_set():
                await anyio.sleep(0.001)
            tasks.cancel_scope.cancel()
        return await pool.call(strategy, "b")

    assert run(main, backend).output == "b"
    assert strategy.cancelled.wait(LIMIT)


@pytest.mark.parametrize("backend", BACKENDS)
def test_exceptions_of_the_pool_reach_the_caller_and_faults_are_results(pool, backend):
    async def main():
        with pytest.raises(ConfigurationError, match="timeout"):
            await pool.call(Board(), "a", timeout=-1)
        return await pool.call(Board(), "fail")

    assert "no" in run(main, backend).error.message


@pytest.mark.parametrize("backend", BACKENDS)
def test_closing_cancels_what_runs_and_cleans_up_and_a_later_call_opens_a_new_pool(pool, backend):
    strategy = Board()

    async def main():
        async def ask():
            with pytest.raises(MisuseError, match="closed"):
                await pool.call(strategy, "hang")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            while not strategy.hangs.is_set():
                await anyio.sleep(0.001)
            await anyio.to_thread.run_sync(pool.close)
        assert strategy.cancelled.is_set()
        assert strategy.events == ["prepare", "cleanup"]
        return await pool.call(strategy, "c")

    assert run(main, backend).output == "c"


def test_closing_a_pool_that_was_never_open_or_twice_is_harmless(pool):
    pool.close()
    run(lambda: pool.call(Board(), "a"), "trio")
    pool.close()
    pool.close()


def test_a_pool_that_cannot_be_opened_says_so_at_each_call():
    broken = PoolThread(middlewares=["not a middleware"])
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="middleware"):
            run(lambda: broken.call(Board(), "a"), "asyncio")


def test_a_loop_that_ends_with_a_call_in_progress_does_not_hurt_the_pool(pool):
    strategy = Board()

    async def leaves():
        with anyio.move_on_after(0.05):
            await pool.call(strategy, "hang on")

    run(leaves, "asyncio")
    gc.collect()
    assert run(lambda: pool.call(strategy, "d"), "trio").output == "d"


def test_a_later_pool_begins_with_what_the_one_before_learned_of_the_pace():
    known = []

    def pace(knowledge):
        known.append(knowledge)
        return PaceController(knowledge)

    pool, strategy = PoolThread(pace=pace), Board()

    async def main():
        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(pool.call, strategy, f"question {number}")

    for _ in range(2):
        run(main, "asyncio")
        pool.close()
    assert known[0] is None
    assert known[1] is not None
