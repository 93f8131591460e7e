"""Middlewares and observers: their order, their replacements, and their failures."""

from __future__ import annotations

import math
from typing import Any

import anyio
import attrs
import pytest

from paceline import FaultKind, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, WorkItemResult, process_prompts
from paceline._core.events import BatchStarted
from paceline._core.pace import PaceChange, PaceController
from paceline._engine.calls.hooks import Hooks
from paceline.abc import BaseObserver, Middleware
from paceline.exceptions import Skip
from paceline.observers import ProcessingEvent

from .support import Echo, Scripted, Status, add_all

pytestmark = pytest.mark.anyio


class Recorder(BaseObserver):
    def __init__(self) -> None:
        self.events: list[tuple[ProcessingEvent, dict[str, Any]]] = []

    async def on_event(self, event: ProcessingEvent, data: dict[str, Any]) -> None:
        self.events.append((event, data))

    def names(self) -> list[ProcessingEvent]:
        return [event for event, _ in self.events]

    def data(self, event: ProcessingEvent) -> dict[str, Any]:
        return next(data for name, data in self.events if name is event)


async def test_middlewares_are_layers_around_the_call():
    log = []

    class Layer(Middleware):
        def __init__(self, name):
            self.name = name

        async def before_process(self, work_item):
            log.append(f"{self.name} before {work_item.item_id}")

        async def after_process(self, result):
            log.append(f"{self.name} after {result.item_id}")

        async def on_retry(self, work_item, attempt, error):
            log.append(f"{self.name} retry {attempt} {type(error).__name__}")

    strategy = Scripted({"x": [Status(500), Status(429)]})
    await process_prompts(strategy, ["x"], middlewares=[Layer("outer"), Layer("inner")])
    assert log == [
        "outer before 0",
        "inner before 0",
        "outer retry 1 Status",
        "inner retry 1 Status",
        "inner after 0",
        "outer after 0",
    ]


async def test_a_middleware_may_replace_the_item_and_the_result():
    class Translate(Middleware):
        async def before_process(self, work_item: LLMWorkItem[Any]) -> LLMWorkItem[Any]:
            return attrs.evolve(work_item, prompt=work_item.prompt + "?", context="seen")

        async def after_process(self, result: WorkItemResult[Any]) -> WorkItemResult[Any]:
            return attrs.evolve(result, output=result.output + "!")

    batch = await process_prompts(Echo(), ["a"], middlewares=[Translate(), Translate()])
    assert batch.results[0].output == "A??!!"
    assert batch.results[0].context == "seen"


async def test_a_middleware_may_send_an_item_to_another_model():
    cheap, good = Echo(quota="cheap"), Echo(quota="good")
    seen = []

    class Router(Middleware):
        async def before_process(self, work_item):
            seen.append(work_item.item_id)
            return attrs.evolve(work_item, strategy=good) if len(work_item.prompt) > 2 else None

    async with ParallelBatchProcessor(middlewares=[Router()]) as processor:
        await add_all(processor, cheap, ["a", "long"])
        batch = await processor.process_all()
    assert {r.item_id: r.attempts[0].quota for r in batch.results} == {"a": "cheap", "long": "good"}
    assert sorted(seen) == ["a", "long"]
    assert all(stats.in_flight == 0 for stats in processor.statistics().lanes.values())


async def test_a_skipped_item_is_settled_without_a_call_and_seen_by_the_others():
    after = []

    class SkipsB(Middleware):
        async def before_process(self, work_item):
            if work_item.prompt == "b":
                raise Skip("answered before")

        async def after_process(self, result):
            after.append(result.item_id)

    strategy = Echo()
    batch = await process_prompts(strategy, list("abc"), middlewares=[SkipsB()])
    assert batch.failures == {FaultKind.SKIPPED: 1}
    assert strategy.board.calls.total() == 2
    assert sorted(after) == ["0", "1", "2"]
    (skipped,) = [r for r in batch.results if not r.success]
    assert skipped.error.message == "answered before"
    assert skipped.attempts == ()


async def test_a_replacement_must_keep_the_id():
    class Rename(Middleware):
        async def before_process(self, work_item):
            return attrs.evolve(work_item, item_id="other")

    batch = await process_prompts(Echo(), ["a"], middlewares=[Rename()])
    assert batch.failures == {FaultKind.BUG: 1}
    assert batch.results[0].item_id == "0"


async def test_observers_receive_all_events_of_an_item_in_order():
    recorder = Recorder()
    strategy = Scripted({"a": [Status(429, {"retry-after": "3"}), Status(500)]})
    await process_prompts(strategy, ["a"], observers=[recorder])
    names = [name for name in recorder.names() if name is not ProcessingEvent.PACE_CHANGED]
    assert names == [
        ProcessingEvent.BATCH_STARTED,
        ProcessingEvent.ITEM_STARTED,
        ProcessingEvent.RATE_LIMIT_HIT,
        ProcessingEvent.ITEM_STARTED,
        ProcessingEvent.ITEM_RETRIED,
        ProcessingEvent.ITEM_STARTED,
        ProcessingEvent.ITEM_COMPLETED,
        ProcessingEvent.BATCH_COMPLETED,
    ]
    assert recorder.data(ProcessingEvent.RATE_LIMIT_HIT)["retry_after"] == 3
    assert recorder.data(ProcessingEvent.ITEM_RETRIED)["kind"] == "transient"
    changes = [data for name, data in recorder.events if name is ProcessingEvent.PACE_CHANGED]
    assert ("gate", 1) in [
        (change["handle"], change["new"]) for change in changes
    ]  # a third of the wait is tried first
    assert "refus" in changes[0]["reason"]
    done = recorder.data(ProcessingEvent.BATCH_COMPLETED)
    assert (done["total_items"], done["succeeded"], done["failed"]) == (1, 1, 0)


@pytest.mark.parametrize("steps", range(8))
async def test_an_event_is_received_whenever_it_comes_after_the_one_before(steps):
    observer = Recorder()
    hooks = Hooks(ProcessorConfig(), [], [observer])
    async with anyio.create_task_group() as nursery:
        hooks.open(nursery.start_soon, anyio.current_time)
        for total in (1, 2):
            hooks.publish(BatchStarted(total_items=total))
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
        await hooks.flush()
        await hooks.close()
    assert [data["total_items"] for _, data in observer.events] == [1, 2]
    assert hooks.dropped_events == 0


async def test_each_change_of_the_pace_is_reported_once_over_all_batches():
    class ManyChanges(PaceController):
        def settled(self, ticket, now, signal):
            super().settled(ticket, now, signal)
            number = len(self.history)
            self.history.append(PaceChange(now, math.inf, 30.0, f"reason {number}", "calls a second"))
            self.history.append(PaceChange(now, 0.0, 3.0, f"reason {number + 1}", "gate"))

    recorder = Recorder()
    async with ParallelBatchProcessor(observers=[recorder], pace=ManyChanges) as processor:
        for _ in range(2):
            await add_all(processor, Echo(), ["a", "b", "c"])
            await processor.process_all()
    changes = [data for name, data in recorder.events if name is ProcessingEvent.PACE_CHANGED]
    assert [change["reason"] for change in changes] == [f"reason {number}" for number in range(12)]
    assert [(change["handle"], change["old"], change["new"]) for change in changes[:2]] == [
        ("calls a second", math.inf, 30.0),
        ("gate", 0.0, 3.0),
    ]


async def test_an_observer_can_add_up_tokens():
    class CostTracker(BaseObserver):
        def __init__(self):
            self.total_tokens = 0

        async def on_event(self, event, data):
            if event == ProcessingEvent.ITEM_COMPLETED:
                self.total_tokens += data.get("tokens", {}).get("total_tokens", 0)

    tracker = CostTracker()
    await process_prompts(Echo(), ["a", "b"], observers=[tracker])
    assert tracker.total_tokens == 30


async def test_a_failed_item_is_reported_with_its_kind_of_fault():
    recorder = Recorder()
    await process_prompts(Scripted({"a": [Status(404)]}), ["a"], observers=[recorder])
    data = recorder.data(ProcessingEvent.ITEM_FAILED)
    assert data["kind"] == "rejected"
    assert "404" in data["error"]
    assert data["attempts"] == 1


async def _raise():
    raise RuntimeError("observer")


async def _hang():
    await anyio.sleep_forever()


@pytest.mark.parametrize("act", [_raise, _hang])
async def test_a_failing_observer_is_counted_and_harms_no_item(act):
    class Failing(BaseObserver):
        async def on_event(self, event, data):
            await act()

    recorder = Recorder()
    config = ProcessorConfig(hook_timeout=0.5)
    async with ParallelBatchProcessor(config, observers=[Failing(), recorder]) as processor:
        await add_all(processor, Echo(), ["a", "b"])
        batch = await processor.process_all()
    stats = await processor.get_stats()
    assert batch.succeeded == 2
    assert stats["hook_failures"] + stats["dropped_events"] == len(recorder.events)
    assert stats["hook_failures"] > 0
    assert (stats["dropped_events"] > 0) == (act is _hang)


async def test_an_observer_cannot_change_what_the_next_one_receives():
    class ClearsData(BaseObserver):
        async def on_event(self, event, data):
            data.clear()

    recorder = Recorder()
    await process_prompts(Echo(), ["a"], observers=[ClearsData(), recorder])
    assert recorder.data(ProcessingEvent.ITEM_COMPLETED)["item_id"] == "0"


async def test_a_result_that_was_paid_for_survives_a_cancellation_during_its_hooks():
    class Slow(Middleware):
        async def after_process(self, result):
            await anyio.sleep(10)

    async with ParallelBatchProcessor(middlewares=[Slow()]) as processor:
        await add_all(processor, Echo(), ["a", "b"])
        with anyio.move_on_after(5):
            await processor.process_all()
        assert [result.output for result in processor.batch.in_input_order()] == ["A", "B"]


async def test_a_replaced_result_must_keep_its_place():
    class Shuffle(Middleware):
        async def after_process(self, result):
            return attrs.evolve(result, index=99, output="moved")

    batch = await process_prompts(Echo(), ["a"], middlewares=[Shuffle()])
    assert (batch.results[0].index, batch.results[0].output) == (0, "A")


async def test_a_slow_observer_delays_neither_the_calls_nor_their_results():
    class Slow(BaseObserver):
        async def on_event(self, event, data):
            await anyio.sleep(10)

    async with ParallelBatchProcessor(observers=[Slow()]) as processor:
        await add_all(processor, Echo(), ["a", "b"])
        with anyio.move_on_after(5):
            await processor.process_all()
        assert processor.batch.succeeded == 2
        assert processor.batch.seconds < 5


async def test_items_that_are_all_skipped_let_other_tasks_run():
    class SkipAll(Middleware):
        async def before_process(self, work_item):
            raise Skip("not needed")

    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await anyio.lowlevel.checkpoint()
            ticks += 1

    async with ParallelBatchProcessor(middlewares=[SkipAll()]) as processor:
        await add_all(processor, Echo(), [str(i) for i in range(2000)])
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(tick)
            await processor.process_all()
            nursery.cancel_scope.cancel()
    assert ticks > 5


async def test_an_answer_that_was_paid_for_survives_a_cancellation_while_observers_handle_a_change_of_pace():
    class Slow(BaseObserver):
        async def on_event(self, event, data):
            if event is ProcessingEvent.PACE_CHANGED:
                await anyio.sleep(10)

    async with ParallelBatchProcessor(observers=[Slow()]) as processor:
        await add_all(processor, Echo(), [str(i) for i in range(20)])  # the initial limit: the pace grows
        with anyio.move_on_after(5):
            await processor.process_all()
        assert processor.batch.succeeded == 20
