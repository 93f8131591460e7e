"""OpenAI's form of conversations."""

from __future__ import annotations

import pytest

from paceline.contrib.chat_forms.openai import body_of, text_of_reply

from .conversations import SYSTEM, TOOL, USER, conversation


def test_messages_keep_their_roles_and_order():
    answer = {
        "role": "assistant",
        "content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "A cat."}],
    }
    body = body_of(conversation(SYSTEM, USER, answer, USER)).body
    assert body == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is this?"},
            {"role": "assistant", "content": "A cat."},
            {"role": "user", "content": "What is this?"},
        ]
    }


def test_messages_that_are_in_the_form_already_are_sent_as_they_are():
    ready = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]}]
    assert body_of(conversation(USER), messages=ready).body["messages"] == ready


def test_settings_have_the_providers_names():
    body = body_of(
        conversation(USER, temperature=0, max_tokens=5, stop_seqs=["END"], num_choices=2, seed=3, top_k=4)
    ).body
    del body["messages"]
    assert body == {"temperature": 0, "max_tokens": 5, "stop": ["END"], "n": 2, "seed": 3, "top_k": 4}


def test_openai_itself_gets_the_bound_that_its_reasoning_models_take_and_no_setting_of_other_servers():
    made = body_of(conversation(USER, max_tokens=5, top_k=4, reasoning_tokens=9), is_own_service=True)
    assert made.body.keys() == {"messages", "max_completion_tokens"}
    assert made.ignored == ("reasoning_tokens", "top_k")


def test_a_setting_that_is_not_given_is_neither_sent_nor_reported():
    made = body_of(conversation(USER, temperature=None, effort=None))
    assert made.body.keys() == {"messages"}
    assert made.ignored == ()


def test_a_schema_of_the_answer_is_a_response_format():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    body = body_of(conversation(USER, response_schema={"name": "A", "json_schema": schema, "strict": True})).body
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "A", "schema": schema, "strict": True},
    }


@pytest.mark.parametrize(
    ("choice", "sent"),
    [("auto", "auto"), ("any", "required"), ("none", "none"), (["look"], {"type": "function", "function": {"name": "look"}})],
)  # fmt: skip
def test_tools_are_functions_of_which_one_may_be_asked_for(choice, sent):
    body = body_of(conversation(USER, tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)).body
    assert body["tools"] == [{"type": "function", "function": TOOL}]
    assert body["tool_choice"] == sent
    assert body["parallel_tool_calls"] is False


def test_fields_of_extra_body_are_sent_at_the_top():
    assert body_of(conversation(USER, extra_body={"chat_template_kwargs": {"a": 1}})).body["chat_template_kwargs"] == {
        "a": 1
    }


@pytest.mark.parametrize(
    ("message", "text"),
    [({"content": "yes"}, "yes"), ({"content": None}, ""), ({"content": [{"type": "text", "text": "yes"}]}, "yes"), (None, "")],
)  # fmt: skip
def test_the_text_of_a_reply_is_its_first_choices_however_it_ended(message, text):
    assert text_of_reply({"choices": [{"message": message, "finish_reason": "length"}]}) == text
