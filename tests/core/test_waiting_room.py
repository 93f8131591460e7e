"""A waiting room refuses at once a call that would wait in vain, and no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.waiting_room import RoomLimits, refusal
from paceline.exceptions import ConfigurationError

NUMBERS = st.integers(0, 10_000)
SECONDS = st.floats(0, 1e6)
NEW = {"calls": 0, "characters": 10, "ahead": 0, "seconds": None, "duration": 0.0, "timeout": None}


def refused(limits=RoomLimits(), **numbers):  # noqa: B008 - frozen
    return refusal(limits, **{**NEW, **numbers})


@given(characters=NUMBERS, ahead=NUMBERS, seconds=st.none() | SECONDS, duration=SECONDS)
def test_a_call_without_a_timeout_may_wait_while_there_is_room(characters, ahead, seconds, duration):
    assert refused(characters=characters, ahead=ahead, seconds=seconds, duration=duration) is None


@given(duration=SECONDS, timeout=SECONDS)
def test_a_call_that_none_is_ahead_of_is_never_refused(duration, timeout):
    assert refused(ahead=0, seconds=0.0, duration=duration, timeout=timeout) is None


@given(ahead=NUMBERS, duration=SECONDS, timeout=SECONDS)
def test_where_no_pace_was_measured_a_call_may_wait(ahead, duration, timeout):
    assert refused(ahead=ahead, seconds=None, duration=duration, timeout=timeout) is None


@given(ahead=st.integers(1, 1000), seconds=st.floats(0.01, 1e3), duration=st.floats(0, 1e3), timeout=st.floats(0, 1e4))
def test_a_call_that_could_not_end_before_its_timeout_is_refused_until_it_could(ahead, seconds, duration, timeout):
    refusal_ = refused(ahead=ahead, seconds=seconds, duration=duration, timeout=timeout)
    if seconds + duration > timeout:
        assert refusal_ is not None
        assert refusal_.ahead == ahead
        assert refusal_.retry_after >= seconds + duration - timeout
    if refusal_ is not None:
        assert refusal_.retry_after > 0
        later = max(0.0, seconds - 1.0001 * refusal_.retry_after)
        assert refused(ahead=ahead, seconds=later, duration=duration, timeout=timeout) is None or not later


def test_a_call_whose_turn_comes_in_time_is_refused_if_it_could_not_end_in_time():
    assert refused(ahead=50, seconds=1.0, duration=1.0, timeout=2.0) is not None
    assert refused(ahead=50, seconds=1.0, duration=0.5, timeout=2.0) is None


def test_the_reason_names_what_is_ahead_and_how_long_it_takes():
    found = refused(ahead=50, seconds=1.0, duration=1.0, timeout=2.0)
    assert (
        found.reason == "50 calls are ahead, for about 1.0 s, the call itself takes about 1.0 s, and its timeout is 2 s"
    )


def test_a_full_room_refuses_by_number_and_by_size():
    limits = RoomLimits(calls=2, characters=100)
    assert refused(limits, calls=1, characters=100) is None
    assert refused(limits, calls=2).retry_after == 1.0
    assert refused(limits, calls=2, ahead=100, seconds=10.0).retry_after == 5.0
    assert refused(limits, calls=1, characters=101) is not None
    assert refused(limits, calls=0, characters=101) is None, "a prompt larger than the room may be alone in it"


@pytest.mark.parametrize("bounds", [(0, 1), (1, 0), (1.5, 1)])
def test_a_room_has_space_for_one(bounds):
    with pytest.raises(ConfigurationError):
        RoomLimits(*bounds)
