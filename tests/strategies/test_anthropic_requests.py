"""Requests of AnthropicStrategy, and the answers it reads from the replies."""

from __future__ import annotations

import json

import anthropic
import attrs
import pydantic
import pytest

from paceline import FaultKind, InvalidOutputError, Media, TokenUsage
from paceline.llm_strategies.anthropic import MAX_TOKENS, AnthropicStrategy

from .chat_service import ANTHROPIC, TWO_BACKENDS, anthropic_reply, forget_keys
from .gemini.service import KEY, Answer, fault_of, prepared

pytestmark = [pytest.mark.anyio, TWO_BACKENDS]

PLAIN = {"model": "a-model", "max_tokens": MAX_TOKENS, "messages": [{"role": "user", "content": "hello"}]}
PAID = TokenUsage(12, 3, 5, 15, 3)


@attrs.frozen
class Town:
    name: str
    size: int = 0


@attrs.frozen
class Tree:
    children: list[Tree]


TOWN = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch):
    forget_keys(monkeypatch)


def called(answer, name="Town"):
    return anthropic_reply(None, "tool_use", {"type": "tool_use", "id": "t", "name": name, "input": answer})


async def sent(service, prompt="hello", *, reply=None, **arguments):
    """Return what a server gets, and what comes of it."""
    service.says(Answer(reply or anthropic_reply()))
    async with prepared(ANTHROPIC.at(service.url, **arguments)) as item:
        output, usage = await item.execute(prompt, 1, 60.0)
    assert usage == PAID
    (received,) = service.received
    assert received.path == "/v1/messages"
    return received.body, output


async def test_a_prompt_is_one_message_and_tokens_of_a_cache_are_tokens_sent(service):
    body, output = await sent(service)
    assert body == PLAIN
    assert output == "good"


async def test_the_models_thoughts_are_no_part_of_the_answer(service):
    reply = anthropic_reply("go", "stop_sequence", {"type": "text", "text": "od"})
    reply["content"].insert(0, {"type": "thinking", "thinking": "hm", "text": "no"})
    _, output = await sent(service, reply=reply)
    assert output == "good"


async def test_instructions_and_options_go_with_every_prompt(service):
    options = {"max_tokens": 50, "stop_sequences": ["END"], "extra_body": {"top_k": 5}}
    body, _ = await sent(service, system_instruction="Be brief.", options=options)
    assert body == {**PLAIN, "max_tokens": 50, "system": "Be brief.", "stop_sequences": ["END"], "top_k": 5}


async def test_a_large_max_tokens_is_not_refused_by_the_package(service):
    body, _ = await sent(service, options={"max_tokens": 100_000})
    assert body["max_tokens"] == 100_000


async def test_a_users_client_may_send_a_large_max_tokens_too(service):
    service.says(Answer(anthropic_reply()))
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=service.url) as client:
        strategy = AnthropicStrategy("m", client=client, options={"max_tokens": 100_000})
        assert (await strategy.execute("hello", 1, 60.0))[0] == "good"


async def test_parts_keep_their_order_and_their_types(service):
    prompt = (
        "What is this?",
        Media("image/png", b"\x89PNG"),
        Media("application/pdf", b"%PDF"),
        Media("text/plain", "Grüße".encode()),
    )
    body, _ = await sent(service, prompt)
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}},
    ]


@pytest.mark.parametrize("mime_type", ["video/mp4", "image/tiff", "audio/wav"])
async def test_a_type_that_cannot_be_sent_is_rejected_without_a_call(service, mime_type):
    async with prepared(ANTHROPIC.at(service.url)) as item:
        with pytest.raises(Exception, match=mime_type) as caught:
            await item.execute(("x", Media(mime_type, b"x")), 1, 60.0)
        assert item.error_classifier.classify(caught.value).kind is FaultKind.REJECTED
    assert service.requests == 0


async def test_a_type_is_requested_by_its_schema(service):
    body, output = await sent(service, reply=anthropic_reply('{"name": "Ulm"}'), output_type=Town)
    assert body == {**PLAIN, "output_config": {"format": {"type": "json_schema", "schema": TOWN}}}
    assert output == Town("Ulm")


async def test_a_rule_that_anthropic_cannot_enforce_goes_into_the_description(service):
    class Count(pydantic.BaseModel):
        number: int = pydantic.Field(ge=3)

    body, output = await sent(service, reply=anthropic_reply('{"number": 5}'), output_type=Count)
    number = body["output_config"]["format"]["schema"]["properties"]["number"]
    assert number == {"type": "integer", "description": "{minimum: 3}"}
    assert output == Count(number=5)


async def test_other_settings_of_the_output_are_kept(service):
    options = {"output_config": {"effort": "low"}}
    body, _ = await sent(service, reply=anthropic_reply('{"name": "Ulm"}'), output_type=Town, options=options)
    assert body["output_config"]["effort"] == "low"
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert options == {"output_config": {"effort": "low"}}


@pytest.mark.parametrize(
    ("arguments", "answer", "output"),
    [
        ({"output_type": Town, "schema_mode": "tool"}, {"name": "Ülm"}, Town("Ülm")),
        ({"output_type": dict[str, int]}, {"a": 1}, {"a": 1}),
        ({"output_type": Tree}, {"children": [{"children": []}]}, Tree([Tree([])])),
        ({"output_type": list[int], "schema_mode": "tool"}, {"value": [1, 2]}, [1, 2]),
    ],
    ids=["asked for", "open", "recursive", "a list"],
)
async def test_a_schema_that_cannot_be_enforced_becomes_a_tool(service, arguments, answer, output):
    body, given = await sent(service, reply=called(answer), **arguments)
    (tool,) = body["tools"]
    assert body["tool_choice"] == {"type": "tool", "name": tool["name"]}
    assert tool["input_schema"]["type"] == "object"
    assert "output_config" not in body
    assert given == output


async def test_only_the_first_call_of_the_tool_counts(service):
    reply = called({"name": "Ulm"})
    reply["content"].append({"type": "tool_use", "id": "u", "name": "Town", "input": {"name": "Bonn"}})
    _, output = await sent(service, reply=reply, output_type=Town, schema_mode="tool")
    assert output == Town("Ulm")


async def test_in_text_mode_the_instruction_holds_the_schema(service):
    reply = anthropic_reply('```json\n{"name": "Ulm"}\n```')
    body, output = await sent(service, reply=reply, output_type=Town, schema_mode="text")
    assert json.loads(body.pop("system").rpartition("\n")[2])["required"] == ["name"]
    assert body == PLAIN
    assert output == Town("Ulm")


@pytest.mark.parametrize(
    ("arguments", "reply"),
    [
        ({}, anthropic_reply('{"name": 5}')),
        ({"schema_mode": "tool"}, called({"name": 5})),
        ({"schema_mode": "tool"}, anthropic_reply("I would rather talk")),
    ],
    ids=["by its schema", "by a tool", "without calling the tool"],
)
async def test_an_output_that_is_not_of_its_type_is_invalid_and_paid(service, arguments, reply):
    service.says(Answer(reply))
    async with prepared(ANTHROPIC.at(service.url, output_type=Town, **arguments)) as item:
        fault, usage = await fault_of(item)
    assert (fault.kind, usage) == (FaultKind.INVALID, PAID)


async def test_problems_are_reported_with_their_paths(service):
    service.says(Answer(called({"name": 5})))
    async with prepared(ANTHROPIC.at(service.url, output_type=Town, schema_mode="tool")) as item:
        with pytest.raises(InvalidOutputError) as caught:
            await item.execute("hello", 1, 60.0)
    assert [problem.path for problem in caught.value.problems] == ["name"]
