"""Laws of both chat strategies: arguments, keys, clients, and a complete batch."""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
import subprocess
import sys
import time

import anthropic
import anyio
import anyio.to_thread
import openai
import pytest

import paceline
from paceline import Price, ProcessorConfig, process_prompts
from paceline.exceptions import ConfigurationError, MissingKeyError, MisuseError
from paceline.llm_strategies import openai as _module
from paceline.llm_strategies.anthropic import AnthropicStrategy
from paceline.llm_strategies.openai import OpenAIStrategy

from .chat_service import ANTHROPIC, BOTH, OPENAI, TWO_BACKENDS, forget_keys
from .gemini.service import KEY, Answer, fault_of, prepared


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch):
    forget_keys(monkeypatch)


def given_client(dialect, **options):
    return (openai.AsyncOpenAI if dialect is OPENAI else anthropic.AsyncAnthropic)(api_key=KEY, **options)


# ---------------------------------------------------------------------------------------------- making one


@BOTH
def test_without_a_key_one_sentence_says_where_it_is_looked_for(dialect):
    with pytest.raises(MissingKeyError) as caught:
        dialect.strategy("m")
    for place in ("api_key", "client", dialect.variable):
        assert place in str(caught.value)


@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        (OpenAIStrategy, "OPENAI_API_KEY"),
        (AnthropicStrategy, "ANTHROPIC_API_KEY"),
        (AnthropicStrategy, "ANTHROPIC_AUTH_TOKEN"),
    ],
)
def test_a_key_of_the_environment_is_enough(monkeypatch, strategy, name):
    monkeypatch.setenv(name, "  ")
    with pytest.raises(MissingKeyError):
        strategy("m")
    monkeypatch.setenv(name, KEY)
    assert repr(strategy("m")) == f"{strategy.__name__}(model='m')"
    assert KEY not in repr(vars(strategy("m")))


@BOTH
@pytest.mark.parametrize("key", [f"{KEY}\nX-Other: 1", f"{KEY} 2", f"{KEY}é", f"{KEY}\x00"])
def test_a_key_with_invalid_characters_is_refused_and_not_shown(dialect, key):
    with pytest.raises(ConfigurationError) as caught:
        dialect.strategy("m", api_key=key)
    assert KEY not in str(caught.value)


@BOTH
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": ""}, "model must be"),
        ({"model": "  "}, "model must be"),
        ({"model": None}, "model must be"),
        ({"client": "a client"}, "client must be"),
        ({"base_url": "example.org"}, "base_url must be like http://127.0.0.1:8000/v1, not 'example.org'"),
        ({"base_url": "ftp://example.org"}, "base_url must be like"),
        ({"base_url": "http://"}, "base_url must be like"),
        ({"base_url": "http://host:port"}, "base_url must be like"),
        ({"base_url": f"user:{KEY}@host"}, "base_url must be like http://127.0.0.1:8000/v1, not 'host'"),
        ({"base_url": 5}, "base_url must be a string"),
        ({"system_instruction": 5}, "system_instruction must be"),
        ({"price": 5}, "price must be"),
        ({"options": [("temperature", 1)]}, "options must be a mapping"),
        ({"options": {"extra_boddy": 1}}, "'extra_boddy'; did you mean 'extra_body'?"),
        ({"options": {"zzz": 1}}, "'zzz'; known are"),
        ({"options": {5: 1}}, "5; known are"),
        ({"options": {"model": "x"}}, "options may not hold 'model'"),
        ({"options": {"messages": []}}, "options may not hold 'messages'"),
        ({"options": {"stream": True}}, "options may not hold 'stream'"),
        ({"options": {"n": 2}}, "'n'"),
        ({"schema_mode": "jsno"}, "schema_mode is unknown: 'jsno'"),
        ({"output_type": object}, "object"),
    ],
    ids=repr,
)
def test_an_invalid_argument_is_named_in_one_sentence(dialect, arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        dialect.strategy(**{"model": "m", **({} if "client" in arguments else {"api_key": KEY}), **arguments})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


@BOTH
def test_type_arguments_are_refused_in_options_if_an_output_type_is_given(dialect):
    name, value = ("response_format", {"type": "json_object"}) if dialect is OPENAI else ("tools", [])
    dialect.strategy("m", api_key=KEY, options={name: value})
    with pytest.raises(ConfigurationError, match=f"options may not hold '{name}'"):
        dialect.strategy("m", api_key=KEY, options={name: value}, output_type=int)


@BOTH
def test_the_base_url_may_come_from_the_environment(dialect, monkeypatch):
    variable = dialect.variable.replace("API_KEY", "BASE_URL")
    monkeypatch.setenv(variable, "nowhere")
    with pytest.raises(ConfigurationError, match=f"{variable} must be like"):
        dialect.strategy("m", api_key=KEY)


@BOTH
@pytest.mark.parametrize("other", [{"api_key": KEY}, {"base_url": "http://127.0.0.1"}])
def test_a_client_has_its_own_key_and_url(dialect, other):
    with pytest.raises(ConfigurationError, match="give either client, which has"):
        dialect.strategy("m", client=given_client(dialect), **other)


@BOTH
def test_the_lane_is_named_after_the_model_and_its_server_by_default(dialect):
    name = dialect.strategy.__name__
    assert dialect.strategy("m", api_key=KEY).quota == f"{name}:m"
    assert dialect.strategy("m", client=given_client(dialect)).quota == f"{name}:m"
    assert dialect.strategy("m", base_url="http://user:word@host:8000/v1").quota == f"{name}:m@host:8000"
    assert dialect.strategy("m", api_key=KEY, quota="mine").quota == "mine"


def test_both_take_the_same_arguments():
    assert inspect.signature(OpenAIStrategy) == inspect.signature(AnthropicStrategy)
    for name in inspect.signature(OpenAIStrategy).parameters:
        assert f"    {name}: " in inspect.getdoc(OpenAIStrategy)
        assert f"    {name}: " in inspect.getdoc(AnthropicStrategy)
    assert _module.__doc__


# ---------------------------------------------------------------------------------------------- clients


@TWO_BACKENDS
@BOTH
class TestClients:
    pytestmark = pytest.mark.anyio

    async def test_a_call_before_prepare_is_misuse(self, dialect, anyio_backend):
        with pytest.raises(MisuseError):
            await dialect.strategy("m", api_key=KEY).execute("x", 1, 1.0)

    async def test_cleanup_without_prepare_does_nothing(self, dialect, anyio_backend):
        await dialect.strategy("m", api_key=KEY).cleanup()

    async def test_the_client_is_closed_by_the_last_who_uses_it(self, dialect, service, anyio_backend):
        service.says(Answer(dialect.reply()))
        strategy = dialect.at(service.url)
        await strategy.prepare()
        async with prepared(strategy) as item:
            await item.execute("a", 1, 60.0)
        await item.execute("b", 1, 60.0)
        await strategy.cleanup()
        with pytest.raises((RuntimeError, anthropic.APIConnectionError)):
            await item.execute("c", 1, 60.0)
        with pytest.raises(MisuseError):
            await copy.copy(strategy).execute("c", 1, 60.0)
        assert service.requests == 2

    async def test_one_connection_serves_call_after_call(self, dialect, service, anyio_backend):
        service.says(Answer(dialect.reply()))
        async with prepared(dialect.at(service.url)) as item:
            for _ in range(3):
                await item.execute("a", 1, 60.0)
        assert (service.requests, service.connections) == (3, 1)

    async def test_a_client_that_was_given_is_used_without_its_retries_and_not_closed(
        self, dialect, service, anyio_backend
    ):
        service.says(Answer(b"", 500), Answer(dialect.reply()))
        async with given_client(dialect, base_url=service.url, max_retries=5) as client:
            async with prepared(dialect.strategy("m", client=client)) as item:
                fault, _ = await fault_of(item)
            assert (fault.kind, service.requests) == ("transient", 1)
            async with prepared(dialect.strategy("m", client=client)) as item:
                assert (await item.execute("hello", 1, 60.0))[0] == "good"
            assert not client.is_closed()
            assert client.max_retries == 5
        assert service.received[-1].headers["authorization"] == f"Bearer {KEY}"

    async def test_the_key_of_a_client_that_was_given_is_blanked_too(self, dialect, service, anyio_backend):
        service.says(Answer(dialect.error(f"bad key {KEY}"), 401))
        async with given_client(dialect, base_url=service.url) as client:
            with pytest.raises(Exception, match=KEY) as caught:
                await dialect.strategy("m", client=client).execute("hello", 1, 60.0)
            assert KEY not in dialect.strategy("m", client=client).error_classifier.classify(caught.value).message

    async def test_a_compatible_server_needs_no_key(self, dialect, service, anyio_backend):
        service.says(Answer(dialect.reply()))
        async with prepared(dialect.strategy("m", base_url=service.url)) as item:
            assert (await item.execute("hello", 1, 60.0))[0] == "good"
        assert "no-key-needed" in service.received[0].headers["authorization"]

    async def test_the_server_may_be_named_by_the_environment(self, dialect, service, anyio_backend, monkeypatch):
        monkeypatch.setenv(dialect.variable.replace("API_KEY", "BASE_URL"), service.url)
        monkeypatch.setenv(dialect.variable, KEY)
        service.says(Answer(dialect.reply()))
        async with prepared(dialect.strategy("m")) as item:
            await item.execute("hello", 1, 60.0)
        assert service.received[0].path == dialect.path

    async def test_quota_hints_of_a_reply_belong_to_the_item(self, dialect, service, anyio_backend):
        service.says(
            Answer(
                dialect.reply(),
                headers={
                    "x-ratelimit-limit-requests": "60",
                    "x-ratelimit-remaining-requests": "7",
                    "anthropic-ratelimit-requests-limit": "60",
                    "anthropic-ratelimit-requests-remaining": "7",
                },
            )
        )
        strategy = dialect.at(service.url)
        async with prepared(strategy) as item:
            await item.execute("hello", 1, 60.0)
            assert {(limit.limit, limit.remaining) for limit in item.quota_hint.limits} == {(60, 7)}
        assert strategy.quota_hint is None

    async def test_headers_of_a_reply_without_an_answer_are_read_too(self, dialect, service, anyio_backend):
        service.says(Answer(dialect.truncated, headers={"Retry-After": "3"}))
        async with prepared(dialect.at(service.url)) as item:
            fault, usage = await fault_of(item)
            assert (fault.kind, usage.input_tokens, item.quota_hint.retry_after) == ("truncated", 12, 3.0)

    async def test_the_key_is_in_no_log(self, dialect, service, anyio_backend, caplog):
        service.says(Answer(dialect.error(), 401), Answer(dialect.reply()))
        with caplog.at_level(logging.DEBUG):
            async with prepared(dialect.at(service.url)) as item:
                await fault_of(item)
                await item.execute("hello", 1, 60.0)
        assert caplog.records
        assert KEY not in caplog.text

    async def test_a_price_that_is_given_is_kept(self, dialect, anyio_backend):
        strategy = dialect.strategy("m", api_key=KEY, price=Price(1, 2))
        async with prepared(strategy) as item:
            assert item.price == Price(1, 2)

    async def test_a_compatible_server_has_no_price(self, dialect, anyio_backend):
        async with prepared(dialect.strategy(PRICED[dialect.variable], base_url="http://127.0.0.1:1")) as item:
            assert item.price is None


PRICED = {OPENAI.variable: "gpt-4o-mini", ANTHROPIC.variable: "claude-3-5-haiku-latest"}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
@BOTH
async def test_the_providers_own_price_is_looked_up(dialect, anyio_backend):
    pytest.importorskip("genai_prices")
    async with prepared(dialect.strategy(PRICED[dialect.variable], api_key=KEY)) as item:
        assert item.price.output > item.price.input > item.price.cached_input > 0


@BOTH
def test_a_strategy_may_serve_one_loop_after_another(dialect, service):
    service.says(Answer(dialect.reply()))
    strategy = dialect.at(service.url)
    for _ in range(2):
        assert paceline.run_prompts(strategy, ["a"]).succeeded == 1

    async def on_asyncio():
        return await process_prompts(strategy, ["a"])

    assert asyncio.run(on_asyncio()).succeeded == 1


@BOTH
def test_a_client_that_an_ended_loop_left_behind_is_not_used(dialect):
    strategy = dialect.strategy("m", base_url="http://127.0.0.1:1")
    anyio.run(strategy.prepare, backend="trio")

    async def on_asyncio():
        async with prepared(strategy):
            pass
        await strategy.execute("x", 1, 1.0)

    with pytest.raises(MisuseError):
        asyncio.run(on_asyncio())


@BOTH
def test_no_loop_closes_the_client_of_another(dialect, service):
    service.says(Answer(dialect.reply()))
    strategy = dialect.at(service.url)

    async def on_trio():
        async with prepared(strategy) as item:
            await anyio.to_thread.run_sync(asyncio.run, strategy.cleanup())
            await item.execute("x", 1, 60.0)
        await strategy.execute("x", 1, 60.0)

    with pytest.raises(MisuseError):
        anyio.run(on_trio, backend="trio")
    assert service.requests == 1


def test_a_chat_strategy_needs_no_package_of_google():
    code = """
import sys
sys.modules["google"] = sys.modules["google.genai"] = sys.modules["google.auth"] = None
import anyio
from paceline.llm_strategies.anthropic import AnthropicStrategy
from paceline.llm_strategies.openai import OpenAIStrategy

async def main():
    for strategy in (OpenAIStrategy, AnthropicStrategy):
        made = strategy("m", api_key="k", base_url="http://127.0.0.1:9/v1")
        await made.prepare()
        await made.cleanup()

anyio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------------------------- batches


@pytest.mark.anyio
@TWO_BACKENDS
@BOTH
class TestBatches:
    async def test_a_denied_key_stops_the_batch_after_the_calls_in_flight(self, dialect, service, anyio_backend):
        denied = Answer(dialect.error("bad key"), 401, hold=lambda: time.sleep(0.05))
        service.says(*[Answer(dialect.reply())] * 30, denied)
        config = ProcessorConfig(max_workers=8)
        batch = await process_prompts(dialect.at(service.url), ["x"] * 500, config=config)
        assert batch.succeeded == 30
        assert batch.failures["denied"] == service.requests - 30 <= 8
        assert batch.failures["pending"] == 500 - service.requests

    async def test_each_attempt_is_exactly_one_request(self, dialect, service, anyio_backend):
        throttled = Answer(dialect.error("slow"), 429, {"Retry-After": "0.01"})
        service.says(throttled, Answer(dialect.error("oops"), 500), Answer(hang_up=True), Answer(dialect.reply()))
        config = ProcessorConfig(
            max_workers=1, retry=paceline.RetryPolicy(backoff=paceline.typing.Backoff(base=0.001, longest=0.01))
        )
        batch = await process_prompts(dialect.at(service.url), ["a", "b", "c"], config=config)
        assert batch.succeeded == 3
        assert service.requests == 6
        assert batch.usage.input_tokens == 3 * 12
