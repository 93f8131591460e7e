"""What a run would do, and what it might cost: found without a call, and without a trace.

Rules owned here:

1. All is checked that a run checks before its first call: the options, the models, the input to its last line, the output.
2. An estimate says what it assumes. What a model reads is taken from the length of its prompts; what it will write nobody knows, so it
   is a number that is told.
3. A cost is estimated where the price is known. On a ladder it is that of the first model for every call; for each model above it is told what
   it would be, did all of them move up to it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs

from ..._core.price import Price
from ..._core.usage import TokenUsage
from ...abc import LLMCallStrategy
from ...llm_strategies.prices import known_price
from ..asking.models import strategy_of, system_of
from ..asking.options import STREAM, RunOptions
from ..asking.plain import absolute
from ..reading import BadLine
from ..reading.inputs import opened
from ..rows.outputs import state_of
from .look import JournalState, looking

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
    wanted: int
    """Prompts that are to be answered: those that have no result yet, or are run again."""
    calls: int
    """Of these those that differ, if the same ones are made once."""
    models: tuple[PlannedModel, ...]
    usage: TokenUsage
    """By estimate."""
    system_characters: int
    output: str
    output_state: str
    journal: str | None
    journal_state: JournalState | None
    """What the journal that is there says; None: there is none yet."""

    @property
    def is_refused(self) -> bool:
        """Whether a run would be, by what the journal says."""
        return self.journal_state is not None and self.journal_state.is_refused

    @property
    def cost(self) -> float | None:
        """USD, if the first model answers all; None: its price is not known."""
        return self.models[0].cost


def plan_of(options: RunOptions) -> Plan:
    """Return what a run would do.

    Raises:
        ConfigurationError: it cannot be run.
        JournalError: the journal cannot be read.
    """
    strategy = strategy_of(options)
    system = 0 if options.system is None else len(system_of(options.system))
    journal = absolute(options.journal_file)
    with looking(options, strategy, journal) as look, opened(options, strategy, visit=look.visit) as source:
        calls, characters = look.calls()
        usage = _usage(calls, characters, system, cached=options.cache)
        state = look.state()
        return Plan(
            options=options,
            source=source.name,
            kind=str(source.kind),
            prompts=len(source),
            bad=source.bad,
            bad_count=source.bad_count,
            wanted=look.wanted,
            calls=calls,
            models=tuple(_planned(step, usage) for step in (strategy.ladder.steps if strategy.ladder else (strategy,))),
            usage=usage,
            system_characters=system,
            output="stdout" if options.output == STREAM else str(absolute(options.output)),
            output_state=_output_state(options, source.identity, state),
            journal=journal,
            journal_state=state,
        )


def _output_state(options: RunOptions, source: os.stat_result, state: JournalState | None) -> str:
    written = None if state is None else state.written
    place = str(Path(options.output).resolve())
    belongs = options.output != STREAM and written is not None and written.path == place
    return state_of(options.output, source=source, overwrite=options.overwrite, belongs=belongs)


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
