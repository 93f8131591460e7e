"""Throughput: the pace of a lane whose jobs wait; idle time and rare calls are no evidence of a low pace."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.queue.throughput import Throughput

times = st.lists(st.floats(0, 100, allow_nan=False), max_size=60)


@given(times, st.floats(0, 50), st.sets(st.integers(0, 60)))
def test_a_rate_is_above_zero_or_unknown(gaps, later, resets):
    throughput, now = Throughput(), 0.0
    for number, gap in enumerate(gaps):
        now += gap
        if number in resets:
            throughput.reset()
        throughput.record(now)
        rate = throughput.rate(now)
        assert rate is None or rate > 0
    rate = throughput.rate(now + later)
    assert rate is None or rate > 0


@given(st.floats(0.01, 60), st.integers(1, 20), st.floats(0, 1, exclude_max=True))
def test_the_rate_of_a_steady_lane_is_its_pace_and_at_most_twice_that(every, burst, part):
    throughput, now = Throughput(), 0.0
    for _ in range(3 + int(20 / every)):
        now += every
        for _ in range(burst):
            throughput.record(now)
    rate = throughput.rate(now + part * every)
    assert rate is not None
    assert 0.99 * burst / every <= rate <= 2.01 * burst / every


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30), st.floats(0, 1e5))
def test_what_happened_before_a_job_began_to_wait_is_forgotten(gaps, idle):
    used, fresh, now = Throughput(), Throughput(), 0.0
    for gap in gaps:
        now += gap
        used.record(now)
    now += idle
    used.reset()
    for _ in range(40):
        assert used.rate(now) == fresh.rate(now)
        used.record(now)
        fresh.record(now)
        now += 0.4


@given(st.integers(1, 1000))
def test_a_burst_says_nothing_about_the_pace_before_some_seconds_have_passed(calls):
    throughput = Throughput()
    for _ in range(calls):
        throughput.record(0.0)
    assert throughput.rate(2.4) is None


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30), st.floats(2.5, 1e4), st.floats(0, 1e4))
def test_while_nothing_starts_the_rate_falls(gaps, first, later):
    throughput, now = Throughput(), 0.0
    throughput.record(now)
    for gap in gaps:
        now += gap
        throughput.record(now)
    assert throughput.rate(now + first) >= throughput.rate(now + first + later)
