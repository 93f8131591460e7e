"""The real google-genai client against a real HTTP server: requests, connections and clients."""

from __future__ import annotations

import contextlib
import json
import logging
import threading

import anyio
import httpx2
import pytest
from google import genai
from google.genai import types

from paceline import FaultKind, TokenUsage
from paceline.llm_strategies.gemini import GeminiStrategy

from .service import KEY, Answer, fault_of, prepared, reply

pytestmark = pytest.mark.anyio

HTML = b"<html>zu viele Anfragen f\xfcr heute</html>"  # as a gateway says it: in latin-1


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


@pytest.fixture
def strategy(service):
    return GeminiStrategy(api_key=KEY, base_url=service.url)


async def test_a_prompt_is_sent_once_and_answered_with_its_usage(service, strategy):
    service.says(Answer(reply("good")))
    async with prepared(strategy) as item:
        assert await item.execute("hello", 1, 60.0) == ("good", TokenUsage(7, 3, 0, 10))
    (received,) = service.received
    assert received.path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert received.headers["x-goog-api-key"] == KEY
    assert received.body["contents"] == [{"role": "user", "parts": [{"text": "hello"}]}]


async def test_the_config_and_the_system_instruction_are_sent(service):
    service.says(Answer(reply()))
    config = {"temperature": 0.5, "max_output_tokens": 9, "http_options": {"headers": {"x-mine": "1"}}}
    arguments = {"api_key": KEY, "base_url": service.url, "config": config, "system_instruction": "be brief"}
    async with prepared(GeminiStrategy("gemini-2.5-pro", **arguments)) as item:
        await item.execute("hello", 1, 60.0)
    (received,) = service.received
    assert received.path == "/v1beta/models/gemini-2.5-pro:generateContent"
    assert received.body["generationConfig"] == {"temperature": 0.5, "maxOutputTokens": 9}
    assert received.body["systemInstruction"]["parts"] == [{"text": "be brief"}]
    assert received.headers["x-mine"] == "1"


@pytest.mark.parametrize("prompt", ["", "half \ud83d a pair", "zwölf 😀\x00", "x" * 100_000])
async def test_every_prompt_is_sent_as_it_is(service, strategy, prompt):
    service.says(Answer(reply()))
    async with prepared(strategy) as item:
        await item.execute(prompt, 1, 60.0)
    assert service.received[0].body.get("contents", [{}])[0]["parts"][0].get("text", "") == prompt


async def test_the_key_is_in_no_log(service, strategy, caplog):
    caplog.set_level(logging.DEBUG)
    service.says(Answer(reply()), Answer(b"", 500), Answer(hang_up=True))
    async with prepared(strategy) as item:
        await item.execute("hello", 1, 60.0)
        await fault_of(item)
        await fault_of(item)
    assert caplog.text
    assert KEY not in caplog.text


# ----------------------------------------------------------------------------------- connections and time


async def test_calls_are_never_fewer_than_workers_and_connections_are_kept(service, strategy):
    workers = 40
    together = threading.Barrier(workers, timeout=30)
    service.says(Answer(reply(), hold=together.wait))
    async with prepared(strategy) as item:
        for _ in range(2):
            async with anyio.create_task_group() as nursery:
                for _ in range(workers):
                    nursery.start_soon(item.execute, "hello", 1, 60.0)
    assert service.requests == 2 * workers
    assert service.connections == workers


async def test_a_call_in_flight_is_cancelled_cleanly_and_the_next_is_served(service, strategy):
    arrived, go_on = threading.Event(), threading.Event()

    def hold():
        arrived.set()
        go_on.wait(30)

    async with prepared(strategy) as item:
        service.says(Answer(reply(), hold=hold))
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(item.execute, "hello", 1, 60.0)
            await anyio.to_thread.run_sync(arrived.wait, 30)
            nursery.cancel_scope.cancel()
        go_on.set()
        service.says(Answer(reply("good")))
        assert (await item.execute("hello", 2, 60.0))[0] == "good"


async def test_a_strategy_can_be_used_again_and_by_two_at_a_time(service, strategy):
    service.says(Answer(reply("good")))
    for _ in range(2):
        async with prepared(strategy) as first, contextlib.AsyncExitStack() as stack:
            second = await stack.enter_async_context(prepared(strategy))
            assert (await second.execute("hello", 1, 60.0))[0] == "good"
            await stack.aclose()
            assert (await first.execute("hello", 1, 60.0))[0] == "good"


# ---------------------------------------------------------------------------------------- a client given


async def test_a_client_given_is_used_and_never_closed(service):
    service.says(Answer(reply("good")))
    async with httpx2.AsyncClient() as pool:
        options = types.HttpOptions(api_version="v1", base_url=service.url, httpx_async_client=pool)
        strategy = GeminiStrategy(client=genai.Client(api_key=KEY, http_options=options))
        async with prepared(strategy) as item:
            assert (await item.execute("hello", 1, 60.0))[0] == "good"
        assert not pool.is_closed
    assert service.received[0].path.startswith("/v1/models/")


@pytest.mark.parametrize("answer", [Answer(b"", 503), Answer(hang_up=True)], ids=["503", "disconnect"])
async def test_a_client_given_does_not_retry_whatever_its_options_say(service, answer):
    service.says(answer)
    retries = types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.01)
    async with httpx2.AsyncClient() as pool:
        options = types.HttpOptions(base_url=service.url, httpx_async_client=pool, retry_options=retries)
        client = genai.Client(api_key=KEY, http_options=options)
        for config in (None, {"http_options": {"retry_options": retries}}):
            async with prepared(GeminiStrategy(client=client, config=config)) as item:
                await fault_of(item)
    assert service.requests == 2


async def test_the_strategys_own_client_does_not_retry_whatever_the_config_says(service):
    service.says(Answer(b"", 503))
    retries = types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.01)
    config = {"http_options": {"retry_options": retries}}
    async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url, config=config)) as item:
        await fault_of(item)
    assert service.requests == 1


async def test_an_unreadable_error_of_a_users_client_is_transient(service):
    service.says(Answer(HTML, 429))
    async with httpx2.AsyncClient() as pool:
        options = types.HttpOptions(base_url=service.url, httpx_async_client=pool)
        async with prepared(GeminiStrategy(client=genai.Client(api_key=KEY, http_options=options))) as item:
            fault, _ = await fault_of(item)
    assert fault.kind is FaultKind.TRANSIENT


class Doubled(genai.Client):
    """A scripted client of the user's own class."""

    def __init__(self, pool, answer):
        super().__init__(api_key=KEY, http_options=types.HttpOptions(httpx_async_client=pool))
        self.answer = answer

    aio = models = property(lambda self: self)

    async def generate_content(self, **arguments):
        self.arguments = arguments
        return self.answer()


async def test_a_client_without_raw_replies_works_and_makes_one_request():
    async with httpx2.AsyncClient() as pool:
        client = Doubled(pool, lambda: types.GenerateContentResponse.model_validate(reply("good")))
        async with prepared(GeminiStrategy(client=client)) as item:
            assert await item.execute("hello", 1, 60.0) == ("good", TokenUsage(7, 3, 0, 10))
        config = client.arguments["config"]
    assert config.automatic_continuation is False
    assert config.automatic_function_calling.disable is True
    assert config.http_options.retry_options.attempts == 1


async def test_json_that_the_sdk_itself_cannot_read_is_no_invalid_output():
    async with (
        httpx2.AsyncClient() as pool,
        prepared(GeminiStrategy(client=Doubled(pool, lambda: json.loads("<html>")))) as item,
    ):
        fault, _ = await fault_of(item)
    assert fault.kind is FaultKind.TRANSIENT
