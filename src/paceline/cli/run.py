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
from .._core.outcome import WorkItemResult
from .._engine.processor import ParallelBatchProcessor
from .conduct import Ending, conduct
from .logs import shown_logs
from .models import strategy_of
from .options import RunOptions
from .panel import PacePanel
from .progress import Display, Lines, Progress, is_live
from .reading import open_input
from .reasons import Reasons
from .report import report
from .writing import Output, open_output

_PERIOD = 10.0  # seconds between two lines of progress
_AT_ONCE = 256  # rows that are written with one call


def run(options: RunOptions) -> int:
    """Run a batch; return the exit code.

    Raises:
        ConfigurationError: it cannot be run; nothing was called.
    """
    strategy = strategy_of(options)
    with (
        open_input(options.source, kind=options.format, limit=options.limit) as source,
        open_output(options.output, source=source.identity, overwrite=options.overwrite) as output,
    ):
        reasons = Reasons()
        with _progress(options, reasons) as progress, shown_logs(progress.say, verbose=options.verbose):
            ending = anyio.run(
                partial(
                    conduct,
                    source,
                    strategy,
                    processor=ParallelBatchProcessor[Any](
                        options.processor, observers=() if options.quiet else [reasons]
                    ),
                    keep=partial(_write, output),
                    progress=progress,
                ),
                backend="trio",
            )
        return report(
            _settled(ending, output), output=None if options.output == "-" else options.output, saved=output.saved
        )


def _progress(options: RunOptions, reasons: Reasons) -> Progress:
    if options.quiet:
        return Progress()
    return Display(PacePanel(reasons)) if is_live(stdout_is_used=options.output == "-") else Lines(_PERIOD, reasons)


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
