"""Faults of exceptions whose answer's body tells: of any client, wherever it keeps the body."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import httpx
import httpx2
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from paceline import FaultKind
from paceline._core.provider_answers.classify import classify

from ...strategies.garbage import anything as any_json
from .test_classify_garbage import NOW, Hostile, HostileText, Liar, Odd, anything

DAILY = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "20"}
BODY = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13s"}],
    }
}
SPENT = {"error": {**BODY["error"], "details": [{"violations": [DAILY]}, *BODY["error"]["details"]]}}


def classified(error):
    return classify(error, wall_time=NOW)


def plain(message="x", **attributes):
    error = Exception(message)
    vars(error).update(attributes)
    return error


def of_requests(body):
    response = requests.Response()
    response.status_code, response.raw = 429, io.BytesIO(json.dumps(body).encode())
    assert response.content  # as requests reads it, unless it is to be streamed
    return requests.HTTPError("429 Client Error", response=response)


def of_httpx(body, package):
    request = package.Request("POST", "http://x")
    response = package.Response(429, json=body, request=request)
    return package.HTTPStatusError("429", request=request, response=response)


class Message:
    """Stands for a protobuf message."""

    def __init__(self, **fields):
        vars(self).update(fields)


def of_google_api_core(body):
    details = []
    for entry in body["error"]["details"]:
        if "violations" in entry:
            violations = [
                Message(quota_id=each["quotaId"], quota_value=20, description="x") for each in entry["violations"]
            ]
            details.append(Message(violations=violations))
        else:
            details.append(Message(retry_delay=Message(seconds=13, nanos=0)))
    return plain(code=429, details=details, errors=[])


CLIENTS = {
    "openai": lambda body: plain(status_code=429, body=body["error"], code=None, type=None),
    "openai, list": lambda body: plain(status_code=429, body=[body]),
    "anthropic": lambda body: plain(status_code=429, body=body),
    "google-genai": lambda body: plain(code=429, details=body),
    "google-genai, list": lambda body: plain(code=429, details=[body]),
    "google.api_core": of_google_api_core,
    "cohere, mistral": lambda body: plain(status_code=429, body=json.dumps(body)),
    "litellm": lambda body: plain(f"litellm.RateLimitError: VertexAIException - {json.dumps(body)}", status_code=429),
    "litellm, openai's text": lambda body: plain(
        f"litellm.RateLimitError: Error code: 429 - {[body]}", status_code=429
    ),
    "httpx": lambda body: of_httpx(body, httpx),
    "httpx2": lambda body: of_httpx(body, httpx2),
    "requests": of_requests,
    "botocore": lambda body: plain(response={**body, "ResponseMetadata": {"HTTPStatusCode": 429}}),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_the_body_is_found_wherever_a_client_keeps_it(client):
    fault = classified(CLIENTS[client](BODY))
    assert (fault.kind, fault.retry_after) == (FaultKind.THROTTLED, 13.0)
    spent = classified(CLIENTS[client](SPENT))
    assert (spent.kind, spent.retry_after) == (FaultKind.EXHAUSTED, None)
    assert spent.quota.reopens_in > 0


def test_botocores_errors_have_their_status_and_headers_in_a_dictionary():
    metadata = {"HTTPStatusCode": 400, "HTTPHeaders": {"Retry-After": "3"}}
    error = {"Code": "ThrottlingException", "Message": "Too many tokens, please wait before trying again."}
    fault = classified(plain(response={"Error": error, "ResponseMetadata": metadata}))
    assert (fault.kind, fault.retry_after) == (FaultKind.THROTTLED, 3.0)
    denied = {
        "Code": "UnrecognizedClientException",
        "Message": "The security token included in the request is invalid.",
    }
    metadata = {"HTTPStatusCode": 403}
    assert classified(plain(response={"Error": denied, "ResponseMetadata": metadata})).kind is FaultKind.DENIED


def test_a_body_that_was_not_read_yet_is_left_alone():
    class Streamed(requests.Response):
        @property
        def content(self):
            read.append("this would block the event loop")

    read = []
    response = Streamed()
    response.status_code = 429
    assert classified(requests.HTTPError("x", response=response)).kind is FaultKind.THROTTLED
    assert read == []


def test_what_a_validator_quotes_of_an_answer_is_not_the_provider_s():
    answer = {"error": {"code": "invalid_api_key", "message": "API key expired"}}
    for error in (ValueError(json.dumps(answer)), ValueError(f"input_value={answer}"), plain(details=answer)):
        assert classified(error).kind is FaultKind.BUG


# ------------------------------------------------------------------------------------------ what follows from it


def openai(message, **more):
    return {"message": message, "type": None, "code": None, **more}


def test_a_request_larger_than_the_limit_is_rejected_with_the_providers_words():
    text = "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 36278."
    headers = {"x-ratelimit-limit-tokens": "30000", "x-ratelimit-remaining-tokens": "30000"}
    body = openai(text, type="tokens", code="rate_limit_exceeded")
    fault = classified(plain(text, status_code=429, body=body, response=SimpleNamespace(headers=headers)))
    assert fault.kind is FaultKind.REJECTED
    assert fault.message == f"refused as too large for the limit: Exception: {text}"
    assert fault.retry_after is None
    assert fault.quota is not None
    assert {limit.limit for limit in fault.quota.limits} == {30_000}
    assert not any(limit.exceeded for limit in fault.quota.limits)


@pytest.mark.parametrize(
    "code", ["rate_limit_exceeded", "insufficient_quota", "invalid_api_key", "overloaded_error", None]
)
def test_413_is_rejected_whatever_code_the_body_names(code):
    fault = classified(plain("too large", status_code=413, body=openai("too large", code=code), retry_after=5))
    assert (fault.kind, fault.retry_after) == (FaultKind.REJECTED, None)
    assert fault.message.startswith("refused as too large for the limit: ")


def test_a_request_that_only_comes_too_early_is_throttled():
    text = (
        "Rate limit reached on tokens per min (TPM): Limit 30000, Used 20000, Requested 15000. Please try again in 10s."
    )
    fault = classified(plain(text, status_code=429, body=openai(text, code="rate_limit_exceeded", type="tokens")))
    assert (fault.kind, fault.retry_after) == (FaultKind.THROTTLED, 10.0)
    assert fault.quota.limits[0].exceeded


def test_one_long_wait_is_kept_and_exhausts_nothing():
    """Azure asks a single request that is larger than the limit of a minute to wait for a day."""
    text = "have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 86400 seconds."
    fault = classified(plain(text, status_code=429, body=openai(text, code="429")))
    assert (fault.kind, fault.retry_after) == (FaultKind.THROTTLED, 86_400.0)
    assert fault.quota.reopens_in == 86_400.0
    short = classified(plain(status_code=429, body=openai("Please retry after 60 seconds.")))
    assert (short.retry_after, short.quota.reopens_in) == (60.0, None)


def test_a_lane_closed_by_words_reopens_when_they_say():
    text = "You have reached your specified API usage limits. You will regain access on 2027-01-15 at 09:00 UTC."
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": text}}
    fault = classified(plain(status_code=400, body=body))
    assert (fault.kind, fault.retry_after) == (FaultKind.EXHAUSTED, None)
    assert fault.quota.reopens_in == 3_600.0


def test_a_quota_of_hours_is_exhausted_by_its_reason_and_reopens_after_the_delay():
    metadata = {"model": "m", "quotaResetDelay": "5h59m59.9s"}
    details = [{"reason": "QUOTA_EXHAUSTED", "domain": "x", "metadata": metadata}, {"retryDelay": "21599.9s"}]
    fault = classified(plain(status_code=429, body={"error": {**BODY["error"], "details": details}}))
    assert (fault.kind, fault.quota.reopens_in) == (FaultKind.EXHAUSTED, 21_599.9)


def test_a_short_wait_beside_words_of_a_closed_lane_is_not_the_time_of_its_reopening():
    def unpaid(**headers):
        body = openai("You exceeded your current quota", code="insufficient_quota")
        return classified(plain(status_code=429, body=body, response=SimpleNamespace(headers=headers)))

    assert (unpaid(retry_after="1").kind, unpaid(**{"retry-after": "1"}).kind) == (FaultKind.EXHAUSTED,) * 2
    assert unpaid(**{"retry-after": "1"}).quota.reopens_in is None
    assert unpaid(**{"retry-after": "7200"}).quota.reopens_in == 7_200.0


def test_a_long_quota_that_is_back_within_a_minute_is_throttling():
    def limited(words, **more):
        body = openai(f"Usage limit reached for 5 hour. {words}", code="1308")
        return classified(plain(status_code=429, body=body, **more))

    assert limited("Try again in 20 s.").kind is FaultKind.THROTTLED
    assert limited("Try again in 2000 s.").quota.reopens_in == 2_000.0
    assert limited("", retry_after=20).kind is FaultKind.EXHAUSTED  # a gateway's, which knows nothing of the quota
    daily = plain(status_code=429, body=SPENT["error"], response=SimpleNamespace(headers={"retry-after": "1"}))
    assert classified(daily).kind is FaultKind.EXHAUSTED  # its id says more than the wait


# -------------------------------------------------------------------------------------------------- hostile bodies


PLACES = ["body", "details", "error", "errors", "response", "type", "reason", "code", "status"]


@pytest.mark.parametrize("name", PLACES)
@given(data=st.data())
def test_no_body_hides_the_status(name, data):
    held = data.draw(anything.map(lambda value: lambda: value))()  # Hypothesis cannot print a hostile value
    assert "not classified" not in classified(plain(status_code=429, **{name: held})).message


@pytest.mark.parametrize("made", [Hostile, Liar, lambda: HostileText("x"), lambda: Odd.A])
def test_a_hostile_status_of_a_response_is_no_status(made):
    fault = classified(plain(response=SimpleNamespace(status_code=made(), headers={"location": "https://x"})))
    assert "not classified" not in fault.message


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("made", [Hostile, Liar, lambda: HostileText("x"), lambda: Odd.A])
def test_a_hostile_value_in_any_place_does_not_hide_the_status(name, made):
    value = made()
    for held in (value, [value], {"error": value}, {"error": {"message": value, "code": value, "details": [value]}}):
        fault = classified(plain(status_code=429, **{name: held}))
        assert (fault.kind, "not classified" in fault.message) == (FaultKind.THROTTLED, False)


@given(any_json, st.sampled_from([400, 401, 403, 413, 429, 500]))
def test_a_body_without_known_words_changes_nothing(body, status):
    expected = {
        400: FaultKind.REJECTED,
        401: FaultKind.DENIED,
        403: FaultKind.REJECTED,
        413: FaultKind.REJECTED,
        429: FaultKind.THROTTLED,
        500: FaultKind.TRANSIENT,
    }
    assert classified(plain(status_code=status, body=body)).kind is expected[status]


def recursive():
    body = {"message": "x"}
    body["error"] = [body, {"details": body}]
    return body


class Raising(dict):
    def items(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "body",
    [
        recursive(),
        Raising(error={}),
        {"error": Raising(code="x")},
        {"error": {"message": Hostile(), "code": Hostile()}},
        {"error": [{"error": "{" * 100_000}] * 1_000},
        "[" * 100_000,
        "{'a': " * 50_000,
        {"error": {str(number): number for number in range(100_000)}},
        [{"error": {"message": "x" * 10**6}}] * 1_000,
        json.dumps({"error": {"message": "x" * 10**6}}),
        {1: {2: 3}, None: Hostile()},
        b"\xff\xfe{}",
        iter([{"error": {}}]),
    ],
    ids=range(13),
)
def test_a_hostile_body_is_read_as_far_as_it_can_be(body):
    for attributes in ({"body": body}, {"details": body}, {"response": SimpleNamespace(content=body, headers=body)}):
        fault = classified(plain(status_code=429, **attributes))
        assert (fault.kind, fault.retry_after) == (FaultKind.THROTTLED, None)
