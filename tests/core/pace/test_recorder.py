"""The recorder: changes of the parts, each recorded once, with its reason."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.admissions import Admissions
from paceline._core.pace.breaker import Breaker
from paceline._core.pace.concurrency_cap import ConcurrencyCap
from paceline._core.pace.dimensions import Dimensions
from paceline._core.pace.recorder import PaceRecorder

NOW = 7.0


class Parts:
    """The parts, and their recorder."""

    def __init__(self):
        self.cap, self.dimensions, self.breaker = ConcurrencyCap(), Dimensions(Admissions()), Breaker()
        self.recorder = PaceRecorder(self.cap, self.dimensions, self.breaker)
        self.recorder.start()

    @property
    def changes(self):
        """Return what was recorded, as handle, old, new."""
        return [(change.handle, change.old, change.new) for change in self.recorder.history.changes]

    @property
    def reasons(self):
        return [change.reason for change in self.recorder.history.changes]


def test_unchanged_parts_are_not_recorded():
    parts = Parts()
    parts.recorder.record_growth(NOW)
    parts.recorder.record_all(NOW, "nothing has happened")
    parts.recorder.record_limit(NOW, "nothing has happened")
    parts.recorder.record_rate(NOW, parts.dimensions.requests, "nothing has happened")
    parts.recorder.record_breaker(NOW, "nothing has happened")
    assert parts.changes == []


@given(st.floats(1, 4_000))
def test_workers_are_recorded_in_whole_numbers(limit):
    parts = Parts()
    before, parts.cap.limit = int(parts.cap.limit), limit
    parts.recorder.record_limit(NOW, "a reason")
    assert parts.changes == ([] if int(limit) == before else [("workers", before, int(limit))])


def test_a_rate_is_recorded_under_the_name_of_its_dimension():
    parts = Parts()
    parts.dimensions.requests.rate.value, parts.dimensions.tokens.rate.value = 10.0, 2_000.0
    parts.recorder.record_rate(NOW, parts.dimensions.requests, "a reason")
    parts.recorder.record_rate(NOW, parts.dimensions.tokens, "another")
    assert parts.changes == [("calls a second", math.inf, 10.0), ("tokens a second", math.inf, 2_000.0)]
    assert parts.reasons == ["a reason", "another"]


def test_an_open_breaker_is_recorded_with_the_seconds_until_the_next_probe():
    parts = Parts()
    parts.breaker.is_open, parts.breaker.probe_at = True, NOW + 3.0
    parts.recorder.record_breaker(NOW, "closed")
    parts.breaker.is_open = False
    parts.recorder.record_breaker(NOW + 1.0, "open")
    assert parts.changes == [("gate", 0.0, 3.0), ("gate", 3.0, 0.0)]
    assert [change.time for change in parts.recorder.history.changes] == [NOW, NOW + 1.0]


def test_a_breaker_whose_probe_is_due_is_not_recorded():
    parts = Parts()
    parts.breaker.is_open, parts.breaker.probe_at = True, NOW - 3.0
    parts.recorder.record_all(NOW, "a reason")
    assert parts.changes == []


def test_everything_that_one_reason_changed_is_recorded_at_once():
    parts = Parts()
    parts.cap.limit = 14.0
    parts.dimensions.requests.rate.value, parts.dimensions.tokens.rate.value = 10.0, 2_000.0
    parts.breaker.is_open, parts.breaker.probe_at = True, NOW + 3.0
    parts.recorder.record_all(NOW, "a reason")
    assert parts.changes == [
        ("workers", 20, 14),
        ("calls a second", math.inf, 10.0),
        ("tokens a second", math.inf, 2_000.0),
        ("gate", 0.0, 3.0),
    ]
    assert set(parts.reasons) == {"a reason"}


@pytest.mark.parametrize(
    ("handle", "reason"),
    [
        ("workers", "all workers are busy, and no call is refused"),
        ("calls a second", "the pace delays calls, and none is refused"),
        ("tokens a second", "the pace delays calls, and none is refused"),
    ],
)
def test_a_climb_is_recorded_once_it_is_large_enough_with_its_reason(handle, reason):
    parts = Parts()
    parts.dimensions.requests.rate.value, parts.dimensions.tokens.rate.value = 100.0, 100.0
    parts.cap.limit = 100.0
    parts.recorder.start()

    def climb(value):
        match handle:
            case "workers":
                parts.cap.limit = value
            case "calls a second":
                parts.dimensions.requests.rate.value = value
            case _:
                parts.dimensions.tokens.rate.value = value
        parts.recorder.record_growth(NOW)

    climb(104.0)
    assert parts.changes == [], "four per cent are too little"
    climb(106.0)
    assert parts.changes == [(handle, 100.0, 106.0)]
    climb(112.0)
    assert parts.changes == [(handle, 100.0, 112.0)], "the same climb, one entry"
    assert parts.reasons == [reason]
