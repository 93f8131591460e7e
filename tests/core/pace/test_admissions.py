"""Which calls were admitted, and how many were in flight: against a count by hand."""

from __future__ import annotations

import heapq
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.admissions import Admissions, Outcome

FATES = {"served": Outcome.ADMITTED, "refused": Outcome.REFUSED, "failed": Outcome.NO_EVIDENCE}
FIRST_AGE = 0.6  # seconds
WINDOW = 16  # admissions

calls = st.tuples(st.floats(0, 0.5), st.sampled_from(sorted(FATES)), st.floats(0, 3), st.floats(0, 1e6))
lives = st.lists(calls, min_size=1, max_size=60)


class Life:
    """Lives calls, and asks for judgements after each event."""

    def __init__(self, calls, *, refusal=math.inf):
        self.evidence = Admissions()
        self.judged, self.started, self.late = [], [], []
        events, now = [], 0.0
        for number, (gap, fate, latency, tokens) in enumerate(calls):
            now += gap
            ends = now + (min(latency, refusal) if fate == "refused" else latency)
            heapq.heappush(events, (now, 0, number, fate, tokens))
            heapq.heappush(events, (ends, 1, number, fate, tokens))
        tickets = {}
        while events:
            self.now, ends, number, fate, tokens = heapq.heappop(events)
            if ends:
                self.end(tickets[number], fate)
            else:
                tickets[number] = self.evidence.start(self.now, tokens, paced=False, filled=False)
                self.started.append(tickets[number])
            self.judge()

    def end(self, call, fate):
        if fate == "served":
            self.evidence.served(call)
        elif fate == "failed":
            self.evidence.failed(call)
        elif self.evidence.refused(call, self.now):
            self.late.append(call)

    def judge(self):
        while (call := self.evidence.next(self.now)) is not None:
            self.judged.append((call, call.outcome, self.evidence.in_flight(call)))


@given(lives)
def test_calls_are_judged_in_the_order_of_their_starts_and_each_once(calls):
    life = Life(calls)
    orders = [call.order for call, _, _ in life.judged]
    assert orders == sorted(set(orders))
    silent = {call.order for call in life.started if call.outcome is Outcome.NO_EVIDENCE}
    assert set(range(len(life.started))) - set(orders) <= silent


@given(lives)
def test_what_ended_without_evidence_is_never_judged_by_its_end(calls):
    assert all(outcome is not Outcome.NO_EVIDENCE for _, outcome, _ in Life(calls).judged)


@given(lives)
def test_the_number_in_flight_is_exact_where_refusals_come_in_time(calls):
    calls = [(gap, fate if fate != "failed" else "served", latency, tokens) for gap, fate, latency, tokens in calls]
    life = Life(calls, refusal=0.05)
    for call, _, in_flight in life.judged:
        before = life.started[: call.order]
        admitted = sum(calls[other.order][1] == "served" for other in before)
        assert in_flight == admitted - call.completed
    assert not life.late


@given(lives)
def test_no_number_in_flight_is_negative_or_more_than_were_started_before(calls):
    assert all(0 <= in_flight <= call.order for call, _, in_flight in Life(calls).judged)


@given(lives)
def test_the_books_count_each_call_at_most_once(calls):
    evidence = Life(calls).evidence
    assert evidence.started == len(calls)
    assert 0 <= evidence.admitted <= evidence.started
    assert 0 <= evidence.completed <= evidence.started


def test_before_a_refusal_was_timed_it_is_expected_to_take_a_fifth_of_a_second():
    evidence = Admissions()
    assert evidence.age == FIRST_AGE
    assert evidence.round_trip == pytest.approx(0.2)


def test_a_call_on_its_way_counts_as_admitted_once_it_is_old_enough():
    evidence = Admissions()
    call = evidence.start(10.0, 1.0, paced=False, filled=False)
    assert evidence.verdict_at() == 10.0 + FIRST_AGE
    assert evidence.next(10.0 + FIRST_AGE - 0.01) is None
    assert evidence.next(10.0 + FIRST_AGE + 0.01) is call
    assert evidence.admitted == 1
    assert evidence.verdict_at() == math.inf


def test_a_late_refusal_puts_the_books_right_and_judgements_off():
    evidence = Admissions()
    call = evidence.start(0.0, 1.0, paced=False, filled=False)
    assert evidence.next(2.0) is call
    assert evidence.refused(call, 2.5)
    assert evidence.age == 2 * 2.5
    later = evidence.start(3.0, 1.0, paced=False, filled=False)
    assert evidence.next(3.0 + 4.9) is None
    assert evidence.next(3.0 + 5.1) is later
    assert evidence.in_flight(later) == 0


def test_a_refusal_in_time_corrects_nothing():
    evidence = Admissions()
    call = evidence.start(0.0, 1.0, paced=False, filled=False)
    assert not evidence.refused(call, 0.2)
    assert evidence.next(0.2) is call
    assert evidence.admitted == evidence.completed == 0


@pytest.mark.parametrize("judged", [True, False])
def test_a_call_that_failed_is_no_longer_in_flight(judged):
    evidence = Admissions()
    call = evidence.start(0.0, 1.0, paced=False, filled=False)
    if judged:
        assert evidence.next(1.0) is call
    evidence.failed(call)
    assert evidence.next(1.0) is None
    after = evidence.start(1.0, 1.0, paced=False, filled=False)
    assert evidence.next(2.0) is after
    assert evidence.in_flight(after) == 0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_judgements_wait_for_twice_what_all_but_the_slowest_tenth_of_the_latest_refusals_took(latencies):
    evidence = Admissions()
    for latency in latencies:
        evidence.refused(evidence.start(0.0, 1.0, paced=False, filled=False), latency)
    latest = sorted(latencies[-20:])
    assert evidence.age == max(0.1, 2 * latest[math.ceil(0.9 * len(latest)) - 1])
    assert evidence.round_trip == latest[len(latest) // 2]


@given(st.lists(st.tuples(st.floats(0.001, 1), st.floats(0, 1e6)), min_size=2, max_size=80))
def test_a_rate_is_that_of_the_latest_admissions(gaps):
    evidence, starts, now = Admissions(), [], 0.0
    for gap, tokens in gaps:
        now += gap
        evidence.served(evidence.start(now, tokens, paced=False, filled=False))
        assert evidence.next(now) is not None
        starts.append((now, tokens))
    first = 0
    while len(starts) - first > WINDOW and starts[first][0] < now - FIRST_AGE:
        first += 1
    seconds = now - starts[first][0]
    assert evidence.rate() == pytest.approx((len(starts) - first - 1) / seconds)
    assert evidence.token_rate() == pytest.approx(sum(tokens for _, tokens in starts[first + 1 :]) / seconds, abs=1e-3)
    evidence.forget_rate()
    assert evidence.rate() == evidence.token_rate() == 0.0


def test_no_rate_comes_of_a_single_admission():
    evidence = Admissions()
    evidence.served(evidence.start(0.0, 5.0, paced=False, filled=False))
    evidence.next(0.0)
    assert evidence.rate() == evidence.token_rate() == 0.0


def test_what_turns_out_refused_leaves_the_rate_and_so_do_those_after_it():
    evidence = Admissions()
    started = [evidence.start(0.1 * n, 10.0, paced=False, filled=False) for n in range(10)]
    while evidence.next(5.0):
        pass
    assert evidence.rate() == pytest.approx(10.0)
    assert evidence.refused(started[5], 5.0)
    assert evidence.rate() == pytest.approx(10.0)
    assert evidence.token_rate() == pytest.approx(100.0)
    assert evidence.refused(started[1], 5.0)
    assert evidence.rate() == evidence.token_rate() == 0.0


@given(lives)
def test_all_figures_stay_finite(calls):
    evidence = Life(calls).evidence
    for figure in (evidence.age, evidence.round_trip, evidence.rate(), evidence.token_rate()):
        assert math.isfinite(figure)
    assert evidence.age >= 0.1
    assert evidence.rate() >= 0
