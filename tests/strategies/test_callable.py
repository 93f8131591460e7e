"""CallableStrategy: an async function as a strategy."""

from __future__ import annotations

import copy
import functools

import anyio
import pytest

from paceline import CallableStrategy, CallError, Fault, FaultKind, RateLimitError, TokenUsage
from paceline import process_prompts as run
from paceline.exceptions import ConfigurationError

pytestmark = pytest.mark.anyio


async def shout(prompt):
    return prompt.upper()


async def test_the_function_is_given_the_prompt_and_its_answer_is_the_output():
    assert await CallableStrategy(shout).execute("hello", 1, 60.0) == ("HELLO", TokenUsage())


async def test_the_function_may_say_what_it_cost():
    async def counted(prompt):
        return prompt, TokenUsage(3, 4)

    assert await CallableStrategy(counted).execute("x", 1, 60.0) == ("x", TokenUsage(3, 4))


@pytest.mark.parametrize("answer", ["a", ("a", "b"), ("a", None), (), ("a", "b", "c"), None])
async def test_any_other_answer_is_an_output_as_it_is(answer):
    async def answered(_prompt):
        return answer

    assert await CallableStrategy(answered).execute("x", 1, 60.0) == (answer, TokenUsage())


async def test_any_awaitable_is_accepted():
    class Client:
        async def __call__(self, prompt):
            return prompt

        async def ask(self, greeting, prompt):
            return greeting + prompt

    client = Client()
    for function in (client, functools.partial(client.ask, "")):
        assert (await CallableStrategy(function).execute("x", 1, 60.0))[0] == "x"


def test_the_lane_is_named_after_the_function_by_default():
    assert CallableStrategy(shout).quota == "shout"
    assert CallableStrategy(shout, quota="mine").quota == "mine"
    assert CallableStrategy(functools.partial(shout)).quota == "partial"


def generator(prompt):
    yield prompt


@pytest.mark.parametrize("function", [None, "shout", 5, generator], ids=["None", "text", "number", "generator"])
def test_an_argument_that_is_not_an_async_function_is_refused(function):
    with pytest.raises(ConfigurationError):
        CallableStrategy(function)


def test_a_copy_is_the_strategy_itself():
    strategy = CallableStrategy(shout)
    assert copy.copy(strategy) is strategy


async def test_a_batch_has_the_outputs_in_input_order_and_the_model():
    async def slower_first(prompt):
        await anyio.sleep(10 - int(prompt))
        return int(prompt), TokenUsage(1, 1)

    batch = await run(CallableStrategy(slower_first, model="m"), [str(number) for number in range(5)])
    assert [result.output for result in batch.in_input_order()] == [0, 1, 2, 3, 4]
    assert {result.model for result in batch.results} == {"m"}
    assert batch.usage == TokenUsage(5, 5)


async def test_a_function_that_is_throttled_is_called_again():
    refusals = [RateLimitError(retry_after=5.0), RateLimitError()]

    async def throttled(prompt):
        if refusals:
            raise refusals.pop()
        return prompt

    batch = await run(CallableStrategy(throttled), ["x"])
    (result,) = batch.results
    assert (result.output, result.refusals, len(result.attempts)) == ("x", 2, 1)


async def test_a_call_error_of_the_function_is_the_items_fault_with_its_usage():
    async def blocked(_prompt):
        raise CallError("no", kind=FaultKind.REFUSED, usage=TokenUsage(2, 0))

    (result,) = (await run(CallableStrategy(blocked), ["x"])).results
    assert (result.error.kind, result.usage) == (FaultKind.REFUSED, TokenUsage(2, 0))


async def test_a_function_that_is_not_async_is_a_bug_fault():
    (result,) = (await run(CallableStrategy(lambda prompt: prompt), ["x"])).results
    assert result.error.kind is FaultKind.BUG


async def test_the_users_classifier_decides_the_fault():
    class Mine:
        def classify(self, exception):
            return Fault(FaultKind.REJECTED, f"mine: {exception}")

    async def broken(_prompt):
        raise ValueError("x")

    (result,) = (await run(CallableStrategy(broken, error_classifier=Mine()), ["x"])).results
    assert result.error == Fault(FaultKind.REJECTED, "mine: x")
