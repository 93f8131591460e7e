"""Reported usage: each token of a reply is counted once, in the terms of every provider."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import Price, TokenUsage
from paceline._core.accounting import cost_of
from paceline._core.provider_answers.reported_usage import anthropic_usage, chat_usage, gemini_usage
from paceline._core.usage import token_counts

READERS = [chat_usage, anthropic_usage, gemini_usage]
NAMES = [
    *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"),
    *("cached_tokens", "cache_write_tokens", "reasoning_tokens", "prompt_cache_hit_tokens", "prompt_cache_miss_tokens"),
    *("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation"),
    *("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "iterations", "type"),
    *("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount", "totalTokenCount"),
    "cachedContentTokenCount",
]


def details(*, cached: int = 0, written: int = 0, thought: int = 0) -> dict[str, Any]:
    return {
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def chat(prompt: object, completion: object, total: object = None, **rest: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **rest}


# ---------------------------------------------------------------------------------------------- OpenAI and compatible servers


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        pytest.param(
            chat(100, 500, 600, **details(thought=400)), TokenUsage(100, 500), id="openai: thinking is within"
        ),
        pytest.param(chat(100, 5, 105, **details(cached=60)), TokenUsage(100, 5, 60), id="openai: cached is within"),
        pytest.param(
            chat(100, 5, 105, **details(cached=10, written=60)),
            TokenUsage(100, 5, 10, 105, 60),
            id="openai: written too",
        ),
        pytest.param(
            chat(10120, 1499, 14428, **details(cached=128, thought=2809)),
            TokenUsage(10120, 4308, 128, 14428),
            id="xai: thinking is beside, and in the total",
        ),
        pytest.param(
            chat(32, 9, **details(thought=94)), TokenUsage(32, 103), id="xai without a total: more than all output"
        ),
        pytest.param(chat(20, 424, 1016), TokenUsage(20, 996), id="gemini by openai: thinking is in the total alone"),
        pytest.param(
            chat(33, 7163, 7196, reasoning_tokens=193946),
            TokenUsage(33, 201109, 0, 201142),
            id="thinking is beside and not in the total",
        ),
        pytest.param(
            chat(100, 5, 105, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36),
            TokenUsage(100, 5, 64),
            id="deepseek",
        ),
        pytest.param(
            {"completion_tokens": 5, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36},
            TokenUsage(100, 5, 64),
            id="deepseek without a prompt count",
        ),
        pytest.param(chat(100, 5, 105, cached_tokens=64), TokenUsage(100, 5, 64), id="moonshot"),
        pytest.param(
            chat(100, 5, 105, prompt_tokens_details={"cached_tokens": 0, "cache_creation_input_tokens": 90}),
            TokenUsage(100, 5, 0, 105, 90),
            id="alibaba",
        ),
        pytest.param(
            chat(194, 2, 196, cost=0.95, cost_details={"upstream_inference_cost": 19}, **details(written=100)),
            TokenUsage(194, 2, 0, 196, 100),
            id="openrouter",
        ),
        pytest.param(
            chat(10, 5, 15, queue_time=0.01, prompt_time=0.2, completion_time=0.3, total_time=0.5),
            TokenUsage(10, 5),
            id="groq",
        ),
        pytest.param(chat(10, 5, 15, prompt_audio_seconds=None), TokenUsage(10, 5), id="mistral"),
        pytest.param(
            {
                "input_tokens": 125,
                "output_tokens": 48,
                "total_tokens": 173,
                "input_tokens_details": {"cached_tokens": 98},
                "output_tokens_details": {"reasoning_tokens": 40},
            },
            TokenUsage(125, 48, 98),
            id="responses",
        ),
        pytest.param(
            chat(3, 550, 12857, cache_read_input_tokens=0, cache_creation_input_tokens=12304),
            TokenUsage(12307, 550, 0, 12857, 12304),
            id="a gateway that counts the cache beside the prompt, and in the total",
        ),
        pytest.param(
            chat(3, 550, 553, cache_read_input_tokens=12304), TokenUsage(12307, 550, 12304), id="and not in the total"
        ),
    ],
)
def test_chat_replies_of_each_provider_are_counted_once(counts, usage):
    assert chat_usage(counts) == usage


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (chat(None, None, 90), TokenUsage(0, 0, 0, 90)),
        (chat(None, 30, 90), TokenUsage(60, 30)),
        (chat(60, None, 90), TokenUsage(60, 30)),
        (chat(60, None), TokenUsage(60, 0)),
        (chat(60, 0, 60), TokenUsage(60, 0)),
        (chat(60, 30, 50), TokenUsage(60, 30)),
        (chat(-5, 30, 90), TokenUsage(60, 30)),
    ],
)
def test_a_missing_count_is_the_rest_of_the_total(counts, usage):
    assert chat_usage(counts) == usage


@pytest.mark.parametrize(
    ("value", "count"),
    [
        *((12, 12), (12.0, 12), (11.5, 12), ("12", 12), (10**10, 10**10)),
        *((value, 0) for value in (None, True, -1, -1.5, "", "-3", "1e3", "٣", [5], {"n": 5})),
        *((value, 0) for value in ("9" * 400, float("nan"), float("inf"))),
    ],
)
def test_a_count_is_read_from_any_form_and_ignored_if_it_is_not_plausible(value, count):
    assert chat_usage({"prompt_tokens": value, "completion_tokens": 3}) == TokenUsage(count, 3)
    assert anthropic_usage({"input_tokens": value, "output_tokens": 3}) == TokenUsage(count, 3)
    assert gemini_usage({"promptTokenCount": value, "candidatesTokenCount": 3}) == TokenUsage(count, 3)


@pytest.mark.parametrize("value", [10**10 + 1, float(10**11), 2**53 - 1, 10**30, "9" * 30, 1e300])
@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_count_beyond_that_of_any_call_makes_the_usage_implausible_and_no_number_is_larger(value, at):
    names = [
        (chat_usage, ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens")),
        (anthropic_usage, ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")),
        (gemini_usage, ("promptTokenCount", "candidatesTokenCount", "totalTokenCount", "thoughtsTokenCount")),
    ]
    for read, fields in names:
        usage = read({name: value if index == at else 3 for index, name in enumerate(fields)})
        assert not usage.is_plausible
        assert max(token_counts(usage)) < 10**11


@given(st.tuples(*[st.integers(1, 10**6)] * 4), st.booleans(), st.booleans())
def test_thinking_is_counted_once_wherever_it_is_reported(counts, beside, in_total):
    prompt, answer, thought, cached = counts
    cached = min(cached, prompt)
    if beside:
        in_total = in_total or thought <= answer  # nothing else would tell
    completion = answer if beside else answer + thought
    total = prompt + answer + thought if in_total or not beside else None
    usage = chat_usage(chat(prompt, completion, total, **details(cached=cached, thought=thought)))
    assert (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens) == (prompt, answer + thought, cached)


# ---------------------------------------------------------------------------------------------- Anthropic


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (
            {
                "input_tokens": 3,
                "cache_creation_input_tokens": 12304,
                "cache_read_input_tokens": 0,
                "output_tokens": 550,
            },
            TokenUsage(12307, 550, 0, 12857, 12304),
        ),
        (
            {
                "input_tokens": 3,
                "cache_creation_input_tokens": None,
                "cache_read_input_tokens": 12304,
                "output_tokens": 550,
            },
            TokenUsage(12307, 550, 12304),
        ),
        (
            {
                "input_tokens": 10,
                "cache_creation_input_tokens": 700,
                "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 200},
                "output_tokens": 5,
                "output_tokens_details": {"thinking_tokens": 4},
            },
            TokenUsage(710, 5, 0, 715, 700, 200),
        ),
        (
            {"input_tokens": 10, "cache_creation": {"ephemeral_1h_input_tokens": 200}, "output_tokens": 5},
            TokenUsage(210, 5, 0, 215, 200, 200),
        ),
        (
            {
                "input_tokens": 10,
                "output_tokens": 5,
                "iterations": [
                    {"type": "compaction", "input_tokens": 1000, "output_tokens": 100},
                    {"type": "message", "input_tokens": 10, "output_tokens": 5},
                ],
            },
            TokenUsage(1010, 105),
        ),
    ],
)
def test_replies_of_anthropic_count_the_cache_beside_the_input(counts, usage):
    assert anthropic_usage(counts) == usage


# ---------------------------------------------------------------------------------------------- Gemini


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (
            {
                "promptTokenCount": 100,
                "candidatesTokenCount": 10,
                "thoughtsTokenCount": 40,
                "toolUsePromptTokenCount": 7,
                "cachedContentTokenCount": 60,
                "totalTokenCount": 157,
            },
            TokenUsage(107, 50, 60),
        ),
        ({"promptTokenCount": 100, "totalTokenCount": 140}, TokenUsage(100, 40)),
        ({"candidatesTokenCount": 10, "thoughtsTokenCount": 20, "totalTokenCount": 140}, TokenUsage(110, 30)),
        ({"totalTokenCount": 140}, TokenUsage(0, 0, 0, 140)),
        ({"promptTokenCount": 100.0, "candidatesTokenCount": "10", "totalTokenCount": None}, TokenUsage(100, 10)),
    ],
)
def test_replies_of_gemini_count_thoughts_and_tools_beside_the_rest(counts, usage):
    assert gemini_usage(counts) == usage


# ---------------------------------------------------------------------------------------------- laws

numbers = st.integers(-10, 10**7) | st.floats() | st.none() | st.booleans() | st.text(max_size=4) | st.integers()
values = st.recursive(
    numbers, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner)
)


@pytest.mark.parametrize("read", READERS)
@given(counts=st.dictionaries(st.sampled_from(NAMES), values) | values)
def test_no_reply_breaks_the_account(read, counts):
    usage = read(counts)
    assert usage.cached_input_tokens + usage.cache_written_tokens <= usage.input_tokens
    assert usage.cache_written_1h_tokens <= usage.cache_written_tokens
    assert usage.input_tokens + usage.output_tokens <= usage.total_tokens
    assert json.loads(json.dumps(usage.total_tokens)) == usage.total_tokens


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("counts", [None, [], "usage", 7, {}, {"prompt_tokens": None}, float("nan")], ids=repr)
def test_a_reply_without_usage_has_none(read, counts):
    assert read(counts) == TokenUsage()


def test_a_total_alone_has_no_cost():
    price = Price(input=1, output=2)
    assert cost_of(chat_usage({"total_tokens": 90}), price) is None
    assert cost_of(chat_usage({"total_tokens": 90, "completion_tokens": 30}), price) == pytest.approx(120e-6)
