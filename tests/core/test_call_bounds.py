"""Call bounds: an upper estimate is not below what calls of the kinds seen so far have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import Media, Request, TokenUsage
from paceline._core.call_bounds import CallBounds, token_bytes_of

sizes = st.integers(0, 100_000)


@given(st.lists(st.tuples(sizes, st.integers(0, 50_000))), sizes)
def test_input_beyond_the_prompt_is_expected_from_then_on(seen, size):
    bounds, beyond = CallBounds(), 0
    for length, more in seen:
        bounds.record(length, TokenUsage(length // 2 + more, 1))
        beyond = max(beyond, more)
    assert bounds.input_tokens(size) >= size // 2 + beyond


@given(st.lists(st.integers(1, 50_000), max_size=40), st.none() | st.integers(1, 10_000))
def test_output_is_bounded_by_the_call_itself_and_by_what_was_seen(outputs, bound):
    bounds = CallBounds()
    for output in outputs:
        bounds.record(10, TokenUsage(10, output))
    expected = bounds.output_tokens(bound)
    if bound is not None:
        assert expected <= bound
    if bound is None or max(outputs, default=0) <= bound:
        assert expected >= max(outputs, default=0)
    if len(outputs) >= 20:
        assert expected <= 1.5 * max(outputs)


def test_before_twenty_calls_were_seen_an_answer_may_have_all_that_it_is_allowed():
    bounds = CallBounds()
    for _ in range(19):
        bounds.record(10, TokenUsage(10, 5))
        assert (bounds.output_tokens(None), bounds.output_tokens(300)) == (4_096, 300)
    bounds.record(10, TokenUsage(10, 100))
    assert (bounds.output_tokens(None), bounds.output_tokens(300), bounds.output_tokens(100)) == (150, 150, 100)


def test_a_call_without_a_usage_teaches_nothing():
    bounds = CallBounds()
    for _ in range(50):
        bounds.record(10, TokenUsage())
    assert bounds.output_tokens(None) == 4_096


@pytest.mark.parametrize(
    ("prompt", "size"),
    [
        ("four", 4),
        ("né", 3),
        ("\ud800", 3),
        (("four", Media("image/png", b"x" * 10_000)), 4_004),
        (Request("openai", {"messages": [{"role": "user", "content": "four"}]}), 4),
        (None, 0),
    ],
    ids=str,
)
def test_the_size_of_a_prompt_is_the_bytes_of_its_text_and_media_count_alike(prompt, size):
    assert token_bytes_of(prompt) == size


@pytest.mark.parametrize(
    ("dialect", "body", "bound"),
    [
        ("openai", {"messages": [{"role": "user", "content": "x"}], "max_completion_tokens": 30}, 30),
        ("gemini", {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"maxOutputTokens": 40}}, 40),
        ("openai", {"messages": [{"role": "user", "content": "x"}], "max_tokens": None}, None),
    ],
)
def test_a_request_has_its_own_bound(dialect, body, bound):
    assert Request(dialect, body).output_bound == bound
