"""Unread changes: each change of the pace is read once."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace import PaceChange
from paceline._core.pace.history import UnreadChanges


def change(number, time=None):
    return PaceChange(float(number if time is None else time), number, number + 1, f"reason {number}")


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=60))
def test_each_change_is_read_once_and_in_order(steps):
    unread, history, read, time = UnreadChanges(), deque(maxlen=200), [], 0
    for number, (gap, is_polled) in enumerate(steps):
        time += gap
        history.append(change(number, time))
        if is_polled:
            read += unread.read(history)
    read += unread.read(history)
    assert read == list(history)
    assert not unread.read(history)


def test_there_is_nothing_new_in_an_empty_history():
    assert not UnreadChanges().read(())


def test_a_climb_that_continues_is_read_again_and_earlier_changes_are_not():
    unread, history = UnreadChanges(), [change(1), change(2, 1.0)]
    assert len(unread.read(history)) == 2
    history[-1] = PaceChange(1.0, 2, 9, "reason 2")
    assert [new.new for new in unread.read(history)] == [9]
    history[-1] = PaceChange(3.0, 2, 10, "reason 2")
    assert [new.new for new in unread.read(history)] == [10]


def test_two_changes_at_the_same_time_are_both_read():
    unread = UnreadChanges()
    both = [change(1, 5.0), change(2, 5.0)]
    assert unread.read(both[:1]) == both[:1]
    assert unread.read(both) == both[1:]


def test_changes_dropped_from_the_history_are_not_read():
    unread, history = UnreadChanges(), deque(maxlen=3)
    history.append(change(0))
    unread.read(history)
    history.extend(change(number) for number in range(1, 9))
    assert [new.old for new in unread.read(history)] == [6, 7, 8]
