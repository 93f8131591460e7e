"""Steps: the changes of the pace, with their reasons."""

from __future__ import annotations

import math

import anyio
import pytest

from paceline.observers import ProcessingEvent
from paceline.progress.steps import SHOWN_STEPS, PaceStep, PaceSteps


async def change(steps, handle, old, new, reason):
    await steps.on_event(
        ProcessingEvent.PACE_CHANGED, {"quota": "q", "handle": handle, "old": old, "new": new, "reason": reason}
    )
    await steps.on_event(ProcessingEvent.RATE_LIMIT_HIT, {})


@pytest.mark.parametrize(
    ("handle", "old", "new", "words"),
    [
        ("workers", 20, 34, "20 → 34 workers"),
        ("calls a second", math.inf, 29.13, "no limit → 29.1 calls/s"),
        ("calls a second", 29.13, 10, "29.1 → 10.0 calls/s"),
        ("calls a second", 1.0, 0.5, "1.0 calls/s → 30 calls/min"),
        ("calls a second", 9.0, math.inf, "9.0 calls/s → no limit"),
        ("tokens a second", 1_700, 1_666.6, "1,700 → 1,667 tokens/s"),
        ("gate", 0, 2.4, "breaker open for 3 s"),
        ("gate", 2.4, 0, "breaker closed"),
        ("a handle to come", 1.5, 2, "a handle to come: 1.5 → 2"),
    ],
)
def test_a_change_is_shown_in_words(handle, old, new, words):
    assert PaceStep(12.3, handle, old, new, "").change == words


@pytest.mark.anyio
async def test_changes_for_one_reason_are_one_step_whatever_other_handles_do():
    steps = PaceSteps()
    await steps.on_event(ProcessingEvent.BATCH_STARTED, {"total_items": 1})
    changes = [
        ("workers", 20, 21, "busy"),
        ("calls a second", 5.0, 6.0, "held back"),
        ("workers", 21, 22, "busy"),
        ("workers", 22, 18, "refused"),
        ("workers", 18, 19, "busy"),
    ]
    for step in changes:
        await anyio.sleep(1)
        await change(steps, *step)
    assert [(round(change.seconds), change.old, change.new, change.reason) for change in steps.latest] == [
        (1, 20, 22, "busy"),
        (2, 5.0, 6.0, "held back"),
        (4, 22, 18, "refused"),
        (5, 18, 19, "busy"),
    ]


@pytest.mark.anyio
async def test_only_the_latest_steps_are_kept():
    steps = PaceSteps()
    for number in range(100):
        await change(steps, "workers", number, number + 1, f"reason {number}")
    assert [change.old for change in steps.latest] == list(range(100 - SHOWN_STEPS, 100))


@pytest.mark.anyio
async def test_the_latest_step_of_each_handle_is_read_once():
    steps = PaceSteps()
    for step in (("gate", 0, 2, "all refused"), ("workers", 9, 8, "one"), ("workers", 8, 7, "two")):
        await change(steps, *step)
        await anyio.sleep(1)
    assert [change.reason for change in steps.take_unread()] == ["all refused", "two"]
    assert steps.take_unread() == []
    await change(steps, "gate", 2, 0, "served")
    assert [change.reason for change in steps.take_unread()] == ["served"]
