"""Clients given by the user: a plain one is replaced by a companion, as it could not run on trio."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import anyio
import httpx2
import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from paceline import FaultKind, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies.gemini import GeminiCachedStrategy, GeminiStrategy

from .service import KEY, Answer, fault_of, prepared, refusal, reply

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


async def test_a_companion_calls_the_same_service_with_the_same_identity_as_the_plain_client(service):
    service.says(Answer(reply("good")))
    options = types.HttpOptions(base_url=service.url, api_version="v1alpha", headers={"x-mine": "1"})
    client = genai.Client(api_key=KEY, http_options=options)
    async with prepared(GeminiStrategy(client=client)) as item:
        assert (await item.execute("hello", 1, 60.0))[0] == "good"
    (received,) = service.received
    assert received.path == "/v1alpha/models/gemini-2.5-flash:generateContent"
    assert (received.headers["x-goog-api-key"], received.headers["x-mine"]) == (KEY, "1")
    client.models.generate_content(model="gemini-2.5-flash", contents="hello")  # it was not closed


async def test_a_companion_of_a_gemini_api_client_needs_only_its_key(service, monkeypatch):
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", service.url)
    service.says(Answer(reply("good")))
    async with prepared(GeminiStrategy(client=genai.Client(api_key=KEY))) as item:
        await item.execute("hello", 1, 60.0)
    assert service.received[0].path.startswith("/v1")


async def test_the_retries_of_a_plain_client_are_not_taken_over(service):
    service.says(Answer(b"", 503))
    retries = types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.01)
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=service.url, retry_options=retries))
    async with prepared(GeminiStrategy(client=client)) as item:
        fault, _ = await fault_of(item)
    assert (fault.kind, service.requests) == (FaultKind.OVERLOADED, 1)


async def test_a_companion_of_a_vertex_client_has_its_project_and_credentials(service, monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", "another-key")
    service.says(Answer(reply("good")))
    client = genai.Client(
        vertexai=True,
        project="mine",
        location="europe-west3",
        credentials=Credentials("a-token", quota_project_id="paying"),
        http_options=types.HttpOptions(base_url=service.url),
    )
    async with prepared(GeminiStrategy(client=client)) as item:
        assert (await item.execute("hello", 1, 60.0))[0] == "good"
    (received,) = service.received
    assert received.path.startswith("/v1beta1/projects/mine/locations/europe-west3/publishers/google/models/")
    assert received.headers["authorization"] == "Bearer a-token"
    assert received.headers["x-goog-user-project"] == "paying"
    assert "x-goog-api-key" not in received.headers


async def test_a_plain_client_shares_a_cached_context_on_trio_as_well(service, monkeypatch):
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", service.url)
    cache = {"name": "cachedContents/c1", "model": "models/gemini-2.5-flash"}
    service.says(Answer({}), Answer(cache), *[Answer(reply("good"))] * 20, Answer({}))
    client = genai.Client(api_key=KEY)
    strategy = GeminiCachedStrategy(
        client=client, model="gemini-2.5-flash", system_instruction="all that is known of Ulm", output_type=str
    )
    async with ParallelBatchProcessor(config=ProcessorConfig(max_workers=5)) as processor:
        for number in range(20):
            item = LLMWorkItem(item_id=f"query_{number}", strategy=strategy, prompt=f"Question {number}")
            await processor.add_work(item)
        batch = await processor.process_all()
    assert batch.failures == {}
    search, creation, *calls, deletion = service.received
    assert [each.method for each in (search, creation, deletion)] == ["GET", "POST", "DELETE"]
    assert deletion.path == "/v1/cachedContents/c1"
    assert {call.body["cachedContent"] for call in calls} == {"cachedContents/c1"}
    assert {each.headers["x-goog-api-key"] for each in service.received} == {KEY}
    assert service.connections <= 5


@pytest.mark.parametrize(
    ("arguments", "host"),
    [
        ({"vertexai": True, "project": "p", "location": "europe-west3"}, "europe-west3-aiplatform.googleapis.com"),
        ({"vertexai": True, "project": "p", "location": "global"}, "aiplatform.googleapis.com"),
        ({"vertexai": True, "api_key": KEY}, "aiplatform.googleapis.com"),
        ({"api_key": KEY}, "generativelanguage.googleapis.com"),
    ],
    ids=repr,
)
async def test_a_companion_calls_the_host_that_its_client_calls(arguments, host):
    credentials = {} if "api_key" in arguments else {"credentials": Credentials("a-token")}
    theirs = genai.Client(**arguments, **credentials)
    async with prepared(GeminiStrategy(client=theirs)) as item:
        ours = await item._connection.client()
    assert ours is not theirs
    assert httpx2.URL(ours._api_client._http_options.base_url).host == host
    assert bool(ours._api_client.vertexai) == bool(theirs._api_client.vertexai)
    for name in ("api_key", "project", "location"):
        assert getattr(ours._api_client, name) == getattr(theirs._api_client, name), name


class Special(genai.Client):
    """A client of the user's own class, with unknown behaviour."""


@pytest.mark.parametrize(
    "make",
    [
        lambda: Special(api_key=KEY),
        lambda: genai.Client(api_key=KEY, http_options={"async_client_args": {"proxy": "http://127.0.0.1:1"}}),
    ],
    ids=["a class of the user's", "a transport of the user's"],
)
async def test_a_client_with_its_own_transport_makes_the_calls_and_is_refused_on_trio(make, anyio_backend_name):
    strategy = GeminiStrategy(client=make())
    if anyio_backend_name == "asyncio":
        await strategy.prepare()
        return
    with pytest.raises(ConfigurationError, match="asyncio"):
        await strategy.prepare()


async def test_a_client_with_unreadable_settings_is_refused_with_advice():
    client = genai.Client(api_key=KEY)
    client._api_client = SimpleNamespace(vertexai=False)
    with pytest.raises(ConfigurationError, match="httpx_async_client") as caught:
        GeminiStrategy(client=client)
    assert KEY not in str(caught.value)


async def test_the_key_of_a_client_is_shown_nowhere(service, caplog):
    caplog.set_level(logging.DEBUG)
    service.says(Answer(refusal(403, "PERMISSION_DENIED", message=f"API key {KEY} is blocked"), 403))
    async with httpx2.AsyncClient() as pool:
        for transport in ({}, {"httpx_async_client": pool}):
            options = types.HttpOptions(base_url=service.url, **transport)
            strategy = GeminiStrategy(client=genai.Client(api_key=KEY, http_options=options))
            async with prepared(strategy) as item:
                with pytest.raises(errors.ClientError) as caught:
                    await item.execute("hello", 1, 60.0)
                fault = item.error_classifier.classify(caught.value)
            assert fault.kind is FaultKind.DENIED
            assert KEY not in fault.message + repr(vars(strategy))
    assert KEY not in caplog.text


AIOHTTP = """
class _Any:
    def __init__(self, *_, **__): raise AssertionError("aiohttp is used")
    async def _request(self, ssl=None): ...
def __getattr__(name):
    if name.startswith("__"): raise AttributeError(name)
    return type(name, (_Any, Exception), {})
"""
PROGRAM = """
import anyio, sys
from google import genai
from google.genai import _api_client
from paceline.llm_strategies.gemini import GeminiStrategy
assert _api_client.has_aiohttp
async def main():
    options = {"base_url": sys.argv[1]}
    for strategy in (
        GeminiStrategy(api_key="k", base_url=sys.argv[1]),
        GeminiStrategy(client=genai.Client(api_key="k", http_options=options)),
    ):
        await strategy.prepare()
        for _ in range(3):
            try:
                await strategy.execute("hello", 1, 60.0)
            except Exception as error:
                print(strategy.error_classifier.classify(error).kind)
        await strategy.cleanup()
anyio.run(main, backend=sys.argv[2])
"""


async def test_with_aiohttp_installed_an_attempt_is_one_request_as_well(service, tmp_path, anyio_backend_name):
    (tmp_path / "aiohttp").mkdir()
    (tmp_path / "aiohttp" / "__init__.py").write_text(AIOHTTP)
    service.says(*[Answer(hang_up=True), Answer(b"", 503), Answer(b"", 429)] * 2)
    command = [sys.executable, "-c", PROGRAM, service.url, anyio_backend_name]
    done = await anyio.run_process(command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split() == ["transient", "overloaded", "throttled"] * 2
    assert service.requests == 6


def test_the_stand_in_for_aiohttp_is_one_that_the_sdk_takes_for_it(tmp_path):
    (tmp_path / "aiohttp").mkdir()
    (tmp_path / "aiohttp" / "__init__.py").write_text(AIOHTTP)
    code = "from google.genai import Client; print(Client(api_key='k')._api_client._use_aiohttp())"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, check=False
    )
    assert done.stdout.split() == [b"True"], done.stderr
