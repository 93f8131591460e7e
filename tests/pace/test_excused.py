"""Calls that are refused for the sake of their item: they are no evidence of a limit, and hold no other back."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paceline._core.pace import ABANDONED, SERVED, Excused, PaceKnowledge, Throttled
from paceline._core.pace.controller import PaceController

from .histories import BEGIN, Caller, histories
from .worlds import logarithmic

TICK = 0.1  # seconds
CALLS = 8  # that a caller makes in a tick, at most
ADMITTED = 60  # calls, after which a lane is not young any more
MEAN = 100.0  # tokens of the others
BRIEF = 120.0  # seconds: twice what a call may cost by rule 3 of the pacer, for a debt and the call itself


class Ticking(Caller):
    """Starts calls in each tick as soon as it may, and settles them at its end."""

    def start_all(self, most=CALLS):
        """Start calls for a tick."""
        end = self.now + TICK
        while len(self.open) < most and (at := self.ask()) < end:
            self.now = max(self.now, at)
            if self.ask() <= self.now:
                self.start()
        self.now = end

    def tick(self, refused=(), excuse=lambda: False, most=CALLS):
        """Start calls for a tick, and settle all, those with the places `refused` as refused; return how many were served."""
        self.start_all(most)
        served = 0
        for place, ticket in enumerate(self.open):
            if place in refused:
                self.settle(ticket, Throttled())
            elif excuse():
                self.settle(ticket, Excused())
            else:
                self.settle(ticket, SERVED)
                served += 1
        self.open.clear()
        return served


def warmed_up():
    caller = Ticking()
    served = 0
    while served < ADMITTED:
        served += caller.tick()
    return caller


places = st.sets(st.integers(0, CALLS - 1), max_size=2)


@given(st.lists(places, min_size=1, max_size=12))
@example([{0, 6}, {0, 7}, {5, 6}, set(), {4}, {3}])  # the later ones prove a cap, which refunds them alone
def test_excusing_all_refusals_restores_the_rate(refused):
    caller = warmed_up()
    for each in refused:
        caller.tick(each)
    caller.start_all()
    caller.settle(caller.open.pop(), Excused(tuple(caller.refused)))
    assert caller.controller.rate == math.inf


def test_without_excuses_the_same_refusals_lower_it():
    caller = warmed_up()
    for _ in range(12):
        caller.tick({1, 4})
    assert caller.controller.rate < math.inf


@given(histories, st.integers(1, 5))
def test_an_excuse_for_earlier_refusals_never_lowers_a_rate(history, earlier):
    rates = []
    for number in (0, earlier):
        caller = Caller().play(history)
        caller.settle_all(ABANDONED)
        caller.ask()
        ticket = caller.start()
        caller.settle(ticket, Excused(tuple(caller.refused[-number:] if number else ())))
        rates.append((caller.controller.rate, caller.controller.token_rate))
    assert rates[1][0] >= rates[0][0]
    assert rates[1][1] >= rates[0][1]


def test_a_refusal_that_is_excused_before_its_verdict_is_never_charged():
    caller = warmed_up()
    caller.start_all()
    first, second, third, *_ = caller.open[1:]  # the first call in flight is young: no later one is judged before it
    caller.settle(first, Throttled())
    caller.settle(second, Throttled())
    caller.settle(third, Excused((first, second)))
    del caller.open[1:4]
    for _ in range(10):
        caller.tick()
    assert caller.controller.rate == math.inf


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.8])
def test_items_that_are_refused_for_their_own_sake_do_not_hold_back_the_start(share):
    chance, caller, most = Random(1), Ticking(), 20
    ticks = 0
    while caller.tick(excuse=lambda: chance.random() < share, most=most) < 0.7 * (1 - share) * most:
        ticks += 1
        assert ticks * TICK < 8.0, "two hundred calls start per second after some seconds"
    assert caller.controller.rate == math.inf


# ------------------------------------------------------------------------------------------------ oversized calls


def limited(token_rate):
    known = PaceKnowledge(limit=50, rate=math.inf, token_rate=token_rate, latency=1.0, learned=BEGIN)
    return Ticking(PaceController(known))


@given(logarithmic(1.0, 1e5), logarithmic(1.0, 1e12), st.integers(1, 40))
def test_a_call_that_is_larger_than_any_limit_keeps_no_other_waiting_before_its_first_call(token_rate, cost, calls):
    caller = limited(token_rate)
    for _ in range(calls):
        caller.now = max(caller.now, caller.ask(MEAN))
        caller.start(MEAN)
        caller.settle_all(SERVED)
    at = caller.ask(cost)
    assert at - caller.now <= max(BRIEF, 2 * MEAN / token_rate)
    caller.now = at
    caller.start(cost)
    assert caller.ask(MEAN) - caller.now <= max(BRIEF, 2 * MEAN / token_rate), "nor once it has started"
