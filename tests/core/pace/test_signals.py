"""Signals: what the end of a call that the caller's own deadline cut off says about its provider."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.fault import FaultKind
from paceline._core.pace import ABANDONED, Faulted, cut_off_signal


@given(st.floats(0, 1e4), st.floats(0, 1e3))
def test_a_call_that_its_caller_cut_off_is_evidence_only_if_it_took_much_longer_than_usual(seconds, usual):
    signal = cut_off_signal(seconds, usual)
    if signal is not ABANDONED:
        assert signal == Faulted(FaultKind.TIMEOUT, overdue=True)
        assert 0 < usual < seconds


def test_much_longer_is_three_times_as_long():
    assert cut_off_signal(2.9, 1.0) is ABANDONED
    assert cut_off_signal(3.0, 1.0) == Faulted(FaultKind.TIMEOUT, overdue=True)
    assert cut_off_signal(1_000.0, 0.0) is ABANDONED
