"""Parsing of OpenAI's replies, arbitrary JSON included."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import CallError, TokenUsage
from paceline.llm_strategies.openai import read_reply

from .chat_service import openai_reply
from .garbage import anything, twisted


def test_text_in_parts_is_one_text():
    parts = [{"type": "text", "text": "a"}, {"type": "other"}, {"type": "text", "text": "b"}, 5]
    assert read_reply(json.dumps(openai_reply(parts)))[0] == "ab"


def test_deepseeks_own_count_of_cached_tokens_is_read():
    body = '{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}}'
    assert read_reply(body) == ("x", TokenUsage(9, 0, 4, 9))


def test_a_reply_nested_too_deeply_raises():
    with pytest.raises(CallError, match="not JSON"):
        read_reply("[" * 200_000)


def test_half_a_surrogate_pair_is_replaced():
    assert read_reply(b'{"choices": [{"message": {"content": "a\\ud83d"}}]}')[0] == "a?"


@pytest.mark.parametrize("count", ["-1", '"-3"', '"x"', "true", "null", "1e400", "[1]", "9007199254740993"])
def test_an_invalid_token_count_is_zero(count):
    body = f'{{"choices": [{{"message": {{"content": "x"}}}}], "usage": {{"prompt_tokens": {count}}}}}'
    assert read_reply(body) == ("x", TokenUsage())


choices = twisted(
    finish_reason=st.sampled_from(["stop", "length", "content_filter", None, "error"]),
    message=twisted(content=st.text() | st.lists(twisted(text=st.text())), refusal=st.text() | st.none()),
    error=twisted(code=st.integers() | st.text(), message=st.text()),
)
bodies = twisted(
    choices=st.lists(choices | anything),
    usage=twisted(prompt_tokens=st.integers(), prompt_tokens_details=twisted(cached_tokens=st.integers())),
    error=twisted(code=st.integers() | st.text(), message=st.text()),
)


@given((bodies | anything).map(lambda body: json.dumps(body, default=str)) | st.text() | st.binary())
def test_no_body_does_any_harm(body):
    with contextlib.suppress(CallError):
        text, usage = read_reply(body)
        assert text.encode()
        assert usage.cached_input_tokens >= 0
