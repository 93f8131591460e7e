"""What strategies are given of a request in a provider's own form."""

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


class Taking(LLMCallStrategy):
    takes_requests = True

    async def execute(self, prompt, attempt, timeout):
        return prompt.body, None


async def test_a_strategy_that_takes_no_requests_is_given_the_words_of_a_plain_one():
    batch = await process_prompts(CallableStrategy(echo), [PLAIN, "a text"])
    assert [result.output for result in batch.in_input_order()] == ["Be brief.\n\nWhy?", "a text"]


async def test_any_other_is_rejected_with_the_reason():
    batch = await process_prompts(CallableStrategy(echo), [RICH])
    (result,) = batch.results
    assert result.error.kind is FaultKind.REJECTED
    assert result.error.message == (
        "CallError: CallableStrategy cannot be asked what is in openai's form and more than text: temperature"
    )
    assert f"CallError: {CallableStrategy(echo).objection(RICH)}" == result.error.message
    assert CallableStrategy(echo).objection(PLAIN) is None


async def test_one_that_says_so_is_given_the_request():
    batch = await process_prompts(Taking(), [RICH, PLAIN])
    assert [result.output for result in batch.in_input_order()] == [RICH.body, PLAIN.body]
    assert Taking().objection(RICH) is None
