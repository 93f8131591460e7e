"""Denials: who was denied waits, each time longer, until an answer; and no other strategy does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.fault import Fault, FaultKind
from paceline._core.health.denials import Denials

DENIED = Fault(FaultKind.DENIED, "401 wrong key")


class Strategy:
    """Stands for a strategy; equal to all others, as attrs would make it."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1_000), st.sampled_from(["denied", "denied", "answered"]))))
def test_a_strategy_is_closed_only_for_a_while_and_only_after_a_denial_of_its_own(steps):
    strategies, denials, now = [Strategy() for _ in range(3)], Denials(), 0.0
    denied: dict[int, float] = {}
    for number, gap, what in steps:
        now += gap
        if what == "denied":
            denials.record(strategies[number], DENIED, now)
            denied[number] = now
            assert denials.reason(strategies[number], now) is not None
        else:
            denials.record_answer(strategies[number])
            denied.pop(number, None)
        for other, strategy in enumerate(strategies):
            if denials.reason(strategy, now) is not None:
                assert other in denied
            assert denials.reason(strategy, denied.get(other, now) + 300) is None


def test_each_denial_after_a_trial_closes_for_twice_as_long_and_an_answer_ends_that():
    strategy, denials, now, closed = Strategy(), Denials(), 0.0, []
    for _ in range(9):
        denials.record(strategy, DENIED, now)
        before = now
        while denials.reason(strategy, now) is not None:
            now += 1.0
        closed.append(now - before)
    assert closed == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 60.0, 60.0]
    denials.record_answer(strategy)
    denials.record(strategy, DENIED, now)
    assert denials.reason(strategy, now + 5.0) is None


def test_denials_of_calls_that_were_in_flight_together_count_once():
    strategy, denials = Strategy(), Denials()
    for number in range(10):
        denials.record(strategy, DENIED, number / 10)
    assert denials.reason(strategy, 4.9) is not None
    assert denials.reason(strategy, 5.0) is None


def test_the_reason_quotes_the_denial():
    strategy, denials = Strategy(), Denials()
    denials.record(strategy, DENIED, 0.0)
    reason = denials.reason(strategy, 2.0)
    assert reason is not None
    assert reason.kind is FaultKind.PENDING
    assert reason.message == "not called, because the last call was denied: 401 wrong key"
    assert reason.retry_after == 3.0


def test_the_first_denial_and_the_first_answer_after_it_are_kept_apart_from_the_others():
    strategy, denials = Strategy(), Denials()
    assert not denials.record_answer(strategy)
    assert [denials.record(strategy, DENIED, now) for now in (0.0, 1.0, 5.0, 15.0)] == [True, False, False, False]
    assert [denials.record_answer(strategy) for _ in range(2)] == [True, False]
    assert denials.record(strategy, DENIED, 20.0)


def test_clearing_lets_calls_be_made_at_once_and_the_next_denial_closes_for_the_shortest_time():
    strategy, denials, now = Strategy(), Denials(), 0.0
    for _ in range(4):
        denials.record(strategy, DENIED, now)
        now += 60.0
    denials.record(strategy, DENIED, now)
    denials.clear()
    assert denials.reason(strategy, now) is None
    assert not denials.record(strategy, DENIED, now)
    assert denials.reason(strategy, now + 4.9) is not None
    assert denials.reason(strategy, now + 5.0) is None
    denials.clear()
    assert denials.record_answer(strategy)


def test_a_service_with_an_instance_for_each_request_remembers_a_bounded_number():
    denials, strategies = Denials(), [Strategy() for _ in range(3_000)]
    for strategy in strategies:
        denials.record(strategy, DENIED, 0.0)
    assert len(denials) == 1_000
    assert denials.reason(strategies[-1], 1.0) is not None
    assert denials.reason(strategies[0], 1.0) is None
