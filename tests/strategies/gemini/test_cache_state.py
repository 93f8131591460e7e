"""The machine of the shared context cache: its laws, and a service that loses caches against it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from paceline._core.exceptions import IllegalTransitionError
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies.gemini.cache_signals import (
    AskAgain,
    Closing,
    Create,
    Created,
    Delete,
    Effect,
    FailCall,
    Failed,
    Found,
    Gone,
    Missing,
    NotFound,
    Nothing,
    Renew,
    Renewed,
    Search,
    SendContext,
    Served,
    Sweep,
    TooSmall,
    Use,
    Wait,
    Wanted,
)
from paceline.llm_strategies.gemini.cache_state import (
    NEW,
    Absent,
    CachePolicy,
    Closed,
    Creating,
    Ready,
    Renewing,
    Searching,
    Trace,
    Unusable,
    step,
)

from ...search import examples

POLICY = CachePolicy(ttl=1000.0)  # renewed in its last 250 seconds, not used in its last 5
OPERATIONS = {Searching: (Found, NotFound, Failed), Creating: (Created, TooSmall, Failed)} | {
    Renewing: (Renewed, Missing, Failed)
}

names = st.sampled_from(["a", "b"])
times = st.floats(0, 5000)
losses = st.integers(0, 4)
policies = st.builds(CachePolicy, ttl=st.floats(60, 5000), keep=st.booleans(), max_losses=st.integers(1, 4))
states = st.one_of(
    st.builds(Absent, st.sampled_from(Trace), losses),
    st.builds(Searching, st.sampled_from(Trace), losses),
    st.builds(Creating, losses),
    st.builds(Ready, names, times, times, losses),
    st.builds(Renewing, names, times | st.just(-math.inf), losses),
    st.just(Unusable()),
    st.just(Closed()),
)
outcomes = st.one_of(
    st.builds(Found, names),
    st.builds(Created, names, times),
    st.builds(Renewed, times),
    st.builds(Failed, st.booleans()),
    st.sampled_from([NotFound(), TooSmall(), Missing()]),
)
events = outcomes | st.builds(Gone, names) | st.builds(Served, names) | st.sampled_from([Wanted(), Closing()])


def may_happen(state, event):
    if isinstance(state, Closed):
        return not isinstance(event, Wanted)
    return isinstance(event, (Wanted, Gone, Served, Closing, *OPERATIONS.get(type(state), ())))


@given(policies, states, events, times)
def test_every_state_knows_every_event_that_it_can_have(policy, state, event, now):
    if may_happen(state, event):
        after, effect = step(policy, state, event, now)
        assert isinstance(after, Absent | Searching | Creating | Ready | Renewing | Unusable | Closed)
        assert isinstance(effect, Effect)
    else:
        with pytest.raises(IllegalTransitionError):
            step(policy, state, event, now)


@given(policies, states, events, times)
def test_the_receiver_of_an_effect_carries_it_out(policy, state, event, now):
    if may_happen(state, event):
        after, effect = step(policy, state, event, now)
        started = {Search: Searching, Create: Creating, Renew: Renewing}.get(type(effect))
        assert started is None or type(after) is started
        ends = isinstance(event, OPERATIONS.get(type(state), ()))
        began = isinstance(after, tuple(OPERATIONS)) and (ends or not isinstance(state, tuple(OPERATIONS)))
        assert began == (started is not None)


@given(policies, states, times)
def test_a_cache_is_never_used_in_its_last_seconds(policy, state, now):
    if isinstance(state, Closed):
        return
    after, effect = step(policy, state, Wanted(), now)
    if isinstance(effect, Use):
        assert now < after.expires - policy.guard
        assert effect.name == state.name


@given(policies, states, names, times)
def test_gone_is_ignored_for_an_older_cache(policy, state, name, now):
    after, effect = step(policy, state, Gone(name), now)
    assert effect == Nothing()
    if getattr(state, "name", None) != name:
        assert after is state
    elif isinstance(state, Renewing):
        assert after.expires == -math.inf
    else:
        assert isinstance(after, Absent | Unusable)


@given(states, times)
def test_a_kept_cache_is_not_deleted(state, now):
    assert step(CachePolicy(keep=True), state, Closing(), now) == (Closed(), Nothing())


@pytest.mark.parametrize("ttl", [59.9, 0, -1, math.inf, math.nan, True, "3600s", None])
def test_ttl_must_be_a_minute_or_more(ttl):
    with pytest.raises(ConfigurationError, match="ttl"):
        CachePolicy(ttl=ttl)


# --------------------------------------------------------------------------------- stories, step by step


def play(*story, state=NEW, policy=POLICY):
    """Let events happen at their times; return the effects, and the state at the end."""
    effects = []
    for now, event in story:
        state, effect = step(policy, state, event, now)
        effects.append(effect)
    return effects, state


READY = Ready("a", 1000.0, 750.0)


def test_the_first_call_searches_and_creates_and_the_others_wait():
    effects, state = play((0, Wanted()), (0, Wanted()), (1, NotFound()), (1, Wanted()), (9, Created("a", 1.0)))
    assert effects == [Search(), Wait(), Create(), Wait(), AskAgain()]
    assert state == Ready("a", 1001.0, 751.0)


def test_an_earlier_runs_cache_is_renewed_before_use():
    effects, state = play((0, Wanted()), (1, Found("a")), (1, Wanted()), (2, Renewed(1.5)), (2, Wanted()))
    assert effects == [Search(), Renew("a"), Wait(), AskAgain(), Use("a")]
    assert state.expires == 1001.5


def test_an_earlier_runs_cache_that_is_gone_is_replaced():
    effects, _ = play((0, Wanted()), (1, Found("a")), (2, Missing()), (3, Created("b", 2.0)), (3, Wanted()))
    assert effects == [Search(), Renew("a"), Create(), AskAgain(), Use("b")]


def test_one_call_renews_the_cache_while_the_others_use_it():
    effects, state = play((749, Wanted()), (750, Wanted()), (750, Wanted()), (751, Renewed(750.0)), state=READY)
    assert effects == [Use("a"), Renew("a"), Use("a"), AskAgain()]
    assert state == Ready("a", 1750.0, 1500.0)


def test_a_cache_is_used_during_renewal_until_its_last_seconds():
    effects, _ = play((900, Wanted()), (994, Wanted()), (995, Wanted()), state=READY)
    assert effects == [Renew("a"), Use("a"), Wait()]


def test_a_failed_renewal_is_repeated_later():
    story = [(750, Wanted()), (751, Failed()), (751, Wanted()), (813, Wanted()), (814, Wanted())]
    effects, _ = play(*story, state=READY)
    assert effects == [Renew("a"), AskAgain(), Use("a"), Use("a"), Renew("a")]


def test_a_renewal_that_fails_near_expiry_fails_the_call():
    effects, state = play((996, Wanted()), (997, Failed()), (998, Wanted()), (1001, Failed()), state=READY)
    assert effects == [Renew("a"), FailCall(), Renew("a"), FailCall()]
    assert state.name == "a"


def test_an_expired_cache_is_renewed_or_replaced_before_use():
    effects, _ = play((2000, Wanted()), (2000, Wanted()), (2001, Missing()), state=READY)
    assert effects == [Renew("a"), Wait(), Create()]
    effects, _ = play((2000, Wanted()), (2000, Wanted()), (2001, Renewed(2000.0)), (2001, Wanted()), state=READY)
    assert effects == [Renew("a"), Wait(), AskAgain(), Use("a")]


def test_an_unproven_cache_whose_renewal_fails_is_searched_for():
    effects, state = play((760, Wanted()), (761, Gone("a")), (762, Failed()), (762, Wanted()), state=READY)
    assert effects == [Renew("a"), Nothing(), FailCall(), Search()]
    assert state == Searching(Trace.EARLIER, 1)


def test_a_lost_cache_is_created_again_once():
    story = [(5, Gone("a")), (5, Wanted()), (5, Gone("a")), (5, Wanted()), (9, Created("b", 5.0)), (9, Gone("a"))]
    effects, state = play(*story, (9, Wanted()), state=READY)
    assert effects == [Nothing(), Create(), Nothing(), Wait(), AskAgain(), Nothing(), Use("b")]
    assert state.name == "b"


def test_a_cache_reported_gone_during_renewal_is_not_used_until_renewal_ends():
    effects, state = play((760, Wanted()), (761, Gone("a")), (761, Wanted()), (762, Missing()), state=READY)
    assert effects == [Renew("a"), Nothing(), Wait(), Create()]
    assert state == Creating(1)


def test_a_creation_whose_answer_was_lost_is_searched_for_before_another():
    effects, _ = play((0, Wanted()), (0, NotFound()), (9, Failed(lost=True)), (9, Wanted()))
    assert effects == [Search(), Create(), FailCall(), Search()]
    effects, _ = play((0, Wanted()), (0, NotFound()), (9, Failed()), (9, Wanted()))
    assert effects == [Search(), Create(), FailCall(), Create()]


def test_a_context_too_small_to_cache_is_sent_with_every_call():
    effects, state = play((0, Wanted()), (0, NotFound()), (1, TooSmall()), (1, Wanted()), (9, Wanted()))
    assert effects == [Search(), Create(), AskAgain(), SendContext(), SendContext()]
    assert state == Unusable()


def lost(name, since):
    return [(since, Wanted()), (since, Created(name, since)), (since, Wanted()), (since, Gone(name))]


def test_caches_lost_before_serving_a_call_are_given_up():
    start = Absent(Trace.NONE)
    _, state = play(*lost("a", 0), *lost("b", 1), *lost("c", 2), state=start)
    assert state == Unusable()
    _, state = play(*lost("a", 0), *lost("b", 1), *lost("c", 2)[:3], (2, Served("c")), (2, Gone("c")), state=start)
    assert state == Absent(Trace.NONE, 1)


@pytest.mark.parametrize(
    ("state", "effect"),
    [
        (READY, Delete("a")),
        (Renewing("a", 9.0), Delete("a")),
        (Creating(), Sweep()),
        (Absent(Trace.LOST), Sweep()),
        (Searching(Trace.LOST), Sweep()),
        (Absent(), Nothing()),
        (Searching(Trace.EARLIER), Nothing()),
        (Unusable(), Nothing()),
        (Closed(), Nothing()),
    ],
    ids=repr,
)
def test_closing_leaves_no_cache_at_the_service(state, effect):
    assert step(POLICY, state, Closing(), 0.0) == (Closed(), effect)


def test_a_cache_created_after_closing_is_deleted():
    assert step(POLICY, Closed(), Created("a", 0.0), 1.0) == (Closed(), Delete("a"))
    assert step(CachePolicy(keep=True), Closed(), Created("a", 0.0), 1.0) == (Closed(), Nothing())


# ------------------------------------------------------------------------------------ against a service by hand


class CacheAgainstAService(RuleBasedStateMachine):
    """The service is a dict from names to the times at which they expire; the model knows nothing of the machine's states."""

    @initialize(left_by_an_earlier_run=st.booleans())
    def begin(self, left_by_an_earlier_run):
        self.state = NEW
        self.now = 0.0
        self.service = {"earlier": 400.0} if left_by_an_earlier_run else {}
        self.known_until = {}
        self.operation = None
        self.asked = 0.0
        self.created = self.needless = 0
        self.unserved = 0

    def happens(self, event):
        self.state, effect = step(POLICY, self.state, event, self.now)
        if isinstance(effect, Search | Create | Renew):
            assert self.operation is None
            self.operation, self.asked = effect, self.now
            if isinstance(effect, Create):
                self.needless += any(self.now < until for until in self.service.values())
        return effect

    def is_gone(self, name):
        self.unserved += 1
        self.happens(Gone(name))

    def end(self):
        operation, self.operation = self.operation, None
        return operation

    @rule(seconds=st.floats(0.1, 400))
    def time_passes(self, seconds):
        self.now += seconds
        self.service = {name: until for name, until in self.service.items() if self.now < until}

    @rule()
    def a_call_is_made(self):
        effect = self.happens(Wanted())
        if isinstance(effect, Use):
            assert self.now < self.known_until[effect.name] - POLICY.guard
            if effect.name not in self.service:
                self.is_gone(effect.name)
            else:
                self.unserved = 0
                self.happens(Served(effect.name))
        elif isinstance(effect, Wait):
            assert self.operation is not None
        elif isinstance(effect, SendContext):
            assert self.unserved >= POLICY.max_losses
        else:
            assert isinstance(effect, Search | Create | Renew)

    @precondition(lambda self: self.operation is not None)
    @rule()
    def the_operation_succeeds(self):
        match self.end():
            case Search():
                found = next(iter(self.service), None)
                self.happens(NotFound() if found is None else Found(found))
            case Create():
                self.created += 1
                name = f"c{self.created}"
                self.service[name] = self.now + POLICY.ttl
                self.known_until[name] = self.asked + POLICY.ttl
                self.happens(Created(name, self.asked))
            case Renew(name) if name in self.service:
                self.service[name] = self.now + POLICY.ttl
                self.known_until[name] = self.asked + POLICY.ttl
                self.happens(Renewed(self.asked))
            case Renew():
                self.happens(Missing())

    @precondition(lambda self: self.operation is not None)
    @rule(heard=st.booleans())
    def its_worker_is_cancelled_or_its_answer_is_lost(self, heard):
        operation = self.end()
        if isinstance(operation, Create) and heard:
            self.service[f"lost{self.now}"] = self.now + POLICY.ttl
        self.happens(Failed(lost=True))

    @precondition(lambda self: self.service)
    @rule()
    def the_service_loses_a_cache(self):
        self.service.popitem()

    @rule(name=st.sampled_from(["c1", "c2", "earlier"]))
    def somebody_heard_late_that_a_cache_is_gone(self, name):
        if name not in self.service:
            self.is_gone(name)

    @invariant()
    def a_cache_is_created_only_where_there_is_none(self):
        assert getattr(self, "needless", 0) == 0

    @invariant()
    def the_last_of_them_is_what_is_renewed(self):
        operation = getattr(self, "operation", None)
        if isinstance(operation, Renew):
            assert operation.name == self.state.name

    def teardown(self):
        if not hasattr(self, "state"):
            return
        effect = self.happens(Closing())
        lost = {name for name in self.service if name.startswith("lost")}
        if isinstance(effect, Delete):
            self.service.pop(effect.name, None)
        elif isinstance(effect, Sweep):
            self.service.clear()
        if not lost:  # one whose answer was lost is found by the next search, or by the sweep
            assert not any(name.startswith("c") for name in self.service)


TestTheCacheAgainstAService = CacheAgainstAService.TestCase
TestTheCacheAgainstAService.settings = settings(max_examples=examples(80), stateful_step_count=40)
