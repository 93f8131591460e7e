"""Why the pace has changed, as it is told."""

from __future__ import annotations

import math

import anyio
import pytest

from paceline.cli.progress.figures import SHOWN_STEPS, PaceStep, PaceSteps
from paceline.observers import ProcessingEvent


async def told(reasons, handle, old, new, reason):
    await reasons.on_event(
        ProcessingEvent.PACE_CHANGED, {"quota": "q", "handle": handle, "old": old, "new": new, "reason": reason}
    )
    await reasons.on_event(ProcessingEvent.RATE_LIMIT_HIT, {})


@pytest.mark.parametrize(
    ("handle", "old", "new", "words"),
    [
        ("workers", 20, 34, "20 → 34 workers"),
        ("calls a second", math.inf, 29.13, "no limit → 29.1 calls/s"),
        ("calls a second", 29.13, 10, "29.1 → 10.0 calls/s"),
        ("calls a second", 1.0, 0.5, "1.0 calls/s → 30 calls/min"),
        ("calls a second", 9.0, math.inf, "9.0 calls/s → no limit"),
        ("tokens a second", 1_700, 1_666.6, "1,700 → 1,667 tokens/s"),
        ("gate", 0, 2.4, "gate closed for 3 s"),
        ("gate", 2.4, 0, "gate open again"),
        ("a handle to come", 1.5, 2, "a handle to come: 1.5 → 2"),
    ],
)
def test_a_change_is_told_in_words(handle, old, new, words):
    assert PaceStep(12.3, handle, old, new, "").what == words


@pytest.mark.anyio
async def test_steps_for_one_reason_are_one_change_whatever_other_handles_do_meanwhile():
    reasons = PaceSteps()
    await reasons.on_event(ProcessingEvent.BATCH_STARTED, {"total_items": 1})
    steps = [
        ("workers", 20, 21, "busy"),
        ("calls a second", 5.0, 6.0, "held back"),
        ("workers", 21, 22, "busy"),
        ("workers", 22, 18, "refused"),
        ("workers", 18, 19, "busy"),
    ]
    for step in steps:
        await anyio.sleep(1)
        await told(reasons, *step)
    assert [(round(change.seconds), change.old, change.new, change.reason) for change in reasons.latest] == [
        (1, 20, 22, "busy"),
        (2, 5.0, 6.0, "held back"),
        (4, 22, 18, "refused"),
        (5, 18, 19, "busy"),
    ]


@pytest.mark.anyio
async def test_only_the_latest_are_remembered():
    reasons = PaceSteps()
    for number in range(100):
        await told(reasons, "workers", number, number + 1, f"reason {number}")
    assert [change.old for change in reasons.latest] == list(range(100 - SHOWN_STEPS, 100))


@pytest.mark.anyio
async def test_what_is_taken_is_the_latest_of_each_handle_once():
    reasons = PaceSteps()
    for step in (("gate", 0, 2, "all refused"), ("workers", 9, 8, "one"), ("workers", 8, 7, "two")):
        await told(reasons, *step)
        await anyio.sleep(1)
    assert [change.reason for change in reasons.take()] == ["all refused", "two"]
    assert reasons.take() == []
    await told(reasons, "gate", 2, 0, "served")
    assert [change.reason for change in reasons.take()] == ["served"]
