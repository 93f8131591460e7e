"""How a batch is carried out, stopped, and kept: on trio, in real time, as the program does it."""

from __future__ import annotations

import errno
import os
import signal
from threading import Event as Flag

import anyio
import pytest

from paceline import FaultKind, LLMCallStrategy, ParallelBatchProcessor
from paceline.cli.progress.display import Progress
from paceline.cli.progress.figures import FigureMeter
from paceline.files import InputRecord
from paceline.runs.runner import RunItems, run_batch

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "trio"


@pytest.fixture(autouse=True)
def signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Held(LLMCallStrategy[str]):
    """Answers nothing until it is let go; prompts that begin with ! at once."""

    def __init__(self, busy):
        self.busy = busy
        self.calls = 0
        self.is_busy = anyio.Event()
        self.go = anyio.Event()

    def __copy__(self):
        return self

    async def execute(self, prompt, attempt, timeout):
        if not prompt.startswith("!"):
            self.calls += 1
            if self.calls == self.busy:
                self.is_busy.set()
            await self.go.wait()
        return prompt, None


class Shelf:
    """Keeps results, in the thread it is called from."""

    def __init__(self, enough):
        self.kept = []
        self._enough = enough
        self.has_enough = Flag()

    def __call__(self, results):
        self.kept += results
        if len(self.kept) >= self._enough:
            self.has_enough.set()


class Heard(Progress):
    def __init__(self):
        self.sentences = []

    def say(self, sentence):
        self.sentences.append(sentence)


def prompts(number, text="?"):
    return [InputRecord(i + 1, f"q{i}", text) for i in range(number)]


async def run(source, strategy, keep, progress=None):
    processor = ParallelBatchProcessor()
    gauge = FigureMeter(len(source), processor.config.max_workers)
    items = RunItems(source, strategy)
    return await run_batch(items, gauge, processor=processor, keep=keep, progress=progress or Progress())


def send(number):
    os.kill(os.getpid(), number)


async def test_the_first_signal_keeps_what_waits_as_pending_and_lets_the_calls_in_flight_finish():
    strategy, shelf, heard = Held(busy=20), Shelf(480), Heard()

    async def interrupt():
        await strategy.is_busy.wait()
        send(signal.SIGINT)
        await anyio.to_thread.run_sync(shelf.has_enough.wait)
        assert {str(result.error) for result in shelf.kept} == {"pending: the run was interrupted"}
        strategy.go.set()

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(interrupt)
        ending = await run(prompts(500), strategy, shelf, heard)
    assert ending.signal == signal.SIGINT
    assert strategy.calls == ending.batch.succeeded == 20
    assert len({result.item_id for result in shelf.kept}) == len(shelf.kept) == 500
    assert heard.sentences == ["finishes the calls in flight (20); interrupt again to cancel them"]


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
async def test_the_second_signal_cancels_them_and_all_is_kept(second):
    strategy, shelf = Held(busy=20), Shelf(480)

    async def interrupt():
        await strategy.is_busy.wait()
        send(signal.SIGTERM)
        await anyio.to_thread.run_sync(shelf.has_enough.wait)
        send(second)

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(interrupt)
        ending = await run(prompts(500), strategy, shelf)
    assert ending.signal == signal.SIGTERM
    assert ending.batch.succeeded == 0
    assert len({result.item_id for result in shelf.kept}) == len(shelf.kept) == 500


async def test_where_results_cannot_be_kept_the_calls_in_flight_are_cancelled():
    strategy = Held(busy=19)
    tried = []

    def refuse(results):
        tried.append(results)
        raise OSError(errno.ENOSPC, "No space left on device")

    ending = await run([InputRecord(1, "first", "!"), *prompts(499)], strategy, refuse)
    assert ending.failure.errno == errno.ENOSPC
    assert len(tried) == 1
    assert ending.batch.failures == {FaultKind.PENDING: 499}
    assert not strategy.go.is_set()


async def test_a_source_that_changes_ends_the_batch_with_what_was_read():
    class Shrunk(list):
        def __iter__(self):
            yield from super().__iter__()
            raise ValueError("changed")

    shelf = Shelf(1)
    ending = await run(Shrunk(prompts(3, "!")), Held(busy=1), shelf)
    assert len(shelf.kept) == 3
    assert "changed" in str(ending.source_error)


async def test_a_broken_display_is_no_reason_to_lose_results():
    class Broken(Progress):
        period = 0.01

        def show(self, reading):
            if reading.in_flight:
                raise ZeroDivisionError

    shelf = Shelf(1)
    with pytest.RaisesGroup(ZeroDivisionError):
        await run([InputRecord(1, "first", "!"), *prompts(99)], Held(busy=1), shelf, Broken())
    assert len({result.item_id for result in shelf.kept}) == len(shelf.kept) == 100


async def test_a_keeper_with_a_bug_is_not_silenced():
    def keep(results):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run(prompts(3, "!"), Held(busy=1), keep)


async def test_progress_is_shown_and_ends_with_the_last_figures():
    readings = []

    class Seen(Progress):
        def end(self, reading):
            readings.append(reading)

    await run(prompts(30, "!"), Held(busy=1), Shelf(1), Seen())
    assert (readings[0].done, readings[0].total) == (30, 30)
