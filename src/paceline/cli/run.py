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
from .._engine.processor import ParallelBatchProcessor
from .codes import OK
from .conduct import Ending, conduct
from .descriptors import workers_within
from .gauge import Gauge
from .inputs import opened
from .items import Items
from .logs import shown_logs
from .models import strategy_of
from .options import STREAM, RunOptions
from .panel import PacePanel
from .plan import plan_of
from .plan_text import as_data, told
from .progress import Display, Lines, Progress, is_live
from .reasons import Reasons
from .report import conclude, report
from .summary import print_json, summary_of
from .telling import tell
from .writing import Output, open_output

_PERIOD = 10.0  # seconds between two lines of progress
_AT_ONCE = 256  # rows that are written with one call


def run(options: RunOptions) -> int:
    """Run a batch; return the exit code.

    Raises:
        ConfigurationError: it cannot be run; nothing was called.
    """
    if options.dry_run:
        return _tell_plan(options)
    strategy = strategy_of(options)
    with (
        opened(options, strategy) as source,
        open_output(options.output, source=source.identity, overwrite=options.overwrite) as output,
    ):
        config = _affordable(options, len(source))
        reasons = Reasons()
        with _progress(options, reasons) as progress, shown_logs(progress.say, verbose=options.verbose):
            ending = anyio.run(
                partial(
                    conduct,
                    Items(source, strategy),
                    Gauge(len(source), config.max_workers),
                    processor=ParallelBatchProcessor[Any](config, observers=() if options.quiet else [reasons]),
                    keep=partial(_write, output),
                    progress=progress,
                ),
                backend="trio",
            )
        ending = _settled(ending, output)
        file = None if options.output == STREAM else options.output
        if not options.json:
            return report(ending, output=file, saved=output.saved)
        code = conclude(ending, output=file, saved=output.saved)
        print_json(summary_of(ending, options, saved=output.saved, code=code), stdout_is_used=file is None)
        return code


def _tell_plan(options: RunOptions) -> int:
    plan = plan_of(options)
    if options.json:
        print_json(as_data(plan), stdout_is_used=False)
    else:
        print(told(plan), flush=True)
    return OK


def _affordable(options: RunOptions, items: int) -> ProcessorConfig:
    """Return the settings of the processor, with no more workers than there are file descriptors for."""
    wanted = min(options.max_workers, items)
    workers = workers_within(wanted, models=len(options.models), say=tell)
    config = options.processor
    if workers < wanted:
        config.max_workers = workers
    return config


def _progress(options: RunOptions, reasons: Reasons) -> Progress:
    if options.quiet:
        return Progress()
    return Display(PacePanel(reasons)) if is_live(stdout_is_used=options.output == STREAM) else Lines(_PERIOD, reasons)


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
