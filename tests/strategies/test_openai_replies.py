"""Parsing of OpenAI's replies, arbitrary JSON included."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import CallError, FaultKind, TokenUsage
from paceline.llm_strategies.openai import read_reply

from .chat_service import openai_error, openai_reply
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


@pytest.mark.parametrize("count", ["-1", '"-3"', '"x"', "true", "null", "1e400", "[1]"])
def test_an_invalid_token_count_is_zero(count):
    body = f'{{"choices": [{{"message": {{"content": "x"}}}}], "usage": {{"prompt_tokens": {count}}}}}'
    assert read_reply(body) == ("x", TokenUsage())


def failed(body, **options):
    with pytest.raises(CallError) as caught:
        read_reply(json.dumps(body), **options)
    return caught.value


@pytest.mark.parametrize(
    "content",
    [
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
            {"type": "text", "text": "good"},
        ],  # Mistral
        [{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "good"}],
        ["go", {"type": "text", "text": "od"}],
        {"type": "text", "text": {"value": "good"}},
    ],
)
def test_thoughts_are_no_part_of_the_text(content):
    assert read_reply(json.dumps(openai_reply(content)))[0] == "good"


@pytest.mark.parametrize(
    ("reason", "own", "kind"),
    [
        ("length", None, FaultKind.TRUNCATED),
        ("model_length", None, FaultKind.TRUNCATED),
        ("MAX_TOKENS", None, FaultKind.TRUNCATED),
        ("content_filter", None, FaultKind.REFUSED),
        ("sensitive", None, FaultKind.REFUSED),
        ("next_year", None, FaultKind.REFUSED),
        ("tool_calls", None, FaultKind.INVALID),
        ("insufficient_system_resource", None, FaultKind.OVERLOADED),
        ("error", "network_error", FaultKind.TRANSIENT),
        ("stop", "SAFETY", FaultKind.REFUSED),
        (None, "MAX_TOKENS", FaultKind.TRUNCATED),
    ],
)
def test_a_model_that_did_not_finish_has_not_answered_but_is_paid(reason, own, kind):
    body = openai_reply("half an ans", reason)
    body["choices"][0]["native_finish_reason"] = own
    error = failed(body)
    assert (error.kind, error.usage) == (kind, TokenUsage(12, 3, 5))


@pytest.mark.parametrize("reason", ["stop", "eos", "STOP", "end_turn", "COMPLETE", None, ""])
def test_a_model_that_finished_has_answered_in_any_vendors_words(reason):
    assert read_reply(json.dumps(openai_reply("good", reason)))[0] == "good"


@pytest.mark.parametrize("choices", [[], None, "x", [None]])
def test_a_reply_without_choices_is_transient_and_quotes_the_server(choices):
    error = failed({"choices": choices, "detail": "worker restarted"})
    assert error.kind is FaultKind.TRANSIENT
    assert "worker restarted" in str(error)


def test_a_prompt_that_azure_filtered_is_refused():
    filters = {"hate": {"filtered": False}, "violence": {"filtered": True, "severity": "high"}}
    error = failed({"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": filters}]})
    assert error.kind is FaultKind.REFUSED
    assert "violence" in str(error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "slow"}, FaultKind.THROTTLED),
        ({"code": "503", "message": "no capacity"}, FaultKind.OVERLOADED),
        ({"code": 502, "message": "Provider returned error"}, FaultKind.TRANSIENT),
        ({"code": 400, "message": "bad"}, FaultKind.REJECTED),
        ({"code": 402, "message": "add credits"}, FaultKind.EXHAUSTED),
        ({"code": 403, "message": "moderated", "metadata": {"flagged_input": "x"}}, FaultKind.REFUSED),
        ({"code": "insufficient_quota"}, FaultKind.EXHAUSTED),
        ({"type": "overloaded_error"}, FaultKind.OVERLOADED),
        ({"type": "invalid_request_error", "code": 429}, FaultKind.THROTTLED),
        ({"code": 7, "message": "odd"}, FaultKind.TRANSIENT),
        ("it failed", FaultKind.TRANSIENT),
    ],
    ids=str,
)
def test_an_error_in_a_reply_has_the_kind_of_its_code(error, kind):
    in_choice = openai_reply("half", "error")
    in_choice["choices"][0]["error"] = error
    assert failed({"error": error, "choices": []}).kind is kind
    assert (failed(in_choice).kind, failed(in_choice).usage) == (kind, TokenUsage(12, 3, 5))


def test_an_error_quotes_the_provider_behind_the_gateway():
    error = {"code": 502, "message": "Provider returned error", "metadata": {"raw": "upstream is down"}}
    assert "Provider returned error: upstream is down" in str(failed(openai_error() | {"error": error}))


@pytest.mark.parametrize("message", [{"reasoning_content": "hm"}, {"reasoning": "hm"}])
def test_thoughts_alone_are_invalid_and_named(message):
    error = failed(openai_reply(None, "stop", **message))
    assert error.kind is FaultKind.INVALID
    assert "thoughts" in str(error)


@pytest.mark.parametrize("arguments", ['{"a": 1}', {"a": 1}])
@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
def test_the_arguments_of_one_tool_call_are_an_answer_where_one_was_asked_for(arguments, reason):
    call = {"id": "c", "type": "function", "function": {"name": "json_tool_call", "arguments": arguments}}
    body = openai_reply(None, reason, tool_calls=[call])
    assert json.loads(read_reply(json.dumps(body), answered_by_tool=True)[0]) == {"a": 1}
    assert failed(body).kind is FaultKind.INVALID
    assert failed(openai_reply(None, "length", tool_calls=[call]), answered_by_tool=True).kind is FaultKind.TRUNCATED
    assert failed(openai_reply(None, reason, tool_calls=[call, call]), answered_by_tool=True).kind is FaultKind.INVALID


def test_the_text_of_a_refusal_in_the_content_is_a_refusal():
    assert failed(openai_reply([{"type": "refusal", "refusal": "I will not"}])).kind is FaultKind.REFUSED


choices = twisted(
    finish_reason=st.sampled_from(["stop", "length", "content_filter", None, "error"]),
    native_finish_reason=st.sampled_from(["STOP", "SAFETY", None]),
    message=twisted(
        content=st.text() | st.lists(twisted(text=st.text(), refusal=st.text())),
        refusal=st.text() | st.none(),
        tool_calls=st.lists(twisted(function=twisted(arguments=st.text() | anything))),
    ),
    error=twisted(code=st.integers() | st.text(), message=st.text()),
)
bodies = twisted(
    choices=st.lists(choices | anything),
    usage=twisted(prompt_tokens=st.integers(), prompt_tokens_details=twisted(cached_tokens=st.integers())),
    error=twisted(code=st.integers() | st.text(), message=st.text()),
)


@pytest.mark.parametrize("answered_by_tool", [False, True])
@given(body=(bodies | anything).map(lambda body: json.dumps(body, default=str)) | st.text() | st.binary())
def test_no_body_does_any_harm(answered_by_tool, body):
    with contextlib.suppress(CallError):
        text, usage = read_reply(body, answered_by_tool=answered_by_tool)
        assert text.encode()
        assert usage.cached_input_tokens >= 0


@pytest.mark.parametrize("body", ["<html>a login page</html>", b"\n<!doctype html><html><title>Log in</title></html>"])
def test_a_web_page_in_place_of_a_reply_makes_one_ask_for_the_url(body):
    with pytest.raises(CallError, match=r"^the server answered HTML, not JSON: is the URL right\?$"):
        read_reply(body)
