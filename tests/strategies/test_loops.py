"""Event loops and pools: a strategy works in any number of loops; a user's transport in one, for as many calls as it has connections."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from functools import partial

import anyio
import httpx2
import openai
import pytest
import trio
from google import genai
from google.genai.types import HttpOptions

from paceline import CallableStrategy, ProcessorConfig, process_prompts, run_prompts
from paceline.abc import DefaultErrorClassifier
from paceline.llm_strategies import ModelEscalation, ValidationFeedback
from paceline.llm_strategies.gemini import GeminiStrategy
from paceline.llm_strategies.openai import OpenAIStrategy
from paceline.typing import Connections

from .chat_service import ANTHROPIC, OPENAI
from .gemini.service import KEY, Answer

pytestmark = pytest.mark.filterwarnings(  # clients of users are never closed, and some of these outlive their loop
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _collected():
    """Collect what a test leaves behind at its end: its warnings are not those of a later test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


GEMINI = {"candidates": [{"content": {"parts": [{"text": "yes"}]}, "finishReason": "STOP"}]}
PROMPTS = ["a", "b", "c"]


def outputs(batch):
    return [result.output for result in batch.results]


def own(service, maker):
    """Return a strategy that makes its client itself."""
    if maker == "gemini":
        service.says(Answer(GEMINI))
        return GeminiStrategy("m", api_key=KEY, base_url=service.url)
    dialect = OPENAI if maker == "openai" else ANTHROPIC
    service.says(Answer(dialect.reply("yes")))
    return dialect.at(f"{service.url}/v1" if maker == "openai" else service.url)


def given(service, http, **options):
    """Return a strategy with a user's client, whose HTTP client is `http`."""
    service.says(Answer(OPENAI.reply("yes")))
    client = openai.AsyncOpenAI(api_key=KEY, base_url=f"{service.url}/v1", http_client=http, **options)
    return OpenAIStrategy("m", client=client)


@pytest.mark.parametrize("maker", ["openai", "anthropic", "gemini"])
def test_a_strategy_works_in_loops_one_after_the_other(service, maker):
    strategy = own(service, maker)
    for backend in ("asyncio", "asyncio", "trio", "trio", "asyncio"):
        assert outputs(anyio.run(process_prompts, strategy, PROMPTS, backend=backend)) == ["yes"] * 3


@pytest.mark.parametrize("maker", ["openai", "gemini"])
def test_a_strategy_works_in_loops_of_several_threads_at_once(service, maker):
    strategy, found = own(service, maker), []

    def run(backend):
        found.extend(outputs(anyio.run(process_prompts, strategy, PROMPTS * 5, backend=backend)))

    threads = [threading.Thread(target=run, args=(backend,)) for backend in ("asyncio", "trio", "asyncio")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["yes"] * 45


def test_a_client_without_an_http_client_of_its_own_works_in_any_loop(service):
    strategy = given(service, None)
    for backend in ("asyncio", "trio", "asyncio"):
        assert outputs(anyio.run(process_prompts, strategy, PROMPTS, backend=backend)) == ["yes"] * 3
    assert strategy.connections is None


@pytest.mark.parametrize("maker", ["openai", "gemini"])
def test_an_http_client_of_the_user_s_is_refused_in_another_loop_before_anything_is_sent(service, maker):
    http = httpx2.AsyncClient()
    if maker == "openai":
        strategies = [given(service, http), given(service, http)]
    else:
        service.says(Answer(GEMINI))
        options = HttpOptions(base_url=service.url, httpx_async_client=http)
        strategies = [GeminiStrategy("m", client=genai.Client(api_key=KEY, http_options=options))] * 2
    assert outputs(asyncio.run(process_prompts(strategies[0], PROMPTS))) == ["yes"] * 3
    for backend in ("asyncio", "trio"):
        batch = anyio.run(process_prompts, strategies[1], PROMPTS, backend=backend)
        for result in batch.results:
            assert "this client was used in another event loop" in result.error.message
            assert "make a client and a strategy in each event loop" in result.error.message
    assert service.requests == 3


def test_on_trio_an_http_client_of_the_user_s_may_be_used_again_once_the_first_loop_has_ended(service):
    strategy = given(service, httpx2.AsyncClient())
    for _ in range(2):
        assert outputs(run_prompts(strategy, PROMPTS)) == ["yes"] * 3


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Event loop is closed"),
        RuntimeError("<asyncio.locks.Event object at 0x7f [unset]> is bound to a different event loop"),
        RuntimeError("Task <Task pending> got Future <Future pending> attached to a different loop"),
    ],
    ids=str,
)
def test_an_error_of_another_loop_says_what_to_do(error):
    wrapped = openai.APIConnectionError(request=httpx2.Request("POST", "http://h"))
    wrapped.__cause__ = error
    for raised in (error, wrapped):
        fault = DefaultErrorClassifier().classify(raised)
        assert fault.kind == "bug"
        assert fault.message.startswith("the client belongs to another event loop")
        assert "make a client in each event loop" in fault.message


async def of_asyncio(prompt):
    await asyncio.sleep(0.01)
    return prompt


async def of_asyncio_without_a_wait(prompt):
    await asyncio.sleep(0)
    return prompt


async def of_trio(prompt):
    await trio.sleep(0.01)
    return prompt


@pytest.mark.parametrize(
    ("function", "needed", "backend"),
    [(of_asyncio, "asyncio", "trio"), (of_asyncio_without_a_wait, "asyncio", "trio"), (of_trio, "trio", "asyncio")],
)
def test_a_function_for_another_kind_of_event_loop_says_which_one_to_name(function, needed, backend):
    strategy = CallableStrategy(function)
    (result,) = run_prompts(strategy, ["a"], backend=backend).results
    assert result.error.kind == "bug"
    assert result.error.message.startswith(f"the strategy needs {needed} (")
    assert result.error.message.endswith(f'): pass backend="{needed}" to run_prompts or anyio.run')
    assert outputs(run_prompts(strategy, ["a"], backend=needed)) == ["a"]


# ---------------------------------------------------------------------------------------------- pools


@pytest.mark.parametrize("client_timeout", [None, 0.3, httpx2.Timeout(0.3)], ids=repr)
@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_waiting_for_a_connection_of_a_user_s_pool_is_not_a_call_s_time(service, backend, client_timeout):
    http = httpx2.AsyncClient(limits=httpx2.Limits(max_connections=2), timeout=0.3)
    strategy = given(service, http, **({} if client_timeout is None else {"timeout": client_timeout}))
    service.says(Answer(OPENAI.reply("yes"), hold=partial(time.sleep, 0.05)))
    run = partial(process_prompts, strategy, ["p"] * 24, config=ProcessorConfig(timeout_per_item=0.5))
    batch = anyio.run(run, backend=backend)
    assert batch.succeeded == 24
    assert {len(result.attempts) for result in batch.results} == {1}
    assert batch.refusals == 0


def test_strategies_with_one_client_share_its_connections(service):
    http = httpx2.AsyncClient(limits=httpx2.Limits(max_connections=3))
    client = openai.AsyncOpenAI(api_key=KEY, base_url=f"{service.url}/v1", http_client=http)
    first, second = OpenAIStrategy("a", client=client), OpenAIStrategy("b", client=client)
    assert first.connections is second.connections is ValidationFeedback(first).connections
    assert first.connections.limit == 3
    assert ModelEscalation([first, second]).connections is None  # its steps have them
    options = HttpOptions(base_url=service.url, httpx_async_client=http)
    assert GeminiStrategy("m", client=genai.Client(api_key=KEY, http_options=options)).connections is first.connections


@pytest.mark.parametrize(
    "http",
    [
        httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None)),
        httpx2.AsyncClient(http2=False, transport=httpx2.MockTransport(lambda _: httpx2.Response(200))),
    ],
    ids=["no limit", "another transport"],
)
def test_a_pool_without_a_known_limit_limits_nothing(service, http):
    assert given(service, http).connections is None


def test_the_connections_of_a_proxy_count():
    proxied = httpx2.AsyncClient(proxy=httpx2.Proxy("http://127.0.0.1:1"), limits=httpx2.Limits(max_connections=7))
    client = openai.AsyncOpenAI(api_key=KEY, base_url="http://h/v1", http_client=proxied)
    assert OpenAIStrategy("m", client=client).connections.limit == 7


def test_a_timeout_of_a_pool_is_a_refusal_that_spends_no_attempt():
    assert DefaultErrorClassifier().classify(httpx2.PoolTimeout("")).kind == "throttled"


@pytest.mark.parametrize("limit", [0, -1, 1.5, None, True])
def test_connections_are_a_whole_number(limit):
    with pytest.raises(ValueError, match="limit must be a whole number, 1 or more"):
        Connections(limit)
