"""Dry run: what a run would do and what it will take, without a call and without writing anything.

Rules owned here:

1. Everything is checked that a run checks before its first call: the options, the models, the input to its last line, the output.
2. The input is compared with the journal as by a run; see `journal_comparison`.
3. A key that is missing is named, and does not keep the rest from being checked.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs

from .._core.accounting import Price
from .._core.call_bounds import token_bytes_of
from .._core.forecast import DEFAULT_BYTES_PER_TOKEN, StepForecast
from .._core.usage import TokenUsage
from ..abc import LLMCallStrategy
from ..files import BadLine, InputRecord
from ..files.output import OutputState, check_output
from ..files.types import STREAM
from ..llm_strategies.prices import known_price
from .journal_comparison import JournalState, comparing_with_journal
from .model_of_input import with_model
from .options import RunOptions
from .options_data import absolute
from .run_estimate import Estimate, Observations
from .setup import budget_of_run, check_files, open_checked_input, strategy_of, system_of


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
    """USD of its calls, as is most likely; None: the price is unknown."""


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
    estimate: Estimate
    """Tokens, money and time of the calls, each as a range."""
    missing_keys: tuple[str, ...] = ()
    """A sentence for each model that has no key: a run would be refused."""
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
        """Whether a run would be refused, because of the journal or for want of a key."""
        return bool(self.missing_keys) or (self.journal_state is not None and self.journal_state.is_refused)

    @property
    def usage(self) -> TokenUsage:
        """Tokens, as is most likely; with `cache`, those of the system instruction are read from it."""
        sent, made = (round(amount.likely) for amount in (self.estimate.input_tokens, self.estimate.output_tokens))
        shared = round(self.calls * self.system_characters / DEFAULT_BYTES_PER_TOKEN) if self.options.cache else 0
        return TokenUsage(sent, made, cached_input_tokens=min(sent, shared))

    @property
    def cost(self) -> float | None:
        """USD, as is most likely; None: a price is unknown."""
        return None if self.estimate.cost is None else self.estimate.cost.likely


def plan(options: RunOptions) -> RunPlan:
    """Return what a run would do. Blocks; calls nothing and writes nothing.

    Raises:
        ConfigurationError: The run cannot start: an option, a model, the input or the output is wrong.
        JournalError: The journal cannot be read.
    """
    options = with_model(options)
    check_files(options)
    missing: list[str] = []
    strategy = strategy_of(options, on_missing_key=lambda error: missing.append(str(error)))
    if options.is_native:
        strategy.native_batch()  # raises if it is missing
    budget_of_run(options, strategy)
    system = "" if options.system is None else system_of(options.system)
    journal = absolute(options.journal_file)
    with comparing_with_journal(options, strategy, journal) as comparison:
        observations = Observations(comparison.reader)

        def visit(record: InputRecord) -> None:
            comparison.visit(record)
            observations.visit(record)

        with open_checked_input(options, strategy, visit=visit) as source:
            estimate = observations.estimate(
                strategy,
                comparison.calls(),
                prompts=len(source),
                fixed=token_bytes_of(system) + (0 if options.schema is None else Path(options.schema).stat().st_size),
                is_cached=options.cache,
                max_workers=options.max_workers,
            )
            repeats = comparison.wanted - len(comparison)
            state = comparison.state()
            steps = strategy.ladder.steps if strategy.ladder else (strategy,)
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
                calls=estimate.calls,
                repeats=repeats,
                models=tuple(map(_planned, steps, estimate.forecast.steps)),
                estimate=estimate,
                missing_keys=tuple(dict.fromkeys(missing)),
                system_characters=len(system),
                output="stdout" if options.output == STREAM else str(absolute(options.output)),
                output_state=_output_state(options, source.identity, state),
                journal=journal,
                journal_state=state,
            )


def _output_state(options: RunOptions, source: os.stat_result, state: JournalState | None) -> OutputState:
    written = None if state is None else state.written
    is_resumed = written is not None and written.is_own(options.output)
    return check_output(options.output, keep={"the input": source}, overwrite=options.overwrite, is_resumed=is_resumed)


def _planned(strategy: LLMCallStrategy[Any], found: StepForecast) -> PlannedModel:
    return PlannedModel(
        name=found.model,
        quota=strategy.quota,
        server=strategy.server,
        price=known_price(strategy),
        cost=None if found.cost is None else found.cost.likely,
    )
