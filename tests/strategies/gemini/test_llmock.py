"""The real google-genai client against a real llmock server, which throttles by a token bucket as providers do."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from paceline import Fault
from paceline.llm_strategies.gemini import GeminiStrategy

from .service import prepared

pytestmark = pytest.mark.anyio

BURST = 120  # requests that a new key is served at once


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


@pytest.fixture
def strategy(llmock, anyio_backend_name):
    # llmock keeps a bucket for each key.
    return GeminiStrategy(api_key=f"burst-{anyio_backend_name}", base_url=f"{llmock}/gemini")


async def test_a_prompt_is_served_with_its_usage(strategy):
    async with prepared(strategy) as item:
        text, usage = await item.execute("Say something.", 1, 60.0)
    assert text
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens


async def test_a_burst_beyond_the_limit_is_throttled_with_a_hint(strategy):
    outcomes = []

    async def call(number):
        try:
            await item.execute(f"question {number}", 1, 60.0)
        except Exception as error:  # noqa: BLE001 - what it is is for the classifier to say
            outcomes.append(item.error_classifier.classify(error))
        else:
            outcomes.append("served")

    async with prepared(strategy) as item, anyio.create_task_group() as nursery:
        for number in range(BURST + 40):
            nursery.start_soon(call, number)
    kinds = Counter(outcome.kind if isinstance(outcome, Fault) else outcome for outcome in outcomes)
    assert set(kinds) == {"served", "throttled"}
    assert kinds["served"] >= BURST - 1
    assert all(0 < outcome.retry_after < 60 for outcome in outcomes if isinstance(outcome, Fault))
