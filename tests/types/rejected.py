"""Lines that a type checker must reject: those that are marked, and no others. This module is type-checked and never run."""

from __future__ import annotations

from paceline import (
    CallableStrategy,
    LLMCallStrategy,
    LLMWorkItem,
    ParallelBatchProcessor,
    TokenUsage,
    WorkItemResult,
    files,
    run_prompts,
)
from paceline.llm_strategies import OutputType, ValidationFeedback


class Text(LLMCallStrategy[str]):
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, TokenUsage]:
        return prompt, TokenUsage()


class WrongOutput(LLMCallStrategy[int]):
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, TokenUsage]:  # rejected: override
        return prompt, TokenUsage()


number: int = OutputType.of(str).parse("")  # rejected: assignment
feedback: ValidationFeedback[int] = ValidationFeedback(Text())  # rejected: arg-type
ValidationFeedback("gpt")  # rejected: arg-type
run_prompts(Text(), files.read("in.csv", bad_lines="yield"))  # rejected: arg-type
files.read("in.csv", format="xlsx")  # rejected: call-overload


async def count(prompt: str) -> tuple[str, TokenUsage]:
    return prompt, TokenUsage()


counted: CallableStrategy[int] = CallableStrategy(count)  # rejected: arg-type


def untested(result: WorkItemResult[str]) -> str:
    return result.output  # rejected: return-value


async def mixed(processor: ParallelBatchProcessor[int]) -> None:
    item: LLMWorkItem[str] = LLMWorkItem(item_id="a", strategy=Text(), prompt="a")
    await processor.add_work(item)  # rejected: arg-type
