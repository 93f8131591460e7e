"""How a batch is run, stopped and saved, on trio and on asyncio, in real time."""

from __future__ import annotations

import errno
from threading import Event as Flag

import anyio
import pytest

from paceline import FaultKind, LLMCallStrategy, ParallelBatchProcessor
from paceline.exceptions import MisuseError
from paceline.files import InputRecord
from paceline.runs import RunControl
from paceline.runs.progress import ProgressMeter
from paceline.runs.runner import Callbacks, RunItems, run_batch

from ..engine.support import FixedPace

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    """Time is real, as results are saved in threads."""
    return request.param


class Held(LLMCallStrategy[str]):
    """Holds its calls until `go` is set, and sets `is_busy` when `busy` calls are held; answers prompts that begin with ! at once."""

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
    """Saves results in memory, in the thread that it is called in; sets `has_enough` at a number of them."""

    def __init__(self, enough):
        self.saved = []
        self._enough = enough
        self.has_enough = Flag()

    def __call__(self, results):
        self.saved += results
        if len(self.saved) >= self._enough:
            self.has_enough.set()


def prompts(number, text="?"):
    return [InputRecord(i + 1, f"q{i}", text) for i in range(number)]


async def run(source, strategy, save, **hooks):
    processor = ParallelBatchProcessor(pace=lambda _: FixedPace(20))  # 20 calls start at once
    meter = ProgressMeter(len(source), processor.config.max_workers)
    items = RunItems(source, strategy)
    return await run_batch(items, meter, processor=processor, save=save, callbacks=Callbacks(**hooks))


async def test_a_stop_leaves_items_that_wait_pending_and_lets_the_calls_in_flight_finish():
    strategy, shelf, control, snapshots = Held(busy=20), Shelf(480), RunControl(), []

    async def stop():
        await strategy.is_busy.wait()
        assert control.is_running
        control.stop("enough")
        await anyio.to_thread.run_sync(shelf.has_enough.wait)
        assert {str(result.error) for result in shelf.saved} == {"pending: enough"}
        strategy.go.set()

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(stop)
        report = await run(prompts(500), strategy, shelf, control=control, on_progress=snapshots.append)
    assert (report.is_stopped, report.is_complete) == (True, False)
    assert strategy.calls == report.batch.succeeded == 20
    assert len({result.item_id for result in shelf.saved}) == len(shelf.saved) == 500
    assert next(snapshot.in_flight for snapshot in snapshots if snapshot.is_stopping) == 20
    assert not control.is_running


async def test_a_cancel_cancels_the_calls_in_flight_and_all_results_are_saved():
    strategy, shelf, control = Held(busy=20), Shelf(480), RunControl()

    async def stop():
        await strategy.is_busy.wait()
        control.stop()
        await anyio.to_thread.run_sync(shelf.has_enough.wait)
        control.cancel()

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(stop)
        report = await run(prompts(500), strategy, shelf, control=control)
    assert report.is_stopped
    assert report.batch.succeeded == 0
    assert len({result.item_id for result in shelf.saved}) == len(shelf.saved) == 500


async def test_a_request_that_a_callback_repeats_at_each_report_is_reported_once():
    strategy, control, snapshots = Held(busy=20), RunControl(), []

    def stop(snapshot):
        snapshots.append(snapshot)
        if strategy.is_busy.is_set():
            control.stop()

    async def release():
        await strategy.is_busy.wait()
        control.stop()
        for _ in range(200):
            await anyio.lowlevel.checkpoint()
        strategy.go.set()

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(release)
        report = await run(prompts(500), strategy, Shelf(500), control=control, on_progress=stop, progress_period=60)
    assert report.batch.succeeded == 20
    assert [snapshot.is_stopping for snapshot in snapshots] == [False, True, True]  # its start, the stop, its end


async def test_another_thread_may_cancel():
    strategy, shelf, control = Held(busy=20), Shelf(500), RunControl()

    async def stop():
        await strategy.is_busy.wait()
        await anyio.to_thread.run_sync(control.cancel)

    async with anyio.create_task_group() as nursery:
        nursery.start_soon(stop)
        report = await run(prompts(500), strategy, shelf, control=control)
    assert report.is_stopped
    assert len(shelf.saved) == 500


async def test_a_run_that_was_stopped_before_its_start_makes_no_call():
    strategy, shelf, control = Held(busy=1), Shelf(1), RunControl()
    control.stop()
    with anyio.fail_after(10):
        report = await run(prompts(50), strategy, shelf, control=control)
    assert strategy.calls <= 1
    assert report.batch.failures == {FaultKind.PENDING: 50}


async def test_a_control_belongs_to_one_run_at_a_time():
    control = RunControl()
    with control.attached(), pytest.raises(MisuseError):
        await run(prompts(1, "!"), Held(busy=1), Shelf(1), control=control)


async def test_if_results_cannot_be_saved_the_calls_in_flight_are_cancelled():
    strategy = Held(busy=19)
    tried = []

    def refuse(results):
        tried.append(results)
        raise OSError(errno.ENOSPC, "No space left on device")

    report = await run([InputRecord(1, "first", "!"), *prompts(499)], strategy, refuse)
    assert report.output_error.errno == report.error.errno == errno.ENOSPC
    assert len(tried) == 1
    assert report.batch.failures == {FaultKind.PENDING: 499}
    assert not strategy.go.is_set()


async def test_a_source_that_changes_ends_the_batch_with_the_items_read():
    class Shrunk(list):
        def __iter__(self):
            yield from super().__iter__()
            raise ValueError("changed")

    shelf = Shelf(1)
    report = await run(Shrunk(prompts(3, "!")), Held(busy=1), shelf)
    assert len(shelf.saved) == 3
    assert "changed" in str(report.source_error)


async def test_a_callback_that_raises_loses_no_results():
    def broken(progress):
        if progress.in_flight:
            raise ZeroDivisionError

    shelf = Shelf(1)
    with pytest.RaisesGroup(ZeroDivisionError):
        await run(
            [InputRecord(1, "first", "!"), *prompts(99)], Held(busy=1), shelf, on_progress=broken, progress_period=0.01
        )
    assert len({result.item_id for result in shelf.saved}) == len(shelf.saved) == 100


async def test_a_bug_in_saving_is_raised():
    def save(results):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run(prompts(3, "!"), Held(busy=1), save)


async def test_the_last_snapshot_has_the_final_figures():
    snapshots = []
    await run(prompts(30, "!"), Held(busy=1), Shelf(1), on_progress=snapshots.append)
    assert [snapshot.is_finished for snapshot in snapshots] == [False] * (len(snapshots) - 1) + [True]
    assert (snapshots[-1].done, snapshots[-1].total) == (30, 30)
