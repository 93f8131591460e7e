"""The program: its verbs, their arguments and help, and the messages of a wrong command line.

The module of a verb is imported when the verb runs, so that help and errors of usage are fast.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import attrs
from cyclopts import (
    App,
    ArgumentCollection,
    CycloptsError,
    Parameter,
)

from .._core.exceptions import ConfigurationError
from ..runs.option_values import MissingOptionError, OptionError
from .console import print_output
from .exit_codes import OK
from .option_types import whole_number
from .options import (
    EstimateArguments,
    FailedArguments,
    FilePath,
    FileRunArguments,
    MergeArguments,
    ReportArguments,
    ResultsArguments,
    ResumeArguments,
    RunArguments,
    SuiteArguments,
    SuiteReportArguments,
    UsageError,
    record_of,
)
from .usage_errors import message_of, with_help

if TYPE_CHECKING:
    from ..runs.options import RunOptions

_STDIO = "\0"  # stands for -, which cyclopts would read as an option; no argument of a process can contain it
_Input: TypeAlias = Annotated[FilePath, Parameter(name="INPUT", show_default=False)]
_Journal: TypeAlias = Annotated[FilePath, Parameter(name="JOURNAL", show_default=False)]
Options = TypeVar("Options", bound=attrs.AttrsInstance)

_EXAMPLES = "Example: paceline run prompts.jsonl --model gemini-2.5-flash"
_CODES = """Exit codes: 0 all items succeeded  1 items failed or pending, or lines skipped
  2 usage, input or output     3 results could not be saved     4 budget used up
  129 hung up     130 interrupted     141 broken pipe     143 terminated"""


def _version() -> str:
    from importlib import metadata  # noqa: PLC0415 - it loads a parser of e-mails

    return metadata.version("paceline")


def _read_config(_: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    if any(argument.name == "--config" and argument.tokens for argument in arguments):
        from .config_file import apply_config  # noqa: PLC0415 - see above

        apply_config(commands[-1], arguments)


app: App = App(
    name="paceline",
    help="Run large batches of LLM calls at the provider's own pace. Nothing to tune.",
    version=_version,
    help_epilogue=_EXAMPLES,
    help_format="plaintext",
    config=_read_config,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)


def start(arguments: Sequence[str]) -> int:
    """Run the verb that the arguments name; return the exit code.

    Raises:
        PacelineError: The verb cannot run; the message says what to change.
    """
    tokens = [_STDIO if argument == "-" else argument for argument in arguments]
    try:
        code = app(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        cause = error.__cause__
        message = str(cause) if isinstance(cause, OptionError) else message_of(error, app).replace(_STDIO, "-")
        raise UsageError(with_help(message, error.command_chain or ())) from None
    except (OptionError, MissingOptionError, UsageError) as error:
        raise UsageError(with_help(str(error), app.parse_commands(tokens)[0])) from None
    return code if isinstance(code, int) else OK


@app.command(sort_key=1, help_epilogue=_CODES)
def run(input: _Input, /, options: RunArguments | None = None) -> int:  # noqa: A002, D417 - options have their own help
    """Run every prompt of a file.

    Args:
        input: Prompts: JSONL of {"id", "prompt", "context"?}, requests of a batch API, CSV, Parquet, or lines of text; - for stdin.
    """
    from .commands import run as verb  # noqa: PLC0415 - see above

    arguments = _restored(options or RunArguments())
    return verb.run(_run_options(input, arguments), arguments)


@app.command(sort_key=1, help_epilogue="")
def estimate(input: _Input, /, options: EstimateArguments | None = None) -> int:  # noqa: A002, D417 - options have their own help
    """Estimate tokens, money and time of a run, each as a range.

    No key is needed; the options are those of the run.

    Args:
        input: Prompts, as for `run`; - for stdin.
    """
    from .commands import estimate as verb  # noqa: PLC0415 - see above

    arguments = _restored(options or EstimateArguments())
    return verb.estimate(_run_options(input, arguments), arguments)


@app.command(sort_key=2, help_epilogue="")
def status(
    journal: _Journal,
    /,
    *,
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    watch: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    pace: Annotated[int, whole_number(0)] = 2,
) -> int:
    """Show the progress of a batch.

    Args:
        journal: Journal of the batch, or the output that it belongs to.
        json: Print the status as one JSON object.
        watch: Follow the run that is under way, in another terminal or on another machine, until it ends.
        pace: Number of recent pace changes to show.
    """
    from .commands import status as verb  # noqa: PLC0415 - see above

    return verb.status(_path(journal), as_json=json, pace=pace, follow=watch)


@app.command(sort_key=6, help_epilogue="")
def report(journal: _Journal, /, options: ReportArguments | None = None) -> int:  # noqa: D417 - options have their own help
    """Show on one page what a batch cost, took and was limited by.

    Args:
        journal: Journal of the batch, or the output that it belongs to.
    """
    from .commands import report as verb  # noqa: PLC0415 - see above

    return verb.report(_path(journal), _restored(options or ReportArguments()))


@app.command(sort_key=7, help_epilogue="")
def explain(
    journal: _Journal,
    /,
    *,
    csv: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> int:
    """Tell why the pace was what it was, decision by decision.

    Args:
        journal: Journal of the batch, or the output that it belongs to.
        csv: Print every change as CSV.
    """
    from .commands import explain as verb  # noqa: PLC0415 - see above

    return verb.explain(_path(journal), as_csv=csv)


@app.command(sort_key=3, help_epilogue="")
def control(
    journal: _Journal,
    /,
    *,
    pause: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    go_on: Annotated[bool, Parameter(name="--continue", negative="", show_default=False)] = False,
    max_workers: Annotated[int | None, whole_number(1)] = None,
    drain: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> int:
    """Change a batch that is running in another process.

    Args:
        journal: Journal of the batch, or the output that it belongs to.
        pause: Start no calls until --continue; those in flight finish.
        go_on: Start calls again.
        max_workers: Change the upper bound on calls in flight.
        drain: Start no more calls, and end the run once those in flight have finished; resume it later.
    """
    from .commands import control as verb  # noqa: PLC0415 - see above

    return verb.control(_path(journal), pause=pause, go_on=go_on, max_workers=max_workers, drain=drain)


@app.command(sort_key=3, help_epilogue="")
def results(journal: _Journal, /, options: ResultsArguments) -> int:  # noqa: D417 - options have their own help
    """Export results from a journal.

    Args:
        journal: Journal of the batch, or the output that it belongs to.
    """
    from .commands import results as verb  # noqa: PLC0415 - see above

    return verb.results(_path(journal), _restored(options))


@app.command(sort_key=3, help_epilogue="")
def merge(  # noqa: D417 - options have their own help
    *journals: Annotated[FilePath, Parameter(name="JOURNAL", show_default=False)], options: MergeArguments
) -> int:
    """Merge the results of all shards, in the order of the input.

    Args:
        journals: Journals of the shards, their outputs, a folder, a pattern, or the output that --shard was given.
    """
    from .commands import merge as verb  # noqa: PLC0415 - see above

    if not journals:
        raise UsageError(
            "JOURNAL is missing: name the journals of the shards, their folder, or the output that --shard was given"
        )
    return verb.merge([_path(journal) for journal in journals], _restored(options))


@app.command(sort_key=4, help_epilogue="")
def failed(journal: _Journal, /, options: FailedArguments) -> int:  # noqa: D417 - options have their own help
    """Export failed prompts as a new input file.

    Args:
        journal: Journal of the batch, or the output that it belongs to.
    """
    from .commands import failed as verb  # noqa: PLC0415 - see above

    return verb.failed(_path(journal), _restored(options))


@app.command(sort_key=5, help_epilogue=_CODES)
def resume(journal: _Journal, /, options: ResumeArguments | None = None) -> int:  # noqa: D417 - options have their own help
    """Resume an interrupted batch.

    The journal has the options of the batch; those given here replace them.

    Args:
        journal: Journal of the batch, or the output that it belongs to.
    """
    from .commands import resume as verb  # noqa: PLC0415 - see above

    return verb.resume(_path(journal), _restored(options or ResumeArguments()))


@app.command(sort_key=0, help_epilogue="")
def demo(
    *,
    items: Annotated[int | None, whole_number(1)] = None,
    model: Annotated[str | None, Parameter(metavar="NAME")] = None,
    seed: Annotated[int | None, whole_number(0)] = None,
) -> int:
    """Watch a batch find the pace of a simulated provider.

    The provider's limit changes during the demo, which takes half a minute and needs no key.

    Args:
        items: Number of prompts, made of docstrings of Python's standard library. [default: 1200, or 600 with --model]
        model: Simulated model, such as sim:rate=30,latency=1.5, in place of the one whose limit changes.
        seed: Seed of the simulated provider. [default: 0]
    """
    from .commands import demo as verb  # noqa: PLC0415 - see above

    return verb.demo(items=items, model=None if model is None else _path(model), seed=seed)


suites: App = App(
    name="suite",
    help="Run benchmark suites, and compare what models came to.",
    sort_key=6,
    help_format="plaintext",
    help_epilogue="",
)
app.command(suites)


@suites.command(name="list", sort_key=1)
def list_suites() -> int:
    """List the suites that have names."""
    from .commands import suite as verb  # noqa: PLC0415 - see above

    return verb.list_suites()


@suites.command(name="run", sort_key=2, help_epilogue=_CODES)
def run_suite(  # noqa: D417 - options have their own help
    suite: Annotated[str, Parameter(name="SUITE", show_default=False)], /, options: SuiteArguments | None = None
) -> int:
    """Run a suite: ask a model its questions, and score the answers.

    Run again, the same command calls and scores what is missing.

    Args:
        suite: Name of the suite, as `suite list` shows it, or a TOML file.
    """
    from ..runs.options import RunOptions  # noqa: PLC0415 - see above
    from .commands import suite as verb  # noqa: PLC0415

    arguments = _restored(options or SuiteArguments())
    if arguments.model is None and not arguments.escalate:
        raise UsageError("--model is missing: name the model that answers")
    return verb.run(suite, record_of(RunOptions, arguments, input=suite, output=f"{suite}.jsonl"), arguments)


@suites.command(sort_key=3)
def compare(
    *folders: Annotated[FilePath, Parameter(name="FOLDER", show_default=False)],
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> int:
    """Compare results of one suite: each with the first.

    Args:
        folders: Folders of two or more results.
        json: Print one JSON object.
    """
    from .commands import suite as verb  # noqa: PLC0415 - see above

    if len(folders) < 2:  # noqa: PLR2004 - a pair
        raise UsageError("FOLDER: name two or more folders of results")
    return verb.compare(folders, as_json=json)


@suites.command(name="report", sort_key=4)
def report_suite(  # noqa: D417 - options have their own help
    *folders: Annotated[FilePath, Parameter(name="FOLDER", show_default=False)],
    options: SuiteReportArguments | None = None,
) -> int:
    """Show on one page what models got right and wrong, what that cost, and whether they differ.

    Args:
        folders: Folders of one or more results of one suite; each is compared with the first.
    """
    from .commands import suite as verb  # noqa: PLC0415 - see above

    if not folders:
        raise UsageError("FOLDER: name the folder of a finished `paceline suite run`")
    return verb.report(folders, _restored(options or SuiteReportArguments()))


@app.command(sort_key=9, help_epilogue="")
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a shell script that completes commands and options.

    Args:
        shell: Shell that runs the script.
    """
    print_output(app.generate_completion(shell=shell).rstrip("\n"))
    return OK


def _path(value: Any) -> Any:
    return "-" if value == _STDIO else value


def _deadline(arguments: FileRunArguments) -> dict[str, float]:
    """Return the deadline that --within stands for."""
    from ..runs.option_values import time_after  # noqa: PLC0415 - see above

    if not isinstance(arguments, RunArguments) or arguments.within is None:
        return {}
    if arguments.by is not None:
        raise UsageError("--by and --within: give one of them")
    try:
        return {"by": time_after(arguments.within)}
    except OptionError as error:
        raise UsageError(str(error)) from None


def _run_options(source: str, arguments: FileRunArguments) -> RunOptions:
    """Return the options of the run that the arguments describe."""
    from ..runs.options import RunOptions  # noqa: PLC0415 - see above

    more: dict[str, Any] = {} if arguments.prompt_file is None else {"prompt": _template(arguments)}
    more |= _deadline(arguments)
    if arguments.shard is not None:
        more["shard"] = _shard(arguments.shard)
    return record_of(RunOptions, arguments, input=_path(source), **more)


def _template(arguments: FileRunArguments) -> str:
    """Return the template of the prompts that --prompt-file names."""
    from ..runs.setup import template_of  # noqa: PLC0415 - see above

    if arguments.prompt is not None:
        raise UsageError("--prompt and --prompt-file: give one of them")
    return template_of(str(arguments.prompt_file))


def _shard(value: str) -> str:
    """Return the shard that --shard names, by itself or through the variables of an array job."""
    from .._core.shards import to_shard_of_job  # noqa: PLC0415 - see above

    try:
        return str(to_shard_of_job(value, os.environ))
    except ConfigurationError as error:
        raise UsageError(str(error)) from None


def _restored(options: Options) -> Options:
    """Return options with `-` in place of `_STDIO`, for which `start` replaced it."""
    return type(options)(**{name: _path(value) for name, value in attrs.asdict(options, recurse=False).items()})
