"""Lines: the progress where nothing can be drawn."""

from __future__ import annotations

import pytest

from paceline import FaultKind
from paceline._core.fault_groups import FaultGroup
from paceline.observers import ProcessingEvent
from paceline.progress.display import Lines
from paceline.progress.steps import PaceSteps
from paceline.typing import Limitation, LimitBasis, LimitReason

from .test_panel import figures


class RecordedLines(Lines):
    def __init__(self, period, steps):
        super().__init__(period, steps)
        self.messages = []

    def print(self, message):
        self.messages.append(message)


def test_a_line_has_the_figures_and_is_printed_once_a_period():
    lines = RecordedLines(10.0, PaceSteps())
    for second in range(31):
        lines.show(figures(seconds=float(second), wait=12.4))
    assert len(lines.messages) == 3
    for words in ("150 of 600 done (25 %) in 0:10, 0:16 left", "40 of 42 in", "7 throttled", "2 failed"):
        assert words in lines.messages[0]


def test_lines_have_80_columns_and_cut_no_reason():
    quota = "a-model-with-a-name-that-is-long-" * 2
    limit = Limitation(reason=LimitReason.REQUESTS, quota=quota, basis=LimitBasis.LEARNED, value=30.0)
    lines = RecordedLines(10.0, PaceSteps())
    for second in range(31):
        lines.show(
            figures(seconds=float(second), limitation=limit, messages=(FaultGroup(FaultKind.BUG, 2, "word " * 30),))
        )
    printed = [line for message in lines.messages for line in f"paceline: {message}".splitlines()]
    assert max(map(len, printed)) <= 80
    assert (
        "".join(lines.messages).replace("\n", "").replace(" ", "").count(f"requestsperminuteof{quota}:1,800,learned")
        == 1
    )
    assert " ".join(" ".join(lines.messages).split()).count("word " * 29) == 1


def test_lines_get_rarer_in_a_long_run():
    lines = RecordedLines(10.0, PaceSteps())
    for second in range(0, 10 * 3_600, 5):
        lines.show(figures(seconds=float(second)))
    assert 500 < len(lines.messages) < 700


@pytest.mark.anyio
async def test_a_line_is_followed_by_the_latest_step_of_each_handle_that_changed():
    steps = PaceSteps()
    lines = RecordedLines(10.0, steps)
    for number in range(100):
        await steps.on_event(
            ProcessingEvent.PACE_CHANGED,
            {"quota": "q", "handle": "workers", "old": number, "new": number + 1, "reason": f"reason {number}"},
        )
        lines.show(figures(seconds=number / 20))
    assert lines.messages == []
    lines.show(figures(seconds=10.0))
    assert len(lines.messages) == 2
    assert lines.messages[1].endswith("99 → 100 workers: reason 99")
    lines.show(figures(seconds=20.0))
    assert len(lines.messages) == 3
