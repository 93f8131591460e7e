"""Parsing of Anthropic's replies, arbitrary JSON included."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import CallError
from paceline.llm_strategies.anthropic import read_reply

from .garbage import anything, twisted

blocks = twisted(type=st.sampled_from(["text", "tool_use", "thinking"]), text=st.text(), input=twisted(x=st.integers()))
bodies = twisted(
    content=st.lists(blocks | anything),
    stop_reason=st.sampled_from(["end_turn", "max_tokens", "tool_use", "refusal", None]),
    usage=twisted(input_tokens=st.integers(), cache_read_input_tokens=st.integers(), output_tokens=st.integers()),
    error=twisted(type=st.text(), message=st.text()),
)


@pytest.mark.parametrize("answered_by_tool", [False, True])
@given(body=(bodies | anything).map(lambda body: json.dumps(body, default=str)) | st.text() | st.binary())
def test_no_body_does_any_harm(answered_by_tool, body):
    with contextlib.suppress(CallError):
        text, usage = read_reply(body, answered_by_tool=answered_by_tool)
        assert text.encode()
        assert usage.cached_input_tokens <= usage.input_tokens
