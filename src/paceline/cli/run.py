"""The command `run`: a batch from a file to a file.

1. All that can be known to be wrong is found before the first call: the options, the model, the input, the output.
2. Every prompt of the input has one row in the output, in the order in which they were settled; also when the batch was
   interrupted. It is written as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import attrs

from .._codec import encode_row
from .._core.config import ProcessorConfig
from .._core.outcome import WorkItemResult
from .._core.request import Request
from .._engine.processor import ParallelBatchProcessor
from ..abc import LLMCallStrategy
from .conduct import Ending, conduct
from .gauge import Gauge
from .items import Items
from .logs import shown_logs
from .models import strategy_of
from .panel import PacePanel
from .progress import Display, Lines, Progress, is_live
from .reading import Kind, Prompt, open_input
from .reasons import Reasons
from .report import report
from .writing import Output, open_output

_PERIOD = 10.0  # seconds between two lines of progress
_AT_ONCE = 256  # rows that are written with one call


@attrs.frozen(kw_only=True)
class Job:
    """What `paceline run` was asked to do."""

    source: str
    """Path of the input, or -."""
    output: str
    """Path of the output, or -."""
    model: str
    config: ProcessorConfig
    kind: Kind | None
    template: str | None
    limit: int | None
    overwrite: bool
    quiet: bool
    verbose: bool


def run(job: Job) -> int:
    """Run a batch; return the exit code.

    Raises:
        ConfigurationError: it cannot be run; nothing was called.
    """
    strategy = strategy_of(job.model)
    with (
        open_input(
            job.source,
            kind=job.kind,
            template=job.template,
            limit=job.limit,
            strict=True,
            objection=partial(_objection, strategy),
        ) as source,
        open_output(job.output, source=source.identity, overwrite=job.overwrite) as output,
    ):
        reasons = Reasons()
        with _progress(job, reasons) as progress, shown_logs(progress.say, verbose=job.verbose):
            ending = anyio.run(
                partial(
                    conduct,
                    Items(source, strategy),
                    Gauge(len(source), job.config.max_workers),
                    processor=ParallelBatchProcessor[Any](job.config, observers=() if job.quiet else [reasons]),
                    keep=partial(_write, output),
                    progress=progress,
                ),
                backend="trio",
            )
        return report(_settled(ending, output), output=None if job.output == "-" else job.output, saved=output.saved)


def _objection(strategy: LLMCallStrategy[Any], prompt: Prompt) -> str | None:
    return strategy.objection(prompt.prompt) if isinstance(prompt.prompt, Request) else None


def _progress(job: Job, reasons: Reasons) -> Progress:
    if job.quiet:
        return Progress()
    return Display(PacePanel(reasons)) if is_live(stdout_is_used=job.output == "-") else Lines(_PERIOD, reasons)


def _write(output: Output, results: Sequence[WorkItemResult[Any]]) -> None:
    for start in range(0, len(results), _AT_ONCE):
        output.write(b"".join(map(encode_row, results[start : start + _AT_ONCE])))


def _settled(ending: Ending, output: Output) -> Ending:
    if ending.failure is None:
        try:
            output.settle()
        except OSError as error:
            return attrs.evolve(ending, failure=error)
    return ending
