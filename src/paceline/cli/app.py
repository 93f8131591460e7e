"""What may be written on the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import attrs
from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError
from cyclopts.validators import Number

from .._core.config import ProcessorConfig
from .._core.exceptions import ConfigurationError
from . import demo as _demo
from . import run as _run
from .codes import OK
from .reading import Kind

_STDIO = "\0"  # stands for -, which cyclopts takes for an option; no argument of a process can hold it
_ABOVE_0 = Number(gt=0)
_AT_LEAST_1 = Number(gte=1)
_FLAG = Parameter(negative="", show_default=False)

_EXAMPLES = """Examples:
  paceline demo
  paceline run prompts.txt -o results.jsonl --model sim:rate=50
  paceline run prompts.jsonl -o results.jsonl --model gemini-2.5-flash"""
_CODES = """Exit codes:
  0 all done     1 some items failed     2 usage, input or output
  3 results could not be saved     130 interrupted     143 terminated"""

app = App(
    name="paceline",
    help="Run large batches of LLM calls at the provider's own pace. Nothing to tune.",
    version=lambda: metadata.version("paceline"),
    help_epilogue=f"{_EXAMPLES}\n\n{_CODES}",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)


class UsageError(ConfigurationError):
    """The command line is wrong."""


def start(arguments: Sequence[str]) -> int:
    """Do what the arguments say; return the exit code.

    Raises:
        PacelineError: it cannot be done, for a reason that the user can mend.
    """
    tokens = [_STDIO if argument == "-" else argument for argument in arguments]
    try:
        code = app(tokens, exit_on_error=False, print_error=False)
    except UnusedCliTokensError as error:
        left = " ".join(error.unused_tokens or ()).replace(_STDIO, "-")
        raise UsageError(f"too many arguments: {left}; see paceline --help") from None
    except CycloptsError as error:
        sentence = " ".join(str(error).replace(_STDIO, "-").split())
        raise UsageError(f"{sentence.rstrip('.')}; see paceline --help") from None
    return code if isinstance(code, int) else OK


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class RunOptions:
    """The options of `run`."""

    model: Annotated[str, Parameter(alias="-m")]
    """gemini-2.5-flash, gpt-5-mini, claude-haiku-4-5, openai:NAME@http://HOST/v1, or sim[:rate=50,...]."""
    output: Annotated[str, Parameter(alias="-o")]
    """Where the rows go, a JSON object a line; - for stdout."""
    max_workers: Annotated[int, Parameter(validator=_AT_LEAST_1)] = 1_000
    """Calls in flight at most: a ceiling, not a setting."""
    timeout: Annotated[float, Parameter(validator=_ABOVE_0)] = 120.0
    """Seconds for one call."""
    deadline: Annotated[float, Parameter(validator=_ABOVE_0, show_default=False)] = math.inf
    """Seconds for the batch; what is left then is pending."""
    limit: Annotated[int | None, Parameter(validator=_AT_LEAST_1)] = None
    """Only the first so many prompts."""
    format: Annotated[Kind | None, Parameter(show_choices=False)] = None
    """jsonl, text, openai, gemini, anthropic, csv or parquet, where the input does not say."""
    prompt: Annotated[str | None, Parameter(show_default=False)] = None
    """Of CSV and Parquet: what is asked, with columns in braces, such as 'Summarise {text}'."""
    overwrite: Annotated[bool, _FLAG] = False
    """Replace what the output holds."""
    quiet: Annotated[bool, _FLAG, Parameter(alias="-q")] = False
    """No progress, only the summary."""
    verbose: Annotated[bool, _FLAG, Parameter(alias="-v")] = False
    """The whole log, with tracebacks."""


@app.command(sort_key=1, help_epilogue=_CODES)
def run(source: Annotated[str, Parameter(name="INPUT", show_default=False)], /, options: RunOptions) -> int:  # noqa: D417 - the options say it themselves
    """Answer every prompt of a file.

    Args:
        source: JSONL of {"id", "prompt", "context"?}, lines of a batch API, CSV, Parquet, or text; - for stdin.
    """
    return _run.run(
        _run.Job(
            source=_given(source),
            output=_given(options.output),
            model=_given(options.model),
            config=ProcessorConfig(
                max_workers=options.max_workers, timeout_per_item=options.timeout, deadline=options.deadline
            ),
            kind=options.format,
            template=None if options.prompt is None else _given(options.prompt),
            limit=options.limit,
            overwrite=options.overwrite,
            quiet=options.quiet,
            verbose=options.verbose,
        )
    )


@app.command(sort_key=0, help_epilogue="")
def demo(
    *,
    items: Annotated[int | None, Parameter(validator=_AT_LEAST_1)] = None,
    model: str | None = None,
    seed: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
) -> int:
    """Watch a batch find a simulated provider's pace, and find it again when the limit changes (half a minute).

    Args:
        items: how many prompts: docstrings of Python's own.
        model: sim:rate=30,latency=1.5,... : what the provider is like, instead of one whose limit changes.
        seed: of its chance.
    """
    return _demo.demo(items=items, model=None if model is None else _given(model), seed=seed)


def _given(text: str) -> str:
    return "-" if text == _STDIO else text
