"""What a type checker is to refuse: each line so marked, and no other; read by it, never run."""

from __future__ import annotations

from paceline import LLMCallStrategy, LLMWorkItem, ParallelBatchProcessor, TokenUsage
from paceline.llm_strategies import OutputType, ValidationFeedback


class Words(LLMCallStrategy[str]):
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, TokenUsage]:
        return prompt, TokenUsage()


class Untrue(LLMCallStrategy[int]):
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, TokenUsage]:  # refused: override
        return prompt, TokenUsage()


number: int = OutputType.of(str).parse("")  # refused: assignment
feedback: ValidationFeedback[int] = ValidationFeedback(Words())  # refused: arg-type
ValidationFeedback("gpt")  # refused: arg-type


async def mixed(processor: ParallelBatchProcessor[int]) -> None:
    item: LLMWorkItem[str] = LLMWorkItem(item_id="a", strategy=Words(), prompt="a")
    await processor.add_work(item)  # refused: arg-type
