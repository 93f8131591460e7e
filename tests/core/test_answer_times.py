"""Answer times: a call is hopeless only if it waited, and even the fastest of enough fresh answers took longer than what is left."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.answer_times import AnswerTimes

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


@given(ANSWERS.filter(lambda answers: len(answers) < 8))
def test_nothing_is_known_of_fewer_than_eight_answers(answers):
    times, now, _ = recorded(answers)
    assert times.usual(now) is times.fastest(now) is None
    assert not times.is_hopeless(now, 1_000.0, 0.0)


@given(ANSWERS, st.floats(240, 10_000))
def test_what_is_old_is_forgotten(answers, later):
    times, now, _ = recorded(answers)
    assert times.usual(now + later) is times.fastest(now + later) is None


@given(st.lists(SECONDS, min_size=8, max_size=40))
def test_the_answers_of_a_minute_are_all_known(seconds):
    times, now, _ = recorded([(1.0, each) for each in seconds])
    assert times.fastest(now) == min(seconds)
    assert abs(times.usual(now) - sum(seconds) / len(seconds)) < 1e-6


def test_a_call_that_waited_for_too_long_is_hopeless():
    times, now, _ = recorded([(1.0, 2.0)] * 8)
    assert times.is_hopeless(now, 3.5, 1.5)
    assert not times.is_hopeless(now, 3.3, 1.7)
    assert not times.is_hopeless(now, 1.4, 1.5)
