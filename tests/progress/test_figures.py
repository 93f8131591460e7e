"""The figures of a batch under way."""

from __future__ import annotations

import math

import attrs
import pytest

from paceline import FaultKind, TokenUsage
from paceline._core.durations import format_clock, format_elapsed
from paceline._core.pace import PaceStatistics
from paceline._core.ranges import Range
from paceline.progress.words import breaker_text, format_rate, pace_text
from paceline.runs.progress import ProgressMeter
from paceline.typing import ProcessorStatistics


def statistics(done=0, *, failed=0, served=None, refusals=0, **lane):
    known = {"limit": 20, "rate": math.inf, "token_rate": math.inf, "in_flight": 3, "throttled": 0, "gate": -math.inf}
    figures = PaceStatistics(**known | {"served": done if served is None else served} | lane)
    return ProcessorStatistics(
        total_items=1_000,
        succeeded=done - failed,
        failed=failed,
        failures={FaultKind.BUG: failed},
        rate_limit_count=refusals,
        usage=TokenUsage(),
        hook_failures=0,
        waiting=0,
        in_flight=3,
        workers=3,
        workers_range=(20, 20),
        lanes={"lane": figures},
    )


def test_the_first_figures_have_no_rate():
    progress = ProgressMeter(100, 1_000).read(50.0, statistics(10, failed=2, refusals=4))
    assert (progress.total, progress.done, progress.failed, progress.refusals) == (100, 10, 2, 4)
    assert (progress.workers, progress.in_flight) == (20, 3)
    assert (progress.rate, progress.left, progress.wait) == (0.0, None, 0.0)
    assert (progress.seconds, progress.pace, progress.token_pace) == (0.0, math.inf, math.inf)


def test_without_a_lane_there_are_no_workers():
    empty = statistics()
    empty.lanes.clear()
    progress = ProgressMeter(100, 1_000).read(0.0, empty)
    assert (progress.workers, progress.rate, progress.wait) == (0, 0.0, 0.0)
    assert pace_text(progress) == "no limit met yet"


def test_workers_are_bounded_by_the_user_s_maximum():
    assert ProgressMeter(100, 7).read(0.0, statistics()).workers == 7


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, "no limit met yet"),
        ({"refusals": 3}, "not limited"),
        ({"rate": 29.13}, "29.1 calls/s"),
        ({"token_rate": 1_666.6}, "1,667 tokens/s"),
        ({"rate": 0.2, "token_rate": 100.0}, "12 calls/min, 100 tokens/s"),
    ],
)
def test_the_pace_names_the_limits_that_are_enforced(known, words):
    assert pace_text(ProgressMeter(1, 1).read(0.0, statistics(**known))) == words


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (9.0, "closed"),
        (10.01, "open; calls start in 0.1 s"),
        (10.4, "open; calls start in 0.4 s"),
        (12.2, "open; calls start in 3 s"),
        (610, "open; calls start in 10 min"),
    ],
)
def test_the_breaker_is_shown_with_the_time_until_calls_start(gate, words):
    assert breaker_text(ProgressMeter(1, 1).read(10.0, statistics(gate=gate))) == words


def test_a_time_since_the_beginning_is_exact_at_first():
    assert [format_elapsed(seconds) for seconds in (0.04, 12.34, 750)] == ["0.0 s", "12.3 s", "12:30"]


def test_a_rate_is_shown_with_its_significant_decimals():
    texts = [format_rate(rate, "calls") for rate in (math.inf, 0.013, 1, 99.94, 1234.5)]
    assert texts == ["no limit", "0.78 calls/min", "1.0 calls/s", "99.9 calls/s", "1,234 calls/s"]


def test_the_rate_is_the_mean_of_the_last_five_seconds():
    meter = ProgressMeter(1_000, 1_000)
    for second in range(20):
        progress = meter.read(second, statistics(10 * second))
    assert progress.rate == pytest.approx(10)
    assert progress.left == pytest.approx((1_000 - 190) / 10)
    for second in range(20, 30):
        progress = meter.read(second, statistics(190))
    assert progress.rate == 0
    assert progress.left is None


def test_the_time_left_is_at_the_mean_of_the_last_twenty_seconds():
    meter = ProgressMeter(1_000, 1_000)
    for second in range(40):
        progress = meter.read(second, statistics(2 * second if second < 30 else 60 + 4 * (second - 30)))
    assert progress.items_rate == pytest.approx(4)
    assert progress.left == pytest.approx((1_000 - 96) / 2.9)


def test_calls_and_items_are_counted_separately():
    meter = ProgressMeter(100, 1_000)
    meter.read(0.0, statistics(0, served=0))
    progress = meter.read(2.0, statistics(10, served=40))
    assert progress.rate == pytest.approx(20)
    assert progress.left == pytest.approx(18)


def test_an_open_breaker_is_a_wait():
    assert ProgressMeter(1, 1_000).read(10.0, statistics(gate=22.5)).wait == 12.5
    assert ProgressMeter(1, 1_000).read(10.0, statistics(gate=9.0)).wait == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-:--"),
        (math.inf, "-:--"),
        (0, "0:00"),
        (6.2, "0:07"),
        (59.9, "1:00"),
        (750, "12:30"),
        (11_100, "3:05:00"),
    ],
)
def test_a_time_left_is_written_as_a_clock_does(seconds, text):
    assert format_clock(seconds) == text


def test_a_rate_needs_no_two_snapshots_in_the_window():
    meter = ProgressMeter(1_000, 1_000)
    meter.read(0.0, statistics(0))
    meter.read(10.0, statistics(100))
    progress = meter.read(20.0, statistics(300))
    assert (progress.rate, progress.left) == (20.0, pytest.approx(700 / 15))


def test_items_of_earlier_runs_count_as_done():
    progress = ProgressMeter(1_000, 1_000, done_before=400).read(0.0, statistics(100))
    assert (progress.done, progress.total) == (500, 1_000)


def test_the_cost_at_the_end_is_corrected_by_the_items_that_are_done():
    meter = ProgressMeter(1_000, quote=Range(1.0, 2.0, 3.0))
    assert meter.read(0.0, attrs.evolve(statistics(0), cost=0.0)).cost_at_end == Range(1.0, 2.0, 3.0)
    for done in range(100, 1_000, 100):
        progress = meter.read(done, attrs.evolve(statistics(done), cost=0.01 * done))
    assert progress.cost_at_end.low < progress.cost_at_end.likely == pytest.approx(10.0)
    assert meter.read(1_000.0, attrs.evolve(statistics(1_000), cost=10.0)).cost_at_end == Range(10.0, 10.0, 10.0)


def test_an_unknown_price_or_number_of_items_leaves_the_cost_at_the_end_unknown():
    assert ProgressMeter(1_000).read(0.0, statistics(10)).cost_at_end is None
    assert ProgressMeter(None).read(0.0, attrs.evolve(statistics(10), cost=1.0)).cost_at_end is None
