"""A request in a provider's format reaches the server unchanged, and its complete reply comes back."""

from __future__ import annotations

import json

import attrs
import pytest

from paceline import FaultKind, LLMWorkItem, ParallelBatchProcessor, Price, Request, TokenUsage
from paceline.files import open_input
from paceline.files.output_formats import OutputFormat, encode
from paceline.llm_strategies import ModelEscalation, ValidationFeedback
from paceline.llm_strategies.gemini import GeminiCachedStrategy, GeminiStrategy
from paceline.testing import Service as Limits
from paceline.testing import SimulatedProvider, SimulatedStrategy

from .chat_service import ANTHROPIC, BOTH, OPENAI, TWO_BACKENDS, anthropic_reply, forget_keys, openai_reply
from .gemini.service import KEY, Answer, prepared, refusal, reply

pytestmark = [pytest.mark.anyio, TWO_BACKENDS]

CHAT = {
    "model": "another-model",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Wh\u00fc?"}, {"type": "image_url", "image_url": {"url": "x"}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}],
        },
    ],
    "temperature": 0.1,
    "n": 2,
    "logit_bias": {"50256": -100},
    "extra_body": {"kept": True},
    "new_field_of_next_year": [1, None, {"a": 1e-7}],
}
MESSAGES = {
    "model": "another-model",
    "max_tokens": 40_000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": "Why?"}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "new_field_of_next_year": {"a": [None]},
}
CONTENTS = {
    "model": "models/another-model",
    "system_instruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {"role": "user", "parts": [{"text": "Why?"}, {"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]},
        {"role": "model", "parts": [{"text": "Because.", "thoughtSignature": "c2ln", "newField": 1}]},
        {"role": "user", "parts": [{"fileData": {"fileUri": "gs://x"}}]},
    ],
    "generation_config": {
        "temperature": 0,
        "responseSchema": {"type": "OBJECT", "properties": {"a_b": {"type": "STRING"}}},
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "tools": [{"functionDeclarations": [{"name": "f"}]}],
    "newFieldOfNextYear": [1],
}
PLAIN = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]}


@attrs.frozen
class Town:
    name: str


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch):
    forget_keys(monkeypatch)


def gemini(service, **arguments):
    return GeminiStrategy("a-model", api_key=KEY, base_url=service.url, **arguments)


async def asked(strategy, prompt):
    async with prepared(strategy) as item:
        return await item.execute(prompt, 1, 60.0)


async def fault(strategy, prompt):
    async with prepared(strategy) as item:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the kind of fault is what is asked for
            await item.execute(prompt, 1, 60.0)
    return strategy.error_classifier.classify(caught.value)


async def test_openai_receives_the_body_unchanged_except_the_model(service):
    answer = openai_reply("half an ans", "length")
    service.says(Answer(answer))
    strategy = OPENAI.at(f"{service.url}/v1", system_instruction="Not sent.", options={"temperature": 1, "seed": 5})
    output, usage = await asked(strategy, Request("openai", CHAT))
    (received,) = service.received
    assert (received.path, received.headers["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert received.body == {**CHAT, "model": "a-model"}
    assert output == answer
    assert usage == TokenUsage(12, 3, 5, 15)


async def test_openai_receives_a_request_of_the_responses_api_at_its_own_path(service):
    usage = {"input_tokens": 12, "output_tokens": 3, "total_tokens": 15, "input_tokens_details": {"cached_tokens": 5}}
    answer = {"id": "resp_1", "status": "incomplete", "output": [{"type": "message"}], "error": None, "usage": usage}
    service.says(Answer(answer))
    body = {"model": "m", "input": [{"role": "user", "content": "Why?"}], "temperature": 0}
    output, used = await asked(OPENAI.at(f"{service.url}/v1"), Request("responses", body))
    (received,) = service.received
    assert (received.path, received.body) == ("/v1/responses", {**body, "model": "a-model"})
    assert output == answer
    assert used == TokenUsage(12, 3, 5, 15)


async def test_the_text_of_the_answer_is_the_output_if_the_request_asks_for_it(service):
    service.says(Answer(openai_reply("good")))
    output, usage = await asked(OPENAI.at(f"{service.url}/v1"), Request("openai", CHAT, reply="text"))
    assert service.received[0].body == {**CHAT, "model": "a-model"}
    assert (output, usage) == ("good", TokenUsage(12, 3, 5, 15))
    service.says(Answer(openai_reply("half an ans", "length")))
    assert (await fault(OPENAI.at(f"{service.url}/v1"), Request("openai", CHAT, reply="text"))).kind == "truncated"


async def test_a_model_of_another_provider_answers_the_text_of_a_request_of_the_responses_api(service):
    service.says(Answer(anthropic_reply("good")))
    request = Request("responses", {"model": "m", "instructions": "Be brief.", "input": "Why?"})
    output, _ = await asked(ANTHROPIC.at(service.url), request)
    assert output == "good"
    assert service.received[0].body["system"] == "Be brief."
    assert "cannot answer a request in the Responses API's form with more than text: tools" in (
        ANTHROPIC.at(service.url).objection(Request("responses", {"input": "Why?", "tools": []})) or ""
    )


async def test_gemini_receives_a_request_in_camel_case_as_well(service):
    service.says(Answer(reply("good")))
    body = {
        "contents": [{"role": "user", "parts": [{"text": "Why?"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"maxOutputTokens": 7, "responseMimeType": "application/json"},
    }
    await asked(gemini(service), Request("gemini", body))
    assert service.received[0].body == body


async def test_anthropic_receives_the_params_unchanged_except_the_model(service):
    answer = anthropic_reply(None, "tool_use", {"type": "tool_use", "id": "1", "name": "f", "input": {}})
    service.says(Answer(answer))
    strategy = ANTHROPIC.at(service.url, system_instruction="Not sent.", options={"max_tokens": 5})
    output, usage = await asked(strategy, Request("anthropic", MESSAGES))
    (received,) = service.received
    assert received.path == "/v1/messages"
    assert any(KEY in value for value in received.headers.values())
    assert "anthropic-version" in received.headers
    assert received.body == {**MESSAGES, "model": "a-model"}
    assert output == answer
    assert usage == TokenUsage(12, 3, 5, 15, 3)


async def test_gemini_receives_the_request_unchanged_with_the_model_in_the_url(service):
    answer = reply("half", "MAX_TOKENS")
    service.says(Answer(answer))
    strategy = gemini(service, system_instruction="Not sent.", config={"temperature": 1})
    output, usage = await asked(strategy, Request("gemini", CONTENTS))
    (received,) = service.received
    assert received.path.endswith("/models/a-model:generateContent")
    expected = {name: value for name, value in CONTENTS.items() if name != "model"}
    got = dict(received.body)
    assert (got.pop("generationConfig", None) or got.pop("generation_config")) == expected.pop("generation_config")
    assert got == expected
    assert output == answer
    assert usage == TokenUsage(7, 3, 0, 10)


@pytest.mark.parametrize("name", ["generationConfig", "generation_config"])
async def test_both_ways_of_writing_a_field_are_googles(service, name):
    service.says(Answer(reply()))
    body = {"contents": [{"parts": [{"text": "x"}]}], name: {"maxOutputTokens": 5}}
    await asked(gemini(service), Request("gemini", body))
    got = service.received[0].body
    assert [value for key, value in got.items() if key.lower().startswith("generation")] == [{"maxOutputTokens": 5}]


async def test_a_prompt_that_gemini_blocked_is_a_reply_as_well(service):
    answer = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    service.says(Answer(answer))
    assert await asked(gemini(service), Request("gemini", CONTENTS)) == (answer, TokenUsage(4, 0, 0, 4))
    service.says(Answer({}))
    assert (await fault(gemini(service), Request("gemini", CONTENTS))).kind is FaultKind.TRANSIENT


@pytest.mark.parametrize(("kept", "model"), [("m2", "m2"), (None, "a-model"), (7, "a-model"), ("", "a-model")])
@BOTH
async def test_the_model_that_a_request_names_can_be_kept(service, dialect, kept, model):
    service.says(Answer(dialect.reply()))
    name = "openai" if dialect is OPENAI else "anthropic"
    body = {"messages": PLAIN["messages"][1:], "max_tokens": 5} | ({} if kept is None else {"model": kept})
    strategy = dialect.at(service.url, keep_model=True, price=Price(1, 2))
    async with prepared(strategy) as item:
        await item.execute(Request(name, body), 1, 60.0)
        assert (item.model, strategy.model, item.price) == (model, "a-model", Price(1, 2))
    assert strategy.identity != dialect.at(service.url, price=Price(1, 2)).identity
    assert service.received[0].body["model"] == model


@BOTH
async def test_errors_of_unchanged_requests_have_their_usual_faults(service, dialect):
    name = "openai" if dialect is OPENAI else "anthropic"
    strategy = dialect.at(service.url)
    for answer, kind in [
        (Answer(dialect.error(), 429), FaultKind.THROTTLED),
        (Answer(dialect.error(), 500), FaultKind.TRANSIENT),
        (Answer(dialect.error(), 400), FaultKind.REJECTED),
        (Answer(dialect.error()), FaultKind.TRANSIENT),
        (Answer({"x": 1}), FaultKind.TRANSIENT),
        (Answer(b"<html>"), FaultKind.TRANSIENT),
        (Answer(hang_up=True), FaultKind.TRANSIENT),
    ]:
        service.says(answer)
        found = await fault(strategy, Request(name, CHAT if dialect is OPENAI else MESSAGES))
        assert found.kind is kind, answer
        assert KEY not in found.message
    assert service.requests == 7  # none was repeated unseen


async def test_gemini_errors_of_unchanged_requests_have_their_usual_faults(service):
    service.says(Answer(refusal(429, "RESOURCE_EXHAUSTED"), 429))
    assert (await fault(gemini(service), Request("gemini", CONTENTS))).kind is FaultKind.THROTTLED
    assert service.requests == 1


async def test_a_plain_request_in_another_format_is_sent_as_a_text(service):
    service.says(Answer(openai_reply()))
    gemini_form = {"systemInstruction": {"parts": [{"text": "Be brief."}]}, "contents": [{"parts": [{"text": "Why?"}]}]}
    output, _ = await asked(OPENAI.at(service.url, system_instruction="Own."), Request("gemini", gemini_form))
    assert output == "good"
    assert service.received[-1].body["messages"] == [
        {"role": "system", "content": "Own.\n\nBe brief."},
        {"role": "user", "content": "Why?"},
    ]
    service.says(Answer(anthropic_reply()))
    assert (await asked(ANTHROPIC.at(service.url), Request("openai", PLAIN)))[0] == "good"
    assert service.received[-1].body["system"] == "Be brief."
    service.says(Answer(reply()))
    assert (await asked(gemini(service, system_instruction="Own."), Request("openai", PLAIN)))[0] == "good"
    body = service.received[-1].body
    assert body["systemInstruction"]["parts"] == [{"text": "Own.\n\nBe brief."}]
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Why?"}]}]


async def test_a_request_beyond_text_is_rejected_without_a_call_and_objected_to_before(service):
    for strategy, request, whose in [
        (OPENAI.at(service.url), Request("anthropic", MESSAGES), "an OpenAI model"),
        (ANTHROPIC.at(service.url), Request("openai", CHAT), "an Anthropic model"),
        (gemini(service), Request("openai", CHAT), "a Gemini model"),
    ]:
        found = await fault(strategy, request)
        assert found.kind is FaultKind.REJECTED
        assert found.message == f"CallError: {strategy.objection(request)}"
        assert found.message.startswith(f"CallError: {whose} cannot answer a request in {request.dialect}'s form")
    assert service.requests == 0


async def test_a_typed_strategy_takes_no_requests(service):
    for strategy, request in [
        (OPENAI.at(service.url, output_type=Town), Request("openai", PLAIN)),
        (ANTHROPIC.at(service.url, output_type=Town), Request("openai", PLAIN)),
        (gemini(service, output_type=Town), Request("gemini", CONTENTS)),
    ]:
        found = await fault(strategy, request)
        assert found.kind is FaultKind.REJECTED
        assert "output_type cannot be combined" in found.message
        assert found.message == f"CallError: {strategy.objection(request)}"
    assert service.requests == 0


async def test_with_a_context_cache_a_request_must_be_one_text(service):
    strategy = GeminiCachedStrategy(system_instruction="long", api_key=KEY, base_url=service.url)
    assert strategy.objection(Request("openai", {"messages": PLAIN["messages"][1:]})) is None
    for request, beyond in [
        (Request("gemini", CONTENTS), "safetySettings"),
        (Request("openai", PLAIN), "a system text"),
    ]:
        assert strategy.objection(request) is not None
        assert beyond in strategy.objection(request) or request.dialect == "gemini"


async def test_a_wrapping_strategy_passes_the_objection_on(service):
    request = Request("openai", CHAT)
    inner, other = OPENAI.at(service.url), gemini(service)
    assert ValidationFeedback(inner).takes_requests
    assert ValidationFeedback(inner).objection(request) is None
    assert ModelEscalation([inner, other]).objection(request) == other.objection(request)
    service.says(Answer(openai_reply()))
    assert (await asked(ValidationFeedback(inner), request))[0] == openai_reply()


@pytest.mark.parametrize(
    "request_", [Request("openai", PLAIN), Request("gemini", CONTENTS), Request("anthropic", MESSAGES)]
)
async def test_the_simulated_provider_answers_to_the_words(request_):
    provider = SimulatedProvider(Limits(latency=0.0), answer=lambda words: words)
    output, _ = await asked(SimulatedStrategy(provider), request_)
    assert output == request_.text


LINES = {
    OutputFormat.OPENAI: {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": CHAT},
    OutputFormat.GEMINI: {"key": "a", "request": CONTENTS},
    OutputFormat.ANTHROPIC: {"custom_id": "a", "params": MESSAGES},
}
REPLIES = {
    OutputFormat.OPENAI: openai_reply("half", "length"),
    OutputFormat.GEMINI: reply("half", "MAX_TOKENS"),
    OutputFormat.ANTHROPIC: anthropic_reply("half", "max_tokens"),
}


def reply_in(form, line):
    match form:
        case OutputFormat.OPENAI:
            return line["response"]["body"]
        case OutputFormat.GEMINI:
            return line["response"]
        case _:
            return line["result"]["message"]


@pytest.mark.parametrize("form", LINES)
async def test_a_line_of_a_batch_file_is_what_is_sent_and_its_reply_what_is_written(service, tmp_path, form):
    strategy = {OutputFormat.OPENAI: OPENAI.at, OutputFormat.ANTHROPIC: ANTHROPIC.at}.get(
        form, lambda _: gemini(service)
    )(service.url)
    path = tmp_path / "batch.jsonl"
    path.write_text(json.dumps(LINES[form], ensure_ascii=False) + "\n", "utf-8")
    service.says(Answer(REPLIES[form]))
    with open_input(str(path)) as source:
        items = [LLMWorkItem(prompt.id, strategy, prompt.prompt) for prompt in source]
    async with ParallelBatchProcessor() as processor:
        await processor.add_work(items[0])
        batch = await processor.process_all()
    line = json.loads(encode(form, batch.results[0]))
    assert "a" in {line.get("custom_id"), line.get("key")}
    assert reply_in(form, line) == REPLIES[form]
    sent = service.received[0].body
    (asked,) = (LINES[form][name] for name in ("body", "request", "params") if name in LINES[form])
    names = {"generationConfig": "generation_config"}
    expected = {name: value for name, value in asked.items() if name != "model"}
    assert {names.get(name, name): value for name, value in sent.items() if name != "model"} == expected
