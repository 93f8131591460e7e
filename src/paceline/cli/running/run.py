"""The command `run`: a batch from a file to a file.

1. All that can be known to be wrong is found before the first call: the options, the model, the input, the output.
2. With a journal, which there is unless rows go to stdout, nothing is lost: see `journalled`. Without one every prompt of the
   input has one row in the output, also when the batch was interrupted, written as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import attrs

from ..._codec import encode_row
from ..._core.outcome import WorkItemResult
from ...abc import LLMCallStrategy
from ..answering import answer, answer_json
from ..asking.models import strategy_of
from ..asking.options import RunOptions
from ..codes import OK, USAGE
from ..planning.plan import plan_of
from ..planning.plan_text import as_data, told
from ..reading.inputs import opened
from ..rows.forms import Form, encode
from ..rows.writing import Output, open_output
from ..telling import tell
from .carrying import carry_out
from .conduct import Ending
from .ended import Ended
from .items import Items
from .journalled import run_on_journal
from .report import report

_AT_ONCE = 256  # rows that are written with one call


def run(options: RunOptions) -> int:
    """Run a batch; return the exit code.

    Raises:
        ConfigurationError: it cannot be run; nothing was called.
        JournalError: the journal cannot be used; nothing was called.
    """
    if options.dry_run:
        return _tell_plan(options)
    strategy = strategy_of(options)
    path = options.journal_file
    ended = _run_once(options, strategy) if path is None else run_on_journal(options, strategy, path)
    return report(ended, options)


def _run_once(options: RunOptions, strategy: LLMCallStrategy[Any]) -> Ended:
    """Run a batch that cannot be gone on with."""
    with (
        opened(options, strategy) as source,
        open_output(options.output, source=source.identity, overwrite=options.overwrite) as output,
    ):
        for complaint in source.complaints():
            tell(f"passed over: {complaint}")
        keep = partial(_write, output, Form(options.form))
        ending = carry_out(options, Items(source, strategy), total=len(source), keep=keep)
        return Ended(ending=_settled(ending, output), saved=output.saved, bad_count=source.bad_count)


def _tell_plan(options: RunOptions) -> int:
    plan = plan_of(options)
    if options.json:
        answer_json(as_data(plan))
    else:
        answer(told(plan))
    return USAGE if plan.is_refused else OK


def _write(output: Output, form: Form, results: Sequence[WorkItemResult[Any]]) -> None:
    row = encode_row if form is Form.OWN else partial(encode, form)
    for start in range(0, len(results), _AT_ONCE):
        output.write(b"".join(map(row, results[start : start + _AT_ONCE])))


def _settled(ending: Ending, output: Output) -> Ending:
    if ending.failure is None:
        try:
            output.settle()
        except OSError as error:
            return attrs.evolve(ending, failure=error)
    return ending
