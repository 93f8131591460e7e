"""A complete batch: the engine, the real google-genai client, and a real llmock server that limits the rate."""

from __future__ import annotations

import math
import time

import httpx2
import pytest

from paceline import process_prompts
from paceline.llm_strategies.gemini import GeminiStrategy
from paceline.typing import PaceKnowledge

pytestmark = pytest.mark.anyio

BURST = 120  # requests that a new key is served at once
BEYOND = 8  # prompts that have to wait for their turn, at two a second


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


async def test_a_batch_beyond_the_limit_completes_and_the_client_respects_the_limit(llmock, anyio_backend_name):
    httpx2.post(f"{llmock}/_llmock/reset").raise_for_status()
    strategy = GeminiStrategy(api_key=f"batch-{anyio_backend_name}", base_url=f"{llmock}/gemini")
    prompts = [f"Question {number} on {anyio_backend_name}?" for number in range(BURST + BEYOND)]
    outdated = PaceKnowledge(limit=20, rate=60.0, token_rate=math.inf, latency=0.1, learned=time.time())
    batch = await process_prompts(strategy, prompts, knowledge={strategy.quota: outdated})
    assert batch.failures == {}
    assert batch.refusals > 0
    assert (batch.total_items, batch.succeeded) == (len(prompts), len(prompts))
    assert all(result.usage.total_tokens > 0 for result in batch.results)
    verdict = httpx2.get(f"{llmock}/_llmock/verdict").json()
    assert verdict["findings"] == []
    assert verdict["calls"] == len(prompts)
    assert verdict["attempts"] == len(prompts) + batch.refusals
