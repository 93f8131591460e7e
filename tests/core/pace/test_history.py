"""The history: every change with its reason, the steps of one climb as one."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.history import CALLS, GATE, WORKERS, History

numbers = st.floats(0.001, 1e6) | st.just(math.inf)
LONGEST = 200  # entries
STEP = 1.05


def entries(history):
    return [(change.old, change.new, change.reason, change.handle) for change in history.changes]


def test_an_unchanged_value_is_not_recorded():
    history = History()
    history.start(WORKERS, 20.0)
    history.add(1.0, WORKERS, 20.0, "no reason")
    history.climb(1.0, WORKERS, 20.0, "no reason")
    history.add(1.0, GATE, 5.0, "a handle that was not started")
    assert not history.changes


@given(st.lists(numbers, min_size=1, max_size=60))
def test_changes_form_a_chain(values):
    history = History()
    history.start(CALLS, 1.0)
    for now, value in enumerate(values):
        history.add(float(now), CALLS, value, "because")
    chain = [1.0] + [change.new for change in history.changes]
    assert [change.old for change in history.changes] == chain[:-1]
    assert chain[-1] == values[-1]


@given(st.lists(st.floats(1.0, 1.2), min_size=1, max_size=100))
def test_the_steps_of_a_climb_are_one_entry_and_small_ones_wait(factors):
    history, value, last = History(), 10.0, 10.0
    history.start(CALLS, value)
    for now, factor in enumerate(factors):
        value *= factor
        history.climb(float(now), CALLS, value, "it climbs")
        if value >= last * STEP:
            last = value
    assert entries(history) == ([(10.0, last, "it climbs", CALLS)] if last > 10.0 else [])


def test_a_climb_after_something_else_or_for_another_reason_is_another_entry():
    history = History()
    history.start(CALLS, 10.0)
    history.start(WORKERS, 10.0)
    history.climb(1.0, CALLS, 20.0, "it climbs")
    history.climb(2.0, WORKERS, 20.0, "it climbs")
    history.climb(3.0, CALLS, 30.0, "it climbs")
    history.climb(4.0, CALLS, 40.0, "it climbs still")
    history.climb(5.0, CALLS, 50.0, "it climbs still")
    assert entries(history) == [
        (10.0, 20.0, "it climbs", CALLS),
        (10.0, 20.0, "it climbs", WORKERS),
        (20.0, 30.0, "it climbs", CALLS),
        (30.0, 50.0, "it climbs still", CALLS),
    ]
    assert [change.time for change in history.changes] == [1.0, 2.0, 3.0, 5.0]


def test_a_fall_in_small_steps_and_a_first_limit_are_recorded_like_a_climb():
    history = History()
    history.start(CALLS, math.inf)
    history.climb(1.0, CALLS, 10.0, "it falls")
    history.climb(2.0, CALLS, 9.6, "it falls on")
    history.climb(3.0, CALLS, 9.5, "it falls on")
    history.climb(4.0, CALLS, math.inf, "it is gone")
    assert [(old, new) for old, new, _, _ in entries(history)] == [(math.inf, 10.0), (10.0, 9.5), (9.5, math.inf)]


def test_the_latest_two_hundred_changes_are_kept():
    history = History()
    for now in range(500):
        history.add(float(now), CALLS, float(now), "because")
    assert [change.time for change in history.changes] == [float(now) for now in range(300, 500)]


moves = st.tuples(st.sampled_from(["add", "climb", "start"]), st.sampled_from([WORKERS, CALLS]), numbers)


@given(st.lists(moves, max_size=50), st.integers(1, 20))
def test_the_history_is_bounded_after_any_sequence(history, times):
    of = History()
    for now, (name, handle, value) in enumerate(history * times):
        if name == "start":
            of.start(handle, value)
        else:
            getattr(of, name)(float(now), handle, value, f"because of {name}")
        assert len(of.changes) <= LONGEST
