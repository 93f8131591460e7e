"""Types that a type checker must infer. This module is type-checked and never run."""

from __future__ import annotations

from typing import Any, assert_type

import attrs

from paceline import (
    BatchResult,
    CallableStrategy,
    Fault,
    FaultKind,
    LLMCallStrategy,
    LLMWorkItem,
    ParallelBatchProcessor,
    ProcessorConfig,
    TokenUsage,
    WorkItemResult,
    files,
    model,
    open_pool,
    open_stream,
    process_prompts,
    run_prompts,
)
from paceline.abc import Middleware
from paceline.files import BadLine, InputRecord
from paceline.llm_strategies import OutputType, ValidationFeedback
from paceline.typing import make_result


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


async def ask_and_count(prompt: str) -> tuple[Person, TokenUsage]:
    return Person(prompt), TokenUsage(1, 2)


async def ask_for_a_pair(prompt: str) -> tuple[Person, int]:
    return Person(prompt), 1


async def ask_and_count_at_times(prompt: str) -> Person | tuple[Person, TokenUsage]:
    return Person(prompt)


class AskAndCount:
    async def __call__(self, prompt: str) -> tuple[Person, TokenUsage]:
        return await ask_and_count(prompt)


async def strategies() -> None:
    assert_type(CallableStrategy(ask), CallableStrategy[Person])
    assert_type(CallableStrategy(ask_and_count), CallableStrategy[Person])
    assert_type(CallableStrategy(AskAndCount(), model="m"), CallableStrategy[Person])
    assert_type(CallableStrategy(ask_and_count_at_times), CallableStrategy[Person])
    assert_type(CallableStrategy(ask_for_a_pair), CallableStrategy[tuple[Person, int]])
    assert_type(await process_prompts(CallableStrategy(ask_and_count), ["a"]), BatchResult[Person])
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


async def processors_of_any_output() -> None:
    async with ParallelBatchProcessor(config=ProcessorConfig()) as processor:
        await processor.add_work(LLMWorkItem("a", CallableStrategy(ask), "a"))
        assert_type(await processor.process_all(), BatchResult[Any])
    typed: ParallelBatchProcessor[Person] = ParallelBatchProcessor()
    async with typed as processor_of_persons:
        assert_type(await processor_of_persons.process_all(), BatchResult[Person])


def errors(result: WorkItemResult[Person]) -> str:
    if result.error is None:
        return result.output.name
    return result.error.message


def comparisons(result: WorkItemResult[Person]) -> str:
    if result.success is True:
        return result.output.name
    return result.error.message


def items(results: list[WorkItemResult[Person | None]]) -> list[Person | None]:
    for result in results:
        if result.error is not None:
            assert_type(result.error, Fault)
            assert_type(result.output, None)
        if result.output is not None:
            assert_type(result.output, Person)
    return [result.output for result in results if result.error is None]


def unwrapped(result: WorkItemResult[Person]) -> None:
    assert_type(result.unwrap(), Person)


class ReplacesResults(Middleware):
    async def after_process(self, result: WorkItemResult[Any]) -> WorkItemResult[Any] | None:
        if result.error is None:
            return attrs.evolve(result, output=None, error=Fault(FaultKind.REFUSED, "no"))
        if result.error.kind is FaultKind.REFUSED:
            return attrs.evolve(result, output="nothing", error=None)
        return None


def constructed() -> WorkItemResult[Person]:
    assert_type(make_result("a", 0, Person("a")), WorkItemResult[Person])
    return make_result("a", 0, error=Fault(FaultKind.BUG))


async def models() -> None:
    assert_type(model("gpt-5-mini", output_type=Person), LLMCallStrategy[Person])
    assert_type(
        model("gpt-5-mini", output_type=list[Person], temperature=0, base_url="http://h"), LLMCallStrategy[list[Person]]
    )
    assert_type(model("gpt-5-mini", system_instruction="Be brief."), LLMCallStrategy[Any])
    assert_type(model("gpt-5-mini", output_type=OutputType.of_schema({}, "Person")), LLMCallStrategy[Any])
    async with open_pool() as pool:
        assert_type((await pool.call(model("gpt-5-mini", output_type=Person), "a")).unwrap(), Person)
        assert_type(await pool.process_prompts(model("gpt-5-mini", output_type=Person), ["a"]), BatchResult[Person])
