"""Signals stop a run in the foreground: on trio, in real time, as in the program."""

from __future__ import annotations

import os
import signal
import sys

import anyio
import pytest

from paceline.cli import foreground as foreground_module
from paceline.cli.foreground import Foreground
from paceline.progress.display import Progress

from ..runs.test_runner import Held, Shelf, prompts
from ..runs.test_runner import run as run_batch

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "trio"


@pytest.fixture(autouse=True)
def signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class RecordedProgress(Progress):
    def __init__(self):
        self.messages = []

    def print(self, message):
        self.messages.append(message)


async def run(source, strategy, save, progress=None):
    progress = progress or Progress()
    with Foreground(progress, verbose=False) as foreground:
        hooks = {
            "on_progress": foreground.on_progress,
            "progress_period": progress.period,
            "control": foreground.control,
        }
        return await run_batch(source, strategy, save, **hooks), foreground.signal


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
async def test_the_first_signal_leaves_items_that_wait_pending_and_lets_the_calls_in_flight_finish(first):
    strategy, shelf, shown = Held(busy=20), Shelf(480), RecordedProgress()

    async def interrupt():
        await strategy.is_busy.wait()
        send(first)
        await anyio.to_thread.run_sync(shelf.has_enough.wait)
        verb = "interrupted" if first == signal.SIGINT else "ended"
        assert {str(result.error) for result in shelf.saved} == {f"pending: the run was {verb} by {first.name}"}
        strategy.go.set()

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(interrupt)
        report, number = await run(prompts(500), strategy, shelf, shown)
    assert number == first
    assert strategy.calls == report.batch.succeeded == 20
    assert len({result.item_id for result in shelf.saved}) == len(shelf.saved) == 500
    assert shown.messages == ["finishing the calls in flight (20); interrupt again to cancel them"]


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
async def test_the_second_signal_cancels_them_and_all_results_are_saved(second):
    strategy, shelf = Held(busy=20), Shelf(480)

    async def interrupt():
        await strategy.is_busy.wait()
        send(signal.SIGTERM)
        await anyio.to_thread.run_sync(shelf.has_enough.wait)
        send(second)

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(interrupt)
        report, number = await run(prompts(500), strategy, shelf)
    assert number == signal.SIGTERM
    assert report.batch.succeeded == 0
    assert report.batch.cut_off == 20
    assert len({result.item_id for result in shelf.saved}) == len(shelf.saved) == 500
    assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_that_the_process_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup sets it
    with Foreground(Progress(), verbose=False) as foreground:
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        send(signal.SIGHUP)
        assert foreground.signal is None
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_before_the_first_call_a_signal_has_its_usual_effect():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Foreground(Progress(), verbose=False) as foreground, pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)
    assert foreground.signal is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


HELD_UP = """
import os, re, signal, trio
from paceline.cli import foreground
from paceline.progress.display import Progress

async def main():
    with foreground.Foreground(Progress(), verbose=False) as run, run.control.attached():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        re.match("(a|aa)+$", "a" * 60 + "b")  # for years, and holds Python's lock

foreground._GRACE = 0.2
trio.run(main)
"""


async def test_the_second_signal_ends_a_process_whose_event_loop_is_held_up():
    process = await anyio.run_process([sys.executable, "-c", HELD_UP], check=False)
    assert process.returncode == -signal.SIGALRM, process.stderr


async def test_the_second_signal_does_not_end_a_process_whose_event_loop_runs(monkeypatch):
    monkeypatch.setattr(foreground_module, "_GRACE", 60.0)
    strategy, shelf = Held(busy=20), Shelf(480)
    left = []

    class Watched(Progress):
        def finish(self, progress):
            left.append(signal.getitimer(signal.ITIMER_REAL)[0])

    async def interrupt():
        await strategy.is_busy.wait()
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        left.append(signal.getitimer(signal.ITIMER_REAL)[0])

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(interrupt)
        await run(prompts(500), strategy, shelf, Watched())
    assert left[0] > 0
    assert left[1:] == [0.0]
