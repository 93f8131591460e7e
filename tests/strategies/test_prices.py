"""Prices of models where the user gives none."""

from __future__ import annotations

import subprocess
import sys

import pytest
from genai_prices import Usage, calc_price

from paceline import Price, TokenUsage, process_prompts
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies import ModelEscalation, listed_price
from paceline.llm_strategies.openai import OpenAIStrategy
from paceline.llm_strategies.prices import Priced, find_price, known_price, price_of


@pytest.mark.parametrize(
    "name", ["gemini-2.5-flash", "models/gemini-2.5-flash", "publishers/google/models/gemini-2.5-flash"]
)
def test_a_known_model_has_its_three_prices(name):
    assert price_of(name, "google") == Price(0.3, 2.5, 0.03)


def test_the_price_of_long_prompts_is_a_tier():
    assert price_of("gemini-2.5-pro", "google") == Price(1.25, 10, 0.125, tiers={200_000: Price(2.5, 15, 0.25)})


@pytest.mark.parametrize("sent", [1_000, 200_000, 200_001, 900_000])
@pytest.mark.parametrize("name", ["gemini-2.5-pro", "claude-sonnet-4-5", "gpt-5.6", "gpt-5-mini"])
def test_a_call_costs_what_genai_prices_computes(name, sent):
    provider = {"g": "openai", "c": "anthropic"}[name[0]] if "gemini" not in name else "google"
    usage = {"input_tokens": sent, "output_tokens": 500, "cache_read_tokens": 300}
    written = {} if provider == "google" else {"cache_write_tokens": 200, "cache_write_1h_tokens": 50}
    expected = calc_price(Usage(**usage, **written), name, provider_id=provider).total_price
    call = TokenUsage(
        sent, 500, 300, cache_written_tokens=200 if written else 0, cache_written_1h_tokens=50 if written else 0
    )
    assert price_of(name, provider).of(call) == pytest.approx(float(expected))


def test_batch_and_flex_processing_have_their_own_prices():
    assert price_of("gpt-5-mini", "openai", "batch") == Price(0.125, 1, 0.0125, 0.125, 0.125)
    assert price_of("gpt-5-mini", "openai", "flex") == price_of("gpt-5-mini", "openai", "batch")
    assert price_of("claude-sonnet-4-5", "anthropic", "batch").tiers[0][1].input == 3


def test_a_price_of_a_processing_that_the_list_does_not_have_is_unknown_and_not_the_standard_price():
    assert price_of("gemini-2.5-pro", "google", "flex") is None
    assert price_of("gemini-2.5-pro", "google", "batch") is not None


def test_a_model_is_named_as_the_list_names_it():
    assert listed_price("openai/gpt-5") == price_of("gpt-5", "openai") == listed_price("gpt-5")
    assert listed_price("gemini/gemini-2.5-flash", processing="batch") == price_of(
        "gemini-2.5-flash", "google", "batch"
    )


@pytest.mark.parametrize(
    ("name", "processing"), [("openai/no-such", "standard"), ("gemini/gemini-2.5-pro", "flex"), ("gpt-5", "fast")]
)
def test_a_price_that_is_not_listed_is_refused(name, processing):
    with pytest.raises(ConfigurationError, match=r"lists no|must be one of"):
        listed_price(name, processing=processing)


def test_the_price_of_flex_calls_is_that_of_flex_processing():
    strategy = OpenAIStrategy("gpt-5-mini", api_key="k", options={"service_tier": "flex"})
    assert known_price(strategy) == price_of("gpt-5-mini", "openai", "flex")
    assert strategy.batch_price == price_of("gpt-5-mini", "openai", "batch")


@pytest.mark.parametrize(("name", "provider"), [("gpt-5-mini", "openai"), ("claude-sonnet-4-5", "anthropic")])
def test_prices_of_other_providers_are_listed_too(name, provider):
    price = price_of(name, provider)
    assert 0 < price.cached_input < price.input < price.output


def test_reading_and_writing_a_cache_have_their_own_prices():
    assert price_of("claude-haiku-4-5", "anthropic") == Price(1, 5, 0.1, 1.25, 2)
    assert price_of("gpt-5-mini", "openai").cache_written == 0.25  # not charged in addition


@pytest.mark.parametrize(
    ("name", "provider"), [("no-such-model", "google"), ("gemini-2.5-flash", "no-such-provider"), ("", "")]
)
def test_an_unknown_model_has_none(name, provider):
    assert price_of(name, provider) is None


def test_without_genai_prices_there_is_no_price_and_it_is_not_imported_before_a_lookup():
    code = """
import sys
from paceline.llm_strategies.prices import price_of
assert "genai_prices" not in sys.modules
sys.modules["genai_prices"] = None
assert price_of("gemini-2.5-flash", "google") is None
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


@pytest.mark.anyio
async def test_the_price_is_looked_up_in_a_thread():
    assert await find_price("gemini-2.5-flash", "google") == Price(0.3, 2.5, 0.03)


class Listed(Priced[str]):
    """Answers by itself, at a model's price."""

    def __init__(self, model):
        self.model = model
        self._listed_as = (model, "google")

    @property
    def quota(self):
        return self.model

    async def prepare(self):
        await self._look_up_price()

    async def execute(self, prompt, attempt, timeout):
        return prompt, TokenUsage(1_000_000, 0)


@pytest.mark.anyio
async def test_the_unused_top_of_a_ladder_has_its_price_in_the_estimate():
    batch = await process_prompts(
        ModelEscalation([Listed("gemini-2.5-flash-lite"), Listed("gemini-2.5-pro")]), ["a", "b"]
    )
    assert batch.cost == pytest.approx(2 * 0.1)
    assert [use.cost for use in batch.top_alone] == [
        pytest.approx(2 * 2.5)
    ]  # a prompt of a million tokens has the price of long ones


def test_reading_a_price_does_not_import_the_list_and_a_given_price_wins():
    code = """
import sys
from paceline import Price, TokenUsage, process_prompts
from paceline.llm_strategies import ModelEscalation
from paceline.llm_strategies.gemini import GeminiStrategy
strategy = GeminiStrategy(api_key="k")
assert strategy.price is None and "genai_prices" not in sys.modules
import genai_prices
assert strategy.price == Price(0.3, 2.5, 0.03)
assert GeminiStrategy(api_key="k", price=Price(1, 2)).price == Price(1, 2)
assert GeminiStrategy(api_key="k", base_url="http://127.0.0.1:1").price is None
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
