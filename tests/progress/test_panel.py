"""Panel: what is drawn on a terminal during a run."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from paceline import FaultKind, TokenUsage
from paceline._core.fault_groups import FaultGroup
from paceline.observers import ProcessingEvent
from paceline.progress.panel import Curve, DemoPanel, PacePanel, sparkline
from paceline.progress.steps import SHOWN_STEPS, PaceSteps
from paceline.runs.progress import RunProgress
from paceline.typing import Limitation, LimitBasis, LimitReason, Range

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


def render(picture, width=80, height=25):
    console = Console(width=width, height=height, file=None)
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
    line = curve.drawn(80)
    assert len(line) <= 16
    assert list(line) == sorted(line)
    assert not count or line[-1] == "█"


def test_a_curve_is_as_wide_as_there_is_room():
    curve = Curve()
    for value in range(100):
        curve.add(value)
    assert [len(curve.drawn(width)) for width in (10, 48, 200)] == [10, 48, 48]


LIMIT = Limitation(
    reason=LimitReason.REQUESTS, quota="a-model-with-a-name-that-is-long-" * 3, basis=LimitBasis.LEARNED, value=30.0
)


@pytest.mark.anyio
@pytest.mark.parametrize("width", [30, 58, 80, 200])
async def test_a_panel_fits_the_terminal_and_cuts_no_reason(width):
    for number in (0, 3, 50):
        steps = await steps_of(number)
        for panel, frame in ((PacePanel(steps), 0), (DemoPanel("sim", steps), 4)):
            for changed in (
                {},
                {"wait": 3.0},
                {"pace": math.inf},
                {"in_flight": 12_000, "workers": 12_000},
                {"limitation": LIMIT},
            ):
                picture = render(panel(figures(**changed)), width, height=40)
                assert max(map(len, picture.splitlines())) <= width
                assert "…" not in picture
                words = "".join(picture.replace("│", "").split())
                assert number == 0 or f"{number}workers:[b]reason{number - 1}" in words
                assert "limitation" not in changed or LIMIT.quota in words
                assert len(picture.splitlines()) <= 40 + (frame if width < 58 else 0)


@pytest.mark.anyio
async def test_a_low_terminal_shows_the_latest_steps_only():
    panel = PacePanel(await steps_of(SHOWN_STEPS))
    lines = [line for line in render(panel(figures()), height=12).splitlines() if "reason" in line]
    assert len(render(panel(figures()), height=12).splitlines()) <= 12
    assert 0 < len(lines) < SHOWN_STEPS
    assert f"[b]reason {SHOWN_STEPS - 1}" in lines[-1]


@pytest.mark.anyio
async def test_a_panel_shows_the_figures_their_curves_and_the_latest_steps():
    known = figures(
        wait=2.4,
        failures={"rejected": 2},
        messages=(FaultGroup(FaultKind.REJECTED, 2, "400 no such model"),),
        retries=3,
        cost=1.25,
        cost_at_end=Range(4.0, 5.0, 6.0),
        spent=2.0,
        max_cost=10.0,
        usage=TokenUsage(1_000, 200),
        limitation=Limitation(reason=LimitReason.MAX_WORKERS, value=42),
    )
    picture = render(PacePanel(await steps_of(9))(known), height=40)
    for words in (
        "150 of 600 done (25 %) in 0:12, 0:16 left",
        "40 in flight of 42",
        "29.5 calls/s",
        "31.0 calls/s",
        "open; calls start in 3 s",
        "failed    2: rejected 2",
        "2 × rejected: 400 no such model",
        "3 repeated calls, 7 throttled",
        "$1.25 of about $5.00 ($4.00 to $6.00); $2.00 of the cap of $10.00 (20 %)",
        "1,000 in, 200 out",
        "limit     your max_workers: 42",
        "8 → 9 workers",
        "[b]reason 8",
        "█",
    ):
        assert words in (picture if "$" not in words else " ".join(picture.split()))
    assert "reason 3" not in picture


def test_figures_that_are_late_say_so():
    assert "none for 12 s" in render(PacePanel()(figures(), age=12.0))
    assert "news" not in render(PacePanel()(figures(), age=1.0))


def test_a_terminal_without_unicode_gets_none():
    console = Console(width=80, height=40)
    options = console.options.update(width=80)
    options.encoding = "ascii"
    picture = "".join(segment.text for segment in console.render(PacePanel()(figures()), options))
    assert picture.isascii()
    assert "###" in picture


def test_the_panel_of_the_demo_shows_the_rate_that_is_allowed():
    panel = DemoPanel("sim:rate=30", PaceSteps(), allowed=lambda seconds: 30.0 if seconds < 5 else 0.0)
    assert "30.0 calls/s" in render(panel(figures(seconds=1.0)))
    assert "nothing" in render(panel(figures(seconds=6.0)))
    assert "sim:rate=30" in render(panel(figures()))
