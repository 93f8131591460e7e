"""A batch is carried out on trio, with what the user sees meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import anyio

from ..._core.config import ProcessorConfig
from ..._engine.processor import ParallelBatchProcessor
from ...abc import Journal
from ...work import LLMWorkItem
from ..asking.descriptors import workers_within
from ..asking.options import STREAM, RunOptions
from ..showing.gauge import Gauge
from ..showing.logs import shown_logs
from ..showing.panel import PacePanel
from ..showing.progress import Display, Lines, Progress, is_live
from ..showing.reasons import Reasons
from ..telling import tell
from .conduct import Ending, Keep, conduct

_PERIOD = 10.0  # seconds between two lines of progress


def carry_out(  # noqa: PLR0913 - all that a run is made of
    options: RunOptions,
    items: Iterable[LLMWorkItem[Any]],
    *,
    total: int,
    keep: Keep,
    before: int = 0,
    journal: Journal | None = None,
) -> Ending:
    """Have items answered; return how it ended.

    Args:
        options: of the run.
        items: to be answered, with unique ids.
        total: of the batch, those that were done before among them.
        keep: takes the results.
        before: items that were done before.
        journal: keeps the results first.
    """
    config = _affordable(options, total - before)
    reasons = Reasons()
    processor = ParallelBatchProcessor[Any](config, observers=() if options.quiet else [reasons], journal=journal)
    with _progress(options, reasons) as progress, shown_logs(progress.say, verbose=options.verbose):
        gauge = Gauge(total, config.max_workers, before)
        return anyio.run(
            partial(conduct, items, gauge, processor=processor, keep=keep, progress=progress), backend="trio"
        )


def _affordable(options: RunOptions, items: int) -> ProcessorConfig:
    """Return the settings of the processor, with no more workers than there are file descriptors for."""
    wanted = max(1, min(options.max_workers, items))
    workers = workers_within(wanted, models=len(options.models), say=tell)
    config = options.processor
    if workers < wanted:
        config.max_workers = workers
    return config


def _progress(options: RunOptions, reasons: Reasons) -> Progress:
    if options.quiet:
        return Progress()
    return Display(PacePanel(reasons)) if is_live(stdout_is_used=options.output == STREAM) else Lines(_PERIOD, reasons)
