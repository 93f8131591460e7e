"""Escalation: an item only moves up, a bounded number of times, and only by the faults of the policy."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from paceline._core import retry
from paceline._core.escalation import MAY_COUNT, NEW, Climbing, EscalationPolicy, MoveUp, step
from paceline._core.exceptions import ConfigurationError, IllegalTransitionError
from paceline._core.fault import FaultKind

from ..search import examples

KINDS = [kind for kind in FaultKind if kind is not FaultKind.THROTTLED]
chances = st.floats(0, 1)
throttled = st.builds(retry.Throttled, st.floats(0, 2000), st.none() | st.floats(allow_nan=True))
failed = st.builds(retry.Failed, st.sampled_from(KINDS), chances)
events = st.just(retry.ANSWERED) | st.just(retry.ENDED) | throttled | failed
ladders = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)
counting = st.sets(st.sampled_from(sorted(MAY_COUNT)), min_size=1).map(frozenset)
POLICY = retry.RetryPolicy()


@st.composite
def climbers(draw):
    """Draw a ladder and a state of an item on it."""
    budgets = draw(ladders)
    at = draw(st.integers(0, len(budgets) - 1))
    spending = draw(st.builds(retry.Open, st.integers(0, 3), st.integers(0, 2), st.just(0)))
    return budgets, Climbing(spending, at, draw(st.integers(0, budgets[at] - 1)), sum(budgets[:at]))


# ------------------------------------------------------------------------------------------- totality


@given(climbers(), counting, events)
def test_every_event_in_every_state_has_a_next_state_and_one_effect(climber, on, event):
    budgets, state = climber
    after, effect = step(POLICY, budgets, on, state, event)
    is_open = isinstance(effect, (retry.CallAgain, MoveUp))
    assert isinstance(after, Climbing) == is_open
    assert isinstance(after, retry.Settled) != is_open


@given(ladders, counting, events)
def test_a_settled_item_refuses_every_event(budgets, on, event):
    with pytest.raises(IllegalTransitionError):
        step(POLICY, budgets, on, retry.SETTLED, event)


# ------------------------------------------------------------------------------------------- laws


@given(climbers(), counting, events)
def test_an_item_moves_one_step_up_or_stays(climber, on, event):
    budgets, state = climber
    after, effect = step(POLICY, budgets, on, state, event)
    if isinstance(after, Climbing):
        assert after.step - state.step == int(isinstance(effect, MoveUp))
        assert after.step < len(budgets)
        if isinstance(effect, MoveUp):
            assert effect.step == after.step


@given(climbers(), counting, events)
def test_only_a_fault_of_the_policy_moves_an_item(climber, on, event):
    budgets, state = climber
    counts = isinstance(event, retry.Failed) and event.kind in on
    assume(not counts)
    after, effect = step(POLICY, budgets, on, state, event)
    alone, same = retry.step(POLICY, state.spending, event)
    assert effect == same
    if isinstance(after, Climbing):
        assert after == attrs.evolve(state, spending=alone)


@given(climbers(), counting, chances)
def test_a_fault_of_the_policy_uses_no_budget_of_the_retry_machine(climber, on, chance):
    budgets, state = climber
    for kind in on:
        after, _ = step(POLICY, budgets, on, state, retry.Failed(kind, chance))
        if isinstance(after, Climbing):
            assert after.spending == state.spending
            assert after.attempt == state.attempt + 1


@given(ladders, counting, st.lists(events, max_size=60))
def test_an_item_has_no_more_faults_of_the_policy_than_its_steps_have_budgets(budgets, on, history):
    state, counted = NEW, 0
    for event in history:
        if isinstance(state, retry.Settled):
            break
        counted += isinstance(event, retry.Failed) and event.kind in on
        state, _ = step(POLICY, budgets, on, state, event)
    assert counted <= sum(budgets)


@given(ladders, st.data())
def test_an_item_without_an_answer_ends_whatever_the_faults(budgets, data):
    """If every call fails and a bounded number is throttled, the item ends within the sum of all budgets."""
    on, state, calls = frozenset({FaultKind.INVALID}), NEW, 0
    failing = [FaultKind.INVALID, FaultKind.TRUNCATED, FaultKind.TIMEOUT, FaultKind.OVERLOADED, FaultKind.TRANSIENT]
    while isinstance(state, Climbing):
        event = retry.Failed(data.draw(st.sampled_from(failing)), 0.5)
        state, _ = step(POLICY, budgets, on, state, event)
        calls += 1
        assert calls <= sum(budgets) + POLICY.max_attempts + POLICY.max_truncated


@given(ladders, st.lists(throttled.filter(lambda event: event.starved < POLICY.patience), max_size=20))
def test_being_throttled_changes_nothing_on_any_step(budgets, storm):
    state = NEW
    for _ in range(sum(budgets) - 1):
        state, _ = step(POLICY, budgets, MAY_COUNT, state, retry.Failed(FaultKind.REFUSED))
        for event in storm:
            assert step(POLICY, budgets, MAY_COUNT, state, event)[0] == state
    assert state.step == len(budgets) - 1


@given(climbers(), counting, events)
def test_the_same_event_has_the_same_effect(climber, on, event):
    budgets, state = climber
    assert step(POLICY, budgets, on, state, event) == step(POLICY, budgets, on, state, event)


# ------------------------------------------------------------------------------------------- the policy


@pytest.mark.parametrize("on", [[], ["throttled"], ["timeout", "invalid"], "invalid", 7, ["nonsense"]], ids=repr)
def test_a_fault_that_another_model_cannot_cure_cannot_count(on):
    with pytest.raises(ConfigurationError, match="on must be a non-empty set of invalid, refused, truncated"):
        EscalationPolicy(on=on)


@pytest.mark.parametrize("budget", [0, -1, 1.5, True, (), (1, 0), "3", None], ids=repr)
def test_an_invalid_budget_is_refused(budget):
    with pytest.raises(ConfigurationError, match="budget must be a whole number, 1 or more, or one for each step, not"):
        EscalationPolicy(budget=budget)


def test_kinds_may_be_given_by_name_and_budgets_as_a_list():
    policy = EscalationPolicy(on={"invalid", "truncated"}, budget=[2, 1])
    assert policy.on == {FaultKind.INVALID, FaultKind.TRUNCATED}
    assert policy.budgets(2) == (2, 1)
    assert EscalationPolicy().budgets(3) == (1, 1, 1)
    with pytest.raises(ConfigurationError, match="budget must have one number for each of the 3 steps, not 2"):
        policy.budgets(3)


# ------------------------------------------------------------------------------------------- against a count by hand


class LadderAgainstACountByHand(RuleBasedStateMachine):
    """The model is a list of the budget left on each step, and a retry machine that gets all other events."""

    @initialize(budgets=ladders, on=counting)
    def choose_a_ladder(self, budgets, on):
        self.budgets, self.on = budgets, on
        self.start()

    def start(self):
        self.state = NEW
        self.beside = retry.NEW
        self.left = list(self.budgets)
        self.faults = 0
        self.over = False

    def happens(self, event):
        self.state, effect = step(POLICY, self.budgets, self.on, self.state, event)
        return effect

    @precondition(lambda self: not self.over)
    @rule(data=st.data(), chance=chances)
    def an_answer_is_at_fault(self, data, chance):
        effect = self.happens(retry.Failed(data.draw(st.sampled_from(sorted(self.on))), chance))
        self.faults += 1
        self.left[0] -= 1
        if self.left[0]:
            assert effect == retry.CallAgain(0.0)
            return
        del self.left[0]
        self.over = not self.left
        assert effect == (retry.GiveUp() if self.over else MoveUp(len(self.budgets) - len(self.left)))

    @precondition(lambda self: not self.over)
    @rule(event=events)
    def something_else_happens(self, event):
        assume(not (isinstance(event, retry.Failed) and event.kind in self.on))
        self.beside, wanted = retry.step(POLICY, self.beside, event)
        assert self.happens(event) == wanted
        self.over = isinstance(self.beside, retry.Settled)

    @precondition(lambda self: self.over)
    @rule(event=events)
    def a_settled_item_refuses_everything(self, event):
        with pytest.raises(IllegalTransitionError):
            self.happens(event)

    @precondition(lambda self: self.over)
    @rule()
    def a_new_item_comes(self):
        self.start()

    @invariant()
    def the_state_is_what_was_counted(self):
        if not hasattr(self, "budgets"):
            return
        assert isinstance(self.state, retry.Settled) == self.over
        if not self.over:
            assert self.state.step == len(self.budgets) - len(self.left)
            assert self.state.attempt == self.beside.attempt + self.faults


TestTheLadderAgreesWithACountByHand = LadderAgainstACountByHand.TestCase
TestTheLadderAgreesWithACountByHand.settings = settings(max_examples=examples(60), stateful_step_count=35)
