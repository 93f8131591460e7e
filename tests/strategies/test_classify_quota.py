"""Quota hints of exceptions, for every client."""

from __future__ import annotations

import pickle

import httpx2
import pytest
from google.genai import errors
from hypothesis import given
from hypothesis import strategies as st

from paceline import CallError, Fault, FaultKind, RateLimitError
from paceline.abc import DefaultErrorClassifier
from paceline.llm_strategies import QuotaHint, QuotaLimit, quota_hint
from paceline.llm_strategies.gemini.errors import GeminiErrorClassifier

from .garbage import anything
from .gemini.service import refusal

HINT = QuotaHint(retry_after=3.0, limits=(QuotaLimit(limit=60, period=60, exceeded=True),))
SPENT = {
    "x-ratelimit-limit-requests": "200",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "7h12m0s",
}


class Refused(Exception):  # noqa: N818 - stands for any client's error
    """What a client raises."""

    def __init__(self, status=429, headers=None, **more):
        super().__init__("refused")
        self.response = httpx2.Response(status, headers=headers or {})
        self.__dict__.update(more)


def fault_of(error):
    return DefaultErrorClassifier().classify(error)


def test_an_error_of_a_strategy_may_carry_a_quota_hint():
    assert fault_of(CallError("x", kind=FaultKind.OVERLOADED, quota=HINT)).quota is HINT
    assert fault_of(RateLimitError(quota=HINT)) == Fault(
        FaultKind.THROTTLED, "RateLimitError: the provider asked for fewer calls", 3.0, HINT
    )
    assert fault_of(RateLimitError(quota=HINT, retry_after=5.0)).retry_after == 5.0


def test_an_invalid_quota_hint_is_refused_at_once():
    with pytest.raises(TypeError, match="quota must be a QuotaHint, not dict"):
        RateLimitError(quota={})
    with pytest.raises(TypeError):
        Fault(FaultKind.THROTTLED, quota={})


def test_a_call_error_with_a_hint_can_be_pickled():
    again = pickle.loads(pickle.dumps(RateLimitError(quota=HINT)))  # noqa: S301 - our own
    assert again.quota == HINT


def test_the_headers_behind_any_exception_are_read():
    fault = fault_of(Refused(headers={"X-RateLimit-Limit-Requests": "60", "Retry-After": "2"}))
    assert (fault.kind, fault.retry_after) == (FaultKind.THROTTLED, 2.0)
    assert fault.quota.limits[0].limit == 60


def test_openais_error_type_names_the_exceeded_limit():
    headers = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "7"}
    assert fault_of(Refused(headers=headers, type="tokens")).quota.limits[0].exceeded
    assert not fault_of(Refused(headers=headers)).quota.limits[0].exceeded


def test_an_exception_without_hints_has_none():
    assert fault_of(Refused(500, {"content-type": "text/html"})).quota is None
    assert fault_of(ValueError()).quota is None


def test_a_refusal_by_a_daily_limit_is_an_exhausted_quota_without_a_wait():
    fault = fault_of(Refused(headers=SPENT | {"retry-after": "1"}))
    assert (fault.kind, fault.retry_after) == (FaultKind.EXHAUSTED, None)
    assert fault.quota.reopens_in == 7 * 3600 + 12 * 60


def test_other_errors_are_not_taken_for_an_exhausted_quota():
    assert fault_of(Refused(503, SPENT)).kind is FaultKind.OVERLOADED


def test_an_unpaid_quota_has_no_reopening_time():
    fault = fault_of(Refused(code="insufficient_quota"))
    assert fault.kind is FaultKind.EXHAUSTED
    assert fault.quota is None


@pytest.mark.parametrize(
    "classifier", [DefaultErrorClassifier(), GeminiErrorClassifier()], ids=lambda c: type(c).__name__
)
def test_google_s_details_are_read_by_both_classifiers_and_beside_them_the_headers(classifier):
    violation = {"quotaId": "GenerateContentInputTokensPerModelPerMinute", "quotaValue": "250000"}
    body = refusal(429, "RESOURCE_EXHAUSTED", {"violations": [violation]})
    response = httpx2.Response(429, headers={"Retry-After": "2", "x-ratelimit-limit-requests": "5"})
    fault = classifier.classify(errors.APIError(429, body, response))
    assert (fault.kind, fault.retry_after) == (FaultKind.THROTTLED, 2.0)
    assert [(each.unit, each.limit, each.exceeded) for each in fault.quota.limits] == [
        ("tokens", 250_000, True),
        ("requests", 5, False),
    ]


def test_a_short_retry_delay_in_the_headers_does_not_override_a_daily_quota():
    body = refusal(429, "RESOURCE_EXHAUSTED", {"violations": [{"quotaId": "RequestsPerDay", "quotaValue": "5"}]})
    fault = fault_of(errors.APIError(429, body, httpx2.Response(429, headers={"Retry-After": "1"})))
    assert (fault.kind, fault.retry_after, fault.quota.retry_after) == (FaultKind.EXHAUSTED, None, None)
    assert 0 < fault.quota.reopens_in <= 25 * 3600


@pytest.mark.parametrize("headers", [None, 5, "x", [1, 2], {1: 2}, {b"\xff": b"\xff"}, object()])
def test_invalid_headers_give_no_hint(headers):
    assert quota_hint(headers) is None


def test_headers_of_a_successful_reply_are_read():
    assert quota_hint([(b"X-RateLimit-Limit-Tokens", b"5")]).limits[0].limit == 5


@given(anything, st.dictionaries(st.text(), anything) | anything, anything, st.sampled_from([429, 500, None]))
def test_no_exception_does_any_harm(details, headers, kind, status):
    error = Exception("x")
    error.details, error.headers, error.type, error.code = details, headers, kind, status
    fault = fault_of(error)
    assert fault.kind in FaultKind
    assert fault.quota is None or isinstance(fault.quota, QuotaHint)
