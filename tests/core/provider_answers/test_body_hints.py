"""Hints in the body of an error, wherever and however it has them; those in Google's details are in test_google_hints."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.provider_answers.body_hints import quota_of_answer, requested_beyond_limit
from paceline._core.provider_answers.foreign_error import Answer, read_body
from paceline._core.quota import QuotaHint, QuotaLimit, Unit

NOW = 1_800_000_000.0
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13s"}
DAILY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "RequestsPerDay", "quotaValue": "20"}],
}


def hint_of(body, headers=None):
    return quota_of_answer(Answer(429, headers or {}, read_body(body)), wall_time=NOW, refused="")


def error(message, **more):
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize("details", [[RETRY], [DAILY, RETRY]])
def test_googles_details_are_found_in_every_place_where_a_client_or_a_gateway_keeps_them(details):
    plain = {"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED", "details": details}}
    places = [
        plain,
        [plain],
        plain["error"],
        [plain["error"]],
        details,
        json.dumps(plain),
        json.dumps([plain]),
        error(json.dumps(plain), code=429),
        error("litellm.RateLimitError: VertexAIException - " + json.dumps([plain])),
        error("Provider returned error", metadata={"raw": json.dumps(plain)}),
        error(f"Error code: 429 - {[plain]}"),
        error("x", details=details),
        error(json.dumps(error(json.dumps(plain)))),
    ]
    hints = [hint_of(place) for place in places]
    expected = hint_of(plain)
    assert expected is not None
    assert [(hint.retry_after, hint.is_spent, hint.reopens_in) for hint in hints] == [
        (expected.retry_after, expected.is_spent, expected.reopens_in)
    ] * len(places)
    assert (expected.is_spent, expected.retry_after) == ((True, None) if DAILY in details else (False, 13.0))


def test_openrouters_body_quotes_the_headers_with_the_reset_in_milliseconds():
    headers = {
        "X-RateLimit-Limit": "50",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(NOW + 18_000) * 1000),
    }
    hint = hint_of(error("Rate limit exceeded: free-models-per-day.", code=429, metadata={"headers": headers}))
    assert (hint.is_spent, hint.reopens_in) == (True, 18_000)


@pytest.mark.parametrize(
    ("field", "wait"),
    [
        ({"retry_after": 12.5}, 12.5),
        ({"retry_after": "12"}, 12),
        ({"retryAfter": 12}, 12),
        ({"retry_after_ms": 1500}, 1.5),
        ({"retry-after": 12}, 12),
        ({"resets_in_seconds": 5_000}, 5_000),
        ({"resets_at": NOW + 60}, 60),
        ({"reset_at": "2027-01-15T08:00:30Z"}, 30),
        ({"metadata": {"quotaResetDelay": "5h59m59.5s"}}, 21_599.5),
        ({"metadata": {"quotaResetTimeStamp": "2027-01-15T08:00:30Z"}}, 30),
        ({"retry_after": None}, None),
        ({"retry_after": -1}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": [12]}, None),
    ],
)
def test_a_field_of_the_body_may_hold_the_wait(field, wait):
    hint = hint_of(error("slow down", **field))
    assert (hint and hint.retry_after) == wait


def test_a_header_comes_before_a_sentence_and_googles_delay_before_both():
    body = error("Please try again in 20s.")
    assert hint_of(body).retry_after == 20
    assert hint_of(body, {"retry-after": "3"}).retry_after == 3
    assert hint_of(error("Please retry in 20s.", details=[RETRY]), {"retry-after": "3"}).retry_after == 13


MESSAGE = (
    "Rate limit reached for model `m` in organization `o` service tier `on_demand` on {what} per {period}: "
    "Limit {limit}, Used {used}, Requested {requested}. Please try again in {wait}."
)


def test_a_message_names_the_limit_that_refused():
    hint = hint_of(
        error(MESSAGE.format(what="tokens", period="minute (TPM)", limit=6000, used=5000, requested=1500, wait="5s"))
    )
    (limit,) = hint.limits
    assert (limit.unit, limit.limit, limit.period, limit.exceeded) == (Unit.TOKENS, 6000, 60, True)
    assert (hint.is_spent, hint.retry_after) == (False, 5.0)


def test_a_limit_in_a_message_stands_for_the_one_of_the_same_measure_in_the_headers():
    text = MESSAGE.format(what="tokens", period="minute (TPM)", limit=6000, used=5000, requested=1500, wait="5s")
    headers = {"x-ratelimit-limit-tokens": "6000", "x-ratelimit-limit-requests": "500"}
    limits = hint_of(error(text), headers).limits
    assert [(limit.unit, limit.limit, limit.period) for limit in limits] == [
        (Unit.TOKENS, 6000, 60),
        (Unit.REQUESTS, 500, None),
    ]


@pytest.mark.parametrize(
    ("what", "wait", "spent"),
    [("tokens", "9m38.016s", True), ("requests", "7m12s", True), ("requests", "8.64s", False)],
)
def test_a_daily_limit_in_a_message_is_used_up_unless_the_wait_is_short(what, wait, spent):
    text = MESSAGE.format(what=what, period="day (RPD)", limit=10_000, used=10_000, requested=1, wait=wait)
    hint = hint_of(error(text))
    assert hint.is_spent is spent
    assert (hint.reopens_in is not None) is spent


@pytest.mark.parametrize(
    ("text", "beyond"),
    [
        ("Request too large on tokens per min (TPM): Limit 30000, Requested 36278.", True),
        ("on tokens per min (TPM): Limit 7000, Used 0, Requested ~12903. Please try again in 50.6s", True),
        ("on tokens per min (TPM): Limit: 30,000. Requested: 36,278", True),
        ("on tokens per min (TPM): Limit 30000, Used 20000, Requested 15000.", False),
        ("on tokens per min (TPM): Limit 30000, Used 1, Requested 30000.", False),
        ("on requests per min (RPM): Limit 3, Used 3, Requested 1.", False),
        ("Requested 36278 tokens", True),
        ("Requested 100 tokens", False),
        ("slow down", False),
    ],
)
def test_a_request_is_beyond_the_limit_if_it_alone_asks_for_more_than_it_holds(text, beyond):
    quota = QuotaHint(limits=[QuotaLimit(unit=Unit.TOKENS, limit=30_000), QuotaLimit(limit=500)])
    assert requested_beyond_limit(read_body(error(text)), quota) is beyond


def test_without_any_limit_nothing_is_beyond_it():
    assert not requested_beyond_limit(read_body(error("Requested 36278 tokens")), None)


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(1, 10**9))
def test_the_numbers_of_a_message_decide(limit, used, requested):
    body = read_body(error(f"on tokens per min (TPM): Limit {limit}, Used {used}, Requested {requested}. Please"))
    assert requested_beyond_limit(body, None) is (requested > limit)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner)
        | st.dictionaries(st.sampled_from(["error", "details", "retry_after", "headers", "metadata", "violations", "quotaId"]), inner),
        max_leaves=12,
    ),
    st.dictionaries(st.sampled_from(["retry-after", "x-ratelimit-reset", "x-ratelimit-remaining"]), st.text()),
    st.floats(),
)  # fmt: skip
def test_no_body_raises(body, headers, wall_time):
    hint = quota_of_answer(Answer(429, headers, read_body(body)), wall_time=wall_time, refused="")
    assert hint is None or hint.retry_after is None or hint.retry_after > 0
