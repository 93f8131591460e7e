"""What may be written on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import attrs
from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError
from cyclopts.validators import Number

from .._core.exceptions import ConfigurationError
from ..runs.option_values import OptionError
from ..runs.options import RunOptions
from .commands import demo as _demo
from .commands import failed as _failed
from .commands import results as _results
from .commands import resume as _resume
from .commands import run as _run
from .commands import status as _status
from .config_file import apply_settings
from .console import OK, answer
from .options import FailedArguments, FilePath, ResultsArguments, ResumeArguments, RunArguments, record_of, to_whole

_STDIO = "\0"  # stands for -, which cyclopts takes for an option; no argument of a process can hold it
_AT_LEAST_1 = Number(gte=1)
_Input: TypeAlias = Annotated[FilePath, Parameter(name="INPUT", show_default=False)]
_Journal: TypeAlias = Annotated[FilePath, Parameter(name="JOURNAL", show_default=False)]
Options = TypeVar("Options", bound=attrs.AttrsInstance)

_EXAMPLES = """Examples:
  paceline demo
  paceline run prompts.jsonl -o results.jsonl --model gemini-2.5-flash
  paceline resume results.jsonl"""
_CODES = """Exit codes:
  0 all done     1 some items failed     2 usage, input or output
  3 results could not be saved     130 interrupted     143 terminated"""

app = App(
    name="paceline",
    help="Run large batches of LLM calls at the provider's own pace. Nothing to tune.",
    version=lambda: metadata.version("paceline"),
    help_epilogue=f"{_EXAMPLES}\n\n{_CODES}",
    help_format="plaintext",
    config=apply_settings,
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
        if isinstance(error.__cause__, OptionError):
            raise error.__cause__ from None
        sentence = " ".join(str(error).replace(_STDIO, "-").split())
        raise UsageError(f"{sentence.rstrip('.')}; see paceline --help") from None
    return code if isinstance(code, int) else OK


@app.command(sort_key=1, help_epilogue=_CODES)
def run(input: _Input, /, options: RunArguments | None = None) -> int:  # noqa: A002, D417 - the options say it themselves
    """Answer every prompt of a file.

    Args:
        input: JSONL of {"id", "prompt", "context"?}, lines of a batch API, CSV, Parquet, or text; - for stdin.
    """
    arguments = _as_given(options or RunArguments())
    return _run.run(record_of(RunOptions, arguments, input=_given(input)), arguments)


@app.command(sort_key=2, help_epilogue="")
def status(
    journal: _Journal,
    /,
    *,
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    pace: Annotated[
        int, Parameter(metavar="N", converter=to_whole, n_tokens=1, validator=Number(gte=0))
    ] = _status.SHOWN_CHANGES,
) -> int:
    """Tell how far a batch is, also while it runs.

    Args:
        journal: the journal, or the output beside which it lies.
        json: All of it as one JSON object.
        pace: How many of the latest changes of the pace are told.
    """
    return _status.status(_given(journal), as_json=json, pace=pace)


@app.command(sort_key=3, help_epilogue="")
def results(journal: _Journal, /, options: ResultsArguments) -> int:  # noqa: D417 - the options say it themselves
    """Make the output anew from a journal.

    Args:
        journal: the journal, or the output beside which it lies.
    """
    return _results.results(_given(journal), _as_given(options))


@app.command(sort_key=4, help_epilogue="")
def failed(journal: _Journal, /, options: FailedArguments) -> int:  # noqa: D417 - the options say it themselves
    """Make a new input of what failed.

    Args:
        journal: the journal, or the output beside which it lies.
    """
    return _failed.failed(_given(journal), _as_given(options))


@app.command(sort_key=5, help_epilogue=_CODES)
def resume(journal: _Journal, /, options: ResumeArguments | None = None) -> int:  # noqa: D417 - the options say it themselves
    """Go on with a batch where it ended.

    Args:
        journal: the journal, or the output beside which it lies.
    """
    return _resume.resume(_given(journal), _as_given(options or ResumeArguments()))


@app.command(sort_key=0, help_epilogue="")
def demo(
    *,
    items: Annotated[int | None, Parameter(converter=to_whole, n_tokens=1, validator=_AT_LEAST_1)] = None,
    model: str | None = None,
    seed: Annotated[int | None, Parameter(converter=to_whole, n_tokens=1, validator=Number(gte=0))] = None,
) -> int:
    """Watch a batch find a simulated provider's pace.

    It takes half a minute; the limit changes, and the pace is found again.

    Args:
        items: how many prompts: docstrings of Python's own.
        model: sim:rate=30,latency=1.5,... : what the provider is like, instead of one whose limit changes.
        seed: of its chance.
    """
    return _demo.demo(items=items, model=None if model is None else _given(model), seed=seed)


@app.command(sort_key=9, help_epilogue="")
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a script that completes commands and options.

    Args:
        shell: bash, zsh or fish.
    """
    answer(app.generate_completion(shell=shell).rstrip("\n"))
    return OK


def _given(value: Any) -> Any:
    return "-" if value == _STDIO else value


def _as_given(options: Options) -> Options:
    return type(options)(**{name: _given(value) for name, value in attrs.asdict(options, recurse=False).items()})
