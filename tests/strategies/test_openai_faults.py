"""The real openai client against a real HTTP server: every kind of refusal, one request each."""

from __future__ import annotations

import threading
import time
from email.utils import formatdate

import openai
import pytest

from paceline import CallError, FaultKind, TokenUsage
from paceline.llm_strategies.openai import OpenAIStrategy

from .chat_service import OPENAI, TWO_BACKENDS, forget_keys, openai_error, openai_reply
from .gemini.service import KEY, Answer, fault_of, prepared

pytestmark = [pytest.mark.anyio, TWO_BACKENDS]

PAID = TokenUsage(12, 3, 5, 15)
HTML = {"Content-Type": "text/html"}
THROTTLED = openai_error("Rate limit reached", "requests", "rate_limit_exceeded")

FAULT_TABLE = [  # what the server says, the kind of fault, the wait
    (Answer(THROTTLED, 429), "throttled", None),
    (Answer(THROTTLED, 429, {"Retry-After": "7"}), "throttled", 7.0),
    (Answer(THROTTLED, 429, {"Retry-After-Ms": "250", "Retry-After": "1"}), "throttled", 0.25),
    (Answer(THROTTLED, 429, {"llm_provider-retry-after": "3"}), "throttled", 3.0),
    (Answer(b"<html>too many</html>", 429, HTML), "throttled", None),
    (Answer(b"slow", 429, {"Content-Type": "text/plain", "Retry-After": "4"}), "throttled", 4.0),
    (Answer({"error": {"message": "x", "code": "429"}}, 429), "throttled", None),
    (Answer({"error": "slow"}, 429), "throttled", None),
    (Answer([1], 429), "throttled", None),
    (Answer(b"", 429), "throttled", None),
    (Answer(openai_error("Slow down", "requests", "slow_down"), 503), "throttled", None),
    (Answer(openai_error("Slow down", "slow_down"), 503), "throttled", None),
    (Answer(openai_error("spent", "insufficient_quota", "insufficient_quota"), 429), "exhausted", None),
    (Answer(openai_error("spent", "insufficient_quota"), 429), "exhausted", None),
    (Answer(openai_error("pay", None, "billing_hard_limit_reached"), 400), "exhausted", None),
    (Answer(openai_error("Insufficient balance"), 402), "exhausted", None),
    (Answer(openai_error("bad", "invalid_request_error"), 400), "rejected", None),
    (Answer(openai_error("long", "invalid_request_error", "context_length_exceeded"), 400), "rejected", None),
    (Answer(openai_error("Incorrect API key", "invalid_request_error", "invalid_api_key"), 401), "denied", None),
    (Answer(openai_error("country"), 403), "rejected", None),
    (
        Answer(openai_error("Request too large: Limit 10, Requested 20", "tokens", "rate_limit_exceeded"), 429),
        "rejected",
        None,
    ),
    (
        Answer(
            openai_error("Limit 10, Used 9, Requested 5. Please try again in 350ms.", "tokens", "rate_limit_exceeded"),
            429,
        ),
        "throttled",
        0.35,
    ),
    (Answer(openai_error("too large", "tokens", "rate_limit_exceeded"), 413), "rejected", None),
    (Answer([{"error": {"code": 429, "message": "x", "details": [{"retryDelay": "3s"}]}}], 429), "throttled", 3.0),
    (
        Answer({"code": "x", "error": "Your newly created team doesn't have any credits or licenses yet."}, 403),
        "exhausted",
        None,
    ),
    (
        Answer(
            openai_error("Country, region, or territory not supported", "x", "unsupported_country_region_territory"),
            403,
        ),
        "exhausted",
        None,
    ),
    (Answer(openai_error("Insufficient Balance"), 402), "exhausted", None),
    (Answer(b"<html>403 Forbidden</html>", 403, HTML), "rejected", None),
    (Answer({"error": {"message": "flagged", "code": 403, "metadata": {"flagged_input": "x"}}}, 403), "refused", None),
    (Answer(openai_error("see failed_generation", "invalid_request_error", "tool_use_failed"), 400), "invalid", None),
    (
        Answer(openai_error("Failed to generate JSON", "invalid_request_error", "json_validate_failed"), 400),
        "invalid",
        None,
    ),
    (Answer({"error": {"message": "x", "failed_generation": '{"a": '}}, 400), "invalid", None),
    (Answer(openai_error("filtered", None, "content_filter"), 400), "refused", None),
    (Answer(openai_error("no such model", "invalid_request_error", "model_not_found"), 404), "rejected", None),
    (Answer(b"nothing here", 404), "rejected", None),
    (Answer(openai_error("x"), 408), "timeout", None),
    (Answer(openai_error("x"), 409), "rejected", None),
    (Answer(openai_error("x"), 422), "rejected", None),
    (Answer(openai_error("x", "server_error"), 500), "transient", None),
    (Answer(b"<html>bad gateway</html>", 502, HTML), "transient", None),
    (Answer(openai_error("overloaded"), 503, {"Retry-After": "2"}), "overloaded", 2.0),
    (Answer(openai_error("x"), 504), "timeout", None),
    (Answer(openai_error("x"), 529), "overloaded", None),
    (Answer(b"", 304), "transient", None),
    (Answer(hang_up=True), "transient", None),
    (Answer(b"<html>a login page</html>", headers=HTML), "transient", None),
    (Answer(b'{"choices": [{"mes'), "transient", None),
    (Answer(b""), "transient", None),
    (Answer(b"\xff\xfe"), "transient", None),
    (Answer({}, 202), "transient", None),
    (Answer([]), "transient", None),
    (Answer({}), "transient", None),
    (Answer({"choices": []}), "transient", None),
    (Answer({"choices": 5}), "transient", None),
    (Answer({"choices": [5]}), "transient", None),
    (Answer({"choices": [{}]}), "invalid", None),
    (Answer({"error": {"message": "upstream", "code": 502}}), "transient", None),
    (Answer({"error": {"message": "upstream", "code": 429}}), "throttled", None),
    (Answer({"error": {"message": "spent", "code": "insufficient_quota"}}), "exhausted", None),
    (Answer({"choices": [{"error": {"code": 503, "message": "x"}, "finish_reason": "error"}]}), "overloaded", None),
    (Answer(openai_reply(None)), "invalid", None),
    (Answer(openai_reply("")), "invalid", None),
    (Answer(openai_reply(5)), "invalid", None),
    (Answer(openai_reply("half", "length")), "truncated", None),
    (Answer(openai_reply(None, "length")), "truncated", None),
    (Answer(openai_reply("x", "content_filter")), "refused", None),
    (Answer(openai_reply(None, "stop", refusal="I cannot")), "refused", None),
    (Answer(openai_reply(None, "tool_calls")), "invalid", None),
    (Answer(openai_reply("x", "a_reason_of_next_year")), "refused", None),
    (Answer(openai_reply("x", "insufficient_system_resource")), "overloaded", None),
    (Answer(openai_reply("x", "abort")), "transient", None),
]


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch):
    forget_keys(monkeypatch)


async def test_each_refusal_and_failure_is_one_request_with_its_fault_kind(service):
    seen, expected = {}, {}
    async with prepared(OPENAI.at(f"{service.url}/v1")) as item:
        for answer, kind, wait in FAULT_TABLE:
            before = service.requests
            service.says(answer)
            fault, _ = await fault_of(item)
            row = f"{answer.status} {answer.content[:300]!r} {answer.headers} {answer.hang_up}"
            seen[row] = (fault.kind, fault.retry_after, service.requests - before)
            expected[row] = (kind, wait, 1)
    assert seen == expected
    assert len(seen) == len(FAULT_TABLE)


async def test_retry_after_may_be_a_date(service):
    service.says(Answer(THROTTLED, 429, {"Retry-After": formatdate(time.time() + 30, usegmt=True)}))
    async with prepared(OPENAI.at(service.url)) as item:
        fault, _ = await fault_of(item)
    assert 20 < fault.retry_after < 40


async def test_a_refusal_carries_the_limits_of_its_headers(service):
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    service.says(Answer(THROTTLED, 429, headers))
    async with prepared(OPENAI.at(service.url)) as item:
        fault, _ = await fault_of(item)
    assert fault.kind is FaultKind.THROTTLED
    limits = {limit.unit: (limit.limit, limit.remaining, limit.reset, limit.exceeded) for limit in fault.quota.limits}
    assert limits == {"requests": (60, 0, 1.0, True), "tokens": (150_000, 149_984, 360.0, False)}


async def test_a_reply_without_an_answer_reports_its_usage(service):
    service.says(
        Answer(openai_reply("half", "length")),
        Answer(openai_reply(None, "stop", refusal="no")),
        Answer(openai_reply("x", "content_filter")),
        Answer(openai_reply("")),
        Answer({**openai_reply(), "choices": []}),
    )
    async with prepared(OPENAI.at(service.url)) as item:
        assert [usage for _, usage in [await fault_of(item) for _ in range(5)]] == [PAID] * 5


async def test_a_refused_connection_is_transient(unused_port):
    async with prepared(OPENAI.at(f"http://127.0.0.1:{unused_port}/v1")) as item:
        fault, _ = await fault_of(item)
    assert fault.kind is FaultKind.TRANSIENT


async def test_a_read_timeout_of_a_client_given_by_the_user_is_a_timeout_fault_and_one_request(service):
    release = threading.Event()
    service.says(Answer(openai_reply(), hold=lambda: release.wait(30)))  # the server never answers before the timeout
    timeout = openai.Timeout(None, read=0.2)  # starts once the request was sent, so a slow machine cannot break it
    async with openai.AsyncOpenAI(api_key=KEY, base_url=service.url, timeout=timeout) as client:
        fault, _ = await fault_of(OpenAIStrategy("m", client=client))
    await service.has_received(1)
    release.set()
    assert fault.kind is FaultKind.TIMEOUT
    assert service.requests == 1


async def test_a_key_that_the_service_echoes_is_not_in_the_fault(service):
    service.says(Answer(openai_error(f"Incorrect API key provided: {KEY}"), 401))
    async with prepared(OPENAI.at(service.url)) as item:
        with pytest.raises(openai.AuthenticationError) as caught:
            await item.execute("hello", 1, 60.0)
        fault = item.error_classifier.classify(caught.value)
    assert fault.kind is FaultKind.DENIED
    assert KEY not in fault.message
    assert "[redacted]" in fault.message


async def test_a_key_in_a_reply_that_holds_an_error_is_blanked_as_well(service):
    service.says(Answer({"error": {"message": f"bad key {KEY}", "code": "invalid_api_key"}}))
    async with prepared(OPENAI.at(service.url)) as item:
        with pytest.raises(CallError) as caught:
            await item.execute("hello", 1, 60.0)
        fault = item.error_classifier.classify(caught.value)
    assert (fault.kind, KEY in fault.message) == (FaultKind.DENIED, False)


async def test_a_client_serves_calls_after_refusals_and_dropped_connections(service):
    service.says(Answer(b"", 429), Answer(hang_up=True), Answer(openai_reply("good")))
    async with prepared(OPENAI.at(service.url)) as item:
        await fault_of(item)
        await fault_of(item)
        assert await item.execute("hello", 1, 60.0) == ("good", PAID)
