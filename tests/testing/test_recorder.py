"""EventRecorder: every event as a record, by type and by item, in order."""

from __future__ import annotations

from typing import get_args

import attrs
import pytest

from paceline import CallableStrategy, CallError, FaultKind, ProcessorConfig, RetryPolicy, process_prompts
from paceline._core.events import data_of
from paceline.observers import (
    BatchCompleted,
    BatchStarted,
    Event,
    ItemCompleted,
    ItemFailed,
    ItemRetried,
    ItemStarted,
    ProcessingEvent,
)
from paceline.testing import EventRecorder

pytestmark = pytest.mark.anyio


async def fail_once(prompt, failed=frozenset()):
    if prompt == "refused":
        raise CallError("no", kind=FaultKind.REFUSED)
    return prompt


async def record(prompts, function):
    recorder = EventRecorder()
    config = ProcessorConfig(max_workers=1, retry=RetryPolicy(max_attempts=2))
    await process_prompts(CallableStrategy(function), prompts, observers=[recorder], config=config)
    return recorder


async def test_the_events_of_a_batch_are_kept_in_order():
    recorder = await record(["good", "refused"], fail_once)
    assert isinstance(recorder.events[0], BatchStarted)
    assert recorder.events[-1] == attrs.evolve(recorder.of_type(BatchCompleted)[0], succeeded=1, failed=1)
    assert recorder.names("0") == ["item_started", "item_completed"]
    assert [type(event) for event in recorder.of_item("1")] == [ItemStarted, ItemFailed]
    assert recorder.names() == [event.name for event in recorder.events]


async def test_the_events_of_a_type_may_be_those_of_one_item():
    errors = [CallError("busy", kind=FaultKind.TRANSIENT)]

    async def busy_at_first(prompt):
        if errors:
            raise errors.pop()
        return prompt

    recorder = await record(["a", "b"], busy_at_first)
    assert [event.item_id for event in recorder.of_type(ItemRetried)] == ["0"]
    assert [event.attempt for event in recorder.of_type(ItemStarted, "0")] == [1, 2]
    assert [event.attempts for event in recorder.of_type(ItemCompleted, "1")] == [1]
    assert recorder.of_type(ItemFailed) == recorder.of_item("2") == []


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
async def test_an_event_of_every_type_is_kept_as_its_record(kind):
    event = kind(**{field.name: f"a {field.name}" for field in attrs.fields(kind)})
    recorder = EventRecorder()
    await recorder.on_event(kind.name, data_of(event))
    assert recorder.events == recorder.of_type(kind) == [event]
    assert repr(recorder) == "EventRecorder(1 events)"
    recorder.clear()
    assert recorder.names() == []


def test_there_is_a_record_for_every_event():
    assert {kind.name for kind in get_args(Event)} == set(ProcessingEvent)
