"""Phases of the demo: the limits of its provider, and the summary of each."""

from __future__ import annotations

import pytest

from paceline import LLMWorkItem, ParallelBatchProcessor
from paceline.cli.commands.demo import ITEMS, PHASES, PhaseLog, changing_provider, docstring_prompts, phase_at

from ...progress.test_panel import figures


@pytest.mark.anyio
async def test_the_demo_reaches_its_last_phase_and_every_item_succeeds():
    strategy = changing_provider(seed=0)
    async with ParallelBatchProcessor() as processor:
        for prompt in docstring_prompts(ITEMS):
            await processor.add_work(LLMWorkItem(prompt.id, strategy, prompt.prompt))
        batch = await processor.process_all()
    assert batch.succeeded == ITEMS
    assert 0 < batch.refusals < ITEMS / 4
    assert PHASES[-1].start + 2 < batch.seconds < 60


def test_a_phase_lasts_until_the_next_begins():
    assert phase_at(0.0) is PHASES[0]
    for phase in PHASES:
        assert phase_at(phase.start + 0.1) is phase
    assert phase_at(1e6) is PHASES[-1]


def test_the_log_has_the_last_pace_of_each_phase_and_its_refusals():
    log = PhaseLog()
    for seconds, pace, refusals in ((1.0, float("inf"), 0), (8.9, 57.0, 12), (9.1, 57.0, 14), (13.9, 54.0, 15)):
        log.record(figures(seconds=seconds, pace=pace, refusals=refusals))
    assert log.render() == [
        "from  0 s  allowed 60.0 calls/s, found 57.0 calls/s (95%); 12 refused",
        "from  9 s  allowed nothing: an outage; 2 refused",
        "from 11 s  allowed 60.0 calls/s, found 54.0 calls/s (90%); 1 refused",
    ]


def test_without_a_limited_rate_the_rate_served_is_compared():
    log = PhaseLog()
    log.record(figures(seconds=3.0, pace=float("inf"), rate=30.0))
    assert "found 30.0 calls/s (50%)" in log.render()[0]
