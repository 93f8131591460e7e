"""Details of Gemini's errors, arbitrary JSON included."""

from __future__ import annotations

import httpx2
import pytest
from google.auth import exceptions as google_auth
from google.genai import errors
from hypothesis import given
from hypothesis import strategies as st

from paceline import CallError, FaultKind
from paceline.llm_strategies.gemini.errors import GeminiErrorClassifier, is_cache_gone

from ..garbage import anything, twisted
from .service import KEY, refusal

DAILY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
ALL_CODES = (400, 401, 403, 404, 429, 500, 503)
MINUTELY = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"


def retry_info(delay):
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def quota_failure(*violations):
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": list(violations)}


def error_info(reason, **metadata):
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}


def fault_of(status, body, headers=None):
    response = httpx2.Response(status, headers=headers or {})
    return GeminiErrorClassifier().classify(errors.APIError(status, body, response))


def throttled(*details):
    return fault_of(429, refusal(429, "RESOURCE_EXHAUSTED", *details))


@pytest.mark.parametrize("body", [{}, None, "slow", 5, [], {"error": "x"}, {"error": {"status": 5, "details": {}}}])
def test_an_error_is_classified_by_its_status_for_any_body(body):
    kinds = {status: fault_of(status, body).kind for status in (204, 400, 401, 403, 404, 429, 500, 503, 504)}
    assert kinds == {
        204: FaultKind.TRANSIENT,
        400: FaultKind.REJECTED,
        401: FaultKind.DENIED,
        403: FaultKind.REJECTED,
        404: FaultKind.REJECTED,
        429: FaultKind.THROTTLED,
        500: FaultKind.TRANSIENT,
        503: FaultKind.OVERLOADED,
        504: FaultKind.TIMEOUT,
    }


@pytest.mark.parametrize(
    "violations",
    [
        [{"quotaId": DAILY, "quotaValue": "50"}],
        [{"quotaId": MINUTELY, "quotaValue": "15"}, {"quotaId": DAILY}],
        [{"quotaId": "GenerateContentInputTokensPerModelPerDay-FreeTier"}],
        [{"quotaId": MINUTELY, "quotaValue": "0"}],
        [{"quotaId": MINUTELY, "quotaValue": 0}],
    ],
)
def test_a_daily_or_zero_quota_is_exhausted_even_with_a_retry_delay(violations):
    fault = throttled(retry_info("1s"), quota_failure(*violations))
    assert (fault.kind, fault.retry_after) == (FaultKind.EXHAUSTED, None)


def test_error_info_details_name_the_quota():
    assert throttled(error_info("RATE_LIMIT_EXCEEDED", quota_limit_value="0")).kind is FaultKind.EXHAUSTED
    assert throttled(error_info("RATE_LIMIT_EXCEEDED", quota_limit=DAILY)).kind is FaultKind.EXHAUSTED
    assert throttled(error_info("RATE_LIMIT_EXCEEDED", quota_limit_value="60")).kind is FaultKind.THROTTLED


@pytest.mark.parametrize("value", [None, "15", 15, False, "", "00", [0], {}, 0.5])
def test_a_quota_per_minute_is_throttling(value):
    fault = throttled(quota_failure({"quotaId": MINUTELY, "quotaValue": value}), retry_info("13s"))
    assert (fault.kind, fault.retry_after) == (FaultKind.THROTTLED, 13.0)


def test_a_daily_quota_only_counts_where_it_is_what_refused():
    assert fault_of(503, refusal(503, "UNAVAILABLE", quota_failure({"quotaId": DAILY}))).kind is FaultKind.OVERLOADED


@pytest.mark.parametrize(
    ("delay", "wait"),
    [("13s", 13.0), ("0.5s", 0.5), ("1.000000001s", 1.000000001), ("0s", None), ("-1s", None), ("13", None)]
    + [(value, None) for value in ("s", "nans", "1e9s", "1 s", "13s ", "", None, 13, ["13s"], {"seconds": 13})],
)
def test_a_retry_delay_is_a_number_of_seconds_with_an_s(delay, wait):
    assert throttled(retry_info(delay)).retry_after == wait


def test_the_retry_delay_comes_before_the_headers():
    body = refusal(429, "RESOURCE_EXHAUSTED", retry_info("13s"))
    assert fault_of(429, body, {"Retry-After": "2"}).retry_after == 13.0
    assert fault_of(429, refusal(429, "x", retry_info("x")), {"Retry-After": "2"}).retry_after == 2.0
    assert fault_of(503, None, {"retry-after-ms": "250"}).retry_after == 0.25


def test_an_error_body_in_a_list_is_read_too():
    body = [refusal(429, "RESOURCE_EXHAUSTED", retry_info("13s")), "x"]
    assert fault_of(429, body).retry_after == 13.0


def test_an_invalid_key_is_denied_although_the_status_is_400():
    body = refusal(400, "INVALID_ARGUMENT", error_info("API_KEY_INVALID"), message="API key not valid.")
    assert fault_of(400, body).kind is FaultKind.DENIED
    assert fault_of(400, refusal(400, "INVALID_ARGUMENT", error_info("SOMETHING"))).kind is FaultKind.REJECTED


def test_refused_credentials_are_denied_and_a_failed_token_request_is_transient():
    classify = GeminiErrorClassifier().classify
    assert classify(google_auth.RefreshError("x")).kind is FaultKind.DENIED
    assert classify(google_auth.DefaultCredentialsError("x")).kind is FaultKind.DENIED
    assert classify(google_auth.RefreshError("x", retryable=True)).kind is FaultKind.TRANSIENT
    assert classify(google_auth.TransportError("x")).kind is FaultKind.TRANSIENT


def test_exceptions_that_are_not_googles_keep_their_usual_faults():
    classify = GeminiErrorClassifier().classify
    assert classify(httpx2.ReadTimeout("")).kind is FaultKind.TIMEOUT
    assert classify(CallError("x", kind=FaultKind.REFUSED)).kind is FaultKind.REFUSED
    assert classify(ZeroDivisionError()).kind is FaultKind.BUG
    assert classify(ExceptionGroup("x", [errors.APIError(429, {})])).kind is FaultKind.THROTTLED


def test_an_error_without_a_status_is_a_bug():
    assert GeminiErrorClassifier().classify(errors.APIError(None, {})).kind is FaultKind.BUG


def test_an_echoed_key_is_blanked():
    classifier = GeminiErrorClassifier(secret=KEY)
    fault = classifier.classify(errors.APIError(400, {"error": {"message": f"bad key {KEY}!"}}))
    assert KEY not in fault.message
    assert "bad key [redacted]!" in fault.message
    assert KEY not in repr(classifier)


@pytest.mark.parametrize(
    "message",
    [
        "CachedContent not found (or permission denied)",
        "Cached content projects/1/locations/x/cachedContents/5 is not found",
        "models/x has no cached_content 5",
    ],
)
def test_a_lost_cache_is_recognized_by_status_and_name(message):
    verdicts = {code: is_cache_gone(errors.APIError(code, refusal(code, "NO", message=message))) for code in ALL_CODES}
    assert {code for code, gone in verdicts.items() if gone} == {403, 404}


@pytest.mark.parametrize("body", [{}, None, [], "CachedContent", refusal(403, "NO", message="models/x is not found")])
def test_an_error_that_does_not_name_a_cache_is_not_a_lost_cache(body):
    assert not is_cache_gone(errors.APIError(403, body))
    assert not is_cache_gone(KeyError("CachedContent"))


@given(st.integers(400, 599), anything)
def test_no_message_does_any_harm(status, message):
    assert is_cache_gone(errors.APIError(status, {"error": {"message": message}})) in {True, False}


violations = twisted(quotaId=st.sampled_from([DAILY, MINUTELY]), quotaValue=st.sampled_from(["0", 0, "15"]))
entries = twisted(
    violations=st.lists(violations),
    retryDelay=st.sampled_from(["13s", "0.1s"]) | st.text("0123456789.s"),
    reason=st.just("API_KEY_INVALID"),
    metadata=twisted(quota_limit=st.just(DAILY), quota_limit_value=st.just("0")),
)
bodies = twisted(error=twisted(details=st.lists(entries | anything), message=st.text(), status=st.text()))


@given(st.integers(0, 999), bodies | st.lists(bodies) | anything)
def test_no_body_does_any_harm(status, body):
    try:
        error = errors.APIError(status, body)
    except AttributeError:  # the SDK's own, where there is neither a status nor an object
        return
    fault = GeminiErrorClassifier(secret=KEY).classify(error)
    assert fault.retry_after is None or 0 < fault.retry_after < float("inf")
    assert fault.message.encode()
    if status == 429:
        assert fault.kind in {FaultKind.THROTTLED, FaultKind.EXHAUSTED, FaultKind.DENIED}
