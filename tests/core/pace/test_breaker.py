"""When anything may start, after everything was refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.breaker import TRUST, Breaker, trusted

from ...pace.histories import hints

SECONDS = st.floats(0, 1e6)
NORMAL = {"round_trip": 0.2, "gap": 0.1, "gaps": 0.1, "young": False}
AGE = 0.6


def closed(asked=None, *, by_faults=False):
    gate = Breaker()
    gate.close(100.0, by_faults=by_faults, asked=asked)
    return gate


@given(hints)
def test_a_hint_is_trusted_only_where_it_is_a_wait_of_a_window_at_most(asked):
    assert 0 <= trusted(asked) <= TRUST


@given(st.floats(1, TRUST), st.floats(0, 1))
def test_a_hint_that_is_not_yet_false_is_waited_for_to_the_moment(asked, part):
    gate = closed(asked)
    now = 100.0 + part * 1.5 * asked
    gate.wait(now, asked, **NORMAL)
    assert gate.opens == now + asked


def test_a_hint_that_proved_false_is_only_a_minimum():
    gate = closed(1.0)
    gate.wait(110.0, 1.0, **NORMAL)
    assert gate.opens == pytest.approx(110.0 + 50 * 0.1)
    gate.wait(102.0, 1.9, **NORMAL)
    assert gate.opens == pytest.approx(102.0 + 1.9)
    gate.wait(108.0, 4.0, round_trip=0.2, gap=0.1, gaps=10.0, young=False)
    assert gate.opens == pytest.approx(108.0 + 0.6 * 8.0)


@pytest.mark.parametrize("asked", [None, 76.0, 3600.0, math.inf, math.nan, -1.0, 10**400])
def test_without_a_hint_that_counts_the_wait_is_a_part_of_the_time_closed(asked):
    gate = closed(asked)
    gate.wait(105.0, asked, **NORMAL)
    assert gate.opens == pytest.approx(105.0 + 0.6 * 5.0)


def test_while_little_is_known_waits_grow_faster_but_not_for_long():
    gate = closed()
    gate.wait(120.0, None, round_trip=0.2, gap=0.1, gaps=10.0, young=True)
    assert gate.opens == pytest.approx(120.0 + 1.5 * 20.0)
    gate.wait(131.0, None, round_trip=0.2, gap=0.1, gaps=10.0, young=True)
    assert gate.opens == pytest.approx(131.0 + 0.6 * 31.0)


@given(SECONDS, hints, st.floats(0, 10), st.floats(0, 600), st.floats(0, 600), st.booleans())
def test_a_wait_takes_a_round_trip_and_a_gap_at_least_and_fifty_calls_or_the_trusted_hint_at_most(  # noqa: PLR0913, PLR0917
    since, asked, round_trip, gap, gaps, young
):
    gate, now = closed(asked), 100.0 + since
    gate.wait(now, asked, round_trip=round_trip, gap=gap, gaps=gaps, young=young)
    least = max(0.05, round_trip, gap)
    wait = gate.opens - now
    assert wait <= max(least, 50 * gaps, trusted(asked)) + 1e-6
    assert wait >= min(least, trusted(asked) or math.inf) - 1e-6


@given(st.floats(0.2, 30), st.integers(3, 20))
def test_waits_grow_geometrically_so_that_an_outage_costs_few_probes(first, probes):
    gate, now = closed(), 100.0 + first
    for _ in range(probes):
        gate.wait(now, None, round_trip=0.1, gap=0.1, gaps=math.inf, young=False)
        gate.started(gate.opens)
        now = gate.opens
    assert now - 100.0 == pytest.approx(first * 1.6**probes)


def test_one_probe_starts_at_a_time():
    gate = closed()
    gate.wait(101.0, None, **NORMAL)
    assert gate.admit_at(AGE) == gate.opens
    assert not gate.is_probe(100.5)
    gate.started(102.0)
    assert gate.is_probe(102.0)
    assert not gate.is_probe(101.9)
    assert gate.admit_at(AGE) == pytest.approx(102.0 + AGE, abs=0.01)
    assert gate.admit_at(AGE) > 102.0 + AGE


def test_a_lost_probe_is_followed_by_another_at_once():
    gate = closed()
    gate.started(102.0)
    gate.lost(103.0)
    assert gate.admit_at(AGE) == 103.0
    assert not gate.is_probe(102.0)


def test_the_first_answer_lets_one_probe_start():
    gate = closed()
    gate.wait(120.0, None, **NORMAL)
    gate.answer(121.0)
    assert gate.admit_at(AGE) == 121.0
    gate.started(121.0)
    gate.wait(121.2, None, **NORMAL)
    opens = gate.opens
    gate.answer(121.3)
    assert gate.opens == opens > 121.3


def test_an_answer_never_puts_a_gate_off():
    gate = closed()
    gate.wait(101.0, None, **NORMAL)
    opens = gate.opens
    gate.answer(opens + 5.0)
    assert gate.opens == opens


@pytest.mark.parametrize(("asked", "by_faults"), [(5.0, False), (None, True)])
def test_no_answer_opens_it_where_the_provider_asked_for_a_wait_or_failed(asked, by_faults):
    gate = closed(asked, by_faults=by_faults)
    assert gate.by_faults == by_faults
    gate.wait(101.0, asked, **NORMAL)
    opens = gate.opens
    gate.answer(101.1)
    assert gate.opens == opens


def test_an_answer_is_no_reason_for_a_second_probe():
    gate = closed()
    gate.wait(101.0, None, **NORMAL)
    gate.started(101.5)
    gate.answer(101.6)
    assert gate.admit_at(AGE) > 101.5 + AGE


def test_the_longest_of_the_hints_counts_until_a_probe_is_on_its_way():
    gate = closed()
    gate.wait(101.0, None, **NORMAL)
    gate.asked(101.0, 30.0)
    gate.asked(101.0, 20.0)
    gate.asked(101.0, 1e6)
    assert gate.opens == 131.0
    gate.started(131.0)
    gate.asked(131.0, 40.0)
    assert gate.opens == 131.0


def test_open_is_open():
    gate = closed(30.0)
    assert gate.closed
    assert gate.since == 100.0
    gate.started(105.0)
    gate.open()
    assert not gate.closed
    assert gate.admit_at(AGE) == -math.inf
    assert not gate.is_probe(106.0)
    gate.answer(107.0)
    assert gate.opens == -math.inf


moves = st.tuples(
    st.sampled_from(["close", "wait", "asked", "answer", "started", "lost", "open"]), st.floats(0, 1e4), hints
)


@given(st.lists(moves, max_size=60))
def test_it_opens_at_a_bounded_time_whatever_happens(history):
    gate, now = Breaker(), 0.0
    for name, seconds, asked in history:
        now += seconds
        if name == "close":
            gate.close(now, by_faults=False, asked=asked)
        if name in ("close", "wait") and gate.closed:
            gate.wait(now, asked, **NORMAL)
        elif name == "asked":
            gate.asked(now, asked)
        elif name in ("lost", "open"):
            gate.lost(now) if name == "lost" and gate.closed else gate.open()
        elif name in ("answer", "started"):
            getattr(gate, name)(now)
        assert not math.isnan(gate.opens)
        assert gate.admit_at(AGE) <= now + max(TRUST, 50 * 0.1, AGE + 0.01)
