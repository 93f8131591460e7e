"""Anthropic's form of conversations."""

from __future__ import annotations

import pytest

from paceline import FaultKind
from paceline.contrib.chat_forms.anthropic import body_of, text_of_reply
from paceline.exceptions import CallError, ConfigurationError

from .conversations import CALLS, PIXEL, RESULTS, SEES, SYSTEM, TOOL, USER, conversation

MODEL = "claude-haiku-4-5"


def test_the_system_stands_apart_and_a_bound_is_always_sent():
    body = body_of(conversation(SYSTEM, USER), MODEL).body
    assert body == {
        "max_tokens": 8_192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}]}],
        "system": "Be brief.",
    }


def test_results_of_tools_are_one_turn_of_the_user_after_the_turn_that_asked_for_them():
    turns = body_of(conversation(USER, CALLS, *RESULTS), MODEL).body["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"][0] == {"type": "tool_use", "id": "a", "name": "look", "input": {"at": "sky"}}
    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "blue"}]},
        {"type": "tool_result", "tool_use_id": "b", "content": "Error: dark", "is_error": True},
    ]


def test_images_are_sent_by_their_content_or_by_their_address():
    linked = {"role": "user", "content": [{"type": "image", "image": "https://a/b.png"}]}
    blocks = body_of(conversation(SEES, linked), MODEL).body["messages"][0]["content"]
    data = {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}
    assert blocks[1:] == [
        {"type": "image", "source": data},
        {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
    ]


def test_thoughts_are_sent_back_with_their_signatures_and_those_of_other_models_are_not():
    thoughts = [
        {"type": "reasoning", "reasoning": "c2ln", "summary": "I think.", "redacted": True},
        {"type": "reasoning", "reasoning": "aGlk", "redacted": True},
        {"type": "reasoning", "reasoning": "of another model"},
        {"type": "text", "text": "A cat."},
    ]
    turns = body_of(conversation(USER, {"role": "assistant", "content": thoughts}), MODEL).body["messages"]
    assert turns[1]["content"] == [
        {"type": "thinking", "thinking": "I think.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "aGlk"},
        {"type": "text", "text": "A cat."},
    ]


def test_settings_have_the_providers_names_and_those_that_it_lacks_are_reported():
    made = body_of(
        conversation(USER, temperature=0.5, top_k=3, stop_seqs=["END"], max_tokens=9, seed=1, logprobs=True), MODEL
    )
    rest = {name: value for name, value in made.body.items() if name != "messages"}
    assert rest == {"temperature": 0.5, "top_k": 3, "stop_sequences": ["END"], "max_tokens": 9}
    assert made.ignored == ("logprobs", "seed")


def test_thinking_may_be_asked_for_by_tokens_or_by_an_effort_but_not_by_both():
    by_tokens = body_of(conversation(USER, reasoning_tokens=2_000), MODEL).body
    assert by_tokens["thinking"] == {"type": "enabled", "budget_tokens": 2_000}
    assert by_tokens["max_tokens"] == 8_192 + 2_000
    assert body_of(conversation(USER, reasoning_effort="low"), MODEL).body["thinking"]["type"] == "enabled"
    with pytest.raises(ConfigurationError, match="either reasoning_tokens or reasoning_effort"):
        body_of(conversation(USER, reasoning_effort="low", reasoning_tokens=2_000), MODEL)


@pytest.mark.parametrize(
    ("choice", "sent"), [("auto", {"type": "auto"}), ("any", {"type": "any"}), (["look"], {"type": "tool", "name": "look"})]
)  # fmt: skip
def test_tools_have_schemas_of_their_input(choice, sent):
    body = body_of(conversation(USER, tools=[TOOL], tool_choice=choice, parallel_tool_calls=False), MODEL).body
    assert body["tools"] == [{"name": "look", "description": "Looks somewhere.", "input_schema": TOOL["parameters"]}]
    assert body["tool_choice"] == {**sent, "disable_parallel_tool_use": True}


def test_a_content_that_cannot_be_sent_is_refused_by_its_name():
    film = {"role": "user", "content": [{"type": "video", "video": "data:video/mp4;base64,AA=="}]}
    with pytest.raises(CallError, match=r"Anthropic: .* type video") as caught:
        body_of(conversation(film), MODEL)
    assert caught.value.kind is FaultKind.REJECTED


def test_the_text_of_a_reply_has_no_thoughts():
    blocks = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "A "}, {"type": "text", "text": "cat."}]
    assert text_of_reply({"content": blocks, "stop_reason": "max_tokens"}) == "A cat."
    assert text_of_reply({"content": []}) == ""
