"""Silence: a provider that hangs opens the breaker, and only an answer, or a call that lasts, closes it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.fault import FaultKind
from paceline._core.pace import SERVED, TIMED_OUT, Faulted
from paceline._core.pace.controller import PaceController

LONG = st.floats(1.5, 60.0)  # seconds: too long for a fault that says something about now


class Hanging:
    """A provider that answered calls until it began to hang; calls are cut off after `patience` seconds."""

    def __init__(self, patience):
        self.controller, self.now, self.patience = PaceController(), 100.0, patience
        for _ in range(30):
            call = self.start()
            self.now += 0.3
            self.controller.settled(call, self.now, SERVED)

    def start(self):
        """Start a call as soon as it may."""
        while (at := self.controller.admit_at(self.now, 100.0)) > self.now:
            assert at < math.inf
            self.now = at
        return self.controller.started(self.now, 100.0)

    def cut_off(self, calls, signal=TIMED_OUT):
        """Cut the calls off after the patience of their callers."""
        self.now += self.patience
        for call in calls:
            self.controller.settled(call, self.now, signal)

    @property
    def is_open(self):
        return self.controller.statistics().gate > -math.inf


@given(LONG)
def test_five_calls_in_a_row_that_are_overdue_open_the_breaker_however_long_they_took(patience):
    provider = Hanging(patience)
    for number in range(5):
        assert not provider.is_open, number
        provider.cut_off([provider.start()])
    assert provider.is_open


@given(LONG)
def test_an_answer_among_them_keeps_it_closed(patience):
    provider = Hanging(patience)
    for _ in range(4):
        slow = provider.start()
        others = [provider.start() for _ in range(4)]
        provider.cut_off(others)
        provider.controller.settled(slow, provider.now, SERVED)
    assert not provider.is_open


@given(LONG)
def test_slow_faults_that_are_not_overdue_keep_it_closed(patience):
    provider = Hanging(patience)
    for _ in range(10):
        provider.cut_off([provider.start()], Faulted(FaultKind.TIMEOUT))
    assert not provider.is_open


@given(LONG, st.floats(0.05, 1.9))
def test_the_age_of_a_probe_closes_it_only_after_twice_the_time_that_the_faults_took(patience, part):
    provider = Hanging(patience)
    for _ in range(5):
        provider.cut_off([provider.start()])
    probe = provider.start()
    began = provider.now
    assert provider.controller.admit_at(began + part * patience, 100.0) > began + part * patience
    assert provider.is_open
    provider.controller.admit_at(began + 2.1 * patience + 1.0, 100.0)
    assert not provider.is_open
    provider.controller.settled(probe, began + 2.2 * patience + 1.0, SERVED)
    assert not provider.is_open


@pytest.mark.parametrize("seconds", [0.1, 0.7, 3.0])
def test_an_answer_closes_it(seconds):
    provider = Hanging(3.0)
    for _ in range(5):
        provider.cut_off([provider.start()])
    probe = provider.start()
    provider.now += seconds
    provider.controller.admit_at(provider.now - 0.01, 100.0)
    assert provider.is_open
    provider.controller.settled(probe, provider.now, SERVED)
    assert not provider.is_open


@given(LONG)
def test_probes_at_a_provider_that_hangs_are_one_at_a_time_and_few(patience):
    provider = Hanging(patience)
    for _ in range(5):
        provider.cut_off([provider.start()])
    began, probes = provider.now, 0
    while provider.now < began + 20 * patience:
        provider.cut_off([provider.start()])
        probes += 1
    assert probes <= 20
    assert provider.is_open
