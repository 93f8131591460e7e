"""Admissions and calls in flight, compared with a count by hand."""

from __future__ import annotations

import heapq
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.admissions import Admissions, Outcome

OUTCOMES = {"served": Outcome.ADMITTED, "refused": Outcome.REFUSED, "failed": Outcome.NO_EVIDENCE}
FIRST_AGE = 0.6  # seconds
WINDOW = 16  # admissions

calls = st.tuples(st.floats(0, 0.5), st.sampled_from(sorted(OUTCOMES)), st.floats(0, 3), st.floats(0, 1e6))
histories = st.lists(calls, min_size=1, max_size=60)


class History:
    """Runs calls in the order of their events, and judges what can be judged after each."""

    def __init__(self, calls, *, refusal=math.inf):
        self.admissions = Admissions()
        self.judged, self.started, self.late = [], [], []
        events, now = [], 0.0
        for number, (gap, outcome, latency, tokens) in enumerate(calls):
            now += gap
            ends = now + (min(latency, refusal) if outcome == "refused" else latency)
            heapq.heappush(events, (now, 0, number, outcome, tokens))
            heapq.heappush(events, (ends, 1, number, outcome, tokens))
        tickets = {}
        while events:
            self.now, ends, number, outcome, tokens = heapq.heappop(events)
            if ends:
                self.end(tickets[number], outcome)
            else:
                tickets[number] = self.admissions.record_start(self.now, tokens, paced=False, filled=False)
                self.started.append(tickets[number])
            self.judge()

    def end(self, call, outcome):
        if outcome == "served":
            self.admissions.record_answer(call, self.now)
        elif outcome == "failed":
            self.admissions.record_no_evidence(call)
        elif self.admissions.record_refusal(call, self.now):
            self.late.append(call)

    def judge(self):
        while (call := self.admissions.next_judged(self.now)) is not None:
            self.judged.append((call, call.outcome, self.admissions.in_flight(call)))


@given(histories)
def test_calls_are_judged_in_the_order_of_their_starts_and_each_once(calls):
    history = History(calls)
    orders = [call.order for call, _, _ in history.judged]
    assert orders == sorted(set(orders))
    silent = {call.order for call in history.started if call.outcome is Outcome.NO_EVIDENCE}
    assert set(range(len(history.started))) - set(orders) <= silent


@given(histories)
def test_a_call_that_ended_without_evidence_is_never_judged_by_its_end(calls):
    assert all(outcome is not Outcome.NO_EVIDENCE for _, outcome, _ in History(calls).judged)


@given(histories)
def test_the_number_in_flight_is_exact_where_refusals_come_in_time(calls):
    calls = [
        (gap, outcome if outcome != "failed" else "served", latency, tokens) for gap, outcome, latency, tokens in calls
    ]
    history = History(calls, refusal=0.05)
    for call, _, in_flight in history.judged:
        before = history.started[: call.order]
        admitted = sum(calls[other.order][1] == "served" for other in before)
        assert in_flight == admitted - call.completed
    assert not history.late


@given(histories)
def test_no_number_in_flight_is_negative_or_more_than_were_started_before(calls):
    assert all(0 <= in_flight <= call.order for call, _, in_flight in History(calls).judged)


@given(histories)
def test_each_call_is_counted_at_most_once(calls):
    admissions = History(calls).admissions
    assert admissions.started == len(calls)
    assert 0 <= admissions.admitted <= admissions.started
    assert 0 <= admissions.completed <= admissions.started


def test_before_a_refusal_was_timed_it_is_expected_to_take_a_fifth_of_a_second():
    admissions = Admissions()
    assert admissions.confirmation_age == FIRST_AGE
    assert admissions.refusal_latency == pytest.approx(0.2)


def test_a_call_on_its_way_counts_as_admitted_once_it_is_old_enough():
    admissions = Admissions()
    call = admissions.record_start(10.0, 1.0, paced=False, filled=False)
    assert admissions.verdict_at() == 10.0 + FIRST_AGE
    assert admissions.next_judged(10.0 + FIRST_AGE - 0.01) is None
    assert admissions.next_judged(10.0 + FIRST_AGE + 0.01) is call
    assert admissions.admitted == 1
    assert admissions.verdict_at() == math.inf


def test_a_late_refusal_corrects_the_counts_and_delays_later_verdicts():
    admissions = Admissions()
    call = admissions.record_start(0.0, 1.0, paced=False, filled=False)
    assert admissions.next_judged(2.0) is call
    assert admissions.record_refusal(call, 2.5)
    assert admissions.confirmation_age == 2 * 2.5
    later = admissions.record_start(3.0, 1.0, paced=False, filled=False)
    assert admissions.next_judged(3.0 + 4.9) is None
    assert admissions.next_judged(3.0 + 5.1) is later
    assert admissions.in_flight(later) == 0


def test_a_refusal_in_time_corrects_nothing():
    admissions = Admissions()
    call = admissions.record_start(0.0, 1.0, paced=False, filled=False)
    assert not admissions.record_refusal(call, 0.2)
    assert admissions.next_judged(0.2) is call
    assert admissions.admitted == admissions.completed == 0


@pytest.mark.parametrize("judged", [True, False])
def test_a_call_that_failed_is_no_longer_in_flight(judged):
    admissions = Admissions()
    call = admissions.record_start(0.0, 1.0, paced=False, filled=False)
    if judged:
        assert admissions.next_judged(1.0) is call
    admissions.record_no_evidence(call)
    assert admissions.next_judged(1.0) is None
    after = admissions.record_start(1.0, 1.0, paced=False, filled=False)
    assert admissions.next_judged(2.0) is after
    assert admissions.in_flight(after) == 0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_the_confirmation_age_is_twice_the_ninth_decile_of_the_latest_refusals_latencies(latencies):
    admissions = Admissions()
    for latency in latencies:
        admissions.record_refusal(admissions.record_start(0.0, 1.0, paced=False, filled=False), latency)
    latest = sorted(latencies[-20:])
    assert admissions.confirmation_age == max(0.1, 2 * latest[math.ceil(0.9 * len(latest)) - 1])
    assert admissions.refusal_latency == latest[len(latest) // 2]


@given(st.lists(st.tuples(st.floats(0.001, 1), st.floats(0, 1e6)), min_size=2, max_size=80))
def test_the_rate_is_measured_over_the_latest_admissions(gaps):
    admissions, starts, now = Admissions(), [], 0.0
    for gap, tokens in gaps:
        now += gap
        admissions.record_answer(admissions.record_start(now, tokens, paced=False, filled=False), now + 1.0)
        assert admissions.next_judged(now) is not None
        starts.append((now, tokens))
    first = 0
    while len(starts) - first > WINDOW and starts[first][0] < now - FIRST_AGE:
        first += 1
    seconds = now - starts[first][0]
    assert admissions.rate() == pytest.approx((len(starts) - first - 1) / seconds)
    assert admissions.token_rate() == pytest.approx(
        sum(tokens for _, tokens in starts[first + 1 :]) / seconds, abs=1e-3
    )
    admissions.restart_rate()
    assert admissions.rate() == admissions.token_rate() == 0.0


def test_a_single_admission_gives_no_rate():
    admissions = Admissions()
    admissions.record_answer(admissions.record_start(0.0, 5.0, paced=False, filled=False), 1.0)
    admissions.next_judged(0.0)
    assert admissions.rate() == admissions.token_rate() == 0.0


def test_a_late_refusal_removes_its_call_and_all_later_ones_from_the_rate():
    admissions = Admissions()
    started = [admissions.record_start(0.1 * n, 10.0, paced=False, filled=False) for n in range(10)]
    while admissions.next_judged(5.0):
        pass
    assert admissions.rate() == pytest.approx(10.0)
    assert admissions.record_refusal(started[5], 5.0)
    assert admissions.rate() == pytest.approx(10.0)
    assert admissions.token_rate() == pytest.approx(100.0)
    assert admissions.record_refusal(started[1], 5.0)
    assert admissions.rate() == admissions.token_rate() == 0.0


@given(histories)
def test_all_figures_stay_finite(calls):
    admissions = History(calls).admissions
    for figure in (admissions.confirmation_age, admissions.refusal_latency, admissions.rate(), admissions.token_rate()):
        assert math.isfinite(figure)
    assert admissions.confirmation_age >= 0.1
    assert admissions.rate() >= 0


def test_what_one_lane_refuses_says_nothing_about_another():
    alone, other, beside = Admissions(), Admissions(), Admissions()
    for admissions, seconds in ((alone, 0.5), (other, 8.0), (beside, 0.5)):
        for _ in range(15):
            call = admissions.record_start(0.0, 1.0, paced=False, filled=False)
            admissions.record_refusal(call, seconds)
    assert other.confirmation_age > beside.confirmation_age == alone.confirmation_age
