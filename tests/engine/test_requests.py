"""Requests in a provider's own format: which strategies receive them, and as what."""

from __future__ import annotations

import pytest

from paceline import CallableStrategy, FaultKind, LLMCallStrategy, Request, process_prompts

pytestmark = pytest.mark.anyio

PLAIN = Request(
    "openai", {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]}
)
RICH = Request("openai", {"messages": [{"role": "user", "content": "Why?"}], "temperature": 0})


async def echo(prompt):
    return prompt


class TakesRequests(LLMCallStrategy):
    takes_requests = True

    async def execute(self, prompt, attempt, timeout):
        return prompt.body, None


async def test_a_strategy_without_requests_receives_the_text_of_a_plain_one():
    batch = await process_prompts(CallableStrategy(echo), [PLAIN, "a text"])
    assert [result.output for result in batch.in_input_order()] == ["Be brief.\n\nWhy?", "a text"]


async def test_a_request_with_more_than_text_is_rejected_with_the_reason():
    batch = await process_prompts(CallableStrategy(echo), [RICH])
    (result,) = batch.results
    assert result.error.kind is FaultKind.REJECTED
    assert result.error.message == (
        "CallError: CallableStrategy cannot answer a request in openai's form with more than text: temperature"
    )
    assert f"CallError: {CallableStrategy(echo).objection(RICH)}" == result.error.message
    assert CallableStrategy(echo).objection(PLAIN) is None


async def test_a_strategy_that_takes_requests_receives_them_unchanged():
    batch = await process_prompts(TakesRequests(), [RICH, PLAIN])
    assert [result.output for result in batch.in_input_order()] == [RICH.body, PLAIN.body]
    assert TakesRequests().objection(RICH) is None
