"""Pilot: `estimate`, what a run will take, after a few real calls if they are wanted.

Rules owned here:

1. A pilot is a run of a few prompts, drawn at random, on the run's own journal and output: the run itself does not pay for them again.
2. It is made only as far as the journal has fewer answers. A larger pilot contains a smaller one, and of what an earlier run has answered no
   more is needed.
3. What can be wrong is found before its first call: also that its calls could not be kept.
"""

from __future__ import annotations

import os
from typing import Unpack

import attrs

from .._core.exceptions import ConfigurationError
from .._core.quantity import quantity
from ..files.types import STREAM
from ..journal.reader import JournalReader
from .dry_run import plan
from .file_run import run
from .option_values import OptionError
from .options import RunOptions
from .run_estimate import Estimate
from .run_report import RunReport
from .runner import RunHooks


def estimate(options: RunOptions, *, pilot: int = 0, **hooks: Unpack[RunHooks]) -> Estimate:
    """Return what a run will take, each figure as a range. Blocks.

        estimate(RunOptions(input="prompts.jsonl", model="gpt-5-mini")).cost        # Range(low=0.71, likely=1.93, high=12.4)

    Args:
        options: Options of the run.
        pilot: Number of prompts that are really called first, drawn at random, which narrows the ranges: 20 are enough. Their results are in
            the run's journal and output, so that the run does not pay for them again. 0: nothing is called, and no key is needed.
        hooks: Callbacks and control of the pilot, see `RunHooks`.

    Raises:
        ConfigurationError: The run cannot start: an option, a model, the input or the output is wrong; or its journal cannot keep a pilot.
        JournalError: The journal cannot be read, or was started with other items.
    """
    if pilot:
        run_pilot(options, pilot, **hooks)
    return plan(options).estimate


def run_pilot(options: RunOptions, pilot: int, **hooks: Unpack[RunHooks]) -> RunReport | None:
    """Make the calls of a pilot; return how it ended, or None if the journal has enough answers.

    Raises:
        ConfigurationError: As of `estimate`; nothing was called, unless the message says that the pilot failed.
        JournalError: The journal cannot be read or written.
    """
    check_pilot(options, pilot)
    if not _needs_calls(options, pilot):
        return None
    report = run(attrs.evolve(options, sample=pilot), **hooks)
    if report.journal is not None and not report.journal.counts.succeeded and not report.is_stopped:
        fault = report.batch.stopped or next(iter(report.batch.faults), None)
        raise ConfigurationError(f"the pilot has no answer to learn from: {fault}")
    return report


def check_pilot(options: RunOptions, pilot: int) -> None:
    """Check that a run can have a pilot.

    Raises:
        ConfigurationError: The number is below 1, the run has no journal, is itself a sample, or its input can be read only once.
    """
    if pilot < 1:
        raise OptionError("pilot", f"must be 1 or more, not {pilot}")
    if options.sample is not None or options.limit is not None:
        given = "sample" if options.sample is not None else "limit"
        raise OptionError("pilot", f"is itself a sample of the input; leave out --{given}")
    if options.input == STREAM:
        raise OptionError("pilot", "reads the input once more than an estimate; write it to a file, and give that")
    if options.journal_file is None:
        raise OptionError(
            "pilot",
            "keeps its calls in a journal, so that they are not paid for again; leave out --no-journal and -o -",
        )


def _needs_calls(options: RunOptions, pilot: int) -> bool:
    """Return whether calls are to be made: not if the journal has the items of a larger pilot, or of the run itself.

    Raises:
        ConfigurationError: The journal has a run that has answered nothing yet, so that nothing can be learned from it.
        JournalError: The journal cannot be read.
    """
    path = options.journal_file
    if path is None or not os.path.exists(path) or not os.path.getsize(path):  # noqa: PTH110, PTH202 - texts
        return True
    with JournalReader(path) as reader:
        counts = reader.counts()
    if counts.total < pilot or (counts.total == pilot and counts.pending):
        return True
    if not counts.settled:
        raise ConfigurationError(
            f"{path}: has a run of {quantity(counts.total, 'item')} without an answer, which a pilot would cut short; resume it, "
            "or give the pilot another --journal"
        )
    return False
