"""A program that runs inspect_ai's evaluations, in a venv that has inspect_ai; it prints what came out as one line of JSON.

python inspect_program.py URL own,openai,gemini,anthropic,...
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import anyio
from inspect_ai import Task
from inspect_ai import eval as run_eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, system_message, use_tools
from inspect_ai.tool import tool

QUESTIONS = 12
SETTINGS = GenerateConfig(temperature=0.5, max_tokens=50, top_p=0.9, seed=7, stop_seqs=["END"])


def questions(text: str = "What is {} + {}?", count: int = QUESTIONS) -> MemoryDataset:
    return MemoryDataset(
        [Sample(input=text.format(number, number * 3), target=f"ANSWER: {number * 4}\n") for number in range(count)]
    )


@tool
def capital_of():
    async def execute(country: str) -> str:
        """Return the capital of a country.

        Args:
            country: Name of the country.
        """
        return {"France": "Paris"}.get(country, "none")

    return execute


def models(url: str) -> dict[str, Any]:
    return {
        "own": lambda: get_model("openai-api/local/tiny", base_url=f"{url}/v1", api_key="none-needed"),
        "openai": lambda: get_model("paceline/openai:tiny", base_url=f"{url}/v1", api_key="none-needed"),
        "gemini": lambda: get_model("paceline/gemini:gemini-2.5-flash", base_url=url, api_key="none-needed"),
        "anthropic": lambda: get_model("paceline/anthropic:claude-haiku-4-5", base_url=url, api_key="none-needed"),
        "sim": lambda: get_model("paceline/sim:rate=200;latency=0.05"),
    }


def run(task: Task, model: Any, **options: Any) -> dict[str, Any]:
    log = run_eval(task, model=model, log_dir=os.environ["LOGS"], display="none", **options)[0]
    assert log.samples is not None
    return {
        "status": log.status,
        "error": log.error and log.error.message,
        "scores": {}
        if log.results is None
        else {name: metric.value for name, metric in log.results.scores[0].metrics.items()},
        "completions": [sample.output.completion for sample in log.samples],
        "stops": [sample.output.stop_reason if sample.output.choices else None for sample in log.samples],
        "usage": [sample.output.usage and sample.output.usage.model_dump(exclude_none=True) for sample in log.samples],
        "ids": [sample.output.response_id for sample in log.samples],
        "errors": [sample.error and sample.error.message for sample in log.samples],
        "roles": [[message.role for message in sample.messages] for sample in log.samples],
    }


def scored(model: Any) -> dict[str, Any]:
    return run(
        Task(dataset=questions(), solver=[system_message("Be brief."), generate()], scorer=includes(), config=SETTINGS),
        model,
    )


def with_tools(model: Any) -> dict[str, Any]:
    dataset = MemoryDataset([Sample(input="Which capital?", target="Paris")])
    return run(Task(dataset=dataset, solver=[use_tools(capital_of()), generate()], scorer=includes()), model)


def too_long(model: Any) -> dict[str, Any]:
    return run(Task(dataset=questions("long? What is {} + {}?", 1), solver=generate(), scorer=includes()), model)


def cut(model: Any) -> dict[str, Any]:
    return run(Task(dataset=questions("cut? What is {} + {}?", 1), solver=generate(), scorer=includes()), model)


def cached(model: Any) -> dict[str, Any]:
    task = Task(dataset=questions("cached? What is {} + {}?", 2), solver=generate(cache=True), scorer=includes())
    return {"first": run(task, model), "second": run(task, model)}


def sampled(model: Any) -> dict[str, Any]:
    return run(
        Task(dataset=questions("sampled? What is {} + {}?", 1), solver=generate(), scorer=includes(), epochs=3), model
    )


def batched(model: Any) -> dict[str, Any]:
    return run(
        Task(dataset=questions("batch? What is {} + {}?", 1), solver=generate(), scorer=includes()), model, batch=True
    )


def cancelled(_: Any) -> dict[str, Any]:
    """Cancel a call that hangs; return whether the next one is answered."""

    async def main() -> dict[str, Any]:
        async with get_model("paceline/sim:rate=200;latency=30;sigma=0", memoize=False) as slow:
            with anyio.move_on_after(0.5) as scope:
                await slow.generate("hang")
        async with get_model("paceline/sim:rate=200;latency=0.01", memoize=False) as quick:
            answer = await quick.generate("hello")
        return {"cancelled": scope.cancelled_caught, "answer": answer.completion}

    return anyio.run(main, backend=os.environ.get("INSPECT_ASYNC_BACKEND", "asyncio"))


def unusable(_: Any) -> dict[str, Any]:
    """Ask for a model without a key; return what inspect prints."""
    os.environ.pop("OPENAI_API_KEY", None)
    try:
        get_model("paceline/gpt-5-mini")
    except Exception as error:  # noqa: BLE001 - which it is, is what is tested
        return {"type": type(error).__name__, "message": str(error)}
    return {}


CASES = {
    "scored": scored, "tools": with_tools, "too_long": too_long, "cut": cut, "cached": cached, "sampled": sampled, "batched": batched,
    "cancelled": cancelled,
    "unusable": unusable,
}  # fmt: skip


def main() -> None:
    url, *cases = sys.argv[1:]
    made = models(url)
    print(json.dumps({case: CASES[case.split(":")[0]](made[case.split(":")[1]]()) for case in cases}))


if __name__ == "__main__":
    main()
