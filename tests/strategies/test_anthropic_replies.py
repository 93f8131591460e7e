"""Parsing of Anthropic's replies, arbitrary JSON included."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import CallError, FaultKind, TokenUsage
from paceline.llm_strategies.anthropic import read_reply

from .chat_service import anthropic_reply
from .garbage import anything, twisted

blocks = twisted(type=st.sampled_from(["text", "tool_use", "thinking"]), text=st.text(), input=twisted(x=st.integers()))
bodies = twisted(
    content=st.lists(blocks | anything),
    stop_reason=st.sampled_from(["end_turn", "max_tokens", "tool_use", "refusal", None]),
    usage=twisted(input_tokens=st.integers(), cache_read_input_tokens=st.integers(), output_tokens=st.integers()),
    error=twisted(type=st.text(), message=st.text()),
)


def failed(body, **options):
    with pytest.raises(CallError) as caught:
        read_reply(json.dumps(body), **options)
    return caught.value


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("max_tokens", FaultKind.TRUNCATED),
        ("model_context_window_exceeded", FaultKind.TRUNCATED),
        ("pause_turn", FaultKind.TRUNCATED),
        ("refusal", FaultKind.REFUSED),
        ("next_year", FaultKind.REFUSED),
        ("tool_use", FaultKind.INVALID),
    ],
)
@pytest.mark.parametrize("content", [[{"type": "text", "text": "half"}], [], None])
def test_a_model_that_did_not_finish_has_not_answered_but_is_paid(reason, kind, content):
    error = failed(anthropic_reply(None, reason) | {"content": content})
    assert (error.kind, error.usage) == (kind, TokenUsage(12, 3, 5, cache_written_tokens=3))


@pytest.mark.parametrize("reason", ["end_turn", "stop_sequence", "stop", None])
def test_a_model_that_finished_has_answered(reason):
    assert read_reply(json.dumps(anthropic_reply("good", reason)))[0] == "good"


def test_thoughts_are_no_part_of_the_answer():
    thoughts = [{"type": "thinking", "thinking": "hm", "text": "hm"}, {"type": "redacted_thinking", "data": "x"}]
    body = anthropic_reply(None, "end_turn", *thoughts, {"type": "text", "text": "good"})
    assert read_reply(json.dumps(body))[0] == "good"


def test_content_may_be_a_text():
    assert read_reply(json.dumps(anthropic_reply() | {"content": "good"}))[0] == "good"


@pytest.mark.parametrize("given_as", [{"a": 1}, '{"a": 1}', {}])
@pytest.mark.parametrize("reason", ["tool_use", "end_turn"])
def test_the_input_of_a_tool_is_the_answer_as_an_object_or_as_a_text(given_as, reason):
    block = {"type": "tool_use", "id": "t", "name": "City", "input": given_as}
    text, _ = read_reply(json.dumps(anthropic_reply("Here:", reason, block)), answered_by_tool=True)
    assert json.loads(text) == (json.loads(given_as) if isinstance(given_as, str) else given_as)


def test_a_tool_that_was_cut_off_is_no_answer():
    block = {"type": "tool_use", "id": "t", "name": "City", "input": {"a": 1}}
    assert failed(anthropic_reply(None, "max_tokens", block), answered_by_tool=True).kind is FaultKind.TRUNCATED


def test_a_text_is_the_answer_where_the_tool_was_not_called():
    assert read_reply(json.dumps(anthropic_reply('{"a": 1}')), answered_by_tool=True)[0] == '{"a": 1}'


@pytest.mark.parametrize("answered_by_tool", [False, True])
@given(body=(bodies | anything).map(lambda body: json.dumps(body, default=str)) | st.text() | st.binary())
def test_no_body_does_any_harm(answered_by_tool, body):
    with contextlib.suppress(CallError):
        text, usage = read_reply(body, answered_by_tool=answered_by_tool)
        assert text.encode()
        assert usage.cached_input_tokens <= usage.input_tokens
