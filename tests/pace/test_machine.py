"""A controller agrees with a caller that counts by hand, in every order of events (laws 1, 2 and 6)."""

from __future__ import annotations

import math

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from paceline._core.pace import ABANDONED, SERVED, Excused, Throttled
from paceline._core.pace.controller import PaceController

from ..search import examples
from .histories import BEGIN, SOON, costs, faults, hints, quotas, refused, served
from .test_bounds import CEILING, LEAST_RATE

which = st.integers(0, 10**6)


class PaceAgainstACountByHand(RuleBasedStateMachine):
    """The model counts starts and ends, and asks before each start, as the engine does."""

    def __init__(self):
        super().__init__()
        self.controller = PaceController()
        self.now = BEGIN
        self.in_flight = []
        self.refused = []
        self.served = self.throttled = 0
        self.answer = math.inf

    def may_start(self, cost):
        self.answer = self.controller.admit_at(self.now, cost)
        assert not math.isnan(self.answer)
        assert self.answer < math.inf or self.in_flight, "it waits for a call to end, and none is in flight"
        return self.answer <= self.now

    def start(self, cost):
        assert len(self.in_flight) < self.controller.limit
        assert self.controller.statistics().gate <= self.now
        self.in_flight.append(self.controller.started(self.now, cost))

    def settle(self, index, signal):
        ticket = self.in_flight.pop(index % len(self.in_flight))
        self.controller.settled(ticket, self.now, signal)
        if isinstance(signal, Throttled):
            self.refused.append(ticket)

    @rule(cost=costs)
    def a_call_starts_if_it_may(self, cost):
        if self.may_start(cost):
            self.start(cost)

    @rule(cost=costs, most=st.integers(1, 60))
    def calls_start_as_long_as_they_may(self, cost, most):
        while most and self.may_start(cost):
            self.start(cost)
            most -= 1

    @rule(turns=st.integers(1, 100))
    def calls_start_as_soon_as_they_may(self, turns):
        for _ in range(turns):
            if self.may_start(1.0):
                self.start(1.0)
            elif self.answer > self.now + SOON:
                return
            else:
                self.now = self.answer

    @rule(seconds=st.just(0.0) | st.floats(0, 3) | st.floats(0, 1e4))
    def time_passes(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.now < self.answer < math.inf)
    @rule()
    def the_caller_waits_until_the_answered_time(self):
        self.now = self.answer

    @precondition(lambda self: self.in_flight)
    @rule(index=which, signal=served)
    def a_call_is_served(self, index, signal):
        self.served += 1
        self.settle(index, signal)

    @precondition(lambda self: self.in_flight)
    @rule(share=st.integers(1, 3))
    def a_share_of_the_calls_is_served(self, share):
        for _ in range(math.ceil(len(self.in_flight) / share)):
            self.a_call_is_served(0, SERVED)

    @precondition(lambda self: self.in_flight)
    @rule(index=which, signal=refused)
    def a_call_is_refused(self, index, signal):
        self.throttled += 1
        self.settle(index, signal)

    @precondition(lambda self: self.in_flight)
    @rule(hint=hints, quota=quotas, share=st.integers(1, 3))
    def a_share_of_the_calls_is_refused(self, hint, quota, share):
        for _ in range(math.ceil(len(self.in_flight) / share)):
            self.a_call_is_refused(0, Throttled(hint, quota))

    @precondition(lambda self: self.in_flight)
    @rule(index=which, signal=faults | st.just(ABANDONED))
    def a_call_ends_without_evidence(self, index, signal):
        self.settle(index, signal)

    @precondition(lambda self: self.in_flight)
    @rule(index=which, earlier=st.integers(0, 5))
    def a_call_is_refused_for_the_sake_of_its_item(self, index, earlier):
        tickets = tuple(self.refused.pop() for _ in range(min(earlier, len(self.refused))))
        self.settle(index, Excused(tickets))

    @precondition(lambda self: not self.in_flight)
    @rule()
    def a_next_batch_starts_with_what_was_learned(self):
        known = self.controller.knowledge(self.now)
        if known is None:
            return
        assert known.learned == self.now
        assert 1 <= known.limit <= CEILING
        assert known.rate >= LEAST_RATE
        assert known.token_rate > 0
        assert 0 <= known.latency < math.inf
        self.controller = PaceController(attrs.evolve(known))
        self.refused.clear()
        self.served = self.throttled = 0

    @precondition(lambda self: not self.in_flight)
    @rule()
    def an_idle_controller_lets_a_call_start_in_the_end(self):
        turns = 0
        while not self.may_start(1.0):
            self.now = self.answer
            turns += 1
            assert turns < 20
        self.start(1.0)
        self.a_call_is_served(0, SERVED)

    @invariant()
    def the_counts_are_right(self):
        statistics = self.controller.statistics()
        assert statistics.in_flight == len(self.in_flight)
        assert statistics.served == self.served
        assert statistics.throttled == self.throttled

    @invariant()
    def the_handles_are_within_their_bounds(self):
        controller, statistics = self.controller, self.controller.statistics()
        assert type(controller.limit) is int
        assert 1 <= statistics.limit == controller.limit <= CEILING
        assert LEAST_RATE <= statistics.rate == controller.rate
        assert 0 < statistics.token_rate == controller.token_rate

    @invariant()
    def nothing_starts_above_the_limit_or_before_the_next_probe_is_due(self):
        if self.may_start(1.0):
            assert len(self.in_flight) < self.controller.limit
            assert self.controller.statistics().gate <= self.now


TestThePaceAgreesWithACountByHand = PaceAgainstACountByHand.TestCase
TestThePaceAgreesWithACountByHand.settings = settings(max_examples=examples(60), stateful_step_count=50, deadline=None)
