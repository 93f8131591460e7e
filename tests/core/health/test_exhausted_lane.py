"""The fault of an exhausted lane, and when its quota reopens."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from paceline import Fault, FaultKind
from paceline._core.health.exhausted_lane import exhausted_lane_fault, exhausted_lanes_fault
from paceline.llm_strategies import QuotaHint, QuotaLimit

NOW = datetime(2026, 11, 23, 2, 48, tzinfo=UTC).timestamp()


def exhausted(reopens_in=None, period=86_400.0, message="429 no more"):
    limit = QuotaLimit(limit=50, period=period, exceeded=True)
    return Fault(FaultKind.EXHAUSTED, message, None, QuotaHint(limits=(limit,), reopens_in=reopens_in))


def test_the_message_names_the_quota_and_when_it_reopens():
    fault = exhausted_lane_fault("gemini", exhausted(5 * 3600 + 12 * 60), wall_time=NOW)
    assert fault.message == "the daily quota of gemini is exhausted; it reopens in 5 h 12 min (2026-11-23 08:00 UTC)"
    assert fault.kind is FaultKind.PENDING
    assert fault.quota.reopens_in == 18_720


def test_without_a_known_reopening_the_message_quotes_the_provider():
    fault = exhausted_lane_fault("x", Fault(FaultKind.EXHAUSTED, "insufficient_quota: pay first"), wall_time=NOW)
    assert fault.message == "x serves no more calls: insufficient_quota: pay first"
    assert exhausted_lane_fault("x", Fault(FaultKind.EXHAUSTED), wall_time=NOW).message == "the quota of x is exhausted"
    assert (
        exhausted_lane_fault("x", exhausted(1e12), wall_time=NOW).message
        == "the daily quota of x is exhausted: 429 no more"
    )


def test_a_lane_that_no_quota_has_exhausted_quotes_the_provider_and_says_when_it_serves_again():
    fault = Fault(FaultKind.EXHAUSTED, "You have reached your usage limits", None, QuotaHint(reopens_in=18_720))
    assert exhausted_lane_fault("x", fault, wall_time=NOW).message == (
        "x serves no more calls for 5 h 12 min (2026-11-23 08:00 UTC): You have reached your usage limits"
    )


def test_of_a_message_that_shows_a_body_only_the_providers_sentence_is_quoted():
    body = {"type": "error", "error": {"message": "Your credit balance is too low."}, "request_id": "req_1"}
    fault = Fault(FaultKind.EXHAUSTED, f"BadRequestError: Error code: 400 - {body}")
    assert (
        exhausted_lane_fault("x", fault, wall_time=NOW).message
        == "x serves no more calls: 400: Your credit balance is too low."
    )


def test_the_faults_of_several_lanes_are_combined_with_the_soonest_reopening():
    one, other, never = (
        exhausted_lane_fault(name, exhausted(wait), wall_time=NOW)
        for name, wait in [("a", 7200), ("b", 60), ("c", None)]
    )
    fault = exhausted_lanes_fault([one, never, other])
    assert fault.quota.reopens_in == 60
    assert [name in fault.message for name in ("of a", "of b", "of c")] == [True] * 3
    assert exhausted_lanes_fault([one]) is one
    assert exhausted_lanes_fault([]) is None


@given(st.none() | st.floats(), st.floats())
def test_no_wait_and_no_wall_time_raises(reopens_in, wall_time):
    fault = exhausted_lane_fault("q", exhausted(reopens_in), wall_time=wall_time)
    assert "is exhausted" in fault.message
    assert fault.quota.reopens_in is None or 0 <= fault.quota.reopens_in < math.inf
