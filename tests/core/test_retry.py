"""The retry machine: it is total, terminates, and keeps its budgets."""

from __future__ import annotations

import math
from itertools import pairwise

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paceline._core.exceptions import ConfigurationError, IllegalTransitionError
from paceline._core.fault import Fault, FaultKind
from paceline._core.retry import (
    ANSWERED,
    ENDED,
    NEW,
    Accept,
    Answered,
    Backoff,
    CallAgain,
    ExhaustLane,
    Failed,
    GiveUp,
    Open,
    RetryPolicy,
    Settled,
    StopBatch,
    Throttled,
    event_of,
    step,
)

PASSING = {FaultKind.OVERLOADED, FaultKind.TRANSIENT, FaultKind.TIMEOUT}

AFTER_THE_FIRST_FAULT = {
    "throttled": CallAgain,
    "overloaded": CallAgain,
    "transient": CallAgain,
    "timeout": CallAgain,
    "invalid": CallAgain,
    "truncated": GiveUp,
    "refused": GiveUp,
    "rejected": GiveUp,
    "denied": StopBatch,
    "exhausted": ExhaustLane,
    "bug": GiveUp,
    "cancelled": GiveUp,
    "skipped": GiveUp,
    "pending": GiveUp,
}
"""Effect of each kind of fault on a new item, with the default policy, in a lane with successes."""

chances = st.floats(0, 1)
hints = st.none() | st.floats(allow_nan=True, allow_infinity=True)
budgets = st.integers(1, 6)
failures = st.builds(Failed, st.sampled_from([k for k in FaultKind if k is not FaultKind.THROTTLED]), chances, hints)
spending = st.builds(
    Failed, st.sampled_from([*sorted(PASSING), FaultKind.INVALID, FaultKind.TRUNCATED]), chances, hints
)
throttles = st.builds(Throttled, st.floats(0, 200))
events = st.just(ANSWERED) | st.just(ENDED) | throttles | failures
counts = st.integers(0, 8)
states = st.just(Settled()) | st.builds(Open, counts, counts, counts)
policies = st.builds(
    RetryPolicy,
    max_attempts=budgets,
    max_invalid=budgets,
    max_truncated=budgets,
    patience=st.floats(1, 100),
    backoff=st.builds(Backoff, base=st.floats(0.1, 2), longest=st.floats(2, 100)),
)


def played(policy, happened):
    """Return the states and effects of a new item for these events, until it is settled."""
    passed, ordered = [NEW], []
    for event in happened:
        if isinstance(passed[-1], Settled):
            break
        state, effect = step(policy, passed[-1], event)
        passed.append(state)
        ordered.append(effect)
    return passed, ordered


# ---------------------------------------------------------------------------------------------- totality


@given(policies, states, events)
def test_every_state_accepts_every_event_or_is_settled(policy, state, event):
    if isinstance(state, Settled):
        with pytest.raises(IllegalTransitionError):
            step(policy, state, event)
        return
    after, effect = step(policy, state, event)
    assert isinstance(effect, (Accept, CallAgain, GiveUp, StopBatch, ExhaustLane))
    assert isinstance(after, Open) == isinstance(effect, CallAgain)
    assert isinstance(effect, Accept) == isinstance(event, Answered)


@given(policies, events)
def test_settled_absorbs_and_an_event_after_it_changes_nothing(policy, event):
    settled, _ = step(policy, NEW, ENDED)
    copy = attrs.evolve(settled)
    with pytest.raises(IllegalTransitionError, match="after the item was settled"):
        step(policy, settled, event)
    assert settled == copy == Settled()


@given(policies, st.builds(Open, counts, counts, counts), events)
def test_a_step_changes_neither_its_state_nor_its_policy(policy, state, event):
    before = attrs.astuple(state), attrs.asdict(policy)
    first, second = step(policy, state, event), step(policy, state, event)
    assert (attrs.astuple(state), attrs.asdict(policy)) == before
    assert first == second


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_of_fault_has_its_row_for_a_fresh_item(kind):
    event = event_of(Fault(kind, "a bad day"), starved=0.0, chance=1.0)
    _, effect = step(RetryPolicy(), NEW, event)
    assert type(effect) is AFTER_THE_FIRST_FAULT[kind.value]


def test_the_table_by_hand_has_all_kinds():
    assert set(AFTER_THE_FIRST_FAULT) == {kind.value for kind in FaultKind}


@given(policies, st.builds(Open, counts, counts, counts), failures)
def test_a_fault_that_no_call_can_cure_ends_the_item_whatever_budget_is_left(policy, state, event):
    _, effect = step(policy, state, event)
    if event.kind not in PASSING | {FaultKind.INVALID, FaultKind.TRUNCATED}:
        assert type(effect) is AFTER_THE_FIRST_FAULT[event.kind.value]


# ---------------------------------------------------------------------------------------------- budgets


@given(policies, st.lists(spending, min_size=18, max_size=18))
def test_an_item_settles_within_the_sum_of_its_budgets(policy, happened):
    passed, _ = played(policy, happened)
    calls = len(passed) - 1
    assert isinstance(passed[-1], Settled)
    assert calls <= policy.max_attempts + policy.max_invalid + policy.max_truncated - 2


@given(policies, st.lists(spending | throttles, max_size=40))
def test_every_budget_is_used_up_exactly(policy, happened):
    passed, _ = played(policy, happened)
    spent = {"passing": 0, "invalid": 0, "truncated": 0}
    allowed = {"passing": policy.max_attempts, "invalid": policy.max_invalid, "truncated": policy.max_truncated}
    for before, after, event in zip(passed, passed[1:], happened, strict=False):
        assert isinstance(before, Open)
        if isinstance(event, Throttled):
            continue
        name = "passing" if event.kind in PASSING else str(event.kind)
        spent[name] += 1
        assert spent[name] <= allowed[name]
        assert isinstance(after, Settled) == (spent[name] == allowed[name])


@given(policies)
def test_each_budget_is_used_by_its_own_kind_only(policy):
    kinds = {
        FaultKind.TRANSIENT: policy.max_attempts,
        FaultKind.INVALID: policy.max_invalid,
        FaultKind.TRUNCATED: policy.max_truncated,
    }
    happened = [Failed(kind) for kind, budget in kinds.items() for _ in range(budget - 1)]
    passed, _ = played(policy, happened)
    assert len(passed) == len(happened) + 1
    for kind in kinds:
        assert step(policy, passed[-1], Failed(kind)) == (Settled(), GiveUp())


@pytest.mark.parametrize("kinds", [["overloaded", "transient", "timeout"], ["timeout", "overloaded", "transient"]])
def test_passing_failures_share_one_budget(kinds):
    _, ordered = played(RetryPolicy(max_attempts=3), [Failed(FaultKind(kind)) for kind in kinds])
    assert [type(effect) for effect in ordered] == [CallAgain, CallAgain, GiveUp]


# ---------------------------------------------------------------------------------------------- refused by overload

refused_by_overload = st.builds(Failed, st.just(FaultKind.OVERLOADED), st.floats(0, 1), refused=st.just(True))


@given(policies, st.lists(spending, max_size=18), st.data())
def test_overloads_that_are_refusals_between_the_others_use_no_budget_and_each_has_a_number(policy, happened, data):
    refusals = data.draw(st.lists(refused_by_overload, min_size=1, max_size=30))
    mixed = data.draw(st.permutations([*happened, *refusals]))
    without, _ = played(policy, [event for event in mixed if not event.refused])
    states, effects = played(policy, mixed)
    assert isinstance(states[-1], Settled) is isinstance(without[-1], Settled)
    if isinstance(states[-1], Open):
        assert states[-1].attempt == without[-1].attempt + len(refusals) == 1 + len(mixed)
    waits = [effect for event, effect in zip(mixed, effects, strict=False) if event.refused]
    assert set(waits) <= {CallAgain(0.0)}


# ---------------------------------------------------------------------------------------------- throttling


@given(policies, st.builds(Open, counts, counts, counts), st.data())
def test_throttling_in_a_lane_with_successes_never_uses_an_attempt(policy, state, data):
    starved = data.draw(st.floats(0, policy.patience, exclude_max=True))
    assert step(policy, state, Throttled(starved)) == (state, CallAgain(0.0))


@given(policies, st.builds(Open, counts, counts, counts), st.floats(0, 1e6))
@example(RetryPolicy(patience=900.0), Open(), 0.0)
def test_throttling_in_a_lane_starved_beyond_patience_gives_the_item_up(policy, state, more):
    assert step(policy, state, Throttled(policy.patience + more)) == (Settled(), GiveUp())


@given(policies, st.lists(spending, max_size=18), st.data())
def test_throttled_calls_between_the_others_change_nothing(policy, happened, data):
    mixed = []
    for event in happened:
        mixed += [Throttled(0.0)] * data.draw(st.integers(0, 3)) + [event]
    plain, refused = played(policy, happened), played(policy, mixed)
    assert plain[0][-1] == refused[0][-1]
    assert [effect for effect in refused[1] if effect != CallAgain(0.0)] == [
        effect for effect in plain[1] if effect != CallAgain(0.0)
    ]


def test_patience_of_fifteen_minutes_is_the_default():
    policy = RetryPolicy()
    assert step(policy, NEW, Throttled(899.9))[1] == CallAgain(0.0)
    assert step(policy, NEW, Throttled(900.0))[1] == GiveUp()


# ---------------------------------------------------------------------------------------------- numbers and waits


@given(policies, st.lists(events, max_size=30))
def test_attempts_are_numbered_from_one_and_only_a_call_that_counts_raises_the_number(policy, happened):
    passed, _ = played(policy, happened)
    assert passed[0].attempt == 1
    for (before, after), event in zip(pairwise(passed), happened, strict=False):
        if isinstance(after, Open):
            assert after.attempt == before.attempt + (not isinstance(event, Throttled))


@given(policies, st.lists(events, max_size=30))
def test_waits_are_within_the_bounds_and_only_passing_failures_wait(policy, happened):
    _, ordered = played(policy, happened)
    for event, effect in zip(happened, ordered, strict=False):
        if isinstance(effect, CallAgain):
            waits = isinstance(event, Failed) and event.kind in PASSING
            assert 0 <= effect.delay <= (policy.backoff.longest if waits else 0)


def test_the_bound_of_the_wait_doubles_with_each_passing_failure():
    policy = RetryPolicy(max_attempts=6, backoff=Backoff(base=1.0, longest=6.0))
    _, ordered = played(policy, [Failed(FaultKind.TRANSIENT)] * 5)
    assert [effect.delay for effect in ordered] == [1.0, 2.0, 4.0, 6.0, 6.0]


def test_invalid_outputs_between_do_not_lengthen_the_wait():
    passing, invalid = Failed(FaultKind.TRANSIENT), Failed(FaultKind.INVALID)
    _, ordered = played(RetryPolicy(), [passing, invalid, invalid, passing])
    assert [effect.delay for effect in ordered] == [1.0, 0.0, 0.0, 2.0]


def test_the_wait_is_random_and_not_below_what_the_provider_asked_for():
    _, drawn = step(RetryPolicy(), NEW, Failed(FaultKind.TIMEOUT, 0.25))
    _, asked = step(RetryPolicy(), NEW, Failed(FaultKind.OVERLOADED, 0.25, 7.0))
    assert (drawn, asked) == (CallAgain(0.25), CallAgain(7.0))


# ---------------------------------------------------------------------------------------------- events


def test_a_throttled_call_is_never_the_event_failed():
    with pytest.raises(ValueError, match="Throttled"):
        Failed(FaultKind.THROTTLED)


def test_a_throttled_event_that_bypasses_validation_is_refused_and_not_counted():
    with pytest.raises(IllegalTransitionError, match="Throttled"):
        step(RetryPolicy(), NEW, Failed("throttled"))


@given(st.sampled_from(FaultKind), st.floats(0, 1e6), chances, hints)
def test_every_fault_is_one_event_with_its_hint(kind, starved, chance, hint):
    event = event_of(Fault(kind, retry_after=hint), starved=starved, chance=chance)
    asked = hint if hint is not None and 0 < hint < math.inf else None
    if kind is FaultKind.THROTTLED:
        assert event == Throttled(starved, asked)
    else:
        assert (event.kind, event.chance, event.retry_after) == (kind, chance, asked)


@pytest.mark.parametrize(("asked", "held"), [(None, 0.0), (0.4, 0.4), (75.0, 75.0), (75.1, 0.0), (math.inf, 0.0)])
def test_a_throttled_item_waits_as_long_as_asked_unless_that_is_absurd(asked, held):
    assert step(RetryPolicy(), NEW, Throttled(1.0, asked)) == (NEW, CallAgain(held))


# ---------------------------------------------------------------------------------------------- the policy


@pytest.mark.parametrize("field", ["max_attempts", "max_invalid", "max_truncated"])
@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3", None], ids=repr)
def test_an_invalid_budget_is_refused_by_name(field, value):
    with pytest.raises(ConfigurationError) as refusal:
        RetryPolicy(**{field: value})
    assert str(refusal.value) == f"{field} must be a whole number, 1 or more, not {value!r}"


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), True, "x"], ids=repr)
def test_an_invalid_patience_is_refused_by_name(value):
    with pytest.raises(ConfigurationError) as refusal:
        RetryPolicy(patience=value)
    assert str(refusal.value) == f"patience must be a number of seconds above 0, not {value!r}"


def test_an_invalid_backoff_is_refused_by_name():
    with pytest.raises(ConfigurationError, match=r"^backoff must be a Backoff, not 2\.0$"):
        RetryPolicy(backoff=2.0)
