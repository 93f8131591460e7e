"""What a run would do, and what it might cost: found without a call, and without a trace.

Rules owned here:

1. All is checked that a run checks before its first call: the options, the models, the input to its last line, the output.
2. An estimate says what it assumes. What a model reads is taken from the length of its prompts; what it will write nobody knows, so it
   is a number that is told.
3. A cost is estimated where the price is known. On a ladder it is that of the first model for every call; for each model above it is told what
   it would be, did all of them move up to it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import Any

import attrs

from .._core.price import Price
from .._core.prompt import characters_of, content_key
from .._core.usage import TokenUsage
from ..abc import LLMCallStrategy
from ..llm_strategies.prices import known_price
from .inputs import opened
from .models import strategy_of, system_of
from .options import STREAM, RunOptions
from .outputs import state_of
from .plain import absolute
from .reading import BadLine, Prompt

CHARACTERS_PER_TOKEN = 4
OUTPUT_TOKENS = 200
"""Of an answer: an assumption."""


@attrs.frozen(kw_only=True)
class PlannedModel:
    """A model that may be called."""

    name: str
    quota: str
    """The lane's name."""
    price: Price | None
    """None: not known."""
    cost: float | None
    """USD, if it made all the calls; None: the price is not known."""


@attrs.frozen(kw_only=True)
class Plan:
    """What a run would do."""

    options: RunOptions
    source: str
    kind: str
    prompts: int
    bad: tuple[BadLine, ...]
    """The first lines that cannot be taken."""
    bad_count: int
    calls: int
    """Those that differ, if the same ones are made once."""
    models: tuple[PlannedModel, ...]
    usage: TokenUsage
    """By estimate."""
    system_characters: int
    output: str
    output_state: str
    journal: str | None
    journal_state: Mapping[str, Any] | None
    """What the journal that is there says; None: there is none yet."""

    @property
    def cost(self) -> float | None:
        """USD, if the first model answers all; None: its price is not known."""
        return self.models[0].cost


def plan_of(options: RunOptions, look: Callable[[str], Mapping[str, Any] | None] = lambda _: None) -> Plan:
    """Return what a run would do.

    Args:
        options: of the run.
        look: says what a journal's file holds, by words that are told; None if there is none.

    Raises:
        ConfigurationError: it cannot be run.
    """
    strategy = strategy_of(options)
    system = 0 if options.system is None else len(system_of(options.system))
    with opened(options, strategy) as source:
        output_state = state_of(options.output, source=source.identity, overwrite=options.overwrite)
        calls, characters = _counted(source, dedupe=options.dedupe)
        usage = _usage(calls, characters, system, cached=options.cache)
        journal = absolute(options.journal_file)
        return Plan(
            options=options,
            source=source.name,
            kind=str(source.kind),
            prompts=len(source),
            bad=source.bad,
            bad_count=source.bad_count,
            calls=calls,
            models=tuple(_planned(step, usage) for step in (strategy.ladder.steps if strategy.ladder else (strategy,))),
            usage=usage,
            system_characters=system,
            output="stdout" if options.output == STREAM else str(absolute(options.output)),
            output_state=output_state,
            journal=journal,
            journal_state=None if journal is None else look(journal),
        )


def _planned(strategy: LLMCallStrategy[Any], usage: TokenUsage) -> PlannedModel:
    price = known_price(strategy)
    cost = None if price is None else price.of(usage)
    return PlannedModel(name=strategy.model or strategy.quota, quota=strategy.quota, price=price, cost=cost)


def _usage(calls: int, characters: int, system: int, *, cached: bool) -> TokenUsage:
    shared = calls * system // CHARACTERS_PER_TOKEN
    return TokenUsage(
        input_tokens=-(-characters // CHARACTERS_PER_TOKEN) + shared,
        output_tokens=calls * OUTPUT_TOKENS,
        cached_input_tokens=shared if cached else 0,
    )


def _counted(prompts: Iterable[Prompt], *, dedupe: bool) -> tuple[int, int]:
    """Return the number of calls, and the characters of their prompts."""
    if not dedupe:
        lengths = [0, 0]
        for prompt in prompts:
            lengths[0] += 1
            lengths[1] += characters_of(prompt.prompt) or 0
        return lengths[0], lengths[1]
    with closing(
        sqlite3.connect("")
    ) as seen:  # a file that is gone with it, so that memory does not grow with the input
        seen.execute("CREATE TABLE prompt (digest BLOB PRIMARY KEY, length INTEGER) WITHOUT ROWID")
        seen.executemany("INSERT OR IGNORE INTO prompt VALUES (?, ?)", map(_digest, prompts))
        calls, characters = seen.execute("SELECT count(*), coalesce(sum(length), 0) FROM prompt").fetchone()
    return calls, characters


def _digest(prompt: Prompt) -> tuple[bytes, int]:
    return content_key(prompt.prompt), characters_of(prompt.prompt) or 0
