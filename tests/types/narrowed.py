"""Types that the truth of `success` narrows for mypy: pyright does not narrow an object by the truth of an attribute. Never run."""

from __future__ import annotations

from typing import assert_type

from paceline import CallableStrategy, Fault, TokenUsage, WorkItemResult, open_stream, process_prompts


async def ask(prompt: str) -> tuple[str, TokenUsage]:
    return prompt, TokenUsage()


def by_its_truth(result: WorkItemResult[str]) -> str:
    if result.success:
        assert_type(result.output, str)
        assert_type(result.error, None)
        return result.output
    assert_type(result.error, Fault)
    assert_type(result.output, None)
    return result.error.message


async def batches() -> list[str]:
    batch = await process_prompts(CallableStrategy(ask), ["a"])
    failed = [result.error.kind for result in batch.results if not result.success]
    async with open_stream(CallableStrategy(ask), ["a"]) as results:
        async for result in results:
            if not result.success:
                failed.append(result.error.kind)
                continue
            assert_type(result.output, str)
    return [result.output.upper() for result in batch.in_input_order() if result.success]
