"""Gemini's form of conversations, and its replies."""

from __future__ import annotations

import pytest

from paceline.contrib.chat_forms.gemini import body_of, choices_of, text_of_reply
from paceline.exceptions import CallError, ConfigurationError

from .conversations import CALLS, PIXEL, RESULTS, SEES, SYSTEM, TOOL, USER, conversation

MODEL = "gemini-2.5-flash"


def reply(*parts, finish="STOP", **more):
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": finish, **more}]}


def test_the_system_stands_apart_and_the_assistant_is_the_model():
    body = body_of(conversation(SYSTEM, USER, {"role": "assistant", "content": "A cat."}, USER), MODEL).body
    assert body == {
        "contents": [
            {"role": "user", "parts": [{"text": "What is this?"}]},
            {"role": "model", "parts": [{"text": "A cat."}]},
            {"role": "user", "parts": [{"text": "What is this?"}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
    }


def test_results_of_tools_are_one_turn_of_the_user_after_the_turn_that_asked_for_them():
    turns = body_of(conversation(USER, CALLS, *RESULTS), MODEL).body["contents"]
    assert [turn["role"] for turn in turns] == ["user", "model", "user"]
    assert turns[1]["parts"][1] == {"functionCall": {"name": "look", "args": {"at": "sea"}}}
    assert turns[2]["parts"] == [
        {"functionResponse": {"name": "look", "response": {"output": "blue"}}},
        {"functionResponse": {"name": "look", "response": {"error": "dark"}}},
    ]


def test_media_are_sent_by_their_content_or_by_their_address():
    linked = {"role": "user", "content": [{"type": "audio", "audio": "gs://a/b.mp3"}]}
    parts = body_of(conversation(SEES, linked), MODEL).body["contents"][0]["parts"]
    assert parts[1:] == [
        {"inlineData": {"mimeType": "image/png", "data": PIXEL.partition(",")[2]}},
        {"fileData": {"fileUri": "gs://a/b.mp3"}},
    ]


def test_settings_have_the_providers_names_and_those_that_it_lacks_are_reported():
    made = body_of(
        conversation(USER, temperature=0, max_tokens=9, stop_seqs=["END"], top_p=0.5, logit_bias={1: 2}), MODEL
    )
    assert made.body["generationConfig"] == {
        "temperature": 0,
        "maxOutputTokens": 9,
        "stopSequences": ["END"],
        "topP": 0.5,
    }
    assert made.ignored == ("logit_bias",)


def test_thinking_may_be_asked_for_by_tokens_or_by_an_effort_but_not_by_both():
    def config(model=MODEL, **settings):
        return body_of(conversation(USER, **settings), model).body["generationConfig"]["thinkingConfig"]

    assert config(reasoning_tokens=0) == {"thinkingBudget": 0}
    assert config(reasoning_effort="none") == {"thinkingBudget": 0}
    assert config("gemini-3-pro", reasoning_effort="low") == {"thinkingLevel": "LOW"}
    with pytest.raises(ConfigurationError, match="either reasoning_tokens or reasoning_effort"):
        config(reasoning_tokens=5, reasoning_effort="low")


def test_a_schema_of_the_answer_asks_for_json():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    config = body_of(conversation(USER, response_schema={"name": "A", "json_schema": schema}), MODEL).body[
        "generationConfig"
    ]
    assert config == {"responseMimeType": "application/json", "responseJsonSchema": schema}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [("auto", {"mode": "AUTO"}), ("none", {"mode": "NONE"}), (["look"], {"mode": "ANY", "allowedFunctionNames": ["look"]})],
)  # fmt: skip
def test_tools_are_declared_without_a_schema_if_they_have_no_parameters(choice, sent):
    bare = {"name": "wait", "description": "Waits.", "parameters": {"type": "object", "properties": {}}}
    body = body_of(conversation(USER, tools=[TOOL, bare], tool_choice=choice), MODEL).body
    look, wait = body["tools"][0]["functionDeclarations"]
    assert look == {"name": "look", "description": "Looks somewhere.", "parametersJsonSchema": TOOL["parameters"]}
    assert wait == {"name": "wait", "description": "Waits."}
    assert body["toolConfig"] == {"functionCallingConfig": sent}


def test_a_content_that_cannot_be_sent_is_refused_by_its_name():
    used = {"role": "assistant", "content": [{"type": "tool_use", "name": "web_search"}]}
    with pytest.raises(CallError, match=r"Gemini: .* type tool_use"):
        body_of(conversation(USER, used), MODEL)


def test_signatures_of_a_reply_come_back_with_the_calls_and_texts_that_they_belong_to():
    (choice,) = choices_of(
        reply(
            {"text": "I think.", "thought": True},
            {"text": "First", "thoughtSignature": "dGV4dA=="},
            {"functionCall": {"name": "look", "args": {"at": "sky"}}, "thoughtSignature": "Y2FsbA=="},
            {"functionCall": {"name": "look", "args": {"at": "sea"}}},
        )
    )
    assert choice.stop_reason == "tool_calls"
    assert choice.text == "First"
    assert choice.content[0] == {"type": "reasoning", "reasoning": "I think."}
    answered = {"role": "assistant", "content": choice.content, "tool_calls": choice.tool_calls}
    assert body_of(conversation(USER, answered), MODEL).body["contents"][1]["parts"] == [
        {"text": "First", "thoughtSignature": "dGV4dA=="},
        {"functionCall": {"name": "look", "args": {"at": "sky"}}, "thoughtSignature": "Y2FsbA=="},
        {"functionCall": {"name": "look", "args": {"at": "sea"}}},
    ]


def test_calls_without_an_id_get_one_of_their_own():
    (choice,) = choices_of(reply(*[{"functionCall": {"name": "look", "args": {}}}] * 3))
    assert len({call["id"] for call in choice.tool_calls}) == 3


@pytest.mark.parametrize(
    ("finish", "stop"),
    [("STOP", "stop"), ("MAX_TOKENS", "max_tokens"), ("SAFETY", "content_filter"), ("RECITATION", "content_filter"), ("NEW", "unknown")],
)  # fmt: skip
def test_every_finish_reason_has_its_stop_reason(finish, stop):
    (choice,) = choices_of(reply({"text": "A cat."}, finish=finish))
    assert (choice.stop_reason, choice.content) == (stop, "A cat.")


def test_a_blocked_prompt_is_a_filtered_answer_without_a_text():
    (choice,) = choices_of({"promptFeedback": {"blockReason": "SAFETY"}})
    assert (choice.text, choice.stop_reason, choice.explanation) == ("", "content_filter", "SAFETY")


def test_the_text_of_a_reply_is_that_of_its_first_answer():
    two = {
        "candidates": [*reply({"text": "A "}, {"text": "cat."})["candidates"], *reply({"text": "A dog."})["candidates"]]
    }
    assert text_of_reply(two) == "A cat."
    assert len(choices_of(two)) == 2
