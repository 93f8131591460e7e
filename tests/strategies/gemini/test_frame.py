"""Request frames: what is sent by a template is what google-genai would send."""

from __future__ import annotations

import functools
import json
from contextlib import contextmanager, suppress

import anyio
import pytest
from google import genai
from google.genai import types
from google.genai.models import AsyncModels
from hypothesis import given
from hypothesis import strategies as st

from paceline import CallError, Media
from paceline._core.request import Request
from paceline.llm_strategies._connection_pool import recorded
from paceline.llm_strategies.gemini import GeminiStrategy
from paceline.llm_strategies.gemini.frame import _SAMPLE, Frame

from .service import KEY, Answer, prepared, reply

LIST = {"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}
CONFIGS = [
    {},
    {"temperature": 0.5, "thinking_config": {"thinking_budget": 0}},
    {"tools": [{"function_declarations": [LIST]}], "stop_sequences": ["\u2028"]},
    {"http_options": {"headers": {"x-mine": "1"}, "timeout": 5_000, "extra_body": {"labels": {"a": "b"}}}},
    {"http_options": {"extra_body": {"contents": [{"parts": [{"text": "the user's own"}]}]}}},
]
any_text = st.text(st.characters(exclude_categories=())) | st.sampled_from([*_SAMPLE, '"}], "role": "user"}', "\ud83d"])
texts = any_text | st.lists(any_text, min_size=1, max_size=4).map(tuple)


@contextmanager
def wrapped():
    """Wrap `generate_content` as a tracing package does; yield the list of its calls."""
    calls = []
    own = AsyncModels.generate_content

    @functools.wraps(own)
    async def traced(self, **arguments):
        calls.append(arguments)
        return await own(self, **arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncModels, "generate_content", traced)
        yield calls


async def requests_of(strategy, *prompts):
    """Return the requests that a strategy makes, without sending any."""
    async with prepared(strategy) as item:
        with recorded() as requests:
            for prompt in prompts:
                with suppress(CallError):  # the recorded requests are answered by an empty object
                    await item.execute(prompt, 1, 60.0)
    return [(str(request.url), sorted(request.headers.raw), request.extensions, request.read()) for request in requests]


async def both(strategy, *prompts):
    """Return the requests as paceline writes them, and as the SDK writes them."""
    with wrapped() as calls:
        theirs = await requests_of(strategy, *prompts)
    assert len(calls) == len(theirs) == len(prompts)
    return await requests_of(strategy, *prompts), theirs


@given(
    st.lists(texts, min_size=1, max_size=3), st.sampled_from(CONFIGS), st.sampled_from([None, "be brief", _SAMPLE[0]])
)
def test_every_text_prompt_is_sent_as_the_sdk_would_send_it(prompts, config, instruction):
    strategy = GeminiStrategy(api_key=KEY, config=config, system_instruction=instruction)
    ours, theirs = anyio.run(both, strategy, *prompts, backend="trio")
    assert ours == theirs


@pytest.mark.parametrize(
    "arguments", [{"output_type": dict[str, int]}, {"vertexai": True}, {"base_url": "http://a:b@x.test/y"}]
)
def test_so_is_one_with_a_type_one_of_vertex_ai_and_one_to_a_gateway(arguments):
    ours, theirs = anyio.run(both, GeminiStrategy(api_key=KEY, **arguments), "hello", backend="asyncio")
    assert ours == theirs


def test_so_are_requests_with_a_system_text_each_and_prompts_with_media():
    prompts = [
        Request("openai", {"messages": [{"role": "system", "content": system}, {"role": "user", "content": "hello"}]})
        for system in ("be brief", "be brief", "be long", _SAMPLE[1])
    ]
    prompts.append(("what is this?", Media("image/png", b"\xff\xfe")))
    ours, theirs = anyio.run(both, GeminiStrategy(api_key=KEY, system_instruction="be kind"), *prompts, backend="trio")
    assert ours == theirs
    assert json.loads(ours[2][3])["systemInstruction"]["parts"] == [{"text": "be kind\n\nbe long"}]


async def calls_of_the_sdk(service, strategy, *prompts):
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        own = genai._api_client.BaseApiClient._build_request
        patch.setattr(genai._api_client.BaseApiClient, "_build_request", lambda *args: calls.append(args) or own(*args))
        async with prepared(strategy) as item, anyio.create_task_group() as nursery:
            for prompt in prompts:
                nursery.start_soon(item.execute, prompt, 1, 60.0)
    assert service.requests == len(prompts)
    return len(calls)


@pytest.mark.parametrize(
    ("prompt", "written"), [("hello", 1), (("a", Media("image/png", b"0")), 40)], ids=["text", "media"]
)
def test_the_sdk_writes_one_request_for_all_texts_and_each_with_media(service, prompt, written):
    service.says(Answer(reply()))
    strategy = GeminiStrategy(api_key=KEY, base_url=service.url)
    assert anyio.run(calls_of_the_sdk, service, strategy, *[prompt] * 40, backend="trio") == written


def test_a_wrapped_generate_content_makes_each_call(service):
    service.says(Answer(reply()))

    async def run():
        async with prepared(GeminiStrategy(api_key=KEY, base_url=service.url)) as item:
            await item.execute("first", 1, 60.0)
            await item.execute("second", 1, 60.0)

    with wrapped() as calls:
        anyio.run(run, backend="trio")
    assert [call["contents"][0].parts[0].text for call in calls] == ["first", "second"]
    assert service.requests == 2


def test_tools_that_the_sdk_must_ask_are_asked_each_time():
    def weather(city: str) -> str:
        """Return the weather."""
        return city

    config = types.GenerateContentConfig(tools=[weather, types.Tool(google_search={})])
    assert not Frame(config).is_constant
    ours, theirs = anyio.run(both, GeminiStrategy(api_key=KEY, config=config), "hello", backend="trio")
    assert ours == theirs


def test_no_key_is_in_the_representation_of_a_template_or_a_frame():
    async def run():
        async with prepared(GeminiStrategy(api_key=KEY, config={"http_options": {"headers": {"x-key": KEY}}})) as item:
            template = await item._connection._templates.of(item._frame)
            return f"{template!r} {item._frame!r} {item._connection!r} {item!r}"

    assert KEY not in anyio.run(run, backend="trio")
