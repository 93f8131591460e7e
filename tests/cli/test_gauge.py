"""The figures of a batch under way."""

from __future__ import annotations

import math

import pytest

from paceline import FaultKind, ProcessorStatistics, TokenUsage
from paceline._core.pace import PaceStatistics
from paceline.cli.gauge import Gauge, clock


def statistics(done=0, *, failed=0, served=None, gate=-math.inf, refusals=0):
    lane = PaceStatistics(
        limit=20,
        rate=math.inf,
        token_rate=math.inf,
        in_flight=3,
        served=done if served is None else served,
        throttled=0,
        gate=gate,
    )
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
        lanes={"lane": lane},
    )


def test_the_first_reading_knows_no_rate():
    reading = Gauge(100).read(50.0, statistics(10, failed=2, refusals=4))
    assert (reading.total, reading.done, reading.failed, reading.refusals) == (100, 10, 2, 4)
    assert (reading.workers, reading.in_flight) == (20, 3)
    assert (reading.rate, reading.left, reading.wait) == (0.0, None, 0.0)


def test_before_the_first_lane_there_are_no_workers():
    empty = statistics()
    empty.lanes.clear()
    reading = Gauge(100).read(0.0, empty)
    assert (reading.workers, reading.rate, reading.wait) == (0, 0.0, 0.0)


def test_the_rate_is_that_of_the_last_seconds():
    gauge = Gauge(1_000)
    for second in range(20):
        reading = gauge.read(second, statistics(10 * second))
    assert reading.rate == pytest.approx(10)
    assert reading.left == pytest.approx((1_000 - 190) / 10)
    for second in range(20, 30):
        reading = gauge.read(second, statistics(190))
    assert reading.rate == 0
    assert reading.left is None


def test_calls_and_items_are_counted_apart():
    gauge = Gauge(100)
    gauge.read(0.0, statistics(0, served=0))
    reading = gauge.read(2.0, statistics(10, served=40))
    assert reading.rate == pytest.approx(20)
    assert reading.left == pytest.approx(18)


def test_a_gate_in_the_future_is_a_wait():
    assert Gauge(1).read(10.0, statistics(gate=22.5)).wait == 12.5
    assert Gauge(1).read(10.0, statistics(gate=9.0)).wait == 0


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
    assert clock(seconds) == text
