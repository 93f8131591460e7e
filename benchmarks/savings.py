"""Savings by escalation and feedback, on a simulated task whose assumptions are stated: `python -m benchmarks savings`.

No real models are called. paceline's real engine, ladder and feedback run in virtual time on these assumptions:

1. An item has a difficulty, drawn once, uniform from 0 to 1. A call gets each of four fields wrong with the probability
   difficulty x (1 - skill of the model), drawn again for each call.
2. A field that feedback names as wrong, with the rule that it broke, is wrong again with a third of that probability; one that
   it names as right stays right.
3. A prompt has 400 to 2,000 tokens, an answer 60 to 200; feedback adds 150 tokens to the prompt.
4. The skills are 0.60, 0.85 and 0.97; the prices are those of genai-prices for the models named.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

import anyio
from trio.testing import MockClock

from paceline import (
    BatchResult,
    InvalidOutputError,
    LLMCallStrategy,
    ProcessorConfig,
    RetryPolicy,
    TokenUsage,
    process_prompts,
)
from paceline.llm_strategies import EscalationPolicy, Problem
from paceline.llm_strategies.escalation import ModelEscalation
from paceline.llm_strategies.feedback import ValidationFeedback
from paceline.llm_strategies.prices import price_of

from .table import table

ITEMS = 5_000
TRIES = 4  # calls that may end in an invalid output, on a model alone or on the top of a ladder
REMAINING = 1 / 3  # of the chance that a field which feedback has named is wrong again
FEEDBACK_TOKENS = 150  # added to the prompt
FIELDS = ("name", "date", "amount", "currency")
SKILLS = {"gemini-2.5-flash-lite": 0.60, "gemini-2.5-flash": 0.85, "gemini-2.5-pro": 0.97}
TOP = "gemini-2.5-pro"
TEMPLATE = "{prompt}\nright: {right}\nwrong: {problems}"


class Extraction(LLMCallStrategy[str]):
    """A model of a given skill at the simulated task."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.price = price_of(model, "google")

    @property
    def quota(self) -> str:
        return self.model

    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[str, TokenUsage]:
        item, _, feedback = prompt.partition("\n")
        right, _, wrong = feedback.partition("\nwrong: ")
        of_item, of_call = random.Random(item), random.Random(f"{item} {self.model} {attempt}")
        difficulty, length = of_item.random(), of_item.randint(400, 2_000)
        await anyio.sleep(of_call.uniform(1.0, 5.0))
        chance = difficulty * (1 - SKILLS[self.model])
        bad = [field for field in FIELDS if of_call.random() < chance * _remaining(field, right, wrong)]
        usage = TokenUsage(length + (FEEDBACK_TOKENS if feedback else 0), of_call.randint(60, 200))
        if bad:
            problems = [Problem(field, "is not in the text") for field in bad]
            raise InvalidOutputError("", problems, right=[field for field in FIELDS if field not in bad], usage=usage)
        return item, usage


def _remaining(field: str, right: str, wrong: str) -> float:
    """Return the factor by which feedback reduces the chance that a field is wrong."""
    if field in wrong:
        return REMAINING
    return 0.0 if field in right else 1.0


def _alone(model: str) -> LLMCallStrategy[str]:
    return Extraction(model)


def _ladder() -> LLMCallStrategy[str]:
    budgets = (1,) * (len(SKILLS) - 1) + (TRIES,)
    return ModelEscalation([Extraction(model) for model in SKILLS], EscalationPolicy(budget=budgets))


def _with_feedback(strategy: LLMCallStrategy[str]) -> LLMCallStrategy[str]:
    return ValidationFeedback(strategy, template=TEMPLATE)


CONTENDERS = {
    "pro alone": partial(_alone, TOP),
    "pro alone, feedback": lambda: _with_feedback(_alone(TOP)),
    "flash alone": partial(_alone, "gemini-2.5-flash"),
    "flash alone, feedback": lambda: _with_feedback(_alone("gemini-2.5-flash")),
    "flash-lite alone": partial(_alone, "gemini-2.5-flash-lite"),
    "flash-lite alone, feedback": lambda: _with_feedback(_alone("gemini-2.5-flash-lite")),
    "**ladder** of the three": _ladder,
    "**ladder** of the three, feedback": lambda: _with_feedback(_ladder()),
}


async def _run(strategy: LLMCallStrategy[str], prompts: Sequence[str]) -> BatchResult[str]:
    config = ProcessorConfig(retry=RetryPolicy(max_invalid=TRIES))
    return await process_prompts(strategy, prompts, config=config)


def savings(items: int = ITEMS) -> str:
    """Run all contenders on the same items; return the table."""
    prompts = [f"item {number}" for number in range(items)]
    rows, highest_cost = [], 0.0
    for name, make in CONTENDERS.items():
        options = {"clock": MockClock(autojump_threshold=0)}
        batch = anyio.run(_run, make(), prompts, backend="trio", backend_options=options)
        cost = 1_000 * (batch.cost or 0.0) / batch.succeeded
        highest_cost = highest_cost or cost
        calls = sum(use.calls for use in batch.models) / batch.total_items
        estimates = [use.cost for use in batch.top_alone if use.cost is not None]
        rows.append(
            (
                name,
                f"{batch.succeeded / batch.total_items:.2%}",
                f"{calls:.2f}",
                f"${cost:.3f}",
                f"{1 - cost / highest_cost:.0%}",
                f"${1_000 * sum(estimates) / batch.succeeded:.3f}" if estimates else "",
            )
        )
    head = ("", "accepted", "calls an item", "cost per 1,000 accepted", "saved", "the summary's estimate for pro alone")
    return table(head, rows)
