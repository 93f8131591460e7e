"""The real google-genai client against a real HTTP server: every row of the fault table, one request each."""

from __future__ import annotations

import threading

import pytest
from google.genai import errors

from paceline import FaultKind, ProcessorConfig, RetryPolicy, TokenUsage, process_prompts
from paceline.llm_strategies.gemini import GeminiStrategy

from ...engine.support import FixedPace
from .service import KEY, Answer, fault_of, prepared, refusal, reply

pytestmark = pytest.mark.anyio

HTML = b"<html><h1>zu viele Anfragen f\xfcr heute</h1></html>"  # as a gateway says it: in latin-1
LEAKED = "Your API key was reported as leaked. Please use another API key."
PER_DAY = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "0"}]}
PER_MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": "15"}]}


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


@pytest.fixture
def strategy(service):
    return GeminiStrategy(api_key=KEY, base_url=service.url)


FAULT_TABLE = [
    (Answer(refusal(429, "RESOURCE_EXHAUSTED", PER_MINUTE, {"retryDelay": "13s"}), 429), "throttled", 13.0),
    (Answer(refusal(429, "RESOURCE_EXHAUSTED"), 429, {"Retry-After": "2"}), "throttled", 2.0),
    (Answer(HTML, 429, {"Content-Type": "text/html", "Retry-After": "2"}), "throttled", 2.0),
    (Answer(HTML.decode("latin-1").encode(), 429, {"Content-Type": "text/html"}), "throttled", None),
    (Answer(b"slow down", 429, {"Content-Type": "text/plain", "retry-after-ms": "250"}), "throttled", 0.25),
    (Answer(b"", 429), "throttled", None),
    (Answer(b"[" * 100_000, 429), "throttled", None),
    (Answer(b"null", 429), "throttled", None),
    (Answer([refusal(429, "x", {"retryDelay": "13s"})], 429), "throttled", 13.0),
    (Answer(refusal(429, "RESOURCE_EXHAUSTED", PER_DAY, {"retryDelay": "1s"}), 429), "exhausted", None),
    (Answer(refusal(400, "INVALID_ARGUMENT"), 400), "rejected", None),
    (Answer(refusal(400, "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"}), 400), "denied", None),
    (Answer(refusal(401, "UNAUTHENTICATED"), 401), "denied", None),
    (Answer(refusal(403, "PERMISSION_DENIED"), 403), "rejected", None),
    (
        Answer(
            refusal(
                403, "PERMISSION_DENIED", message="You do not have permission to access the File x or it may not exist."
            ),
            403,
        ),
        "rejected",
        None,
    ),
    (Answer(refusal(403, "PERMISSION_DENIED", {"reason": "BILLING_DISABLED"}), 403), "exhausted", None),
    (
        Answer(refusal(400, "FAILED_PRECONDITION", message="User location is not supported for the API use."), 400),
        "exhausted",
        None,
    ),
    (Answer(refusal(429, "RESOURCE_EXHAUSTED", message="Please retry in 38.5s."), 429), "throttled", 38.5),
    (Answer(refusal(403, "PERMISSION_DENIED", message=LEAKED), 403), "denied", None),
    (Answer(refusal(404, "NOT_FOUND"), 404), "rejected", None),
    (Answer(refusal(500, "INTERNAL"), 500), "transient", None),
    (Answer(refusal(503, "UNAVAILABLE"), 503, {"Retry-After": "4"}), "overloaded", 4.0),
    (Answer(refusal(504, "DEADLINE_EXCEEDED"), 504), "timeout", None),
    (Answer({}, 202), "transient", None),
    (Answer(hang_up=True), "transient", None),
    (Answer(b"", headers={"Content-Encoding": "gzip"}), "transient", None),
    (Answer(b"<html>a login page</html>", headers={"Content-Type": "text/html"}), "transient", None),
    (Answer(b'{"candidates": [{"con'), "transient", None),
    (Answer(b""), "transient", None),
    (Answer([]), "transient", None),
    (Answer({"candidates": 5}), "transient", None),
    (Answer({}), "refused", None),
    (Answer({"candidates": []}), "refused", None),
    (Answer(reply(None, "A_REASON_OF_NEXT_YEAR")), "refused", None),
    (Answer(reply(None)), "invalid", None),
]


async def test_each_refusal_and_failure_is_one_request_with_its_fault_kind(service, strategy):
    seen, expected = {}, {}
    async with prepared(strategy) as item:
        for answer, kind, wait in FAULT_TABLE:
            before = service.requests
            service.says(answer)
            fault, _ = await fault_of(item)
            row = f"{answer.status} {answer.content[:200]!r} {answer.headers} {answer.hang_up}"
            seen[row] = (fault.kind, fault.retry_after, service.requests - before)
            expected[row] = (kind, wait, 1)
    assert seen == expected
    assert len(seen) == len(FAULT_TABLE)


async def test_a_reply_without_an_answer_is_one_request_and_reports_its_usage(service, strategy):
    service.says(
        Answer(reply(None, "SAFETY")),
        Answer(reply("half an ans", "MAX_TOKENS")),
        Answer(reply(None, "MAX_TOKENS")),
        Answer(reply(candidates=[], promptFeedback={"blockReason": "PROHIBITED_CONTENT"})),
    )
    async with prepared(strategy) as item:
        outcomes = [await fault_of(item) for _ in range(4)]
    assert [fault.kind for fault, _ in outcomes] == ["refused", "truncated", "truncated", "refused"]
    assert {usage for _, usage in outcomes} == {TokenUsage(7, 3, 0, 10)}
    assert service.requests == 4


async def test_a_continuation_is_not_followed(service, strategy):
    body = reply("first part", "CONTINUATION")
    body["candidates"][0]["continuationToken"] = "dG9rZW4="
    service.says(Answer(body))
    async with prepared(strategy) as item:
        fault, _ = await fault_of(item)
    assert fault.kind is FaultKind.TRUNCATED
    assert service.requests == 1


async def test_a_function_that_the_model_calls_is_not_called(service):
    def weather(city: str) -> str:
        raise AssertionError(city)

    body = reply()
    body["candidates"][0]["content"]["parts"] = [{"functionCall": {"name": "weather", "args": {"city": "Ulm"}}}]
    service.says(Answer(body))
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url, config={"tools": [weather]})) as item:
        fault, _ = await fault_of(item)
    assert fault.kind is FaultKind.INVALID
    assert service.requests == 1


async def test_a_refused_connection_is_transient(unused_port):
    async with prepared(GeminiStrategy(api_key=KEY, base_url=f"http://127.0.0.1:{unused_port}")) as item:
        fault, _ = await fault_of(item)
    assert fault.kind is FaultKind.TRANSIENT


async def test_a_config_that_the_sdk_refuses_is_a_bug_and_no_invalid_output(service):
    # Vertex AI alone knows audio_timestamp: the SDK says so at the call.
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url, config={"audio_timestamp": True})) as item:
        fault, _ = await fault_of(item)
        item.model = 5
        invalid, _ = await fault_of(item)
    assert (fault.kind, invalid.kind) == (FaultKind.BUG, FaultKind.BUG)
    assert service.requests == 0


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # httpx2 leaves it to trio where decoding fails
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_reply_that_cannot_be_decoded_is_transient(service, strategy):
    service.says(Answer(b"\x00\x01", headers={"Content-Encoding": "gzip"}))
    async with prepared(strategy) as item:
        fault, _ = await fault_of(item)
    assert fault.kind is FaultKind.TRANSIENT
    assert service.requests == 1


async def test_a_key_that_the_service_echoes_is_not_in_the_fault(service, strategy):
    service.says(Answer(refusal(403, "PERMISSION_DENIED", message=f"API key {KEY} is blocked"), 403))
    async with prepared(strategy) as item:
        with pytest.raises(errors.ClientError) as caught:
            await item.execute("hello", 1, 60.0)
        fault = item.error_classifier.classify(caught.value)
    assert fault.kind is FaultKind.DENIED
    assert KEY not in fault.message


async def test_a_client_serves_calls_after_refusals_and_dropped_connections(service, strategy):
    service.says(Answer(b"", 429), Answer(hang_up=True), Answer(reply("good")))
    async with prepared(strategy) as item:
        await fault_of(item)
        await fault_of(item)
        assert (await item.execute("hello", 1, 60.0))[0] == "good"


async def test_quota_hints_of_a_gateway_are_kept_per_item(strategy, service):
    service.says(Answer(reply(), headers={"X-RateLimit-Limit-Requests": "60", "X-RateLimit-Remaining-Requests": "7"}))
    async with prepared(strategy) as item:
        await item.execute("hello", 1, 60.0)
        assert [(each.limit, each.remaining) for each in item.quota_hint.limits] == [(60, 7)]
    assert strategy.quota_hint is None


async def test_a_refusal_names_its_quota(strategy, service):
    service.says(Answer(refusal(429, "RESOURCE_EXHAUSTED", PER_MINUTE, {"retryDelay": "13s"}), 429))
    async with prepared(strategy) as item:
        fault, _ = await fault_of(item)
    assert [(each.unit, each.limit, each.period) for each in fault.quota.limits] == [("requests", 15, 60)]


async def test_a_call_that_takes_longer_than_the_users_own_timeout_is_a_timeout(service):
    release = threading.Event()
    service.says(Answer(reply(), hold=lambda: release.wait(30)))
    config = {"http_options": {"timeout": 300}}  # ms
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url, config=config)) as item:
        fault, _ = await fault_of(item)
        await service.has_received(1)
        release.set()
    assert fault.kind is FaultKind.TIMEOUT
    assert service.requests == 1


async def test_an_unknown_host_is_transient():
    async with prepared(GeminiStrategy(api_key=KEY, base_url="http://nowhere.invalid")) as item:
        fault, _ = await fault_of(item)
    assert fault.kind is FaultKind.TRANSIENT


async def test_a_call_that_the_engine_cancels_at_its_deadline_is_a_timeout_and_one_request(service):
    release = threading.Event()
    service.says(Answer(reply(), hold=lambda: release.wait(30)))
    config = ProcessorConfig(timeout_per_item=0.5, retry=RetryPolicy(max_attempts=1))
    batch = await process_prompts(GeminiStrategy(api_key=KEY, base_url=service.url), ["hello"], config=config)
    await service.has_received(1)
    release.set()
    assert batch.failures == {"timeout": 1}
    assert service.requests == 1


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_denied_key_stops_the_batch_after_the_calls_in_flight_at_most(service, workers, status):
    service.says(Answer(refusal(status, "PERMISSION_DENIED", message=LEAKED), status))
    batch = await process_prompts(
        GeminiStrategy(api_key=KEY, base_url=service.url),
        [f"question {number}" for number in range(1_000)],
        config=ProcessorConfig(max_workers=workers),
        pace=lambda _: FixedPace(workers),
    )
    assert set(batch.failures) == {"denied", "pending"}
    assert batch.total_items == 1_000
    assert 1 <= service.requests <= workers
    assert service.connections <= workers
    assert KEY not in repr(batch.results)


async def test_a_batch_with_faults_completes_with_one_request_per_attempt(service):
    answers = [Answer(hang_up=True), Answer(b"<html>"), Answer(b"", 503), Answer(b"", 500)]
    service.says(*answers, Answer(reply("good")))
    batch = await process_prompts(GeminiStrategy(api_key=KEY, base_url=service.url), ["hello"] * 20)
    assert batch.failures == {}
    assert service.requests == 20 + len(answers)
    assert sum(len(result.attempts) for result in batch.results) == service.requests
