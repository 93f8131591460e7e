"""Quota hints in response headers."""

from __future__ import annotations

import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.provider_answers.header_hints import header_quota
from paceline._core.quota import Part, QuotaHint, Unit

NOW = 1_800_000_000.0
WHEN = "2027-01-15T08:00:30Z"  # half a minute after NOW


def openai(measure="requests", **values):
    return {f"x-ratelimit-{name}-{measure}": value for name, value in values.items()}


def only(headers, refused=None):
    hint = header_quota(headers, wall_time=NOW, refused=refused)
    (limit,) = hint.limits
    return limit


def test_openai_reports_limit_remaining_units_and_reset():
    hint = header_quota(
        openai(limit="60", remaining="59", reset="1s")
        | openai("tokens", limit="150000", remaining="149984", reset="6ms"),
        wall_time=NOW,
    )
    requests, tokens = hint.limits
    assert (requests.unit, requests.limit, requests.remaining, requests.reset) == (Unit.REQUESTS, 60, 59, 1.0)
    assert (tokens.unit, tokens.limit, tokens.remaining, tokens.reset) == (Unit.TOKENS, 150_000, 149_984, 0.006)
    assert (requests.period, tokens.period) == (60.0, 60.0)
    assert not requests.exceeded
    assert hint.retry_after is None


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        *[("1s", 1), ("6m0s", 360), ("20ms", 0.02), ("7.66s", 7.66), ("1h2m3s", 3723), ("2d", 172_800), ("0s", 0)],
        *[("12", 12), (WHEN, 30), ("1800000030", 30), ("2027-01-15T07:59:00Z", 0), (" 1s ", 1)],
        *[(text, None) for text in ("", "s", "soon", "-1s", "1s!", "nan", "inf", "1e99", "40d", "9" * 70 + "s")],
    ],
)
def test_a_reset_is_a_wait_in_any_of_its_forms_or_a_time(reset, seconds):
    assert only(openai(limit="60", remaining="0", reset=reset)).reset == (
        None if seconds is None else pytest.approx(seconds)
    )


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "period"),
    [
        ("60", "59", "1s", 60),  # a token bucket
        ("3500", "3499", "17ms", 60),
        ("100", "0", "42s", 60),  # a fixed window
        ("14400", "14370", "2m59.56s", None),  # a daily token bucket, or an hourly window
        ("14400", "12000", "4h0m0s", 86_400),
        ("1000", "0", "5h12m0s", 86_400),  # a daily window
        ("14400", "14399", "6s", None),  # a daily token bucket or a window of a minute: ambiguous
        ("1000", "999", "60s", None),
        ("100", "50", "10m0s", None),
        ("60", "60", "0s", None),
        ("60", "59", "x", None),
        ("x", "59", "1s", None),
    ],
)
def test_the_period_is_set_only_if_the_figures_are_unambiguous(limit, remaining, reset, period):
    assert only(openai(limit=limit, remaining=remaining, reset=reset)).period == period


def test_anthropic_reports_times_and_separates_input_from_output():
    headers = {
        f"anthropic-ratelimit-{what}-{name}": value
        for what in ("requests", "tokens", "input-tokens", "output-tokens")
        for name, value in (("limit", "50"), ("remaining", "49"), ("reset", WHEN))
    }
    limits = header_quota(headers, wall_time=NOW).limits
    assert [(each.unit, each.part) for each in limits] == [
        (Unit.REQUESTS, Part.BOTH),
        (Unit.TOKENS, Part.BOTH),
        (Unit.TOKENS, Part.INPUT),
        (Unit.TOKENS, Part.OUTPUT),
    ]
    assert {(each.limit, each.remaining, each.reset, each.period) for each in limits} == {(50, 49, 30, 60)}


def test_times_are_relative_to_the_date_header():
    headers = {"anthropic-ratelimit-requests-limit": "5", "anthropic-ratelimit-requests-reset": WHEN}
    assert only(headers | {"date": formatdate(NOW + 20, usegmt=True)}).reset == 10.0
    assert only(headers | {"date": "x"}).reset == 30.0


def test_headers_with_the_prefix_of_a_gateway_count_if_there_are_none_without():
    theirs = {f"llm_provider-{key}": value for key, value in openai(limit="60", remaining="5", reset="1s").items()}
    assert only(theirs).limit == 60
    assert only(theirs | openai(limit="7")).limit == 7
    assert only(openai(limit="7") | theirs).limit == 7


def test_the_refusing_limit_is_the_one_that_is_used_up_or_named():
    headers = openai(limit="60", remaining="0", reset="1s") | openai("tokens", limit="100", remaining="7", reset="1s")
    exceeded = {refused: [each.exceeded for each in header_quota(headers, wall_time=NOW, refused=refused).limits]
                for refused in (None, "", "tokens", "requests")}  # fmt: skip
    assert exceeded == {None: [False, False], "": [True, False], "tokens": [True, True], "requests": [True, False]}


def test_a_daily_limit_that_refused_is_exhausted_and_reopens_at_its_reset():
    headers = openai(limit="1000", remaining="0", reset="5h12m0s")
    assert header_quota(headers, wall_time=NOW, refused="").is_spent
    assert header_quota(headers, wall_time=NOW, refused="").reopens_in == 5 * 3600 + 12 * 60
    assert not header_quota(headers, wall_time=NOW).is_spent


def test_a_limit_of_0_in_a_header_is_unknown():
    limit = only(openai(limit="0", remaining="0", reset="1s"), refused="")
    assert limit.limit is None
    assert not limit.is_spent


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"x-ratelimit-reset-after": "12"}, 12),
        ({"llm_provider-x-ratelimit-reset-after": "12.5"}, 12.5),
        ({"x-ratelimit-reset": "12"}, 12),
        ({"x-ratelimit-reset": "1800000030"}, 30),
        ({"x-ratelimit-reset": "1800000030000"}, 30),
        ({"x-ratelimit-reset": WHEN}, 30),
        ({"x-ratelimit-reset": formatdate(NOW + 30, usegmt=True)}, 30),
        ({"ratelimit-reset": "12", "ratelimit-remaining": "0"}, 12),
        ({"ratelimit": '"api";r=0;t=55', "ratelimit-policy": '"api";q=500;w=300'}, 55),
        ({"ratelimit": "limit=10, remaining=0, reset=50"}, 50),
        ({"anthropic-ratelimit-unified-reset": "1800000030"}, 30),
        (openai(limit="60", remaining="0", reset="12"), 12),
        (openai("tokens", limit="60", remaining="0", reset=WHEN), 30),
        (openai("tokens-minute", limit="60", remaining="0", reset="11.38"), 11.38),
        ({"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": WHEN}, 30),
        ({"retry-after": "5", "x-ratelimit-reset": "12"}, 5),
        ({"retry-after": "1800000030"}, 30),
        ({"retry-after": "1800000030000"}, 30),
        ({"retry-after": WHEN}, 30),
        ({"retry-after": "1m30s"}, 90),
        (openai(limit="60", remaining="0", reset="12s"), None),  # all units are back then, and the next one much sooner
        (openai(limit="60", remaining="5", reset="12"), None),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": "12"}, None),
        ({"x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-reset": "1799999970"}, None),
    ],
)
def test_a_refusal_asks_to_wait_in_every_form_in_use(headers, wait):
    hint = header_quota(headers, wall_time=NOW, refused="")
    assert (hint and hint.retry_after) == wait


def test_the_end_of_a_window_is_no_wait_where_nothing_was_refused():
    hint = header_quota(openai(limit="60", remaining="0", reset="12"), wall_time=NOW)
    assert hint.retry_after is None


@pytest.mark.parametrize(
    ("ending", "period"),
    [("-second", 1), ("-minute", 60), ("-hour", 3600), ("-day", 86_400), ("-month", 30 * 86_400)],
)
def test_a_name_may_state_the_period(ending, period):
    assert only(openai(f"tokens{ending}", limit="100", remaining="3")).period == period
    assert only(openai(f"requests{ending}", limit="100", remaining="0"), refused="").is_spent is (period >= 86_400)


def test_a_limit_of_all_calls_is_one_of_requests():
    limit = only({"x-ratelimit-limit": "50", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "18000"}, refused="")
    assert (limit.unit, limit.limit, limit.period, limit.is_spent) == (Unit.REQUESTS, 50, 86_400, True)
    assert only({"ratelimit-limit": "50", "ratelimit-remaining": "3"}).limit == 50


def test_other_headers_report_nothing():
    assert (
        header_quota({"content-type": "text/plain", "x-ratelimit": "5", "my-ratelimit-x": "5"}, wall_time=NOW) is None
    )
    assert header_quota({}, wall_time=NOW) is None


numbers = st.sampled_from(["0", "1", "60", "-1", "nan", "inf", "1e400", "9" * 400, "1_0", "٣"]) | st.text(max_size=80)
spans = st.from_regex(r"(\d{1,40}(\.\d{1,40})?(ms|d|h|m|s)){1,4}", fullmatch=True)
values = numbers | spans | st.datetimes().map(str) | st.floats().map(str)
names = st.sampled_from(
    [f"x-ratelimit-{what}-{unit}" for what in ("limit", "remaining", "reset") for unit in Unit]
    + [f"anthropic-ratelimit-{what}-{name}" for what in ("tokens", "requests", "input-tokens", "output-tokens")
       for name in ("limit", "remaining", "reset")]
    + ["retry-after", "retry-after-ms", "llm_provider-retry-after", "date", "a-x-ratelimit-limit-requests",
       "ratelimit", "ratelimit-reset", "ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-reset-after",
       "x-ratelimit-remaining-tokens-day", "x-ratelimit-reset-tokens-day"]
)  # fmt: skip


def is_sound(hint: QuotaHint) -> bool:
    values = [hint.retry_after, hint.reopens_in]
    for each in hint.limits:
        values += [each.limit, each.period, each.remaining, each.reset]
    return all(value is None or 0 <= value < math.inf for value in values)


@given(st.dictionaries(names | st.text(), values), st.floats(), st.sampled_from([None, "", "tokens", "x"]))
def test_no_header_value_raises(headers, wall_time, refused):
    hint = header_quota(headers, wall_time=wall_time, refused=refused)
    assert hint is None or is_sound(hint)
