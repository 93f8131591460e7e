"""Fault warnings: a fault amid served calls is not worth one, faults in a row are, ever more rarely."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paceline import Fault, FaultKind
from paceline._core.health.fault_warnings import FIRST_GAP, NO_WARNINGS, REPEATED, step
from paceline._core.health.systematic_failure import PASSING_KINDS, Ended

SERVED = None
UNREACHED = Fault(FaultKind.TRANSIENT, "connection refused", is_unreached=True)
kinds = st.sampled_from(sorted(FaultKind))
calls = st.lists(st.one_of(st.none(), kinds.map(Fault), st.just(UNREACHED)), max_size=60)


def warned(faults, seconds=0.1):
    """Return the numbers of the calls that are worth a warning."""
    state, found = NO_WARNINGS, []
    for number, fault in enumerate(faults):
        state, is_worth_it = step(state, Ended.of(fault, at=number * seconds, in_flight=1, is_final=False))
        found += [number] if is_worth_it else []
    return found


def test_one_fault_in_a_healthy_run_is_not_worth_a_warning():
    assert warned([Fault(FaultKind.TRANSIENT, "500"), *[SERVED] * 50]) == []
    assert warned([*[SERVED] * 50, Fault(FaultKind.OVERLOADED, "503"), *[SERVED] * 50]) == []


def test_a_server_that_is_not_reached_is_worth_a_warning_at_once_unless_it_served_before():
    assert warned([UNREACHED]) == [0]
    assert warned([SERVED, UNREACHED, SERVED]) == []


@given(kind=st.sampled_from(sorted(PASSING_KINDS)), served=st.integers(0, 9))
def test_repeated_faults_are_worth_a_warning(kind, served):
    assert warned([*[SERVED] * served, *[Fault(kind)] * (REPEATED + 5)]) == [served + REPEATED - 1]


@given(calls)
def test_a_warning_needs_faults_in_a_row_or_a_server_that_never_answered(faults):
    for number in warned(faults):
        latest = faults[: number + 1]
        has_served = any(fault is SERVED or fault.kind in {"invalid", "truncated", "refused"} for fault in latest)
        row = [fault for fault in latest if fault is SERVED or fault.kind in PASSING_KINDS][-REPEATED:]
        assert (latest[-1] is UNREACHED and not has_served) or (len(row) == REPEATED and SERVED not in row)


def test_warnings_become_ever_rarer():
    times = [number * 1.0 for number in warned([Fault(FaultKind.TIMEOUT)] * 1_000, seconds=1.0)]
    first = REPEATED - 1
    assert times == [first, first + FIRST_GAP, first + 3 * FIRST_GAP, first + 7 * FIRST_GAP, first + 15 * FIRST_GAP]
