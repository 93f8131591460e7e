"""Accounting: every call is booked once, on the model that made it, and an unknown cost is reported as unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.accounting import Account, ModelUse, Price, total
from paceline._core.exceptions import ConfigurationError
from paceline._core.results import BatchResult
from paceline._core.usage import NO_USAGE, TokenUsage

LITE, PRO = Price(0.10, 0.40), Price(1.25, 10.0, 0.125)
counts = st.integers(0, 10**6)
usages = st.builds(TokenUsage, counts, counts)
calls = st.lists(st.tuples(st.sampled_from(["lite", "pro"]), usages, st.booleans()))


@given(calls)
def test_the_uses_add_up_to_all_calls(booked):
    account = Account()
    for model, usage, accepted in booked:
        account.book(model, usage, {"lite": LITE, "pro": PRO}[model], accepted=accepted)
    assert sum(use.calls for use in account.models) == len(booked)
    assert sum(use.accepted for use in account.models) == sum(accepted for *_, accepted in booked)
    assert sum((use.usage for use in account.models), NO_USAGE) == sum((usage for _, usage, _ in booked), NO_USAGE)
    assert not account.top_alone


@given(counts, counts, counts)
def test_a_price_is_per_million_tokens_and_cached_ones_are_part_of_the_input(fresh, cached, written):
    cost = PRO.of(TokenUsage(fresh + cached, written, cached))
    assert cost == pytest.approx((fresh * 1.25 + cached * 0.125 + written * 10.0) / 1e6)


def test_cached_tokens_cost_as_much_as_others_by_default():
    assert Price(2.0, 4.0).cached_input == 2.0
    assert Price(2.0, 4.0).of(TokenUsage(1_000_000, 0, 1_000_000)) == 2.0


def test_more_cached_tokens_than_were_sent_are_not_paid_for():
    assert Price(2.0, 4.0, 1.0).of(TokenUsage(1_000_000, 0, 5_000_000)) == 1.0


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf"), True, "1", None], ids=repr)
def test_an_invalid_price_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="input must be USD per million tokens, 0 or more, not"):
        Price(wrong, 1.0)
    with pytest.raises(ConfigurationError, match="output must be USD per million tokens"):
        Price(1.0, wrong)


def test_a_sum_with_an_unknown_cost_is_unknown():
    assert total([]) is None
    assert total([0.5, None]) is None
    assert total([0.5, 0.25]) == 0.75
    assert ModelUse(model="m").cost is None


def summary_of(*models, top_alone=()):
    return BatchResult(succeeded=1, failures={}, usage=NO_USAGE, models=models, top_alone=top_alone).summary()


def test_the_summary_has_the_cost_of_each_model_and_marks_the_estimate():
    lite = ModelUse(model="lite", calls=10, accepted=7, usage=TokenUsage(1_000_000, 0), price=LITE, cost=0.10)
    pro = ModelUse(model="pro", calls=3, accepted=3, usage=TokenUsage(1_000_000, 0), price=PRO, cost=1.25)
    alone = ModelUse(model="pro", calls=10, accepted=10, usage=TokenUsage(4_000_000, 0), price=PRO, cost=5.0)
    text = summary_of(lite, pro, top_alone=(alone,))
    assert "cost      $1.35" in text
    assert "lite: 10 calls, 7 accepted, $0.1" in text
    assert "pro alone would have cost about $5.00 (estimate)" in text


def test_the_summary_has_no_costs_without_a_known_price():
    assert "cost" not in summary_of(ModelUse(model="m", calls=3))
    assert "cost" not in summary_of()


def test_the_summary_gives_no_partial_sum_as_the_cost():
    text = summary_of(ModelUse(model="a", calls=1, price=LITE, cost=0.5), ModelUse(model="b", calls=1))
    assert "cost      unknown: no price is known" in text


def test_there_is_no_estimate_without_a_price():
    lite = ModelUse(model="lite", calls=1, price=LITE, cost=0.0)
    text = summary_of(lite, top_alone=(ModelUse(model="pro", calls=1),))
    assert "cost      $0" in text
    assert "alone" not in text


# ---------------------------------------------------------------------------------------------- caches


def test_each_input_token_has_one_price():
    price = Price(input=1, output=10, cached_input=0.1, cache_written=1.25, cache_written_1h=2)
    usage = TokenUsage(1_000, 10, cached_input_tokens=200, cache_written_tokens=300, cache_written_1h_tokens=100)
    assert price.of(usage) * 1e6 == pytest.approx(500 * 1 + 200 * 0.1 + 200 * 1.25 + 100 * 2 + 10 * 10)


def test_writing_to_a_cache_costs_more_than_input_by_default():
    assert Price(4, 8) == Price(4, 8, 4, 5, 8)
    assert Price(4, 8, cache_written=4).cache_written_1h == pytest.approx(6.4)


@pytest.mark.parametrize("name", ["cache_written", "cache_written_1h"])
def test_prices_of_writing_are_prices(name):
    with pytest.raises(ConfigurationError, match=f"{name} must be USD per million tokens"):
        Price(1, 2, **{name: -1})


def test_a_total_without_its_parts_makes_the_cost_unknown():
    account = Account()
    account.book("m", TokenUsage(10, 5), Price(1, 2), accepted=True)
    (before,) = account.models
    account.book("m", TokenUsage(0, 0, 0, 90), Price(1, 2), accepted=True)
    (after,) = account.models
    assert before.cost == pytest.approx(20e-6)
    assert after.cost is None


# ---------------------------------------------------------------------------------------------- costs of calls

TIERED = Price(1, 10, tiers={1_000: Price(2, 15, 0.5), 5_000: Price(4, 20)})


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000))))
def test_the_cost_of_a_model_is_the_sum_of_the_costs_of_its_calls(counted):
    account, costs = Account(), []
    for sent, generated in counted:
        costs.append(account.book("m", TokenUsage(sent, generated), TIERED, accepted=True))
        account.book_alone("top", TokenUsage(sent, generated), TIERED)
    for use in (*account.models, *account.top_alone):
        assert use.cost == pytest.approx(sum(costs))


@pytest.mark.parametrize(("sent", "price"), [(1_000, 1), (1_001, 2), (5_000, 2), (5_001, 4)])
def test_a_tier_holds_for_all_tokens_of_a_call_with_a_longer_prompt(sent, price):
    assert TIERED.of(TokenUsage(sent, 0)) == pytest.approx(sent * price / 1e6)


def test_the_cached_tokens_of_a_long_prompt_have_the_price_of_its_tier():
    assert TIERED.of(TokenUsage(2_000, 100, 1_500)) == pytest.approx((500 * 2 + 1_500 * 0.5 + 100 * 15) / 1e6)


@pytest.mark.parametrize(
    "tiers", [{-1: Price(1, 2)}, {1.5: Price(1, 2)}, {10: 3}, {10: Price(1, 2, tiers={20: Price(1, 2)})}], ids=repr
)
def test_an_invalid_tier_is_refused(tiers):
    with pytest.raises(ConfigurationError, match="tiers must be prices without tiers"):
        Price(1, 2, tiers=tiers)


def test_an_unpriced_call_makes_the_cost_of_its_model_unknown():
    account = Account()
    assert account.book("m", TokenUsage(10, 5), None, accepted=True) is None
    assert account.book("m", TokenUsage(10, 5), Price(1, 2), accepted=True) is not None
    assert account.models[0].cost is None
    assert account.models[0].price == Price(1, 2)


def test_the_estimate_of_the_top_alone_counts_the_calls_before_its_price_was_known():
    account = Account()
    account.book_alone("top", TokenUsage(1_000_000, 0), None)
    assert account.top_alone[0].cost is None
    account.book_alone("top", TokenUsage(1_000_000, 0), Price(3, 2))
    assert account.top_alone[0].cost == pytest.approx(6)
