"""Budget: reservations never exceed a cap, what is reserved is released exactly, and only what was spent is spent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from paceline._core.budget import (
    Budget,
    BudgetState,
    Release,
    Reserve,
    Spend,
    Verdict,
    step,
    usd_text,
    used_up_text,
    verdict,
)
from paceline._core.exceptions import ConfigurationError

MODELS = ("lite", "pro", "other")
caps = st.builds(
    lambda usd, tokens: Budget(usd=usd, tokens=tokens),
    st.floats(0.01, 10),
    st.integers(1, 10_000),
)
budgets = st.builds(
    lambda total, models: Budget(usd=total.usd, tokens=total.tokens, models=models),
    caps,
    st.dictionaries(st.sampled_from(MODELS[:2]), caps),
)
amounts = st.tuples(st.sampled_from(MODELS), st.floats(0, 5), st.integers(0, 5_000))
reserves = amounts.map(lambda amount: Reserve(*amount))
events = st.one_of(reserves, amounts.map(lambda amount: Spend(*amount)))


def run(budget, happened):
    """Return the state after events; what could not be reserved is left out."""
    state = BudgetState()
    for event in happened:
        state, _ = step(budget, state, event)
    return state


def sums_of(budget, state):
    yield budget, state.total
    for name, cap in budget.models.items():
        if name in state.models:
            yield cap, state.models[name]


@given(budgets, st.lists(events), events)
def test_every_event_in_every_state_has_an_effect(budget, before, event):
    state, found = step(budget, run(budget, before), event)
    assert isinstance(state, BudgetState)
    assert (found is Verdict.SETTLED) == isinstance(event, Spend)
    held = next((e for e in before if isinstance(e, Reserve)), None)
    if held is not None:
        assert step(budget, state, Release(held))[1] is Verdict.SETTLED


@given(budgets, st.lists(reserves))
def test_concurrent_reservations_never_exceed_a_cap(budget, calls):
    state = run(budget, calls)
    for cap, sums in sums_of(budget, state):
        assert sums.usd + sums.reserved_usd <= cap.usd + 1e-9
        assert sums.tokens + sums.reserved_tokens <= cap.tokens


@given(budgets, st.lists(events), reserves)
def test_a_call_that_may_not_start_changes_nothing(budget, before, call):
    state = run(budget, before)
    after, found = step(budget, state, call)
    assert (after == state) == (found is not Verdict.STARTED)
    assert found is verdict(budget, state, call)


@given(budgets, st.lists(st.tuples(reserves, st.floats(0, 2)), max_size=30))
def test_a_cap_is_exceeded_by_no_more_than_calls_exceed_their_estimates(budget, calls):
    state, excess = BudgetState(), 0.0
    for call, share in calls:
        state, found = step(budget, state, call)
        if found is Verdict.STARTED:
            state, _ = step(budget, state, Release(call))
            state, _ = step(budget, state, Spend(call.model, share * call.usd, 0))
            excess += max(0.0, (share - 1) * call.usd)
    for cap, sums in sums_of(budget, state):
        assert sums.usd <= cap.usd + excess + 1e-6


@given(budgets, st.lists(events), reserves)
def test_a_call_waits_only_for_calls_in_flight(budget, before, call):
    state = run(budget, before)
    if verdict(budget, state, call) is Verdict.WAITS:
        assert state.total.calls > 0
        held = [event for event in before if isinstance(event, Reserve)]
        for one in held:
            state, _ = step(budget, state, Release(one))
        assert verdict(budget, state, call) is Verdict.STARTED


@given(budgets, st.lists(events), reserves)
def test_a_higher_budget_lets_go_on_what_was_refused(budget, before, call):
    state = run(budget, before)
    enough = Budget(usd=state.total.usd + state.total.reserved_usd + call.usd + 1)
    assert verdict(enough, state, call) is Verdict.STARTED


@given(st.lists(amounts), st.lists(amounts))
def test_what_a_journal_has_counts_as_if_it_had_been_spent_here(earlier, later):
    budget = Budget(usd=100, tokens=10**9, models={"pro": Budget(usd=50)})
    at_once = run(budget, [Spend(*amount) for amount in (*earlier, *later)])
    by_model = {
        model: (
            sum(usd for name, usd, _ in earlier if name == model),
            sum(n for name, _, n in earlier if name == model),
        )
        for model in MODELS
    }
    resumed = run(budget, [Spend(model, *sums) for model, sums in by_model.items()])
    for amount in later:
        resumed, _ = step(budget, resumed, Spend(*amount))
    assert resumed.total.usd == pytest.approx(at_once.total.usd)
    assert resumed.total.tokens == at_once.total.tokens


def test_three_calls_of_ten_cents_are_within_thirty():
    state = BudgetState()
    for _ in range(3):
        assert verdict(Budget(usd=0.3), state, Reserve("m", 0.1, 1)) is Verdict.STARTED
        state, _ = step(Budget(usd=0.3), state, Spend("m", 0.1, 1))
    assert verdict(Budget(usd=0.3), state, Reserve("m", 0.1, 1)) is Verdict.REFUSED


class BudgetMachine(RuleBasedStateMachine):
    """A batch under a budget, beside a ledger of every single call."""

    BUDGET = Budget(usd=10, tokens=20_000, models={"pro": Budget(usd=4), "lite": Budget(tokens=5_000)})

    def __init__(self):
        super().__init__()
        self.state = BudgetState()
        self.in_flight = []
        self.spent = []
        self.excess = 0.0

    @rule(call=reserves)
    def start(self, call):
        usd = sum(c.usd for c in self.in_flight) + sum(u for _, u, _ in self.spent)
        self.state, found = step(self.BUDGET, self.state, call)
        if found is Verdict.STARTED:
            assert usd + call.usd <= 10 + 1e-6
            self.in_flight.append(call)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), share=st.floats(0, 1.5))
    def settle(self, data, share):
        call = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
        self.state, _ = step(self.BUDGET, self.state, Release(call))
        cost = (call.model, call.usd * share, int(call.tokens * share))
        self.spent.append(cost)
        self.excess += max(0.0, cost[1] - call.usd)
        self.state, _ = step(self.BUDGET, self.state, Spend(*cost))

    @precondition(lambda self: self.in_flight)
    @rule()
    def abandon_the_first(self):
        self.state, _ = step(self.BUDGET, self.state, Release(self.in_flight.pop(0)))

    @rule()
    def crash_and_resume(self):
        self.in_flight.clear()
        self.state = run(self.BUDGET, [Spend(*cost) for cost in self.spent])

    @invariant()
    def reserved_and_spent_are_what_the_ledger_says(self):
        for name in (None, "pro", "lite"):
            sums = self.state.total if name is None else self.state.models.get(name)
            if sums is None:
                continue
            held = [call for call in self.in_flight if name in {None, call.model}]
            spent = [cost for cost in self.spent if name in {None, cost[0]}]
            assert sums.calls == len(held)
            assert sums.reserved_usd == pytest.approx(sum(call.usd for call in held), abs=1e-6)
            assert sums.reserved_tokens == sum(call.tokens for call in held)
            assert sums.usd == pytest.approx(sum(usd for _, usd, _ in spent), abs=1e-6)
            assert sums.tokens == sum(tokens for *_, tokens in spent)

    @invariant()
    def the_cap_holds(self):
        assert self.state.total.usd + self.state.total.reserved_usd <= 10 + self.excess + 1e-6


TestBudgetMachine = BudgetMachine.TestCase


# ---------------------------------------------------------------------------------------------- the record


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs a cap"),
        ({"usd": 0}, "usd must be USD above 0, not 0"),
        ({"usd": float("inf")}, "usd must be USD above 0"),
        ({"tokens": 1.5}, "tokens must be a whole number of tokens above 0"),
        ({"models": {"m": 5}}, "models must be budgets by the name of the model"),
        ({"models": {"m": Budget(usd=1, models={"n": Budget(usd=1)})}}, "models must be budgets"),
    ],
    ids=str,
)
def test_an_invalid_budget_is_refused(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        Budget(**arguments)


def test_a_price_is_needed_where_a_cap_in_usd_concerns_the_model():
    assert Budget(usd=1).needs_price_of("any")
    assert not Budget(tokens=1).needs_price_of("any")
    own = Budget(tokens=1, models={"pro": Budget(usd=1)})
    assert own.needs_price_of("pro")
    assert not own.needs_price_of("lite")
    assert own.has_usd


def test_the_refusal_says_what_is_spent_what_the_call_may_cost_and_of_which_model():
    budget = Budget(usd=5, tokens=900, models={"pro": Budget(usd=2)})
    state = run(budget, [Spend("pro", 1.99, 800)])
    call = Reserve("pro", 0.02, 50)
    assert used_up_text(budget, state, call, verdict(budget, state, call)) == (
        "the budget of pro is used up: $1.99 of $2.00 is spent, and the next call may cost up to $0.02; continue with a higher one"
    )
    call = Reserve("lite", 0.02, 200)
    assert used_up_text(budget, state, call, verdict(budget, state, call)) == (
        "the budget is used up: 800 of 900 tokens are spent, and the next call may take up to 200; continue with a higher one"
    )
    assert usd_text(0.0123456) == "$0.01235"
