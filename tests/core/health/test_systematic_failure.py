"""Systematic failure: when a lane whose calls all fail alike is stopped, and when it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from paceline._core.fault import Fault, FaultKind
from paceline._core.health.systematic_failure import (
    ALIKE,
    COUNTED_KINDS,
    MIXED,
    NEW,
    PASSING,
    SERVED,
    SERVED_KINDS,
    UNREACHED_SECONDS,
    Ended,
    Failing,
    Served,
    Suspended,
    Watching,
    advice_for,
    step,
    stop_message,
    unprepared_fault,
)

WORDS = ["the model does not exist", "the prompt is too long", "no"]
REFUSED = Fault(FaultKind.TRANSIENT, "connection refused by http://127.0.0.1:9", is_unreached=True)

kinds = st.sampled_from(FaultKind)
faults = st.builds(Fault, kinds, st.sampled_from(WORDS)) | st.just(REFUSED)
events = st.builds(
    lambda fault, at, in_flight, is_final: Ended.of(fault, at=at, in_flight=in_flight, is_final=is_final),
    st.none() | faults,
    st.floats(0, 1e6),
    st.integers(0, 50),
    st.booleans(),
) | st.builds(Ended, st.floats(0, 1e6), st.integers(0, 50))


def failed(kind=FaultKind.REJECTED, message="no such model", *, in_flight=0, at=0.0, is_final=True):
    return Ended.of(Fault(kind, message), at=at, in_flight=in_flight, is_final=is_final)


def unreached(at, *, in_flight=0):
    return Ended.of(REFUSED, at=at, in_flight=in_flight, is_final=False)


def answered(*, in_flight=0):
    return Ended.of(None, at=0.0, in_flight=in_flight, is_final=True)


def after(*events, state=NEW, keep_going=False):
    for event in events:
        state = step(state, event, keep_going=keep_going)
    return state


@given(st.lists(events, max_size=60), st.booleans())
def test_every_event_has_a_next_state_and_the_final_ones_stay(sequence, keep_going):
    state = NEW
    for event in sequence:
        before, state = state, step(state, event, keep_going=keep_going)
        assert isinstance(state, (Watching, Suspended, Served, Failing))
        if isinstance(before, (Served, Failing)):
            assert state is before


@given(st.lists(events, max_size=40), st.lists(events, max_size=60))
def test_a_lane_that_has_served_a_call_is_never_stopped(before, later):
    state = after(*before)
    if not isinstance(state, Failing):
        assert after(answered(in_flight=3), *later, state=state) == SERVED


@given(st.lists(events, max_size=300))
def test_a_lane_that_keeps_going_is_never_stopped_or_suspended(sequence):
    assert isinstance(after(*sequence, keep_going=True), (Watching, Served))


@pytest.mark.parametrize("kind", sorted(COUNTED_KINDS))
def test_the_tenth_final_fault_that_is_alike_stops_a_lane(kind):
    nine = after(*[failed(kind, f"item {n}: no") for n in range(ALIKE - 1)])
    assert isinstance(nine, Watching)
    ten = after(failed(kind, "item 99: no"), state=nine)
    assert isinstance(ten, Failing)
    assert (ten.evidence.count, ten.evidence.alike, ten.evidence.fault.message) == (ALIKE, True, "item 0: no")


@pytest.mark.parametrize("kind", sorted(SERVED_KINDS))
def test_a_fault_of_the_answer_shows_that_calls_are_served(kind):
    assert after(failed(kind), *[failed() for _ in range(500)]) == SERVED


@pytest.mark.parametrize("kind", sorted(set(FaultKind) - COUNTED_KINDS - SERVED_KINDS))
def test_other_kinds_count_for_nothing(kind):
    assert after(*[failed(kind) for _ in range(500)]) == NEW


def test_a_fault_after_which_the_item_is_called_again_does_not_count():
    assert isinstance(after(*[failed(FaultKind.TRANSIENT, is_final=False) for _ in range(500)]), Watching)


def test_faults_of_any_messages_stop_a_lane_when_there_are_many():
    letters = "abcdefghij"
    various = [failed(message=f"no {a}{b}{c}") for a in letters for b in letters for c in letters]
    assert len(various) == MIXED
    assert isinstance(after(*various[:-1]), Watching)
    state = after(*various)
    assert isinstance(state, Failing)
    assert (state.evidence.count, state.evidence.alike) == (MIXED, False)


def test_ten_alike_are_found_among_many_others():
    letters = "abcdefghij"
    various = [failed(message=f"no {a}{b}{c}") for a in letters for b in letters for c in letters[:2]]
    mixed = [event for other in various for event in (other, failed(message="the same"))]
    state = after(*mixed[: 2 * ALIKE])
    assert isinstance(state, Failing)
    assert state.evidence.fault.message == "the same"
    rare = after(*various, *[failed(message="the same") for _ in range(ALIKE)])
    assert isinstance(rare, Failing)
    assert rare.evidence.count == ALIKE


def test_a_server_that_is_not_reached_stops_a_lane_after_some_calls_and_some_time():
    early = [unreached(0.01 * n) for n in range(100)]
    assert isinstance(after(*early), Watching)
    late = after(*early, unreached(UNREACHED_SECONDS))
    assert isinstance(late, Failing)
    assert late.evidence.fault is REFUSED
    slow = [unreached(UNREACHED_SECONDS * n) for n in range(PASSING)]
    assert isinstance(after(*slow[:-1]), Watching)
    assert isinstance(after(*slow), Failing)


@pytest.mark.parametrize("kind", [FaultKind.OVERLOADED, FaultKind.TRANSIENT, FaultKind.TIMEOUT])
def test_an_outage_from_the_start_stops_a_lane_when_patience_ends(kind):
    def after_outage(times):
        state = NEW
        for at in times:
            state = step(state, failed(kind, "no capacity", at=at, is_final=False), patience=900.0)
        return state

    assert isinstance(after_outage([0.0, 1.0, 2.0, 3.0, 899.0]), Watching)
    assert isinstance(after_outage([0.0, 1.0, 2.0, 900.0]), Watching)
    assert isinstance(after_outage([0.0, 1.0, 2.0, 3.0, 900.0]), Failing)


def test_answers_that_are_slower_than_faults_are_waited_for():
    """Ten quick rejections of bad items say nothing while ten good ones are being answered."""
    suspended = after(*[failed(in_flight=10) for _ in range(ALIKE)])
    assert isinstance(suspended, Suspended)
    assert after(*[failed(in_flight=n) for n in (9, 8, 7)], state=suspended) == suspended
    assert after(answered(in_flight=6), state=suspended) == SERVED
    assert isinstance(after(failed(in_flight=0), state=suspended), Failing)
    assert isinstance(after(Ended(0.0, 0), state=suspended), Failing)
    assert after(failed(in_flight=3), state=suspended, keep_going=True) == SERVED


class LaneAgainstAListOfFaults(RuleBasedStateMachine):
    """The model keeps every event, and judges them all again after each."""

    def __init__(self):
        super().__init__()
        self.state = NEW
        self.past = []
        self.in_flight = 0
        self.now = 0.0
        self.found = self.served = self.failing = False

    @rule(calls=st.integers(1, 5))
    def start(self, calls):
        if not (self.failing or (self.found and not self.served)):
            self.in_flight += calls

    @rule(seconds=st.floats(0, 6))
    def wait(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.in_flight)
    @rule(
        fault=st.sampled_from([*[Fault(FaultKind.REJECTED, word) for word in WORDS[:2]], REFUSED]),
        is_final=st.booleans(),
    )
    def fail(self, fault, is_final):
        self._end(fault, is_final)

    @precondition(lambda self: self.in_flight and len(self.past) > 15)
    @rule()
    def serve(self):
        self._end(None, True)

    def _end(self, fault, is_final):
        self.in_flight -= 1
        event = Ended.of(fault, at=self.now, in_flight=self.in_flight, is_final=is_final)
        self.past.append(event)
        self.state = step(self.state, event)
        self._judge()

    def _judge(self):
        if self.failing or self.served:
            return
        self.served = any(event.fault is None for event in self.past)
        if self.served:
            return
        final = [event.fault.message for event in self.past if event.is_final]
        times = [event.at for event in self.past if event.fault is REFUSED]
        lost = any(
            len(times[: index + 1]) >= PASSING and at - times[0] >= UNREACHED_SECONDS for index, at in enumerate(times)
        )
        self.found = self.found or lost or any(final.count(message) >= ALIKE for message in final)
        self.failing = self.found and not self.in_flight

    @invariant()
    def agrees(self):
        assert isinstance(self.state, Served) == self.served
        assert isinstance(self.state, Failing) == self.failing
        assert isinstance(self.state, Suspended) == (self.found and not self.served and not self.failing)


TestLaneAgainstAListOfFaults = LaneAgainstAListOfFaults.TestCase


@given(faults, st.integers(1, 10**6))
def test_the_reason_names_the_model_the_number_and_the_words_of_the_provider(fault, count):
    evidence = Suspended(after(*[failed() for _ in range(ALIKE)]).evidence).evidence
    text = stop_message(evidence, "gpt-5-mni")
    assert "gpt-5-mni" in text
    assert "10 calls" in text
    assert "rejected: no such model" in text
    assert "check the model's name" in text
    assert isinstance(advice_for(fault), str)


def test_of_a_server_that_is_not_reached_the_address_is_to_be_checked():
    assert advice_for(REFUSED) == "check the server's address, and that it is running"
    assert advice_for(Fault(FaultKind.TRANSIENT)) != advice_for(REFUSED)


@pytest.mark.parametrize("kind", FaultKind)
def test_items_of_a_strategy_that_cannot_be_prepared_are_pending_with_the_reason(kind):
    fault = Fault(
        kind, "NotFoundError: Error code: 404 - {'error': {'message': 'no model gpt-5-mni.'}}", reason="no_access"
    )
    found = unprepared_fault(fault, "gpt-5-mni")
    assert (found.kind, found.reason) == (FaultKind.PENDING, "no_access")
    assert found.message.startswith(f"gpt-5-mni could not be prepared: {kind}: 404: no model gpt-5-mni")
    assert ".;" not in found.message


def test_a_server_that_answers_with_pages_stops_a_lane_as_soon_as_one_that_is_not_reached():
    page = Fault(FaultKind.TRANSIENT, "the server answered HTML", reason="not_the_api")
    times = [n * UNREACHED_SECONDS / (PASSING - 1) for n in range(PASSING)]
    ends = [Ended.of(page, at=at, in_flight=0, is_final=False) for at in times]
    assert isinstance(after(*ends[:-1]), Watching)
    state = after(*ends)
    assert isinstance(state, Failing)
    assert "check the server's address: it must be that of the API" in stop_message(state.evidence, "m")
