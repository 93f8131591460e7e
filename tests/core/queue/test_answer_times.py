"""Answer times: how long calls take, though some were cut off; which call is hopeless, and which cut-off blames the provider."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.queue.answer_times import AnswerTimes

SECONDS = st.floats(0.001, 1_000)
ANSWERS = st.lists(st.tuples(st.floats(0, 30), SECONDS), max_size=40)


def recorded(answers):
    """Return the times after these answers, each with the seconds since the one before; and all ends."""
    times, now, ends = AnswerTimes(), 0.0, []
    for gap, seconds in answers:
        now += gap
        times.record(now, seconds)
        ends.append((now, seconds))
    return times, now, ends


@given(ANSWERS, st.floats(0, 300), SECONDS, SECONDS)
def test_a_call_is_hopeless_only_if_eight_fresh_answers_all_took_longer_than_what_is_left(answers, later, passed, left):
    times, now, ends = recorded(answers)
    now += later
    if times.is_hopeless(now, passed, left):
        fresh = [seconds for at, seconds in ends if at >= now - 120]
        assert len(fresh) >= 8
        assert left < min(seconds for at, seconds in ends if at >= now - 60)


@given(ANSWERS, SECONDS, SECONDS)
def test_a_call_for_which_more_time_is_left_than_has_passed_is_never_hopeless(answers, passed, more):
    times, now, _ = recorded(answers)
    assert not times.is_hopeless(now, passed, passed + more)


@given(ANSWERS, SECONDS, SECONDS, SECONDS)
def test_more_time_never_makes_a_call_hopeless(answers, passed, left, more):
    times, now, _ = recorded(answers)
    if not times.is_hopeless(now, passed, left):
        assert not times.is_hopeless(now, passed, left + more)


@given(ANSWERS.filter(lambda answers: len(answers) < 8), st.booleans())
def test_nothing_is_known_of_fewer_than_eight_answers(answers, others):
    times, now, _ = recorded(answers)
    assert times.usual(now) is times.slow(now, 1.0) is times.needed(now, others=others) is None
    assert times.blames_provider(now, 1_000.0) is None
    assert times.is_hopeless(now, 1_000.0, 0.0, others=others) == others  # the others have more time


@given(ANSWERS, st.floats(240, 10_000))
def test_what_is_old_is_forgotten(answers, later):
    times, now, _ = recorded(answers)
    assert times.usual(now + later) is times.slow(now + later, 1.0) is None


@given(st.lists(SECONDS, min_size=8, max_size=40))
def test_the_answers_of_a_minute_are_all_known(seconds):
    times, now, _ = recorded([(1.0, each) for each in seconds])
    assert times.slow(now, 2 * max(seconds)) == max(seconds)
    assert times.needed(now, others=False) == 0.8 * min(seconds)
    assert abs(times.usual(now) - sum(seconds) / len(seconds)) < 1e-6


@given(ANSWERS, SECONDS, SECONDS)
def test_what_is_hopeless_without_others_that_have_more_time_is_so_with_them(answers, passed, left):
    times, now, _ = recorded(answers)
    if times.is_hopeless(now, passed, left):
        assert times.is_hopeless(now, passed, left, others=True)


@given(st.lists(SECONDS, min_size=30, max_size=90), st.integers(1, 30))
def test_with_others_a_call_needs_what_nine_of_ten_take(seconds, repeat):
    times, now, _ = recorded([(0.1, each) for each in seconds])
    for _ in range(repeat):
        needed = times.needed(now, others=True)
        assert sum(each <= needed for each in seconds) >= 0.9 * len(seconds)


@given(st.lists(SECONDS, min_size=8, max_size=90), SECONDS, SECONDS)
def test_what_a_call_may_take_is_no_more_than_the_slowest_answer_and_grows_with_its_timeout(seconds, timeout, more):
    times, now, _ = recorded([(0.1, each) for each in seconds])
    slow = times.slow(now, timeout)
    assert 0 < slow <= max(seconds)
    assert slow <= times.slow(now, timeout + more)


def test_of_a_timeout_that_is_long_enough_a_tenth_may_be_spent_on_waiting():
    times, now = spread(math.inf, calls=100)
    assert times.slow(now, 10.0) < 5.0
    assert times.slow(now, 2.6) <= 0.9 * 2.6
    assert times.slow(now, 0.9) > 0.9 * 0.9  # with less, many fewer would be answered


def spread(patience, seed=1, calls=90):
    """Return the times of calls of about a second, as callers see them that wait for `patience` seconds only."""
    times, chance = AnswerTimes(), random.Random(seed)
    for number in range(calls):
        seconds = chance.lognormvariate(0.0, 0.5)
        if seconds <= patience:
            times.record(0.1 * number, seconds)
        else:
            times.record_cut_off(patience)
    return times, 0.1 * calls


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("patience", [0.7, 0.9, 1.2])
def test_callers_with_short_timeouts_never_blame_a_provider_that_answers(patience, seed):
    times, now = spread(patience, seed)
    assert times.blames_provider(now, patience) is not True


@pytest.mark.parametrize("seed", range(5))
def test_cut_offs_after_a_time_that_hardly_any_call_takes_blame_the_provider_though_none_is_answered_any_more(seed):
    times, now = spread(math.inf, seed)
    for _ in range(200):
        assert times.blames_provider(now, 4.0)
        assert not times.blames_provider(now, 1.0)
        times.record_cut_off(4.0)


def test_cut_offs_do_not_make_a_provider_look_fast():
    times, now = spread(1.0, calls=60)
    for _ in range(30):  # others are patient
        times.record(now, 1.6)
    assert times.needed(now, others=True) == 1.6


def test_a_call_that_waited_for_too_long_is_hopeless():
    times, now, _ = recorded([(1.0, 2.0)] * 8)
    assert times.is_hopeless(now, 3.5, 1.5)
    assert not times.is_hopeless(now, 3.3, 1.7)
    assert not times.is_hopeless(now, 1.4, 1.5)
