"""The interim controller agrees with a caller who counts by hand."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from paceline._core.pace import AIMD, SERVED, Abandoned, Throttled

from .caller import LONGEST_GATE, faults, hints


class PaceAgainstACountByHand(RuleBasedStateMachine):
    """The model counts starts and ends, and knows of each call whether the limit was reached during it."""

    def __init__(self):
        super().__init__()
        self.controller = AIMD()
        self.now = 0.0
        self.flying = []
        self.cuts = 0
        self.served = 0
        self.throttled = 0

    def start(self):
        limit = self.controller.limit
        assert len(self.flying) < limit
        ticket = self.controller.started(self.now, 1.0)
        self.flying.append({"ticket": ticket, "cuts": self.cuts, "bound": False})
        if len(self.flying) >= limit:
            for call in self.flying:
                call["bound"] = True

    def settle(self, which, signal):
        call = self.flying.pop(which % len(self.flying))
        before = self.controller.limit, self.controller.statistics().gate
        self.controller.settled(call["ticket"], self.now, signal)
        after = self.controller.limit, self.controller.statistics().gate
        return call, before, after

    @precondition(lambda self: self.controller.admit_at(self.now, 1.0) <= self.now)
    @rule()
    def a_call_starts(self):
        self.start()

    @precondition(lambda self: self.controller.admit_at(self.now, 1.0) <= self.now)
    @rule()
    def all_calls_that_may_start(self):
        while self.controller.admit_at(self.now, 1.0) <= self.now:
            self.start()

    @rule(seconds=st.floats(0, 90))
    def time_passes(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 1000))
    def a_call_is_served(self, which):
        call, before, after = self.settle(which, SERVED)
        self.served += 1
        assert before[0] <= after[0] <= before[0] + call["bound"]
        assert before[1] == after[1]

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 1000), share=st.integers(1, 3))
    def a_share_of_the_calls_is_served(self, which, share):
        for _ in range(len(self.flying) // share):
            self.a_call_is_served(which)

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 1000), hint=hints)
    def a_call_is_refused(self, which, hint):
        in_flight = len(self.flying)
        call, before, after = self.settle(which, Throttled(hint))
        self.throttled += 1
        if call["cuts"] < self.cuts:
            assert before == after
            return
        self.cuts += 1
        assert after[0] <= max(1, min(before[0], in_flight - 1))
        assert max(before[1], self.now) <= after[1] <= self.now + LONGEST_GATE

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 1000), signal=faults | st.just(Abandoned()))
    def a_call_ends_without_evidence(self, which, signal):
        _, before, after = self.settle(which, signal)
        assert before == after

    @invariant()
    def the_books_are_right(self):
        statistics = self.controller.statistics()
        assert statistics.in_flight == len(self.flying)
        assert statistics.served == self.served
        assert statistics.throttled == self.throttled
        assert statistics.limit == self.controller.limit >= 1
        assert statistics.rate == self.controller.rate == math.inf

    @invariant()
    def a_full_controller_waits_for_a_call_to_settle_and_another_for_its_gate(self):
        at = self.controller.admit_at(self.now, 1.0)
        if len(self.flying) >= self.controller.limit:
            assert at == math.inf
        else:
            assert at == max(self.now, self.controller.statistics().gate)


TestThePaceAgreesWithACountByHand = PaceAgainstACountByHand.TestCase
TestThePaceAgreesWithACountByHand.settings = settings(max_examples=60, stateful_step_count=35)
