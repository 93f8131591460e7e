"""The real anthropic client against a real HTTP server: every kind of refusal, one request each."""

from __future__ import annotations

import threading

import anthropic
import pytest

from paceline import FaultKind, TokenUsage
from paceline.llm_strategies.anthropic import AnthropicStrategy

from .chat_service import ANTHROPIC, TWO_BACKENDS, anthropic_error, anthropic_reply, forget_keys
from .gemini.service import KEY, Answer, fault_of, prepared

pytestmark = [pytest.mark.anyio, TWO_BACKENDS]

PAID = TokenUsage(12, 3, 5, 15, 3)
HTML = {"Content-Type": "text/html"}
THROTTLED = anthropic_error("This request would exceed your rate limit", "rate_limit_error")
CALL = {"type": "tool_use", "id": "t", "name": "weather", "input": {}}

FAULT_TABLE = [  # what the server says, the kind of fault, the wait
    (Answer(THROTTLED, 429), "throttled", None),
    (Answer(THROTTLED, 429, {"Retry-After": "7"}), "throttled", 7.0),
    (Answer(THROTTLED, 429, {"Retry-After-Ms": "250"}), "throttled", 0.25),
    (Answer(anthropic_error("ramp", "rate_limit_error", "ramp_limit_exceeded"), 429), "throttled", None),
    (Answer(b"<html>too many</html>", 429, {**HTML, "Retry-After": "4"}), "throttled", 4.0),
    (Answer(b"", 429), "throttled", None),
    (Answer([1], 429), "throttled", None),
    (Answer(anthropic_error("x", "rate_limit_error", "enforced_spend_limit_reached"), 429), "exhausted", None),
    (Answer(anthropic_error("x", "rate_limit_error", "contract_spend_limit_reached"), 429), "exhausted", None),
    (Answer(anthropic_error("pay", "billing_error"), 402), "exhausted", None),
    (Answer(anthropic_error("pay", "billing_error"), 400), "exhausted", None),
    (Answer(anthropic_error("bad", "invalid_request_error"), 400), "rejected", None),
    (Answer(anthropic_error("invalid x-api-key", "authentication_error"), 401), "denied", None),
    (Answer(anthropic_error("no", "permission_error"), 403), "rejected", None),
    (
        Answer(
            anthropic_error("Your credit balance is too low to access the Anthropic API.", "invalid_request_error"), 400
        ),
        "exhausted",
        None,
    ),
    (
        Answer(
            anthropic_error(
                "You have reached your specified API usage limits. You will regain access on 2100-01-01 at 00:00 UTC.",
                "invalid_request_error",
            ),
            400,
        ),
        "exhausted",
        None,
    ),
    (
        Answer(anthropic_error("Extra usage is required for long context requests.", "rate_limit_error"), 429),
        "rejected",
        None,
    ),
    (Answer(anthropic_error("This organization has been disabled.", "invalid_request_error"), 400), "denied", None),
    (Answer(anthropic_error("Request not allowed", "forbidden"), 403), "exhausted", None),
    (Answer(anthropic_error("on hold", "invalid_request_error", "organization_on_hold"), 400), "denied", None),
    (Answer(anthropic_error("model: x", "not_found_error"), 404), "rejected", None),
    (Answer(anthropic_error("too large", "request_too_large"), 413), "rejected", None),
    (Answer(anthropic_error("oops", "api_error"), 500), "transient", None),
    (Answer(anthropic_error("busy", "overloaded_error"), 503), "overloaded", None),
    (Answer(anthropic_error("slow", "timeout_error"), 504), "timeout", None),
    (Answer(anthropic_error("Overloaded", "overloaded_error"), 529), "overloaded", None),
    (Answer(anthropic_error("Overloaded", "overloaded_error"), 529, {"Retry-After": "2"}), "overloaded", 2.0),
    (Answer(b"", 529), "overloaded", None),
    (Answer(hang_up=True), "transient", None),
    (Answer(b"<html>a login page</html>", headers=HTML), "transient", None),
    (Answer(b'{"content": [{"te'), "transient", None),
    (Answer(b""), "transient", None),
    (Answer({}), "transient", None),
    (Answer([]), "transient", None),
    (Answer({"content": 5}), "transient", None),
    (Answer({"content": [], "stop_reason": "end_turn"}), "invalid", None),
    (Answer({"content": [5, {"type": "text", "text": 5}]}), "invalid", None),
    (Answer(anthropic_error("Overloaded", "overloaded_error")), "overloaded", None),
    (Answer(anthropic_error("x")), "transient", None),
    (Answer(anthropic_reply(None, "end_turn", {"type": "thinking", "thinking": "hm"})), "invalid", None),
    (Answer(anthropic_reply("half", "max_tokens")), "truncated", None),
    (Answer(anthropic_reply("half", "model_context_window_exceeded")), "truncated", None),
    (Answer(anthropic_reply("half", "pause_turn")), "truncated", None),
    (Answer(anthropic_reply("I", "refusal")), "refused", None),
    (Answer(anthropic_reply("x", "a_reason_of_next_year")), "refused", None),
    (Answer(anthropic_reply("x", "tool_use", CALL)), "invalid", None),
]


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch):
    forget_keys(monkeypatch)


async def test_each_refusal_and_failure_is_one_request_with_its_fault_kind(service):
    seen, expected = {}, {}
    async with prepared(ANTHROPIC.at(service.url)) as item:
        for answer, kind, wait in FAULT_TABLE:
            before = service.requests
            service.says(answer)
            fault, _ = await fault_of(item)
            row = f"{answer.status} {answer.content[:300]!r} {answer.headers} {answer.hang_up}"
            seen[row] = (fault.kind, fault.retry_after, service.requests - before)
            expected[row] = (kind, wait, 1)
    assert seen == expected
    assert len(seen) == len(FAULT_TABLE)


async def test_a_refusal_carries_the_limits_of_its_headers(service):
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-input-tokens-limit": "40000",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2026-01-01T00:00:30Z",
        "anthropic-ratelimit-output-tokens-limit": "8000",
        "anthropic-ratelimit-output-tokens-remaining": "8000",
        "Date": "Thu, 01 Jan 2026 00:00:00 GMT",
        "Retry-After": "30",
    }
    service.says(Answer(THROTTLED, 429, headers))
    async with prepared(ANTHROPIC.at(service.url)) as item:
        fault, _ = await fault_of(item)
    assert (fault.kind, fault.retry_after) == (FaultKind.THROTTLED, 30.0)
    limits = {(each.unit, each.part): (each.limit, each.remaining, each.exceeded) for each in fault.quota.limits}
    assert limits == {
        ("requests", "both"): (50, 49, False),
        ("tokens", "input"): (40_000, 0, True),
        ("tokens", "output"): (8_000, 8_000, False),
    }


async def test_a_reply_without_an_answer_reports_its_usage(service):
    bodies = [anthropic_reply("x", reason) for reason in ("max_tokens", "refusal", "tool_use")]
    service.says(*map(Answer, [*bodies, anthropic_reply(None), {**anthropic_reply(), "content": 5}]))
    async with prepared(ANTHROPIC.at(service.url)) as item:
        assert [usage for _, usage in [await fault_of(item) for _ in range(5)]] == [PAID] * 5


async def test_a_refused_connection_is_transient(unused_port):
    async with prepared(ANTHROPIC.at(f"http://127.0.0.1:{unused_port}")) as item:
        fault, _ = await fault_of(item)
    assert fault.kind is FaultKind.TRANSIENT


async def test_a_read_timeout_of_a_client_given_by_the_user_is_a_timeout_fault_and_one_request(service):
    release = threading.Event()
    service.says(
        Answer(anthropic_reply(), hold=lambda: release.wait(30))
    )  # the server never answers before the timeout
    timeout = anthropic.Timeout(None, read=0.2)  # starts once the request was sent, so a slow machine cannot break it
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=service.url, timeout=timeout) as client:
        fault, _ = await fault_of(AnthropicStrategy("m", client=client))
    await service.has_received(1)
    release.set()
    assert fault.kind is FaultKind.TIMEOUT
    assert service.requests == 1


async def test_a_client_serves_calls_after_refusals_and_dropped_connections(service):
    service.says(Answer(b"", 429), Answer(hang_up=True), Answer(anthropic_reply("good")))
    async with prepared(ANTHROPIC.at(service.url)) as item:
        await fault_of(item)
        await fault_of(item)
        assert await item.execute("hello", 1, 60.0) == ("good", PAID)
