"""Waiting room: a call that would wait in vain is refused at once, and no other; a refusal says when to come back."""

from __future__ import annotations

import math
import re
from collections import Counter

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.fault import Fault, FaultKind
from paceline._core.queue.waiting_room import RoomLimits, closed_refusal, refusal, shut_refusal
from paceline.exceptions import ConfigurationError

LIMITS = RoomLimits(100, 5_000)


@attrs.frozen
class Asked:
    calls: int
    size: int
    ahead: int
    rate: float | None
    slow: float
    timeout: float | None
    shut: float = 0.0

    def answer(self, **changes):
        return refusal(LIMITS, **(attrs.asdict(self) | {"chance": 0.0} | changes))


asked = st.builds(
    Asked,
    calls=st.integers(0, 150),
    size=st.integers(0, 10_000),
    ahead=st.integers(0, 10**6),
    rate=st.none() | st.floats(1e-6, 1e4),
    slow=st.just(0.0) | st.floats(0, 1e3),
    timeout=st.none() | st.floats(0, 1e5),
)
at_shut_lanes = st.builds(lambda asked, shut: attrs.evolve(asked, shut=shut), asked, st.floats(0.001, 1e4))


@given(asked)
def test_every_refusal_has_a_reason_the_calls_ahead_and_a_time_of_a_second_or_more(asked):
    refused = asked.answer()
    if refused is not None:
        assert refused.reason
        assert refused.ahead == asked.ahead
        assert 1 <= refused.retry_after < 1e13


@given(asked)
def test_an_empty_room_refuses_only_what_is_hopeless(asked):
    refused = asked.answer(calls=0)
    if asked.timeout is None or asked.rate is None:
        assert refused is None
    elif refused is not None:
        assert 1.1 * asked.ahead / asked.rate + asked.slow > asked.timeout
    elif asked.ahead:
        assert asked.ahead / asked.rate + asked.slow <= asked.timeout


@given(asked)
def test_a_call_that_is_next_is_never_too_late(asked):
    assert asked.answer(calls=0, ahead=0) is None


@given(asked)
def test_a_pace_that_is_not_known_is_no_reason_to_refuse(asked):
    assert asked.answer(calls=0, rate=None) is None


@given(at_shut_lanes)
def test_a_call_is_refused_at_a_lane_that_opens_too_late_for_it_with_the_time_at_which_it_opens(asked):
    refused = asked.answer(calls=0, ahead=0)
    if asked.timeout is None:
        assert refused is None
    else:
        assert (refused is not None) == (asked.shut + asked.slow > asked.timeout)
    if refused is not None:
        assert refused.retry_after == max(1.0, asked.shut)


@given(asked, st.floats(0, 1e4))
def test_a_shut_lane_lets_no_call_in_that_an_open_one_refuses(asked, shut):
    if asked.answer() is not None:
        assert asked.answer(shut=shut) is not None


@given(asked, st.integers(0, 1000))
def test_more_calls_ahead_never_let_a_call_in(asked, more):
    if asked.answer() is not None:
        assert asked.answer(ahead=asked.ahead + more) is not None


@given(asked, st.floats(0, 1e5))
def test_more_patience_never_gets_a_call_refused(asked, more):
    if asked.answer() is None:
        assert asked.answer(timeout=None) is None
        if asked.timeout is not None:
            assert asked.answer(timeout=asked.timeout + more) is None


@given(asked, st.integers(0, 100), st.integers(0, 5_000))
def test_more_calls_or_bytes_never_let_a_call_in(asked, calls, more):
    if asked.answer() is not None:
        assert asked.answer(calls=asked.calls + calls, size=asked.size + more) is not None


@given(asked)
def test_the_room_never_holds_more_calls_or_bytes_than_its_bounds_except_one_long_prompt(asked):
    if asked.answer() is None:
        assert asked.calls < LIMITS.calls
        assert asked.size <= LIMITS.bytes or not asked.calls


@given(asked, st.floats(0, 1))
def test_a_jitter_decides_nothing_and_never_makes_a_time_shorter(asked, chance):
    plain, spread = asked.answer(), asked.answer(chance=chance)
    assert (plain is None) == (spread is None)
    if plain is not None and spread is not None:
        assert plain.reason == spread.reason
        assert plain.retry_after <= spread.retry_after <= 2 * plain.retry_after + 4


@given(asked)
def test_of_a_thousand_refused_calls_few_come_back_in_the_same_second(asked):
    if asked.answer() is None:
        return
    seconds = Counter(math.ceil(asked.answer(chance=number / 1_000).retry_after) for number in range(1_000))
    assert max(seconds.values()) <= 250 + 1


@given(asked)
def test_who_comes_back_after_the_time_named_is_let_in_if_the_pace_holds(asked):
    refused = asked.answer(calls=1, size=1)
    if refused is not None:
        ahead = max(0, asked.ahead - 1.0001 * refused.retry_after * asked.rate)
        assert asked.answer(calls=1, size=1, ahead=int(ahead)) is None


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (Asked(100, 10, 100, 2.0, 1.0, None), "the waiting room is full: 100 calls wait"),
        (
            Asked(1, 5_001, 0, None, 0.0, None),
            "the waiting room is full: with this prompt, 5,001 bytes would wait",
        ),
        (Asked(1, 10, 1, 0.1, 0.0, 5.0), "1 call is ahead, for about 11.0 s, and its timeout is 5 s"),
        (
            Asked(1, 10, 50, 50.0, 1.0, 2.0),
            "50 calls are ahead, for about 1.1 s, a call may take 1.0 s, which is 2.10 s in all, and its timeout is 2 s",
        ),
        (
            Asked(1, 10, 0, None, 1.0, 2.0, shut=30.0),
            (
                "no call starts for about 30.0 s, as the provider refused or failed all calls lately, a call may take 1.0 s, "
                "which is 31.00 s in all, and its timeout is 2 s"
            ),
        ),
    ],
)
def test_the_reason_says_what_there_is_too_much_of(asked, reason):
    assert asked.answer().reason == reason


@given(asked)
def test_the_seconds_in_all_that_a_refusal_names_are_not_less_than_the_timeout(asked):
    refused = asked.answer(calls=0)
    if refused is not None and (found := re.search(r"which is ([\d.]+) s in all", refused.reason)):
        assert float(found[1]) >= asked.timeout


def test_a_call_whose_turn_comes_in_time_is_refused_if_it_could_not_end_in_time():
    assert Asked(1, 10, 50, 50.0, 1.0, 2.0).answer() is not None
    assert Asked(1, 10, 50, 50.0, 0.5, 2.0).answer() is None


def test_who_finds_the_room_full_comes_back_when_half_of_those_ahead_have_started():
    assert Asked(100, 10, 100, 10.0, 1.0, None).answer().retry_after == pytest.approx(5.5)
    assert Asked(100, 10, 100, None, 1.0, None).answer().retry_after == 1.0


def test_a_prompt_larger_than_the_room_may_be_alone_in_it():
    assert Asked(0, 5_001, 0, None, 0.0, None).answer() is None
    assert Asked(1, 5_000, 0, None, 0.0, None).answer() is None


@pytest.mark.parametrize("bounds", [(0, 1), (1, 0), (-1, 1), (1.5, 1), (1, True)])
def test_bounds_are_whole_numbers_of_1_or_more(bounds):
    with pytest.raises(ConfigurationError):
        RoomLimits(*bounds)


@given(st.none() | st.floats(0.01, 1e6), st.floats(0, 1))
def test_what_is_shut_is_worth_trying_once_it_is_tried_again_or_little_later(seconds, chance):
    refused = shut_refusal(Fault(FaultKind.PENDING, "the key was denied", seconds), chance)
    assert refused.reason == "the key was denied"
    assert max(1.0, seconds or 0.0) <= refused.retry_after <= max(1.0, seconds or 0.0) + 4.0


@given(st.floats(0, 1))
def test_a_closed_pool_says_why_and_that_another_process_may_answer_soon(chance):
    refused = closed_refusal("SIGTERM", chance)
    assert refused.reason == "the pool takes no more calls: SIGTERM"
    assert 1.0 <= refused.retry_after <= 5.0
