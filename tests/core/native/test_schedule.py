"""When a native job is looked at, and when its rows are rescued."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.native import schedule

TIMES = st.floats(0, 1e6)


@given(age=TIMES)
def test_the_wait_between_two_looks_is_within_its_bounds_and_at_most_a_tenth_of_an_old_jobs_age(age):
    wait = schedule.poll_wait(age)
    assert schedule.FIRST_POLL <= wait <= schedule.LONGEST_POLL
    assert wait == schedule.FIRST_POLL or wait <= age / 10 + 1e-9


@given(failures=st.integers(1, 10**6), asked=st.none() | st.floats(allow_nan=True), longest=st.floats(1, 1e4))
def test_the_wait_before_another_try_is_bounded_whatever_the_provider_asks_for(failures, asked, longest):
    wait = schedule.retry_wait(failures, longest, asked)
    assert 0 < wait <= longest
    if asked is not None and asked <= longest:
        assert wait >= asked


@given(
    began=st.floats(0, 2e9),
    window=st.floats(1, 1e6),
    rows=st.integers(0, 10**7),
    rate=st.none() | st.floats(0, 1e4),
)
def test_the_rescue_begins_in_the_second_half_of_the_window_and_before_its_end(began, window, rows, rate):
    deadline = began + window
    at = schedule.rescue_at(deadline, began, rows, rate)
    assert began + window / 2 - 1e-3 <= at < deadline


@given(window=st.floats(1, 1e6), rows=st.integers(0, 10**6), more=st.integers(0, 10**6), rate=st.floats(0.1, 1e3))
def test_the_more_rows_are_open_and_the_slower_they_are_served_the_earlier_the_rescue(window, rows, more, rate):
    at = schedule.rescue_at(window, 0.0, rows, rate)
    assert schedule.rescue_at(window, 0.0, rows + more, rate) <= at
    assert schedule.rescue_at(window, 0.0, rows, rate * 2) >= at


def test_a_night_of_ten_thousand_rows_at_five_a_second_leaves_an_hour_for_the_rescue():
    eight_hours = 8 * 3600.0
    assert schedule.rescue_at(eight_hours, 0.0, 10_000, None) == eight_hours - (600 + 3000)


def test_a_deadline_that_has_passed_is_due_at_once():
    assert schedule.rescue_at(100.0, 200.0, 5, 1.0) == 100.0
