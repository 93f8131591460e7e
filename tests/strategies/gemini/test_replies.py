"""Gemini's replies without an answer, arbitrary JSON included."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import CallError, FaultKind, TokenUsage
from paceline.llm_strategies.gemini.errors import read_reply

from ..garbage import anything, twisted
from .service import reply


def read(body):
    return read_reply(json.dumps(body))


def refused(body):
    with pytest.raises(CallError) as caught:
        read_reply(body if isinstance(body, (str, bytes)) else json.dumps(body))
    return caught.value


def test_the_text_of_the_first_candidate_is_the_answer_without_the_thoughts():
    parts = [{"text": "hm", "thought": True}, {"text": "go"}, {"inlineData": {}}, {"text": "od"}, "x", {"text": 5}]
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}, reply("other")["candidates"][0]]}
    assert read(body) == ("good", TokenUsage())


@pytest.mark.parametrize("reason", ["STOP", "stop", None, "", "FINISH_REASON_UNSPECIFIED"])
def test_a_model_that_stopped_by_itself_has_answered(reason):
    assert read(reply("good", reason)) == ("good", TokenUsage(7, 3))


def test_an_empty_text_is_an_answer():
    assert read(reply(""))[0] == ""


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("MAX_TOKENS", FaultKind.TRUNCATED),
        ("CONTINUATION", FaultKind.TRUNCATED),
        ("SAFETY", FaultKind.REFUSED),
        ("RECITATION", FaultKind.REFUSED),
        ("LANGUAGE", FaultKind.REFUSED),
        ("BLOCKLIST", FaultKind.REFUSED),
        ("PROHIBITED_CONTENT", FaultKind.REFUSED),
        ("SPII", FaultKind.REFUSED),
        ("MODEL_ARMOR", FaultKind.REFUSED),
        ("OTHER", FaultKind.REFUSED),
        ("A_REASON_OF_NEXT_YEAR", FaultKind.REFUSED),
        (5, FaultKind.REFUSED),
        ("MALFORMED_RESPONSE", FaultKind.TRANSIENT),
        ("MALFORMED_FUNCTION_CALL", FaultKind.INVALID),
        ("UNEXPECTED_TOOL_CALL", FaultKind.INVALID),
        ("NO_IMAGE", FaultKind.INVALID),
        ("IMAGE_SAFETY", FaultKind.REFUSED),
        ("MISSING_THOUGHT_SIGNATURE", FaultKind.REJECTED),
        ("PUP_LIMITED_DISABLED", FaultKind.DENIED),
    ],
)
@pytest.mark.parametrize("text", ["half an ans", None])
def test_a_model_that_did_not_stop_by_itself_has_not_answered_but_is_paid(reason, kind, text):
    error = refused(reply(text, reason))
    assert (error.kind, error.usage) == (kind, TokenUsage(7, 3))
    assert str(reason) in str(error)


def test_what_the_service_says_of_a_reason_is_quoted():
    body = reply(None, "MALFORMED_FUNCTION_CALL")
    body["candidates"][0]["finishMessage"] = "Malformed function call: print(1)"
    assert "MALFORMED_FUNCTION_CALL: Malformed function call: print(1)" in str(refused(body))


def test_an_error_in_a_reply_has_the_kind_of_its_code():
    assert (
        refused({"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}).kind is FaultKind.THROTTLED
    )


def test_a_reply_without_text_is_invalid():
    assert refused(reply(None)).kind is FaultKind.INVALID
    assert refused({"candidates": [{}]}).kind is FaultKind.INVALID


@pytest.mark.parametrize("body", [{}, {"candidates": []}, {"candidates": None}])
def test_a_reply_without_candidates_is_refused(body):
    assert refused(body).kind is FaultKind.REFUSED


def test_a_blocked_prompt_is_refused_with_its_reason_and_usage():
    error = refused({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}})
    assert (error.kind, error.usage) == (FaultKind.REFUSED, TokenUsage(4, 0))
    assert "SAFETY" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        *("", "<html>", "null", "[]", '"x"', "5", '{"candidates": 5}', '{"candidates": [5]}', '{"a": ', "9" * 5_000),
        *(b"\xff\xfe\xfa", "[" * 100_000, '{"candidates": {"a": 1}}'),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_reply_that_cannot_be_parsed_is_transient(body):
    assert refused(body).kind is FaultKind.TRANSIENT


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (
            {"promptTokenCount": 100, "candidatesTokenCount": 10, "thoughtsTokenCount": 40, "totalTokenCount": 150}
            | {"cachedContentTokenCount": 60},
            TokenUsage(100, 50, 60, 150),
        ),
        ({"promptTokenCount": 100, "toolUsePromptTokenCount": 5, "totalTokenCount": 105}, TokenUsage(105, 0, 0, 105)),
        ({"promptTokenCount": 1, "totalTokenCount": 9}, TokenUsage(1, 8, 0, 9)),
        ({"promptTokenCount": 1, "candidatesTokenCount": 2}, TokenUsage(1, 2, 0, 3)),
        ({"promptTokenCount": -1, "candidatesTokenCount": "2", "totalTokenCount": 1.5}, TokenUsage(0, 2, 0, 2)),
        ({"promptTokenCount": True, "candidatesTokenCount": float("nan")}, TokenUsage()),
        (None, TokenUsage()),
        ([1], TokenUsage()),
    ],
)
def test_thoughts_count_as_output_and_the_total_is_the_services(counts, usage):
    assert read(reply(usageMetadata=counts))[1] == usage


def test_half_a_surrogate_pair_in_a_reply_is_replaced():
    text, _ = read_reply(r'{"candidates": [{"content": {"parts": [{"text": "a\ud83db \ud83d\ude00"}]}}]}')
    assert text == "a?b 😀"


parts = twisted(text=st.text(), thought=st.booleans())
candidates = twisted(
    content=twisted(parts=st.lists(parts)), finishReason=st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", None])
)
replies = twisted(
    candidates=st.lists(candidates),
    promptFeedback=twisted(blockReason=st.just("SAFETY")),
    usageMetadata=twisted(promptTokenCount=st.integers(), totalTokenCount=st.integers()),
)


def read_or_caught(body):
    try:
        return read(body)
    except CallError as error:
        return error, error.usage


@given(replies | anything)
def test_any_reply_is_a_text_or_a_call_error(body):
    answer, usage = read_or_caught(body)
    assert isinstance(usage, TokenUsage)
    assert answer.encode() is not None if isinstance(answer, str) else answer.kind is not FaultKind.BUG


@given(st.binary() | st.text())
def test_any_body_is_a_text_or_a_call_error(body):
    with pytest.raises(CallError):
        read_reply(body)
