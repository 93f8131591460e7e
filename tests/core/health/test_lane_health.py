"""Lane health: patience counts from the first refusal, an outage is of several items, and a served call ends both."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.fault import Fault, FaultKind
from paceline._core.health.lane_health import LaneHealth
from paceline._core.health.systematic_failure import Ended

times = st.floats(0, 1e6)


@given(st.lists(times, min_size=1).map(sorted), times)
def test_patience_counts_from_the_first_refusal(refused, later):
    health = LaneHealth()
    for now in refused:
        health.record_refusal(now)
    assert health.is_starving
    assert health.refused_since == refused[0]
    assert health.starved(refused[-1] + later) == refused[-1] + later - refused[0]


@given(st.lists(st.sampled_from(["refusal", "fault", "hint"]), min_size=1))
def test_whatever_went_wrong_is_forgotten_once_a_call_is_served(troubles):
    health = LaneHealth()
    for number, trouble in enumerate(troubles):
        match trouble:
            case "refusal":
                health.record_refusal(float(number))
            case "fault":
                health.record_passing_fault(number, float(number))
            case _:
                health.believes_long_hint(float(number), 1e6, 60.0)
        assert health.has_trouble
    health.record_served()
    fresh = LaneHealth()
    assert not health.has_trouble
    assert (health.refused_since, health.failing_since) == (math.inf, math.inf)
    assert health.many_have_failed == fresh.many_have_failed
    assert health.believes_long_hint(1e6, 1e6, 60.0) == fresh.believes_long_hint(1e6, 1e6, 60.0)


@given(st.lists(st.integers(0, 4)))
def test_an_outage_is_of_several_items(items):
    health = LaneHealth()
    for item in items:
        health.record_passing_fault(item, 1.0)
    assert health.many_have_failed == (len(set(items)) >= 3)


def test_an_idle_lane_forgets_its_refusals_and_one_that_takes_a_refused_item_over_is_in_trouble():
    health = LaneHealth()
    health.record_refusal(1.0)
    health.refuse_since(math.inf)
    assert not health.is_starving
    other = LaneHealth()
    other.refuse_since(5.0)
    assert other.has_trouble
    assert other.starved(8.0) == 3.0


def test_it_is_good_once_a_call_was_served_and_until_one_fails():
    health = LaneHealth()
    assert not health.is_good
    served = Ended.of(None, at=1.0, in_flight=1, is_final=True)
    health.record_end(served, patience=60.0, keep_going=False)
    health.is_worth_a_warning(served)
    assert health.is_good
    health.is_worth_a_warning(Ended.of(Fault(FaultKind.TRANSIENT, "reset"), at=2.0, in_flight=1, is_final=False))
    assert not health.is_good
