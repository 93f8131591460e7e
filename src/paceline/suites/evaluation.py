"""Evaluate: asks a model the questions of a suite, scores its answers, and sums up.

    result = run(suite, paceline.model("gemini-2.5-flash"), folder="gsm8k-flash")
    print(f"{result.accuracy:.1%}", result.interval)

1. With a folder each answer is in its journal before it is scored. A suite that was stopped or killed goes on from there: no answer is
   paid for twice, and all are scored again, so that the scores are those of a suite that was never stopped.
2. What a scorer needs of this machine is checked before the first call.
3. An exception is raised as it is, not in the group of the tasks in which it happened.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from anyio import CancelScope, create_task_group, current_time, sleep, to_thread

from .._core.budget import Budget
from .._core.config import ProcessorConfig
from .._core.exceptions import ConfigurationError, PacelineError
from ..abc import LLMCallStrategy
from ..journal import SqliteJournal
from ..pool import Pool, open_pool
from ..prompts import run_blocking
from ..runs.progress import ProgressMeter
from ..runs.runner import Callbacks, RunHooks
from .graded import ModelGraded
from .results import JOURNAL, SuiteResult
from .suite import CheckedScorer, Suite, check_items
from .suite_run import SuiteRun

Strategies = LLMCallStrategy[Any] | Callable[[int], LLMCallStrategy[Any]]
"""A strategy, or a function of the number of a sample, from 0: for a seed of its own."""


async def evaluate(  # noqa: PLR0913 - all but two have good defaults
    suite: Suite,
    strategy: Strategies,
    *,
    samples: int = 1,
    limit: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    config: ProcessorConfig | None = None,
    **hooks: Unpack[RunHooks],
) -> SuiteResult:
    """Run a suite; return what it came to.

    Cancelling it cancels the calls in flight; with a folder, answers so far are kept, and the same call goes on from there.

    Args:
        suite: The questions and their scorer.
        strategy: Answers them.
        samples: Samples of each item, 1 or more.
        limit: Items to take from the start of the suite; None: all.
        folder: Where to keep the journal, the transcript and the summary; it is created. None: nothing is kept.
        config: Settings of the pool, such as a budget for all its calls, graders' and earlier runs' included; None: the defaults.
        hooks: Callbacks and control, see `paceline.runs.RunHooks`.

    Raises:
        ConfigurationError: An argument is out of its bounds, the suite or its data cannot be used, or a price that the budget needs is not
            known. Nothing was called.
        JournalError: The folder's journal cannot be used; an UnsavedError has the answers that it could not store.
        OSError: The transcript cannot be written; the journal has the answers so far.
    """
    if samples < 1 or (limit is not None and limit < 1):
        raise ConfigurationError("samples and limit of a suite must be 1 or more")
    if isinstance(strategy, LLMCallStrategy):
        strategy = partial(_same, strategy)
    if isinstance(suite.score, CheckedScorer):
        await to_thread.run_sync(suite.score.check)
    callbacks = Callbacks(**hooks)
    config = ProcessorConfig() if config is None else config
    total = samples * await to_thread.run_sync(check_items, suite, limit)
    await _require_prices(config.budget, strategy, suite)
    journal = None
    if folder is not None:
        await to_thread.run_sync(_make_folder, Path(folder))
        journal = SqliteJournal(Path(folder, JOURNAL), dedupe=False)
        journal.extent = total, 0
    failure: Exception | None = None
    async with open_pool(config, journal=journal, observers=callbacks.observers) as pool:
        run = SuiteRun(suite, strategy, samples, limit, pool, None if folder is None else Path(folder))
        shown = _Shown(pool, ProgressMeter(total, config.max_workers), callbacks)
        with callbacks.control.attached() as requested:
            async with create_task_group() as beside:
                beside.start_soon(shown.obey, requested, run.scope)
                beside.start_soon(shown.report_progress)
                try:
                    await run.execute()
                except Exception as error:  # noqa: BLE001 - it is raised as it is, not in the group of the tasks
                    failure = _cause_of(error)
                beside.cancel_scope.cancel()
        if failure is not None:
            raise failure
        shown.report(is_finished=True)
    return await to_thread.run_sync(run.finish)


def run(suite: Suite, strategy: Strategies, **options: Any) -> SuiteResult:
    """Run a suite from code that is not async: `evaluate`, on trio. KeyboardInterrupt cancels the calls in flight."""
    return run_blocking(partial(evaluate, suite, strategy, **options))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder}: is not a folder that can be written to: {error.strerror}") from None


async def _require_prices(budget: Budget | None, strategy: Callable[[int], LLMCallStrategy[Any]], suite: Suite) -> None:
    """Raise ConfigurationError if a budget in USD cannot be kept, as a model has no price."""
    if budget is None or not budget.has_usd:
        return
    from ..llm_strategies.prices import require_prices  # noqa: PLC0415 - only where it is needed

    await require_prices(budget, strategy(0))
    if isinstance(suite.score, ModelGraded):
        await require_prices(budget, suite.score.strategy)


def _cause_of(error: Exception) -> Exception:
    """Return what a group of exceptions is about: the first that paceline raises, else the first."""
    while isinstance(error, ExceptionGroup):
        own, _ = error.split(PacelineError)
        error = (own or error).exceptions[0]
    return error


def _same(strategy: LLMCallStrategy[Any], _: int) -> LLMCallStrategy[Any]:
    return strategy


class _Shown:
    """Shows a suite that runs, and stops it."""

    def __init__(self, pool: Pool, meter: ProgressMeter, callbacks: Callbacks) -> None:
        self._pool, self._meter, self._callbacks = pool, meter, callbacks

    async def obey(self, requested: Callable[[], Awaitable[None]], scope: CancelScope) -> None:
        """Carry out what the control requests, until it cancels."""
        control = self._callbacks.control
        while not control.is_cancelled:
            await requested()
            self._pool.drain(control.reason)
            self.report()
        scope.cancel()

    async def report_progress(self) -> None:
        """Hand over the figures periodically."""
        while True:
            self.report()
            await sleep(self._callbacks.progress_period)

    def report(self, *, is_finished: bool = False) -> None:
        """Hand over the present figures."""
        is_stopping = self._callbacks.control.is_stopped
        figures = self._meter.read(
            current_time(), self._pool.statistics(), is_stopping=is_stopping, is_finished=is_finished
        )
        self._callbacks.on_progress(figures)
