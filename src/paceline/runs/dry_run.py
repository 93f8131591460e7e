"""Dry run: what a run would do and what it might cost, without a call and without writing anything.

Rules owned here:

1. Everything is checked that a run checks before its first call: the options, the models, the input to its last line, the output.
2. The input is compared with the journal as by a run; see `journal_comparison`.
3. An estimate states its assumptions. Input tokens follow from the length of the prompts; output tokens per answer are assumed.
4. A cost is estimated if the price is known. On a ladder it is the cost of the first model for every call; for each further model
   it is what the calls would cost if all of them moved up to it.
"""

from __future__ import annotations

import os
from typing import Any

import attrs

from .._core.accounting import Price
from .._core.usage import TokenUsage
from ..abc import LLMCallStrategy
from ..files import BadLine
from ..files.output import OutputState, check_output
from ..files.types import STREAM
from ..llm_strategies.prices import known_price
from .journal_comparison import JournalState, comparing_with_journal
from .model_of_input import with_model
from .options import RunOptions
from .options_data import absolute
from .setup import check_files, open_checked_input, strategy_of, system_of

CHARACTERS_PER_TOKEN = 4
"""Characters of a prompt per token: the usual mean for English text."""
OUTPUT_TOKENS = 200
"""Output tokens per answer: an assumption, as nothing is known before the first answer."""


@attrs.frozen(kw_only=True)
class PlannedModel:
    """A model that may be called."""

    name: str
    """Name of the model; of a model without one, its quota."""
    quota: str
    """Name of the lane."""
    server: str | None
    """Where it is called, without credentials; None: unknown, or it is simulated."""
    price: Price | None
    """None: unknown."""
    cost: float | None
    """USD if this model made all the calls; None: the price is unknown."""


@attrs.frozen(kw_only=True)
class RunPlan:
    """What a run would do."""

    options: RunOptions
    """Options of the run."""
    source: str
    """Name of the input."""
    kind: str
    """Format of the input, an `InputKind`."""
    prompts: int
    """Valid prompts of the input."""
    bad: tuple[BadLine, ...]
    """The first invalid lines."""
    bad_count: int
    """Invalid lines."""
    notes: tuple[str, ...] = ()
    """Sentences about how the input was read, such as that its records are identified by numbers."""
    example: str | None = None
    """The first prompt as it is sent, of a request in a provider's format as JSON; None: the input has none, or it is not a text."""
    wanted: int
    """Prompts to be answered: those without a result, and those that are run again."""
    calls: int
    """Calls for these: fewer if equal prompts share one."""
    repeats: int
    """Prompts among these that are the same as another, whether they share its call or not."""
    models: tuple[PlannedModel, ...]
    """The models, in the order in which they are called."""
    usage: TokenUsage
    """Tokens, estimated."""
    system_characters: int
    """Characters of the system instruction."""
    output: str
    """Absolute path of the output, or `stdout`."""
    output_state: OutputState
    """What happens to the output."""
    journal: str | None
    """Absolute path of the journal; None: the run has none."""
    journal_state: JournalState | None
    """What the existing journal means for the run; None: it does not exist yet."""

    @property
    def is_refused(self) -> bool:
        """Whether a run would be refused because of the journal."""
        return self.journal_state is not None and self.journal_state.is_refused

    @property
    def cost(self) -> float | None:
        """USD, estimated, if the first model answers everything; None: its price is unknown."""
        return self.models[0].cost


def plan(options: RunOptions) -> RunPlan:
    """Return what a run would do. Blocks; calls nothing and writes nothing.

    Raises:
        ConfigurationError: The run cannot start: an option, a model, the input or the output is wrong.
        JournalError: The journal cannot be read.
    """
    options = with_model(options)
    check_files(options)
    strategy = strategy_of(options)
    system = 0 if options.system is None else len(system_of(options.system))
    journal = absolute(options.journal_file)
    with (
        comparing_with_journal(options, strategy, journal) as comparison,
        open_checked_input(options, strategy, visit=comparison.visit) as source,
    ):
        calls, characters = comparison.calls()
        repeats = comparison.wanted - len(comparison)
        usage = _usage(calls, characters, system, cached=options.cache)
        state = comparison.state()
        return RunPlan(
            options=options,
            source=source.name,
            kind=str(source.kind),
            prompts=len(source),
            bad=source.bad,
            bad_count=source.bad_count,
            notes=source.notes,
            example=comparison.example,
            wanted=comparison.wanted,
            calls=calls,
            repeats=repeats,
            models=tuple(_planned(step, usage) for step in (strategy.ladder.steps if strategy.ladder else (strategy,))),
            usage=usage,
            system_characters=system,
            output="stdout" if options.output == STREAM else str(absolute(options.output)),
            output_state=_output_state(options, source.identity, state),
            journal=journal,
            journal_state=state,
        )


def _output_state(options: RunOptions, source: os.stat_result, state: JournalState | None) -> OutputState:
    written = None if state is None else state.written
    is_resumed = written is not None and written.is_own(options.output)
    return check_output(options.output, keep={"the input": source}, overwrite=options.overwrite, is_resumed=is_resumed)


def _planned(strategy: LLMCallStrategy[Any], usage: TokenUsage) -> PlannedModel:
    price = known_price(strategy)
    cost = None if price is None else attrs.evolve(price, tiers=()).of(usage)  # the usage is a sum over calls
    return PlannedModel(
        name=strategy.model or strategy.quota, quota=strategy.quota, server=strategy.server, price=price, cost=cost
    )


def _usage(calls: int, characters: int, system: int, *, cached: bool) -> TokenUsage:
    shared = calls * system // CHARACTERS_PER_TOKEN
    return TokenUsage(
        input_tokens=-(-characters // CHARACTERS_PER_TOKEN) + shared,
        output_tokens=calls * OUTPUT_TOKENS,
        cached_input_tokens=shared if cached else 0,
    )
