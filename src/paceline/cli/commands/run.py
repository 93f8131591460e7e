"""The command `run`: a run from file to file in the foreground."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ..._core.exceptions import ConfigurationError
from ..._core.shards import AUTO, tasks_of_job
from ...abc import BaseObserver
from ...files.lines import is_terminal
from ...files.types import STREAM
from ...progress.display import Display, Lines, Progress, can_draw
from ...progress.panel import PacePanel
from ...progress.steps import PaceSteps
from ...runs.dry_run import plan
from ...runs.file_run import run as run_file
from ...runs.options import RunOptions
from ..console import print_json, print_message, print_output
from ..exit_codes import OK, USAGE
from ..foreground import Foreground
from ..options import ResumeArguments, RunArguments
from ..plan_text import plan_data, render_plan
from ..report_text import print_report


def run(options: RunOptions, arguments: RunArguments | ResumeArguments) -> int:
    """Start a run, or print its plan; return the exit code.

    Raises:
        ConfigurationError: The run cannot start; nothing was called.
        JournalError: The journal cannot be used; nothing was called.
    """
    if isinstance(arguments, RunArguments):
        _print_notes_on_shards(options, arguments)
    if is_terminal(options.input):
        print_message("reading from the terminal; end with Ctrl-D")
    if arguments.dry_run:
        return _print_plan(options, as_json=arguments.json)
    steps = PaceSteps()
    progress = progress_of(options, steps, quiet=arguments.quiet)
    with (
        observing(steps, quiet=arguments.quiet, otel=arguments.otel) as observers,
        Foreground(progress, verbose=arguments.verbose) as foreground,
    ):
        report = run_file(
            options,
            on_progress=foreground.on_progress,
            progress_period=progress.period,
            on_message=foreground.on_message,
            observers=observers,
            control=foreground.control,
        )
    code = print_report(report, as_json=arguments.json, signal=foreground.signal)
    is_selected = isinstance(arguments, RunArguments) and (options.sample or options.limit)
    if is_selected and report.journal is not None and not report.unfinished:
        selection = f"--sample {options.sample}" if options.sample else f"--limit {options.limit}"
        print_message(f"the same command without {selection} keeps these results and runs the rest")
    return code


def _print_notes_on_shards(options: RunOptions, arguments: RunArguments) -> None:
    """Say what may surprise about this process' share of the input."""
    if options.shard is None:
        with suppress(ConfigurationError):  # variables of a scheduler concern this run only if it is asked to read them
            for task in tasks_of_job(os.environ):
                if task.count != 1:
                    print_message(
                        f"this is task {task.index} of {task.scheduler} ({task.variables}), and it runs all rows of the input, as each task "
                        f"does; --shard auto{'' if task.count else '/COUNT'} gives it its part"
                    )
        return
    if arguments.shard is not None and arguments.shard.strip().lower().startswith(AUTO):
        print_message(f"shard {options.shard}, by {', '.join(task.variables for task in tasks_of_job(os.environ))}")
    if options.max_cost or options.max_total_tokens is not None:
        print_message(f"the budget is that of shard {options.shard} alone; each shard has its own")


def _print_plan(options: RunOptions, *, as_json: bool) -> int:
    planned = plan(options)
    if as_json:
        print_json(plan_data(planned))
    else:
        print_output(render_plan(planned))
    return USAGE if planned.is_refused else OK


@contextmanager
def observing(steps: PaceSteps, *, quiet: bool, otel: bool) -> Iterator[Sequence[BaseObserver]]:
    """Yield the observers of a run: the steps of its pace if they are shown, and telemetry if it is asked for.

    Raises:
        ConfigurationError: The packages for telemetry are not installed.
    """
    shown = [] if quiet else [steps]
    if not otel:
        yield shown
        return
    from ...telemetry.export import exporting  # noqa: PLC0415 - its packages are optional

    with exporting() as telemetry:
        yield [*shown, telemetry]


def progress_of(options: RunOptions, steps: PaceSteps, *, quiet: bool) -> Progress:
    """Return the display of a run: none if quiet, a live one on a terminal, otherwise lines."""
    if quiet:
        return Progress()
    return (
        Display(PacePanel(steps, max_workers="your --max-workers"))
        if can_draw(stdout_is_used=options.output == STREAM)
        else Lines(steps=steps, max_workers="your --max-workers")
    )
