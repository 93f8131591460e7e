"""The interim controller keeps the laws of pace that steering the number of workers alone can keep.

Notation: N is the limit; a full controller has N calls in flight; a round is all of them, settled once.
"""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from paceline._core.pace import ABANDONED, AIMD, SERVED, Throttled

from .caller import LONGEST_GATE, faults, fill, hints, histories, play, refusals, round_trip, settled_after

# ---------------------------------------------------------------------------------------------- bounds


@given(histories)
def test_the_limit_is_one_or_more_and_finite_after_any_history(history):
    controller = AIMD()
    _, _, answers = play(controller, history)
    for _, limit, statistics in answers:
        assert type(limit) is int
        assert 1 <= limit == statistics.limit < math.inf
    assert controller.rate == math.inf


@given(histories, refusals)
@example(["start", (0, Throttled(None))] * 20, Throttled(10**400))
def test_the_gate_is_never_more_than_a_minute_away(history, refusal):
    controller = AIMD()
    now, flying, _ = play(controller, history)
    for ticket in flying:
        controller.settled(ticket, now, refusal)
    assert controller.statistics().gate <= now + LONGEST_GATE


@given(histories)
def test_same_inputs_same_outputs(history):
    one, other = AIMD(), AIMD()
    assert play(one, history)[2] == play(other, history)[2]
    assert one.history == other.history


def test_the_history_is_bounded():
    controller = AIMD()
    now = 0.0
    for _ in range(1_000):
        now += LONGEST_GATE
        ticket = controller.started(now, 1.0)
        controller.settled(ticket, now, Throttled())
    assert len(controller.history) == 200


@given(histories)
def test_every_change_of_the_limit_is_explained_in_the_history(history):
    controller = AIMD()
    before = controller.limit
    play(controller, history)
    for change in controller.history:
        assert change.old == before
        assert change.new != change.old or change.reason.startswith("refused")
        before = change.new
    assert controller.limit == before
    assert all(one.time <= next_one.time for one, next_one in pairwise(controller.history))


# ---------------------------------------------------------------------------------------------- growth


def test_until_the_first_refusal_the_limit_doubles_with_each_round_trip():
    controller = AIMD()
    flying = fill(controller, 0.0)
    limits = []
    for now in range(1, 7):
        limits.append(controller.limit)
        flying = round_trip(controller, flying, float(now))
    assert [after / before for before, after in pairwise(limits)] == [2.0] * 5


def test_the_limit_doubles_also_when_a_whole_round_is_settled_before_the_next_is_started():
    controller = AIMD()
    for now in range(5):
        before = controller.limit
        for ticket in fill(controller, float(now)):
            controller.settled(ticket, now + 0.5, SERVED)
        assert controller.limit == 2 * before


def test_after_a_refusal_the_limit_grows_by_a_twentieth_in_a_round_trip():
    controller = AIMD()
    flying = fill(controller, 0.0)
    for now in range(1, 5):
        flying = round_trip(controller, flying, float(now))
    controller.settled(flying[0], 10.0, Throttled())
    for ticket in flying[1:]:
        controller.settled(ticket, 10.0, ABANDONED)
    flying = fill(controller, 100.0)
    for now in range(101, 111):
        before = controller.limit
        flying = round_trip(controller, flying, float(now))
        assert before * 1.04 <= controller.limit <= before * 1.06 + 1


def test_a_small_limit_grows_by_about_one_in_a_round_trip():
    controller = AIMD()
    controller.settled(controller.started(0.0, 1.0), 0.0, Throttled())
    assert controller.limit == 1
    flying = fill(controller, 100.0)
    for now in range(10):
        flying = round_trip(controller, flying, 100.0 + now)
    assert 9 <= controller.limit <= 11


@given(st.integers(1, 19), st.integers(1, 200), st.booleans())
def test_a_limit_that_does_not_bind_does_not_grow(busy, calls, was_cut):
    controller = AIMD()
    now = 0.0
    flying = fill(controller, now)
    if was_cut:
        controller.settled(flying.pop(), now, Throttled())
        now += LONGEST_GATE
    for ticket in flying:
        controller.settled(ticket, now, ABANDONED)
    before = controller.limit
    flying = [controller.started(now, 1.0) for _ in range(min(busy, before - 1))]
    for _ in range(calls):
        controller.settled(flying.pop(0), now, SERVED)
        flying.append(controller.started(now, 1.0))
    assert controller.limit == before


def test_a_call_that_was_over_before_the_limit_was_reached_grows_nothing():
    controller = AIMD()
    early = controller.started(0.0, 1.0)
    controller.settled(early, 0.0, SERVED)
    fill(controller, 0.0)
    assert controller.limit == AIMD().limit


def test_a_climb_is_told_as_one_change():
    controller = AIMD()
    *others, refused = fill(controller, 0.0)
    controller.settled(refused, 0.0, Throttled())
    for ticket in others:
        controller.settled(ticket, 0.0, ABANDONED)
    told = len(controller.history)
    flying = fill(controller, LONGEST_GATE)
    for _ in range(3):
        flying = round_trip(controller, flying, LONGEST_GATE)
    grown = list(controller.history)[told:]
    assert [(change.old, change.new) for change in grown] == [(controller.limit - 2, controller.limit)]


# ---------------------------------------------------------------------------------------------- cuts


@given(histories, st.data())
def test_one_burst_cuts_once(history, data):
    controller, now = settled_after(history)
    flying = data.draw(st.permutations(fill(controller, now)))
    burst = data.draw(st.lists(hints, min_size=1, max_size=len(flying)))
    controller.settled(flying[0], now, Throttled(burst[0]))
    cut = controller.limit, controller.statistics().gate, list(controller.history)
    for ticket, hint in zip(flying[1:], burst[1:], strict=False):
        controller.settled(ticket, now + 1.0, Throttled(hint))
    assert (controller.limit, controller.statistics().gate, list(controller.history)) == cut


@given(histories, st.integers(1, 100))
def test_a_cut_is_small_and_tied_to_what_was_in_flight(history, in_flight):
    controller, now = settled_after(history)
    flying = fill(controller, now)
    while len(flying) > in_flight:
        controller.settled(flying.pop(), now, ABANDONED)
    controller.settled(flying[-1], now, Throttled())
    assert len(flying) // 2 <= controller.limit <= max(1, len(flying) - 1)


def test_the_next_burst_cuts_again():
    controller = AIMD()
    limits = [controller.limit]
    for now in (0.0, 100.0, 200.0):
        flying = fill(controller, now)
        for ticket in flying:
            controller.settled(ticket, now, Throttled())
        limits.append(controller.limit)
    assert limits == sorted(set(limits), reverse=True)


@given(histories, st.lists(faults | st.just(ABANDONED), min_size=1, max_size=50))
def test_random_faults_never_lower_the_limit_nor_close_the_gate(history, several):
    controller, now = settled_after(history)
    limit, gate = controller.limit, controller.statistics().gate
    flying = []
    for fault in several:
        flying += fill(controller, now)
        controller.settled(flying.pop(), now, fault)
    assert controller.limit == limit
    assert controller.statistics().gate == gate
    assert controller.admit_at(now, 1.0) == now
