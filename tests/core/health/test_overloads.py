"""Overloads: too many fast ones for chance are the refusals of a limit; slow ones, and those of a provider that serves nothing, are illness."""

from __future__ import annotations

import heapq
import math
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paceline._core.health.overloads import LaneOverloads

ANSWER, REFUSAL = 1.0, 0.05  # seconds
seeds = st.integers(0, 10_000)


class Lane:
    """Calls that start one after the other; each ends by an answer or by an overload, after its own time."""

    def __init__(self):
        self.overloads = LaneOverloads()
        self.now = 0.0
        self.verdicts = []
        self.limit_after = None
        self._ends = []
        self._in_flight = {}
        self._calls = 0

    def start(self, seconds, *, refused, after=0.0):
        """Start a call once `after` seconds have passed."""
        self.pass_until(self.now + after)
        self._calls += 1
        order = self.overloads.record_start()
        self._in_flight[order] = self.now
        heapq.heappush(self._ends, (self.now + seconds, order, self.now, refused))

    def pass_until(self, time):
        """Let calls end until then."""
        while self._ends and self._ends[0][0] <= time:
            self.now, order, started, refused = heapq.heappop(self._ends)
            if refused:
                self.verdicts.append(self.overload(order, started))
                if self.overloads.is_limit and self.limit_after is None:
                    self.limit_after = self._calls
            del self._in_flight[order]
            if not refused:
                self.overloads.record_answer(started, self.now, accepted=True)
        self.now = max(self.now, time) if time < math.inf else self.now

    def overload(self, order, started, before=None):
        """Let a call in flight end with an overload; return whether it is a refusal."""
        oldest = next(iter(self._in_flight.values()), started)
        return self.overloads.record_overload(order, started, self.now, before=before, oldest=oldest)

    def end(self):
        self.pass_until(math.inf)
        return self


def served_lane(calls=50, every=0.1):
    lane = Lane()
    for _ in range(calls):
        lane.start(ANSWER, refused=False, after=every)
    return lane


def failing_at_random(share, calls, seed, every=0.02):
    chance, lane = Random(seed), served_lane()
    for _ in range(calls):
        refused = chance.random() < share
        lane.start(REFUSAL * chance.uniform(0.7, 1.3) if refused else ANSWER, refused=refused, after=every)
    return lane.end()


@pytest.mark.parametrize("seed", range(20))
def test_errors_by_chance_of_three_calls_in_a_hundred_never_show_a_limit(seed):
    lane = failing_at_random(0.03, 5_000, seed)
    assert lane.limit_after is None
    assert all(lane.verdicts), "each came while others were served"


@given(seeds, st.floats(0.25, 0.7), st.floats(0.001, 0.05))
def test_where_a_quarter_of_the_calls_is_refused_a_limit_shows_within_some_hundred_calls(seed, share, every):
    chance, lane = Random(seed), served_lane()
    for _ in range(400):
        refused = chance.random() < share
        lane.start(REFUSAL * chance.uniform(0.7, 1.3) if refused else ANSWER, refused=refused, after=every)
    assert lane.end().limit_after is not None


@given(st.integers(1, 30), st.floats(0.01, 0.5))
def test_a_full_cap_is_known_before_any_answer(cap, every):
    lane = Lane()
    for _ in range(cap):
        lane.start(1_000.0, refused=False, after=every)
    for _ in range(12):
        lane.start(REFUSAL, refused=True, after=0.2)
    lane.pass_until(lane.now + 1.0)
    assert lane.limit_after is not None
    assert lane.limit_after <= cap + 12


@given(st.integers(1, 200), st.floats(0.0, 0.2), seeds)
def test_a_provider_that_fails_everything_is_ill(calls, every, seed):
    chance, lane = Random(seed), served_lane()
    lane.pass_until(lane.now + 2 * ANSWER)
    for _ in range(calls):
        lane.start(REFUSAL * chance.uniform(0.7, 1.3), refused=True, after=every)
    lane.end()
    assert not any(lane.verdicts)
    assert lane.limit_after is None


@given(st.floats(1.05, 60.0), st.integers(1, 100))
def test_a_slow_overload_is_illness_whatever_others_get(times, calls):
    lane = served_lane()
    for _ in range(calls):
        lane.start(times * ANSWER, refused=True, after=0.1)
        lane.start(ANSWER, refused=False)
    lane.end()
    assert not any(lane.verdicts)
    assert lane.limit_after is None


def limited_lane():
    lane = served_lane()
    for _ in range(12):
        lane.start(REFUSAL, refused=True, after=0.01)
    lane.pass_until(lane.now + 10 * ANSWER)
    assert lane.overloads.is_limit
    return lane


@given(st.integers(1, 50))
def test_after_that_the_refusals_of_a_used_up_window_are_refusals_though_nothing_is_served(calls):
    lane = limited_lane()
    lane.verdicts.clear()
    for _ in range(calls):
        lane.start(REFUSAL, refused=True, after=1.0)
    assert lane.end().verdicts == [True] * calls
    lane.start(5 * ANSWER, refused=True)
    assert lane.end().verdicts[-1] is False, "a slow one is illness still"


@given(st.booleans(), st.floats(0.0, 1.0))
def test_an_item_that_is_called_again_is_refused_if_another_was_served_meanwhile(served, gap):
    lane = Lane()
    lane.start(ANSWER, refused=False)
    lane.end()
    before = lane.now
    if served:
        lane.start(ANSWER, refused=False)
        lane.end()
    lane.now += gap
    order, started = lane.overloads.record_start(), lane.now
    lane.now += REFUSAL
    assert lane.overload(order, started, before) is served


@given(st.lists(st.floats(0.7, 1.3), min_size=30, max_size=30), st.integers(2, 8))
@example([1.0] * 30, 2)
def test_the_verdict_hardly_depends_on_the_order_in_which_refusals_come_back(spread, burst):
    def lane_of(times):
        lane = served_lane()
        for number, factor in enumerate(times):
            refused = number % 2 == 0
            lane.start(REFUSAL * factor if refused else ANSWER, refused=refused, after=REFUSAL / burst)
        return lane.end()

    in_order, out_of_order = lane_of([1.0] * 30), lane_of(spread)
    assert in_order.limit_after is not None
    assert out_of_order.limit_after is not None


def test_rejections_which_may_be_fast_do_not_make_an_overload_slow():
    lane = served_lane().end()
    for _ in range(100):
        lane.overloads.record_start()
        lane.overloads.record_answer(lane.now - 0.001, lane.now, accepted=False)
    lane.start(ANSWER, refused=False)
    lane.start(REFUSAL, refused=True, after=0.1)
    lane.pass_until(lane.now + 2 * REFUSAL)
    assert lane.verdicts == [True]
