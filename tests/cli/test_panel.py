"""What the demo draws."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from paceline.cli.gauge import Reading
from paceline.cli.panel import DemoPanel, Reasons, sparkline
from paceline.cli.progress import two_lines
from paceline.observers import ProcessingEvent


def reading(**figures):
    known = {"total": 600, "done": 150, "failed": 2, "in_flight": 40, "workers": 42, "rate": 29.5, "refusals": 7}
    return Reading(**known | {"wait": 0.0, "left": 15.2} | figures)


def drawn(picture, width=80):
    console = Console(width=width, file=None)
    with console.capture() as capture:
        console.print(picture)
    return capture.get()


@given(st.lists(st.integers(0, 5_000), max_size=300), st.integers(1, 60))
def test_a_curve_fits_its_width_and_peaks_where_the_values_do(values, width):
    curve = sparkline(values, width)
    assert len(curve) == min(width, len(values))
    if 0 < len(values) <= width:
        assert max(values) == 0 or curve[values.index(max(values))] == "█"


@given(st.integers(1, 5_000), st.integers(1, 300))
def test_a_level_that_stays_is_a_flat_curve(level, count):
    assert set(sparkline([level] * count, 48)) == {"█"}


@pytest.mark.anyio
async def test_steps_for_one_reason_are_one_change():
    reasons = Reasons()
    await reasons.on_event(ProcessingEvent.BATCH_STARTED, {"total_items": 1})
    for old, new, reason in [(20, 21, "busy"), (21, 22, "busy"), (22, 18, "refused"), (18, 19, "busy")]:
        await anyio.sleep(1)
        await reasons.on_event(ProcessingEvent.PACE_CHANGED, {"quota": "q", "old": old, "new": new, "reason": reason})
        await reasons.on_event(ProcessingEvent.RATE_LIMIT_HIT, {})
    assert [(change.old, change.new, change.reason) for change in reasons.latest] == [
        (20, 22, "busy"),
        (22, 18, "refused"),
        (18, 19, "busy"),
    ]
    assert [round(change.seconds) for change in reasons.latest] == [1, 3, 4]


@pytest.mark.anyio
async def test_the_panel_shows_the_figures_the_curve_and_the_latest_reasons():
    reasons = Reasons()
    panel = DemoPanel("sim:rate=30", reasons)
    for number in range(9):
        await reasons.on_event(
            ProcessingEvent.PACE_CHANGED,
            {"quota": "q", "old": number, "new": number + 1, "reason": f"[b]reason {number}"},
        )
    heights = {len(drawn(panel(reading(workers=workers))).splitlines()) for workers in (20, 40, 80)}
    picture = drawn(panel(reading()))
    assert heights == {len(picture.splitlines())}
    for words in ("150 of 600", "0:16 left", "42", "29.5/s", "sim:rate=30", "8 → 9", "[b]reason 8", "█"):
        assert words in picture
    assert "reason 3" not in picture


def test_two_lines_are_two_lines_however_narrow_the_terminal():
    for width in (30, 80, 200):
        assert len(drawn(two_lines(reading(wait=12.4)), width).splitlines()) == 2
    picture = drawn(two_lines(reading(wait=12.4)), 120)
    for words in ("150 of 600", "42 workers", "29.5 calls/s", "7 refusals", "2 failed", "asked to wait 12 s"):
        assert words in picture
