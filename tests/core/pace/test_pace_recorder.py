"""What is told of the parts: where each stands, once, with its reason."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.admissions import Admissions
from paceline._core.pace.breaker import Breaker
from paceline._core.pace.concurrency_cap import ConcurrencyCap
from paceline._core.pace.dimensions import Dimensions
from paceline._core.pace.history import PaceRecorder

NOW = 7.0


class Parts:
    """The parts, and what is told of them."""

    def __init__(self):
        self.workers, self.handles, self.gate = ConcurrencyCap(), Dimensions(Admissions()), Breaker()
        self.telling = PaceRecorder(self.workers, self.handles, self.gate)
        self.telling.start()

    @property
    def told(self):
        """Return what was told, as handle, from, to."""
        return [(change.handle, change.old, change.new) for change in self.telling.history.changes]

    @property
    def reasons(self):
        return [change.reason for change in self.telling.history.changes]


def test_nothing_is_told_of_parts_that_stand_still():
    parts = Parts()
    parts.telling.climbs(NOW)
    parts.telling.all(NOW, "nothing has happened")
    parts.telling.workers(NOW, "nothing has happened")
    parts.telling.rate(NOW, parts.handles.requests, "nothing has happened")
    parts.telling.gate(NOW, "nothing has happened")
    assert parts.told == []


@given(st.floats(1, 4_000))
def test_workers_are_told_in_whole_numbers(limit):
    parts = Parts()
    before, parts.workers.limit = int(parts.workers.limit), limit
    parts.telling.workers(NOW, "a reason")
    assert parts.told == ([] if int(limit) == before else [("workers", before, int(limit))])


def test_a_rate_is_told_by_the_name_of_what_it_counts():
    parts = Parts()
    parts.handles.requests.rate.value, parts.handles.tokens.rate.value = 10.0, 2_000.0
    parts.telling.rate(NOW, parts.handles.requests, "a reason")
    parts.telling.rate(NOW, parts.handles.tokens, "another")
    assert parts.told == [("calls a second", math.inf, 10.0), ("tokens a second", math.inf, 2_000.0)]
    assert parts.reasons == ["a reason", "another"]


def test_of_the_gate_the_seconds_are_told_until_it_opens():
    parts = Parts()
    parts.gate.closed, parts.gate.opens = True, NOW + 3.0
    parts.telling.gate(NOW, "closed")
    parts.gate.closed = False
    parts.telling.gate(NOW + 1.0, "open")
    assert parts.told == [("gate", 0.0, 3.0), ("gate", 3.0, 0.0)]
    assert [change.time for change in parts.telling.history.changes] == [NOW, NOW + 1.0]


def test_a_gate_that_should_have_opened_already_is_told_as_open():
    parts = Parts()
    parts.gate.closed, parts.gate.opens = True, NOW - 3.0
    parts.telling.all(NOW, "a reason")
    assert parts.told == []


def test_all_that_one_reason_changed_is_told_at_once():
    parts = Parts()
    parts.workers.limit = 14.0
    parts.handles.requests.rate.value, parts.handles.tokens.rate.value = 10.0, 2_000.0
    parts.gate.closed, parts.gate.opens = True, NOW + 3.0
    parts.telling.all(NOW, "a reason")
    assert parts.told == [
        ("workers", 20, 14),
        ("calls a second", math.inf, 10.0),
        ("tokens a second", math.inf, 2_000.0),
        ("gate", 0.0, 3.0),
    ]
    assert set(parts.reasons) == {"a reason"}


@pytest.mark.parametrize(
    ("handle", "reason"),
    [
        ("workers", "all workers are busy, and none is refused"),
        ("calls a second", "calls are held back, and none is refused"),
        ("tokens a second", "calls are held back, and none is refused"),
    ],
)
def test_a_climb_is_told_once_it_is_long_enough_and_with_what_it_was_for(handle, reason):
    parts = Parts()
    parts.handles.requests.rate.value, parts.handles.tokens.rate.value = 100.0, 100.0
    parts.workers.limit = 100.0
    parts.telling.start()

    def climb(value):
        match handle:
            case "workers":
                parts.workers.limit = value
            case "calls a second":
                parts.handles.requests.rate.value = value
            case _:
                parts.handles.tokens.rate.value = value
        parts.telling.climbs(NOW)

    climb(104.0)
    assert parts.told == [], "four per cent are no change"
    climb(106.0)
    assert parts.told == [(handle, 100.0, 106.0)]
    climb(112.0)
    assert parts.told == [(handle, 100.0, 112.0)], "the same climb, further up"
    assert parts.reasons == [reason]
