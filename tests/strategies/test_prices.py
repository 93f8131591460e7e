"""What a model costs, where nobody says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from paceline import Price
from paceline.llm_strategies.prices import find_price, price_of


@pytest.mark.parametrize(
    "name", ["gemini-2.5-flash", "models/gemini-2.5-flash", "publishers/google/models/gemini-2.5-flash"]
)
def test_a_known_model_has_its_three_prices(name):
    assert price_of(name, "google") == Price(0.3, 2.5, 0.03)


def test_a_price_that_rises_with_the_prompt_is_its_lowest():
    assert price_of("gemini-2.5-pro", "google") == Price(1.25, 10, 0.125)


@pytest.mark.parametrize(("name", "provider"), [("gpt-5-mini", "openai"), ("claude-sonnet-4-5", "anthropic")])
def test_other_providers_are_known_too(name, provider):
    price = price_of(name, provider)
    assert 0 < price.cached_input < price.input < price.output


@pytest.mark.parametrize(("name", "provider"), [("nobodys-model", "google"), ("gemini-2.5-flash", "nobody"), ("", "")])
def test_an_unknown_model_has_none(name, provider):
    assert price_of(name, provider) is None


def test_without_the_package_there_is_none_and_with_it_it_is_not_imported_before_it_is_needed():
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
async def test_it_is_found_in_a_thread():
    assert await find_price("gemini-2.5-flash", "google") == Price(0.3, 2.5, 0.03)
