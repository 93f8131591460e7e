"""First calls: where the caller asks for it a few may start at once, and after an idle time as many as were admitted before, until a call is refused (law 16)."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace import SERVED, Throttled
from paceline._core.pace.controller import PaceController

AT_ONCE = 5  # calls
REMEMBERED = 300.0  # seconds
LEAST = 5.0  # calls a second
seconds = st.floats(0.05, 3.0)


class Page:
    """Makes several calls at the same time, and waits for their answers."""

    def __init__(self, latency):
        self.controller, self.now, self.latency = PaceController(), 0.0, latency
        self.controller.allow_bursts()

    def load(self, calls, *, refuse_from=None):
        """Make these calls, and return how long each waited; from number `refuse_from` on they are refused, and not repeated."""
        controller, began, open_calls, waits = self.controller, self.now, [], []
        while len(waits) < calls or open_calls:
            at = controller.admit_at(self.now, 100.0) if len(waits) < calls else float("inf")
            ends = open_calls[0][0] if open_calls else float("inf")
            if at <= self.now:
                number = len(waits)
                refused = refuse_from is not None and number >= refuse_from
                ticket = controller.started(self.now, 100.0)
                end = self.now + (0.1 if refused else self.latency)
                heapq.heappush(open_calls, (end, number, ticket, Throttled() if refused else SERVED))
                waits.append(self.now - began)
            elif at < ends:
                self.now = at
            else:
                self.now = ends
                _, _, ticket, signal = heapq.heappop(open_calls)
                controller.settled(ticket, self.now, signal)
        return waits

    def rest(self, seconds):
        self.now += seconds


@given(st.integers(1, AT_ONCE), seconds, st.floats(1.5, 1e4))
def test_a_few_calls_start_at_once_however_often(calls, latency, pause):
    page = Page(latency)
    for _ in range(4):
        assert page.load(calls) == [0.0] * calls
        page.rest(pause)


@given(st.integers(6, 20), seconds, st.floats(1.5, REMEMBERED - 30))
def test_calls_that_were_admitted_within_seconds_start_at_once_after_an_idle_time(calls, latency, pause):
    page = Page(latency)
    first = page.load(calls)
    assert first[AT_ONCE] > 0
    for _ in range(3):
        page.rest(pause)
        again = page.load(calls)
        if first[-1] <= 2.0:
            assert again == [0.0] * calls
        else:
            assert again[-1] < first[-1]


def test_a_caller_that_did_not_ask_for_it_starts_one_call_after_the_other():
    page = Page(0.3)
    page.controller = PaceController()
    for _ in range(3):
        waits = page.load(AT_ONCE)
        assert sorted(set(waits)) == waits
        page.rest(5.0)


@given(st.integers(6, 20), seconds)
def test_it_is_forgotten_after_some_minutes(calls, latency):
    page = Page(latency)
    first = page.load(calls)
    page.rest(REMEMBERED + 60.0)
    assert page.load(calls)[AT_ONCE] > 0
    assert first[AT_ONCE] > 0


@given(st.integers(0, 19), seconds)
def test_after_the_first_refusal_calls_start_one_after_the_other(calls, latency):
    page = Page(latency)
    page.load(20, refuse_from=calls)
    for _ in range(3):
        page.rest(30.0)
        waits = page.load(6)
        assert waits[1] > 0
        assert sorted(set(waits)) == waits


@pytest.mark.parametrize("pause", [0.0, 0.3, 0.9])
def test_a_page_that_is_loaded_again_and_again_waits_little(pause):
    page = Page(0.3)
    for _ in range(10):
        waits = page.load(AT_ONCE)
        page.rest(pause)
    assert max(waits) <= 0.4


def test_a_long_time_of_many_calls_allows_what_was_admitted_in_two_seconds_of_it():
    page = Page(0.3)
    page.load(1000)
    rate = 1000 / page.now
    page.rest(10.0)
    waits = page.load(1000)
    at_once = sum(wait == 0 for wait in waits)
    assert at_once <= 2 * rate * 1.2
    assert at_once >= min(20, rate)
