"""The circuit breaker: when a probe may start after everything was refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.breaker import TRUST, Breaker, trusted_wait

from ...pace.histories import hints

SECONDS = st.floats(0, 1e6)
NORMAL = {"refusal_latency": 0.2, "gap": 0.1, "average_gap": 0.1, "young": False}
AGE = 0.6


def opened(asked=None, *, by_faults=False):
    breaker = Breaker()
    breaker.trip(100.0, by_faults=by_faults, asked=asked)
    return breaker


@given(hints)
def test_a_wait_longer_than_a_window_is_not_trusted(asked):
    assert 0 <= trusted_wait(asked) <= TRUST


def outage(breaker, asked, length, *, constant, rounded=float):
    """Run an outage of this length with a provider that asks for this wait, or for what is left of it; return the times of the probes."""
    breaker.reset()
    breaker.trip(100.0, by_faults=False, asked=asked)
    now, probes = 100.0, []
    while not probes or now < 100.0 + length:
        wait = asked if constant or asked is None else asked - (now - 100.0)
        breaker.schedule_probe(now, wait and rounded(wait), **NORMAL)
        now = breaker.probe_at
        breaker.start_probe(now)
        probes.append(now - 100.0)
        assert len(probes) < 100
    breaker.learn_wait()
    return probes


@given(st.floats(10, TRUST), st.sampled_from([lambda wait: wait, math.ceil]))
def test_a_wait_that_counts_down_costs_one_early_probe_and_then_none_for_eight_outages(asked, rounded):
    breaker = Breaker()
    first = outage(breaker, asked, asked, constant=False, rounded=rounded)
    assert first == pytest.approx([first[0], first[0] + rounded(asked - first[0])])
    assert first[0] == pytest.approx(rounded(asked) / 9)
    for _ in range(8):
        assert outage(breaker, asked, asked, constant=False, rounded=rounded) == pytest.approx([rounded(asked)])
    assert len(outage(breaker, asked, asked, constant=False, rounded=rounded)) == 2


@given(st.floats(10, TRUST), st.floats(0.15, 1.0))
def test_a_wait_that_does_not_count_down_is_not_waited_for(asked, part):
    breaker = Breaker()
    length = part * asked
    for _ in range(30):
        probes = outage(breaker, asked, length, constant=True)
        assert probes[-1] <= 1.6 * length + NORMAL["average_gap"] + 1e-6, (
            "as without it: in proportion to the time open"
        )
        assert breaker.is_measured


def test_waits_that_counted_down_and_do_so_no_more_are_tried_again():
    breaker = Breaker()
    outage(breaker, 40.0, 40.0, constant=False)
    assert outage(breaker, 60.0, 10.0, constant=True) == [60.0], "it was true before"
    for _ in range(8):
        outage(breaker, 60.0, 10.0, constant=True)
    assert outage(breaker, 60.0, 10.0, constant=True)[-1] <= 16.0


def test_the_end_of_an_outage_is_measured_by_a_refused_probe_a_wait_that_proved_true_or_waits_of_its_own():
    breaker = Breaker()
    outage(breaker, None, 10.0, constant=True)
    assert breaker.is_measured
    outage(breaker, 30.0, 1.0, constant=True)
    assert not breaker.is_measured
    outage(breaker, 30.0, 29.0, constant=False)
    assert breaker.is_measured  # a probe was refused
    assert outage(breaker, 30.0, 30.0, constant=False) == [30.0]
    assert breaker.is_measured  # it counted down before


@given(st.floats(10, TRUST), st.floats(0.02, 0.9))
def test_a_wait_that_is_too_long_costs_a_ninth_of_its_length_once_and_soon_little_more_than_the_outage(asked, part):
    breaker, length = Breaker(), part * asked
    ends = [outage(breaker, asked, length, constant=True)[-1] for _ in range(12)]
    assert ends[0] <= max(asked / 9, 1.6 * length) + 0.2
    assert all(end <= 1.6 * length + max(0.2, asked / 243) + 1e-6 for end in ends[4:])


def test_a_hint_that_proved_false_is_only_a_minimum():
    breaker = opened(1.0)
    breaker.schedule_probe(100.0, 1.0, **NORMAL)
    breaker.schedule_probe(110.0, 1.0, **NORMAL)
    assert breaker.probe_at == pytest.approx(110.0 + 50 * 0.1)
    breaker.schedule_probe(102.0, 1.9, **NORMAL)
    assert breaker.probe_at == pytest.approx(102.0 + 1.9)
    breaker.schedule_probe(108.0, 4.0, refusal_latency=0.2, gap=0.1, average_gap=10.0, young=False)
    assert breaker.probe_at == pytest.approx(108.0 + 0.6 * 8.0)


@pytest.mark.parametrize("asked", [None, 76.0, 3600.0, math.inf, math.nan, -1.0, 10**400])
def test_without_a_trusted_hint_the_wait_is_a_part_of_the_time_open(asked):
    breaker = opened(asked)
    breaker.schedule_probe(105.0, asked, **NORMAL)
    assert breaker.probe_at == pytest.approx(105.0 + 0.6 * 5.0)


def test_while_little_is_known_waits_grow_faster():
    breaker = opened()
    breaker.schedule_probe(110.0, None, refusal_latency=0.2, gap=0.1, average_gap=10.0, young=True)
    assert breaker.probe_at == pytest.approx(110.0 + 1.5 * 10.0)


@given(st.floats(0, 1e6), st.floats(0, 60), st.booleans())
def test_a_provider_that_refuses_is_probed_every_half_minute_unless_one_call_takes_longer(open_for, gap, young):
    breaker, now = opened(), 100.0 + open_for
    breaker.schedule_probe(now, None, refusal_latency=0.2, gap=gap, average_gap=math.inf, young=young)
    assert breaker.probe_at <= now + max(30.0, gap) + 1e-6


@pytest.mark.parametrize("young", [False, True])
def test_one_that_fails_is_left_alone_in_proportion_to_the_time(young):
    breaker = Breaker()
    breaker.trip(100.0, by_faults=True, asked=None)
    breaker.schedule_probe(1100.0, None, refusal_latency=0.2, gap=0.1, average_gap=math.inf, young=young)
    assert breaker.probe_at == pytest.approx(1100.0 + 0.6 * 1000.0)


@given(SECONDS, hints, st.floats(0, 10), st.floats(0, 600), st.floats(0, 600), st.booleans())
def test_a_wait_is_at_least_a_refusal_latency_and_a_gap_and_at_most_fifty_calls_or_the_trusted_hint(  # noqa: PLR0913, PLR0917
    since, asked, refusal_latency, gap, average_gap, young
):
    breaker, now = opened(asked), 100.0 + since
    breaker.schedule_probe(now, asked, refusal_latency=refusal_latency, gap=gap, average_gap=average_gap, young=young)
    least = max(0.05, refusal_latency, gap)
    wait = breaker.probe_at - now
    assert wait <= max(least, 50 * average_gap, trusted_wait(asked)) + 1e-6
    assert wait >= min(least, trusted_wait(asked) or math.inf) - 1e-6


@given(st.floats(0.2, 30), st.integers(3, 20))
def test_waits_grow_geometrically_so_that_an_outage_costs_few_probes(first, probes):
    breaker, now = opened(), 100.0 + first
    for _ in range(probes):
        before = now
        breaker.schedule_probe(now, None, refusal_latency=0.1, gap=0.1, average_gap=math.inf, young=False)
        now = breaker.probe_at
        breaker.start_probe(now)
        assert now - before == pytest.approx(min(30.0, 0.6 * (before - 100.0)))


def test_one_probe_starts_at_a_time():
    breaker = opened()
    breaker.schedule_probe(101.0, None, **NORMAL)
    assert breaker.admit_at(AGE) == breaker.probe_at
    assert not breaker.is_probe(100.5)
    breaker.start_probe(102.0)
    assert breaker.is_probe(102.0)
    assert not breaker.is_probe(101.9)
    assert breaker.admit_at(AGE) == pytest.approx(102.0 + AGE, abs=0.01)
    assert breaker.admit_at(AGE) > 102.0 + AGE


def test_a_lost_probe_is_followed_by_another_at_once():
    breaker = opened()
    breaker.start_probe(102.0)
    breaker.lose_probe(103.0)
    assert breaker.admit_at(AGE) == 103.0
    assert not breaker.is_probe(102.0)


def test_the_first_answer_lets_one_probe_start_at_once():
    breaker = opened()
    breaker.schedule_probe(120.0, None, **NORMAL)
    breaker.record_answer(121.0)
    assert breaker.admit_at(AGE) == 121.0
    breaker.start_probe(121.0)
    breaker.schedule_probe(121.2, None, **NORMAL)
    probe_at = breaker.probe_at
    breaker.record_answer(121.3)
    assert breaker.probe_at == probe_at > 121.3


def test_an_answer_never_delays_a_probe():
    breaker = opened()
    breaker.schedule_probe(101.0, None, **NORMAL)
    probe_at = breaker.probe_at
    breaker.record_answer(probe_at + 5.0)
    assert breaker.probe_at == probe_at


@pytest.mark.parametrize(("asked", "by_faults"), [(5.0, False), (None, True)])
def test_an_answer_starts_no_probe_where_the_provider_asked_for_a_wait_or_failed(asked, by_faults):
    breaker = opened(asked, by_faults=by_faults)
    assert breaker.by_faults == by_faults
    breaker.schedule_probe(101.0, asked, **NORMAL)
    probe_at = breaker.probe_at
    breaker.record_answer(101.1)
    assert breaker.probe_at == probe_at


def test_an_answer_starts_no_second_probe():
    breaker = opened()
    breaker.schedule_probe(101.0, None, **NORMAL)
    breaker.start_probe(101.5)
    breaker.record_answer(101.6)
    assert breaker.admit_at(AGE) > 101.5 + AGE


def test_a_reset_breaker_lets_calls_start_and_forgets_its_probe():
    breaker = opened(30.0)
    assert breaker.is_open
    assert breaker.since == 100.0
    breaker.start_probe(105.0)
    breaker.reset()
    assert not breaker.is_open
    assert breaker.admit_at(AGE) == -math.inf
    assert not breaker.is_probe(106.0)
    breaker.record_answer(107.0)
    assert breaker.probe_at == -math.inf


moves = st.tuples(
    st.sampled_from(["trip", "schedule", "record_answer", "start_probe", "lose", "reset"]),
    st.floats(0, 1e4),
    hints,
)


@given(st.lists(moves, max_size=60))
def test_the_next_probe_is_due_within_a_bounded_time_after_any_sequence(history):
    breaker, now = Breaker(), 0.0
    for name, seconds, asked in history:
        now += seconds
        if name == "trip":
            breaker.trip(now, by_faults=False, asked=asked)
        if name in ("trip", "schedule") and breaker.is_open:
            breaker.schedule_probe(now, asked, **NORMAL)
        elif name in ("lose", "reset"):
            breaker.lose_probe(now) if name == "lose" and breaker.is_open else breaker.reset()
        elif name in ("record_answer", "start_probe"):
            getattr(breaker, name)(now)
        assert not math.isnan(breaker.probe_at)
        assert breaker.admit_at(AGE) <= now + max(TRUST, 50 * 0.1, AGE + 0.01)
