"""The lines that are printed where nothing can be drawn."""

from __future__ import annotations

import pytest

from paceline.cli.progress.display import Lines
from paceline.cli.progress.figures import PaceSteps
from paceline.observers import ProcessingEvent

from .test_panel import reading


class Said(Lines):
    def __init__(self, period, reasons):
        super().__init__(period, reasons)
        self.sentences = []

    def say(self, sentence):
        self.sentences.append(sentence)


def test_a_line_has_the_figures_and_comes_once_a_period():
    lines = Said(10.0, PaceSteps())
    for second in range(31):
        lines.show(reading(seconds=float(second), wait=12.4))
    assert len(lines.sentences) == 3
    for words in (
        "150 of 600 done",
        "40 in flight of 42 workers",
        "served 29.5 calls/s",
        "pace: 31.0 calls/s",
        "7 refusals",
        "2 failed",
        "gate closed; opens in 13 s",
        "0:16 left",
    ):
        assert words in lines.sentences[0]


def test_a_long_batch_is_told_of_less_and_less_often():
    lines = Said(10.0, PaceSteps())
    for second in range(0, 10 * 3_600, 5):
        lines.show(reading(seconds=float(second)))
    assert 500 < len(lines.sentences) < 700


@pytest.mark.anyio
async def test_after_a_line_each_handle_that_changed_has_one_however_often_it_did():
    reasons = PaceSteps()
    lines = Said(10.0, reasons)
    for number in range(100):
        await reasons.on_event(
            ProcessingEvent.PACE_CHANGED,
            {"quota": "q", "handle": "workers", "old": number, "new": number + 1, "reason": f"reason {number}"},
        )
        lines.show(reading(seconds=number / 20))
    assert lines.sentences == []
    lines.show(reading(seconds=10.0))
    assert len(lines.sentences) == 2
    assert lines.sentences[1].endswith("99 → 100 workers: reason 99")
    lines.show(reading(seconds=20.0))
    assert len(lines.sentences) == 3
