"""Requests in a provider's own form, and which of them another model can answer."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import CallableStrategy, LLMWorkItem, Request
from paceline._core.prompt import characters_of
from paceline._core.request import DIALECTS, plain_text
from paceline.exceptions import InvalidWorkItemError

USER = {"role": "user", "content": "Why?"}
OPENAI = {"model": "m", "messages": [{"role": "system", "content": "Be brief."}, USER]}
RESPONSES = {"model": "m", "instructions": "Be brief.", "input": "Why?"}
GEMINI = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [{"role": "user", "parts": [{"text": "Why?"}]}],
}
ANTHROPIC = {"model": "m", "max_tokens": 5, "system": "Be brief.", "messages": [USER]}
ALL = pytest.mark.parametrize(
    "request_",
    [
        Request("openai", OPENAI),
        Request("responses", RESPONSES),
        Request("gemini", GEMINI),
        Request("anthropic", ANTHROPIC),
    ],
    ids=DIALECTS,
)


@ALL
def test_the_text_is_that_of_the_system_and_the_user(request_):
    assert request_.text == "Be brief.\n\nWhy?"
    assert characters_of(request_) == len(request_.text)
    assert request_.plain == ("Be brief.", "Why?")
    assert request_.beyond_text is None
    assert plain_text(request_) == request_.text


@ALL
def test_a_request_is_a_prompt_and_never_in_a_repr(request_):
    item = LLMWorkItem("a", CallableStrategy(lambda _: None), request_)
    assert item.prompt is request_
    assert "Why" not in repr(request_) + repr(item)
    assert repr(request_) == f"Request(dialect={request_.dialect!r})"


@ALL
def test_requests_compare_by_value(request_):
    twin = copy.deepcopy(pickle.loads(pickle.dumps(request_)))  # noqa: S301 - our own
    assert twin == request_
    assert hash(twin) == hash(request_)
    assert len({twin, request_}) == 1


@pytest.mark.parametrize(
    ("dialect", "body", "beyond"),
    [
        ("openai", {**OPENAI, "temperature": 0}, "temperature"),
        ("openai", {**OPENAI, "response_format": {}}, "response_format"),
        ("openai", {"messages": [USER, USER]}, "2 messages"),
        ("openai", {"messages": [{"role": "assistant", "content": "x"}]}, "messages[0].role"),
        ("openai", {"messages": [{**USER, "name": "x"}]}, "messages[0].name"),
        (
            "openai",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0]",
        ),
        ("openai", {"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ("openai", {"messages": [{"role": "user"}]}, "messages[0].content"),
        ("openai", {"messages": [OPENAI["messages"][0]]}, "1 messages"),
        ("gemini", {**GEMINI, "tools": []}, "tools"),
        ("gemini", {**GEMINI, "generation_config": {"temperature": 0}}, "generation_config.temperature"),
        ("gemini", {"contents": [{"parts": [{"inlineData": {}}]}]}, "contents[0].parts[0].inlineData"),
        ("gemini", {"contents": [{"parts": [{"text": "x", "thought": True}]}]}, "contents[0].parts[0].thought"),
        ("gemini", {**GEMINI, "system_instruction": {"parts": [{"text": "x"}]}}, "1 contents"),
        ("anthropic", {**ANTHROPIC, "thinking": {}}, "thinking"),
        (
            "anthropic",
            {**ANTHROPIC, "system": [{"type": "text", "text": "x", "cache_control": {}}]},
            "system[0].cache_control",
        ),
    ],
)
def test_the_field_that_another_model_cannot_answer_is_named(dialect, body, beyond):
    request = Request(dialect, body)
    assert request.plain is None
    assert plain_text(request) is None
    assert request.beyond_text == beyond
    assert request.objection("a model of X's") == (
        f"a model of X's cannot answer a request in {dialect}'s form with more than text: {beyond}"
    )


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai", {"messages": [{"role": "developer", "content": [{"type": "text", "text": "s"}]}, USER], "max_completion_tokens": 9}),
        ("openai", {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "Why?"}]}], "user": "u"}),
        ("gemini", {"system_instruction": {"parts": [{"text": "s"}]}, "contents": [{"parts": [{"text": "Why?"}]}], "generationConfig": {"maxOutputTokens": 9}}),
        ("anthropic", {"system": [{"type": "text", "text": "s"}], "messages": [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}], "max_tokens": 9, "metadata": {}}),
    ],
)  # fmt: skip
def test_limits_and_accounting_fields_are_ignored(dialect, body):
    assert Request(dialect, body).plain == ("s", "Why?")


def test_a_system_text_is_optional():
    assert Request("openai", {"messages": [USER]}).plain == (None, "Why?")
    assert Request("openai", {"messages": [USER]}).text == "Why?"


def test_the_texts_of_all_turns_and_parts_are_counted():
    turns = [
        USER,
        {"role": "assistant", "content": None},
        {"role": "user", "content": [{"type": "text", "text": "x"}, {"image": 1}]},
    ]
    assert Request("openai", {"messages": turns}).text == "Why?\n\nx"


@pytest.mark.parametrize(
    ("dialect", "body", "words"),
    [
        ("mistral", OPENAI, "dialect must be one of openai, responses, gemini, anthropic, not 'mistral'"),
        ("openai", [], "body must be an object, not list"),
        ("openai", GEMINI, "messages must be a list of messages; it is missing"),
        ("gemini", {"contents": True}, "contents must be a list of messages, not a boolean"),
        ("anthropic", {**ANTHROPIC, "stream": True}, "stream must not be set"),
    ],
)
def test_an_invalid_request_is_refused(dialect, body, words):
    with pytest.raises(InvalidWorkItemError, match=words):
        Request(dialect, body)


data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "type", "parts", "content", "role", "system", "x"]), inner, max_size=4
        )
    ),
    max_leaves=15,
)


@given(
    st.sampled_from(DIALECTS),
    st.lists(st.dictionaries(st.sampled_from(["content", "parts", "role"]), data), min_size=1),
    data,
)
def test_every_request_has_a_text_and_is_plain_or_names_the_field_that_is_not(dialect, turns, system):
    name = {"gemini": "contents", "responses": "input"}.get(dialect, "messages")
    request = Request(dialect, {name: turns, "system": system})
    assert isinstance(request.text, str)
    hash(request)
    if request.plain is None:
        assert request.beyond_text
    else:
        assert request.beyond_text is None
        assert (
            set(filter(None, request.plain)) <= set(request.text.split("\n\n")) | {request.text}
            or plain_text(request) == request.text
        )
