"""Requests of OpenAIStrategy, byte for byte as a server receives them."""

from __future__ import annotations

import json

import attrs
import pytest

from paceline import FaultKind, InvalidOutputError, Media, TokenUsage

from .chat_service import OPENAI, TWO_BACKENDS, forget_keys, openai_reply
from .gemini.service import Answer, fault_of, prepared

pytestmark = [pytest.mark.anyio, TWO_BACKENDS]

PNG = Media("image/png", b"\x89PNG")
PDF = Media("application/pdf", b"%PDF")


@attrs.frozen
class Town:
    name: str
    size: int = 0


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch):
    forget_keys(monkeypatch)


async def sent(service, prompt="hello", *, reply="good", **arguments):
    """Return what a server gets, and what comes of it."""
    service.says(Answer(openai_reply(reply)))
    async with prepared(OPENAI.at(f"{service.url}/v1", **arguments)) as item:
        output, usage = await item.execute(prompt, 1, 60.0)
    assert usage == TokenUsage(12, 3, 5, 15)
    (received,) = service.received
    assert received.path == "/v1/chat/completions"
    return received.body, output


async def test_a_prompt_is_one_message(service):
    body, output = await sent(service)
    assert body == {"model": "a-model", "messages": [{"role": "user", "content": "hello"}]}
    assert output == "good"


async def test_instructions_and_options_go_with_every_prompt(service):
    body, _ = await sent(
        service, system_instruction="Be brief.", options={"temperature": 0, "extra_body": {"top_k": 5}}
    )
    assert body == {
        "model": "a-model",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        "temperature": 0,
        "top_k": 5,
    }


async def test_parts_keep_their_order_and_their_types(service):
    body, _ = await sent(service, ("What is this?", PNG, "And this?", PDF, Media("audio/wav", b"RIFF")))
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        {"type": "text", "text": "And this?"},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ]


async def test_a_type_that_cannot_be_sent_is_rejected_without_a_call(service):
    async with prepared(OPENAI.at(service.url)) as item:
        fault = item.error_classifier.classify(await raised(item, ("x", Media("video/mp4", b"x"))))
    assert fault.kind is FaultKind.REJECTED
    assert "video/mp4" in fault.message
    assert service.requests == 0


async def raised(item, prompt):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the kind of fault is what is asked for
        await item.execute(prompt, 1, 60.0)
    return caught.value


TOWN = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
    "required": ["name", "size"],
    "additionalProperties": False,
}


async def test_a_type_is_requested_by_its_strict_schema(service):
    body, output = await sent(service, reply='{"name": "Ulm", "size": 5}', output_type=Town)
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "Town", "strict": True, "schema": TOWN},
    }
    assert len(body["messages"]) == 1
    assert output == Town("Ulm", 5)


async def test_an_open_type_is_sent_without_strict(service):
    body, output = await sent(service, reply='{"a": 1}', output_type=dict[str, int])
    asked = body["response_format"]["json_schema"]
    assert (asked["strict"], asked["schema"]["additionalProperties"]) == (False, {"type": "integer"})
    assert output == {"a": 1}


async def test_a_list_is_unwrapped_from_the_requested_object(service):
    body, output = await sent(service, reply='{"value": [1, 2]}', output_type=list[int])
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["value"]
    assert output == [1, 2]


@pytest.mark.parametrize(("mode", "form"), [("json", {"type": "json_object"}), ("text", None)])
async def test_in_json_and_text_modes_the_instruction_holds_the_schema(service, mode, form):
    body, output = await sent(
        service,
        reply='```json\n{"name": "Ulm"}\n```',
        output_type=Town,
        schema_mode=mode,
        system_instruction="Be brief.",
    )
    system = body["messages"][0]["content"]
    assert body.get("response_format") == form
    assert system.startswith("Be brief.\n\nAnswer with one JSON document that fits this schema")
    assert json.loads(system.rpartition("\n")[2])["required"] == ["name"]
    assert output == Town("Ulm")


async def test_free_text_adds_no_type_arguments_in_any_mode(service):
    body, _ = await sent(service, schema_mode="json")
    assert body == {"model": "a-model", "messages": [{"role": "user", "content": "hello"}]}


async def test_an_output_that_is_not_of_its_type_is_invalid_and_paid(service):
    service.says(Answer(openai_reply('{"name": 5}')))
    async with prepared(OPENAI.at(service.url, output_type=Town)) as item:
        fault, usage = await fault_of(item)
        error = await raised(item, "x")
    assert (fault.kind, usage) == (FaultKind.INVALID, TokenUsage(12, 3, 5, 15))
    assert isinstance(error, InvalidOutputError)
    assert [problem.path for problem in error.problems] == ["name"]
