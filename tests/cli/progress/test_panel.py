"""Panel: what is drawn on a terminal during a run."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from paceline.cli.progress.figures import SHOWN_STEPS, PaceSteps
from paceline.cli.progress.panel import Curve, DemoPanel, PacePanel, sparkline
from paceline.observers import ProcessingEvent
from paceline.runs.progress import RunProgress

KNOWN = {
    "seconds": 12.0,
    "total": 600,
    "done": 150,
    "failed": 2,
    "in_flight": 40,
    "workers": 42,
    "pace": 31.0,
    "token_pace": math.inf,
    "rate": 29.5,
    "refusals": 7,
    "wait": 0.0,
    "left": 15.2,
}


def figures(**changed):
    return RunProgress(**KNOWN | changed)


def render(picture, width=80):
    console = Console(width=width, file=None)
    with console.capture() as capture:
        console.print(picture)
    return capture.get()


async def steps_of(number):
    steps = PaceSteps()
    for index in range(number):
        await steps.on_event(
            ProcessingEvent.PACE_CHANGED,
            {"quota": "q", "handle": "workers", "old": index, "new": index + 1, "reason": f"[b]reason {index}"},
        )
    return steps


@given(st.lists(st.integers(0, 5_000), max_size=300), st.integers(1, 60))
def test_a_curve_fits_its_width_and_peaks_where_the_values_do(values, width):
    curve = sparkline(values, width)
    assert len(curve) == min(width, len(values))
    if 0 < len(values) <= width:
        assert max(values) == 0 or curve[values.index(max(values))] == "█"


@given(st.integers(1, 5_000), st.integers(1, 300))
def test_a_constant_value_is_a_flat_curve(level, count):
    assert set(sparkline([level] * count, 48)) == {"█"}


def test_a_value_that_is_not_finite_is_a_gap():
    assert sparkline([math.nan, math.inf, 8, 4], 4) == "  █▅"


def test_a_value_above_the_top_has_the_highest_level():
    assert sparkline([2, 4, 400], 3, 4.0) == "▅██"


@given(st.integers(0, 3_000))
def test_a_curve_of_any_duration_has_a_bounded_width(count):
    curve = Curve(steps=16)
    for value in range(count):
        curve.add(value + 1)
    line = render(curve).strip()
    assert len(line) <= 16
    assert list(line) == sorted(line)
    assert not count or line[-1] == "█"


def test_a_curve_is_as_wide_as_there_is_room():
    curve = Curve()
    for value in range(100):
        curve.add(value)
    assert [len(render(curve, width).strip()) for width in (10, 48, 200)] == [10, 48, 48]


@pytest.mark.anyio
@pytest.mark.parametrize("width", [30, 58, 80, 200])
async def test_a_panel_always_has_the_same_number_of_lines_and_fits(width):
    for number in (0, 3, 50):
        steps = await steps_of(number)
        for panel, lines in ((PacePanel(steps), 8 + SHOWN_STEPS), (DemoPanel("sim", steps), 12 + SHOWN_STEPS)):
            for changed in ({}, {"wait": 3.0}, {"pace": math.inf}, {"in_flight": 12_000, "workers": 12_000}):
                picture = render(panel(figures(**changed)), width).splitlines()
                assert len(picture) == lines
                assert max(map(len, picture)) <= width


@pytest.mark.anyio
async def test_a_panel_shows_the_figures_their_curves_and_the_latest_steps():
    picture = render(PacePanel(await steps_of(9))(figures(wait=2.4)))
    for words in (
        "150 of 600",
        "0:16 left",
        "40 in flight of 42",
        "29.5 calls/s",
        "31.0 calls/s",
        "open; calls start in 3 s",
        "7, 2 failed",
        "8 → 9 workers",
        "[b]reason 8",
        "█",
    ):
        assert words in picture
    assert "reason 3" not in picture


def test_the_panel_of_the_demo_shows_the_rate_that_is_allowed():
    panel = DemoPanel("sim:rate=30", PaceSteps(), allowed=lambda seconds: 30.0 if seconds < 5 else 0.0)
    assert "30.0 calls/s" in render(panel(figures(seconds=1.0)))
    assert "nothing" in render(panel(figures(seconds=6.0)))
    assert "sim:rate=30" in render(panel(figures()))
