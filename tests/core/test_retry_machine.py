"""The retry machine agrees with a model of four plain integers."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from paceline._core.exceptions import IllegalTransitionError
from paceline._core.fault import FaultKind
from paceline._core.retry import (
    ANSWERED,
    ENDED,
    NEW,
    Accept,
    Answered,
    CallAgain,
    Ended,
    ExhaustLane,
    Failed,
    GiveUp,
    RetryPolicy,
    Settled,
    StopBatch,
    Throttled,
    step,
)

from ..search import examples

PASSING = [FaultKind.OVERLOADED, FaultKind.TRANSIENT, FaultKind.TIMEOUT]

budgets = st.integers(1, 6)
chances = st.floats(0, 1)
failures = st.builds(Failed, st.sampled_from([kind for kind in FaultKind if kind is not FaultKind.THROTTLED]), chances)
events = st.just(ANSWERED) | st.just(ENDED) | st.builds(Throttled, st.floats(0, 200)) | failures


class RetryAgainstACountByHand(RuleBasedStateMachine):
    """The model is four plain integers and a flag, independent of the states of the machine."""

    def __init__(self):
        super().__init__()
        self.most = {"passing": 1, "invalid": 1, "truncated": 1}
        self.patience = 1
        self.policy = RetryPolicy()
        self.start()

    def start(self):
        self.state = NEW
        self.recorded = []
        self.calls = {"passing": 0, "invalid": 0, "truncated": 0}
        self.over = False

    @initialize(passing=budgets, invalid=budgets, truncated=budgets, patience=st.integers(1, 50))
    def choose_a_policy(self, passing, invalid, truncated, patience):
        self.most = {"passing": passing, "invalid": invalid, "truncated": truncated}
        self.patience = patience
        self.policy = RetryPolicy(
            max_attempts=passing, max_invalid=invalid, max_truncated=truncated, patience=float(patience)
        )

    def happens(self, event):
        self.recorded.append(event)
        self.state, effect = step(self.policy, self.state, event)
        return effect

    @precondition(lambda self: not self.over)
    @rule(name=st.sampled_from(["passing", "invalid", "truncated"]), which=st.integers(0, 2), chance=chances)
    def a_call_that_may_be_repeated_fails(self, name, which, chance):
        kind = PASSING[which] if name == "passing" else FaultKind(name)
        effect = self.happens(Failed(kind, chance))
        self.calls[name] += 1
        self.over = self.calls[name] >= self.most[name]
        assert type(effect) is (GiveUp if self.over else CallAgain)

    @precondition(lambda self: not self.over)
    @rule(starved=st.integers(0, 60))
    def a_call_is_throttled(self, starved):
        effect = self.happens(Throttled(float(starved)))
        self.over = starved >= self.patience
        assert effect == (GiveUp() if self.over else CallAgain(0.0))

    @precondition(lambda self: not self.over)
    @rule(
        end=st.sampled_from(
            [
                (Answered(), Accept()),
                (Ended(), GiveUp()),
                (Failed(FaultKind.DENIED), StopBatch()),
                (Failed(FaultKind.EXHAUSTED), ExhaustLane()),
                (Failed(FaultKind.BUG), GiveUp()),
            ]
        )
    )
    def the_item_ends(self, end):
        event, effect = end
        assert self.happens(event) == effect
        self.over = True

    @precondition(lambda self: self.over)
    @rule(event=events)
    def a_settled_item_refuses_everything(self, event):
        before = self.state
        with pytest.raises(IllegalTransitionError):
            step(self.policy, self.state, event)
        assert self.state is before

    @precondition(lambda self: self.over)
    @rule()
    def a_new_item_comes(self):
        self.start()

    @invariant()
    def the_state_is_what_was_counted(self):
        assert isinstance(self.state, Settled) == self.over
        if not self.over:
            assert self.state.attempt == 1 + sum(self.calls.values())
        assert all(self.calls[name] <= self.most[name] for name in self.most)

    @invariant()
    def replaying_the_record_gives_the_live_state(self):
        state = NEW
        for event in self.recorded:
            state, _ = step(self.policy, state, event)
        assert state == self.state


TestTheRetryMachineAgreesWithACountByHand = RetryAgainstACountByHand.TestCase
TestTheRetryMachineAgreesWithACountByHand.settings = settings(max_examples=examples(60), stateful_step_count=35)
