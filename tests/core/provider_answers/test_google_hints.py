"""Quota hints in error bodies of Google; the tests of the classifiers have those for invalid bodies."""

from __future__ import annotations

import math
import zoneinfo
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.provider_answers.body_hints import google_quota, seconds_to_midnight
from paceline._core.provider_answers.foreign_error import read_body
from paceline._core.quota import Part, Unit

NOW = datetime(2026, 11, 23, 2, 48, tzinfo=zoneinfo.ZoneInfo("UTC")).timestamp()


def body(*violations, delay=None):
    details = [{"violations": list(violations)}]
    if delay:
        details.append({"retryDelay": delay})
    return read_body({"error": {"details": details}}).entries


def violation(name, value=None, metric=None):
    return {"quotaId": name, "quotaValue": value, "quotaMetric": metric}


@pytest.mark.parametrize(
    ("name", "metric", "unit", "part", "period"),
    [
        ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", None, Unit.REQUESTS, Part.BOTH, 60),
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", None, Unit.REQUESTS, Part.BOTH, 86_400),
        ("GenerateContentInputTokensPerModelPerMinute-FreeTier", None, Unit.TOKENS, Part.INPUT, 60),
        ("GenerateContentPaidTierInputTokensPerModelPerMinute", None, Unit.TOKENS, Part.INPUT, 60),
        ("x", "generativelanguage.googleapis.com/generate_content_free_tier_input_token_count", Unit.TOKENS, Part.INPUT, None),
        ("x", "aiplatform.googleapis.com/online_prediction_output_tokens_per_minute", Unit.TOKENS, Part.OUTPUT, None),
        ("TokensPerHour", None, Unit.TOKENS, Part.BOTH, 3600),
    ],
)  # fmt: skip
def test_the_id_and_the_metric_give_unit_part_and_period(name, metric, unit, part, period):
    (limit,) = google_quota(body(violation(name, "15", metric)), wall_time=NOW).limits
    assert (limit.unit, limit.part, limit.period, limit.limit, limit.name) == (unit, part, period, 15.0, name)
    assert limit.exceeded


def test_a_daily_quota_reopens_at_midnight_in_california():
    hint = google_quota(body(violation("RequestsPerDay", "50"), delay="1s"), wall_time=NOW)
    assert hint.is_spent
    assert hint.reopens_in == 5 * 3600 + 12 * 60
    assert hint.retry_after is None


def test_the_reopening_of_a_quota_of_0_is_unknown():
    hint = google_quota(body(violation("RequestsPerDay", "0"), delay="1s"), wall_time=NOW)
    assert (hint.is_spent, hint.reopens_in, hint.retry_after) == (True, None, None)


def test_a_quota_per_minute_is_a_wait():
    hint = google_quota(body(violation("RequestsPerMinute", "15"), delay="13s"), wall_time=NOW)
    assert (hint.is_spent, hint.reopens_in, hint.retry_after) == (False, None, 13.0)


@given(st.floats(0, 4e9))
def test_midnight_is_at_most_25_hours_away_and_midnight(wall_time):
    wait = seconds_to_midnight(wall_time)
    assert 0 < wait <= 25 * 3600
    there = datetime.fromtimestamp(round(wall_time + wait), ZoneInfo("America/Los_Angeles"))
    assert (there.hour, there.minute, there.second) == (0, 0, 0)


@pytest.mark.parametrize("wall_time", [math.nan, math.inf, -math.inf, 1e20, -1e20])
def test_a_time_beyond_all_calendars_has_no_midnight(wall_time):
    assert seconds_to_midnight(wall_time) is None


def test_without_time_zone_data_there_is_no_midnight():
    before = zoneinfo.TZPATH
    try:
        zoneinfo.reset_tzpath([])
        ZoneInfo.clear_cache()
        known = seconds_to_midnight(NOW)
    finally:
        zoneinfo.reset_tzpath(before)
        ZoneInfo.clear_cache()
    assert known is None or known == 5 * 3600 + 12 * 60  # the package tzdata may be installed
