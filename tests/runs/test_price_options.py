"""Prices that a run is given: they are read from texts and tables, stored, and win over the list."""

from __future__ import annotations

import attrs
import pytest

from paceline import Price
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies import listed_price
from paceline.runs import RunOptions
from paceline.runs.options_data import from_data, to_data
from paceline.runs.price_options import prices_in
from paceline.runs.setup import strategy_of

MINI = {"in": 0.25, "out": 2.0}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("in=0.25,out=2.00", {"": MINI}),
        ("my-model:in=0.25, out=2", {"my-model": MINI}),
        ("openai:llama3.1:8b@http://127.0.0.1:1/v1:in=0.25,out=2", {"openai:llama3.1:8b@http://127.0.0.1:1/v1": MINI}),
        ("sim:rate=50,latency=1:in=0.25,out=2", {"sim:rate=50,latency=1": MINI}),
        ("m:as=openai/gpt-5", {"m": {"as": "openai/gpt-5"}}),
        (["in=1,out=1", "in=0.25,out=2", "m:in=0.25,out=2"], {"": MINI, "m": MINI}),
        ({"in": 0.25, "out": 2, "m": {"in": 0.25, "out": 2}}, {"": MINI, "m": MINI}),
        ({"m": "in=0.25,out=2"}, {"m": MINI}),
    ],
    ids=str,
)
def test_a_price_is_a_text_or_a_table(given, read):
    assert prices_in(given) == read
    assert prices_in(read) == read


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("in=1", "needs both in and out"),
        ("cheap", "must be such as in=0.25"),
        ("in=1,out=two", "out must be a number of USD per million tokens, not 'two'"),
        ("in=1,out=2,in=3", "given twice"),
        ("in=1,out=2,extra=3", "has no 'extra'; it has in, out, cached"),
        ("in=-1,out=2", "input must be USD per million tokens, 0 or more, not -1"),
        ("in=nan,out=2", "input must be USD per million tokens"),
        ("as=x,in=1", "stands alone"),
        ("{", "must be such as"),
        ({"m": 3}, "must be such as"),
        ({"in": True, "out": 1}, "in must be a number"),
        ({"in": 1, "out": 2, "tiers": [{"in": 1, "out": 2}]}, "tiers must be tables with above"),
        (7, "must be such as"),
    ],
    ids=str,
)
def test_an_invalid_price_is_refused_with_what_it_must_be(given, message):
    with pytest.raises(ConfigurationError, match=f"^--price: .*{message}"):
        prices_in(given)


def test_prices_are_stored_with_the_options_of_a_run(tmp_path):
    price = Price(1.25, 10, 0.125, tiers={200_000: Price(2.5, 15)})
    options = RunOptions(input=str(tmp_path / "in.jsonl"), model="sim", price=price)
    assert from_data(to_data(options)).price == options.price
    assert strategy_of(options).price == price


def test_a_price_given_wins_over_the_list_and_that_of_a_model_over_that_of_all(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    options = RunOptions(input="x", escalate=("gpt-5-nano", "gpt-5-mini"), price="in=1,out=2")
    own = attrs.evolve(options, price=[options.price, "gpt-5-mini:in=3,out=4"])
    assert [step.price for step in strategy_of(options).ladder.steps] == [Price(1, 2), Price(1, 2)]
    assert [step.price for step in strategy_of(own).ladder.steps] == [Price(1, 2), Price(3, 4)]


def test_a_server_of_ones_own_has_the_price_of_the_model_that_it_is_said_to_be():
    model = "openai:prod-4@http://127.0.0.1:1/v1"
    options = RunOptions(input="x", model=model)
    assert strategy_of(options).price is None
    assert strategy_of(attrs.evolve(options, price="as=openai/gpt-5")).price == listed_price("openai/gpt-5")
    assert strategy_of(attrs.evolve(options, price=f"{model}:as=openai/gpt-5")).price == listed_price("openai/gpt-5")


def test_a_price_of_a_model_that_the_run_does_not_have_is_refused():
    with pytest.raises(ConfigurationError, match="--price: no model of this run is 'gpt-5'; it has sim"):
        strategy_of(RunOptions(input="x", model="sim", price="gpt-5:in=1,out=2"))
    with pytest.raises(ConfigurationError, match="--price: genai-prices lists no price of 'openai/no-such'"):
        strategy_of(RunOptions(input="x", model="sim", price="as=openai/no-such"))
