"""Token estimate: the expected tokens of a call, and how they are learned."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import TokenUsage
from paceline._core.prompt import Media, characters_of
from paceline._core.quota import Part
from paceline._core.token_estimate import TokenCosts
from paceline.llm_strategies import QuotaHint, QuotaLimit

lengths = st.none() | st.integers(0, 10**7)
usages = st.builds(TokenUsage, *[st.integers(0, 10**9)] * 3) | st.builds(
    TokenUsage, st.integers(0, 10**6), total_tokens=st.integers(0, 10**9)
)


def costs_after(*calls):
    costs = TokenCosts()
    for characters, usage in calls:
        costs.record(characters, usage)
    return costs


def test_the_initial_guess_is_four_characters_per_token_and_200_output_tokens():
    assert TokenCosts().expected(400) == 300
    assert TokenCosts().expected(0) == 200
    assert TokenCosts().expected(None) == 300


def test_it_learns_tokens_per_character_and_output_tokens():
    costs = costs_after(*[(1000, TokenUsage(500, 40))] * 300)
    assert costs.expected(1000) == pytest.approx(540, rel=0.02)
    assert costs.expected(10_000) == pytest.approx(5040, rel=0.02)
    assert costs.expected(None) == pytest.approx(540, rel=0.02)


def test_a_few_calls_are_enough_for_a_close_estimate():
    costs = costs_after(*[(4000, TokenUsage(2000, 1000))] * 5)
    assert costs.expected(4000) == pytest.approx(3000, rel=0.25)


def test_a_total_without_parts_is_divided_by_the_estimate():
    costs = costs_after(*[(400, TokenUsage(total_tokens=500))] * 300)
    assert costs.expected(400) == pytest.approx(500, rel=0.02)


def test_a_usage_of_zero_changes_nothing():
    costs = costs_after(*[(1000, TokenUsage())] * 10)
    assert costs.expected(1000) == TokenCosts().expected(1000)


def test_the_estimated_sum_of_heavy_tailed_calls_is_within_ten_per_cent():
    draw = random.Random(3)
    calls = []
    for _ in range(5000):
        characters = int(400 * math.exp(draw.gauss(0, 1.5)))
        calls.append((characters, TokenUsage(characters // 3 + 1, int(100 * math.exp(draw.gauss(0, 1.5))))))
    costs, expected = TokenCosts(), 0.0
    for characters, usage in calls:
        expected += costs.expected(characters)
        costs.record(characters, usage)
    assert expected == pytest.approx(sum(usage.total_tokens for _, usage in calls), rel=0.1)


def test_one_outlier_moves_the_next_estimate_by_little():
    costs = costs_after(*[(400, TokenUsage(100, 200))] * 200, (400, TokenUsage(100, 10**9)))
    assert costs.expected(400) < 1.2 * 300


def test_a_cost_that_rises_a_hundredfold_is_soon_learned():
    costs = costs_after(*[(400, TokenUsage(100, 200))] * 200, *[(400, TokenUsage(100, 20_000))] * 200)
    assert costs.expected(400) > 10_000


@given(st.lists(st.tuples(lengths, usages), max_size=60), lengths)
def test_an_estimate_is_always_a_finite_number_of_1_or_more(calls, characters):
    assert 1 <= costs_after(*calls).expected(characters) < math.inf


def test_a_limit_on_input_tokens_is_converted_to_total_tokens():
    costs = costs_after(*[(400, TokenUsage(100, 300))] * 500)
    limits = (
        QuotaLimit(unit="tokens", part="input", limit=1000, remaining=100, period=60),
        QuotaLimit(unit="tokens", part="output", limit=3000),
        QuotaLimit(unit="tokens", limit=50),
        QuotaLimit(limit=5),
    )
    read, written, both, requests = costs.as_total_tokens(QuotaHint(limits=limits, retry_after=3)).limits
    assert (read.limit, read.remaining) == (pytest.approx(4000, rel=0.02), pytest.approx(400, rel=0.02))
    assert written.limit == pytest.approx(4000, rel=0.02)
    assert written.remaining is None
    assert (both, requests) == limits[2:]
    assert {read.part, written.part} == {Part.BOTH}


def test_a_hint_on_total_tokens_is_unchanged():
    hint = QuotaHint(limits=(QuotaLimit(unit="tokens", limit=50),))
    assert TokenCosts().as_total_tokens(hint) is hint
    assert TokenCosts().as_total_tokens(None) is None


def test_a_value_that_is_not_a_prompt_has_no_length():
    assert characters_of("four") == 4
    assert characters_of(("four", "five")) == 8
    assert characters_of(("four", Media("image/png", b"..."))) > 100
    assert characters_of(["a", "list"]) is None
