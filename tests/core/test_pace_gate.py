"""After a refusal nothing starts before the gate, and the gate always opens again."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace import AIMD, Served, Throttled

from .caller import LONGEST_GATE, fill, histories, play, round_trip, settled_after


@given(st.floats(1e-3, 1e9))
def test_nothing_starts_before_the_time_that_the_provider_asked_for(hint):
    controller = AIMD()
    ticket = controller.started(5.0, 1.0)
    controller.settled(ticket, 7.0, Throttled(hint))
    gate = 7.0 + min(hint, LONGEST_GATE)
    assert controller.admit_at(7.0, 1.0) == gate
    assert controller.admit_at(gate, 1.0) == gate
    assert controller.admit_at(gate + 1.0, 1.0) == gate + 1.0


@given(st.sampled_from([None, -1.0, 0.0, math.nan, math.inf, -math.inf]))
def test_a_hint_that_is_none_leaves_a_wait_that_doubles_up_to_a_minute(hint):
    controller = AIMD()
    now, waits = 0.0, []
    for _ in range(30):
        controller.settled(controller.started(now, 1.0), now, Throttled(hint))
        waits.append(controller.admit_at(now, 1.0) - now)
        now += waits[-1]
    assert 0 < waits[0] <= 1
    assert waits == [pytest.approx(min(waits[0] * 2.0**cut, LONGEST_GATE)) for cut in range(30)]


def test_a_provider_that_refuses_for_days_is_asked_once_a_minute():
    controller = AIMD()
    now = 0.0
    for _ in range(2_000):
        controller.settled(controller.started(now, 1.0), now, Throttled())
        now = controller.admit_at(now, 1.0)
    assert 1_990 * LONGEST_GATE <= now <= 2_000 * LONGEST_GATE


def test_the_wait_is_short_again_once_a_call_was_served():
    controller = AIMD()
    now, waits = 0.0, []
    for signal in (Throttled(), Throttled(), Served(), Throttled()):
        controller.settled(controller.started(now, 1.0), now, signal)
        waits.append(controller.admit_at(now, 1.0) - now)
        now += LONGEST_GATE
    assert waits[0] == waits[3] < waits[1]
    assert waits[2] == 0.0


def test_a_shorter_hint_never_opens_a_gate_that_a_longer_one_closed():
    controller = AIMD()
    controller.settled(controller.started(0.0, 1.0), 0.0, Throttled(50.0))
    controller.settled(controller.started(1.0, 1.0), 1.0, Throttled(2.0))
    assert controller.admit_at(1.0, 1.0) == 50.0


@given(histories)
def test_it_recovers_after_any_history(history):
    controller, now = settled_after(history)
    assert controller.admit_at(now, 1.0) == now
    flying, rounds = fill(controller, now), 0
    while controller.limit < 20 and rounds < 25:
        flying = round_trip(controller, flying, now)
        rounds += 1
    assert controller.limit >= 20


@given(histories)
def test_asking_changes_nothing(history):
    asked, silent = AIMD(), AIMD()
    for length in range(len(history)):
        asked.admit_at(1000.0 + length, 1.0)
        asked.statistics()
    assert play(asked, history)[2] == play(silent, history)[2]
