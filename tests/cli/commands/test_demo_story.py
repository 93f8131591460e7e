"""What the demo's provider does, and how it is told what a batch made of it."""

from __future__ import annotations

import pytest

from paceline import LLMWorkItem, ParallelBatchProcessor
from paceline.cli.commands.demo import ITEMS, STORY, Chronicle, chapter_at, docstring_prompts, storyteller

from ..progress.test_panel import reading


@pytest.mark.anyio
async def test_the_story_is_lived_through_to_its_last_chapter_and_nothing_is_lost():
    strategy = storyteller(seed=0)
    async with ParallelBatchProcessor() as processor:
        for prompt in docstring_prompts(ITEMS):
            await processor.add_work(LLMWorkItem(prompt.id, strategy, prompt.prompt))
        batch = await processor.process_all()
    assert batch.succeeded == ITEMS
    assert 0 < batch.refusals < ITEMS / 4
    assert STORY[-1].start + 2 < batch.seconds < 60


def test_a_time_belongs_to_the_chapter_that_began_before():
    assert chapter_at(0.0) is STORY[0]
    for chapter in STORY:
        assert chapter_at(chapter.start + 0.1) is chapter
    assert chapter_at(1e6) is STORY[-1]


def test_the_chronicle_tells_the_last_pace_of_each_chapter_and_what_was_refused_in_it():
    chronicle = Chronicle()
    for seconds, pace, refusals in ((1.0, float("inf"), 0), (8.9, 57.0, 12), (9.1, 57.0, 14), (13.9, 54.0, 15)):
        chronicle.note(reading(seconds=seconds, pace=pace, refusals=refusals))
    assert chronicle.told() == [
        "from  0 s  allowed 60.0 calls/s, found 57.0 calls/s (95%); 12 refused",
        "from  9 s  allowed nothing: an outage; 2 refused",
        "from 11 s  allowed 60.0 calls/s, found 54.0 calls/s (90%); 1 refused",
    ]


def test_where_no_rate_is_enforced_what_was_served_counts():
    chronicle = Chronicle()
    chronicle.note(reading(seconds=3.0, pace=float("inf"), rate=30.0))
    assert "found 30.0 calls/s (50%)" in chronicle.told()[0]
