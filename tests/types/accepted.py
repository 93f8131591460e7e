"""Types that a type checker must infer. This module is type-checked and never run."""

from __future__ import annotations

from typing import Any, assert_type

import attrs

from paceline import (
    BatchResult,
    CallableStrategy,
    LLMCallStrategy,
    LLMWorkItem,
    ParallelBatchProcessor,
    TokenUsage,
    WorkItemResult,
    files,
    open_stream,
    process_prompts,
    run_prompts,
)
from paceline.files import BadLine, InputRecord
from paceline.llm_strategies import OutputType, ValidationFeedback


@attrs.frozen
class Person:
    name: str


async def ask(prompt: str) -> Person:
    return OutputType.of(Person).parse(prompt)


class Strategy(LLMCallStrategy[Person]):
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[Person, TokenUsage]:
        return Person(prompt), TokenUsage()


def output_types() -> None:
    assert_type(OutputType.of(Person), OutputType[Person])
    assert_type(OutputType.of(Person).parse(""), Person)
    assert_type(OutputType.of(str).parse(""), str)
    assert_type(OutputType.of(list[Person]).parse(""), list[Person])
    assert_type(OutputType.of(dict[str, int]).parse("")["a"], int)
    assert_type(OutputType.of(Person | None).parse(""), Any)  # a type checker has no type for unions yet


async def strategies() -> None:
    assert_type(CallableStrategy(ask), CallableStrategy[Person])
    assert_type(ValidationFeedback(CallableStrategy(ask)), ValidationFeedback[Person])
    assert_type(ValidationFeedback(Strategy(), template="{problems}"), ValidationFeedback[Person])
    output, _ = await ValidationFeedback(Strategy()).execute("", 1, 60.0)
    assert_type(output, Person)


async def batches() -> None:
    feedback = ValidationFeedback(Strategy())
    assert_type(await process_prompts(feedback, ["a"]), BatchResult[Person])
    assert_type(run_prompts(feedback, ["a"]), BatchResult[Person])
    assert_type((await process_prompts(CallableStrategy(ask), ["a"])).results[0].output, Person | None)
    async with open_stream(feedback, ["a"]) as results:
        async for result in results:
            assert_type(result, WorkItemResult[Person])


async def records() -> None:
    assert_type(list(files.read("in.csv", prompt="{text}")), list[InputRecord])
    assert_type(list(files.read("in.csv", bad_lines="yield")), list[InputRecord | BadLine])
    batch = await process_prompts(ValidationFeedback(Strategy()), files.read("in.csv", format="csv"))
    assert_type(batch, BatchResult[Person])
    assert_type(files.write("out.csv", batch, format="csv").rows, int)


async def processors() -> None:
    async with ParallelBatchProcessor[Person]() as processor:
        await processor.add_work(LLMWorkItem(item_id="a", strategy=ValidationFeedback(Strategy()), prompt="a"))
        batch = await processor.process_all()
        assert_type(batch, BatchResult[Person])
        for result in batch.results:
            if result.output is not None:
                assert_type(result.output.name, str)
