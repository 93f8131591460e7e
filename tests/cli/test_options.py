"""Options: the record of a run, its checks, its plain data, and the messages of a wrong command line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import FaultKind
from paceline._core import config as library
from paceline.cli.options import Durability, FileFormat, InputFormat, RowFormat
from paceline.exceptions import ConfigurationError
from paceline.files import InputKind
from paceline.files.output_formats import OutputFormat
from paceline.journal import TRANSIENT_KINDS
from paceline.runs.option_values import FAILED, kinds_in, models_in
from paceline.runs.options import ONCE, RunOptions
from paceline.runs.options_data import from_data, path_fields, to_data, value_of, with_absolute_paths

from .conftest import rows_of

OPTIONS = st.builds(
    RunOptions,
    input=st.sampled_from(["-", "in.jsonl", "/data/in.jsonl"]),
    output=st.sampled_from(["-", "out.jsonl"]),
    model=st.sampled_from(["sim", "gpt-5"]),
    system=st.none() | st.just("system.txt"),
    schema=st.none() | st.just("a/schema.json"),
    limit=st.none() | st.integers(1, 10**9),
    prompt=st.none() | st.text(),
    strict=st.booleans(),
    dedupe=st.booleans(),
    output_format=st.sampled_from(["own", "openai", "gemini", "anthropic"]),
    retry=st.frozensets(st.sampled_from(FaultKind)),
    durability=st.sampled_from(["normal", "full"]),
    timeout=st.floats(0.001, 1e6),
    deadline=st.none() | st.floats(0.001, 1e6),
    overwrite=st.booleans(),
)
LASTING = [field.name for field in attrs.fields(RunOptions) if not field.metadata.get(ONCE)]


@given(OPTIONS)
def test_plain_data_gives_back_the_options_but_those_of_one_start(options):
    data = json.loads(json.dumps(to_data(options), allow_nan=False))
    assert list(data) == LASTING
    back = from_data(data)
    assert to_data(back) == data
    expected = with_absolute_paths(options)
    assert all(getattr(back, name) == getattr(expected, name) for name in LASTING)
    assert back.overwrite is False


@given(OPTIONS)
def test_plain_data_has_absolute_paths_and_keeps_streams(options):
    data = to_data(options)
    for name in path_fields() & set(LASTING):
        assert data[name] in (None, "-") or Path(data[name]).is_absolute()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modle": "x"}, "there is no option 'modle' (did you mean model?)"),
        ({"quiet": True}, "there is no option 'quiet'"),
        ({"model": 3}, "--model: must be a string, not an integer: 3"),
        ({"output": None}, "--output: must be a string"),
        ({"max_workers": True}, "--max-workers: must be an integer, not a boolean: True"),
        ({"max_workers": 0}, "--max-workers: must be 1 or more, not 0"),
        ({"retry": ["timeout", "tineout"]}, "--retry: must be transient, failed, none, or some of"),
        ({"retry": [3]}, "--retry: must be a string or a list of strings"),
        ({"durability": "half"}, '--durability: must be one of "normal", "full"'),
        ({"timeout": math.inf}, "--timeout: must be a number of seconds above 0, not inf"),
    ],
)
def test_invalid_plain_data_is_refused_with_the_option_s_name(change, words):
    with pytest.raises(ConfigurationError) as caught:
        from_data({"input": "i", "output": "o", "model": "sim", **change})
    assert words in str(caught.value)


def test_plain_data_without_an_output_is_none():
    with pytest.raises(ConfigurationError, match="there is no output"):
        from_data({"input": "i", "model": "sim"})


@given(
    st.sampled_from(LASTING), st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
)
def test_any_value_of_any_option_is_accepted_or_refused_with_its_name(name, value):
    try:
        value_of(name, value)
    except ConfigurationError as error:
        message = str(error)
    else:
        return
    assert message.startswith(f"--{name.replace('_', '-')}: ")


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("transient", TRANSIENT_KINDS),
        ("failed", FAILED),
        ("none", frozenset()),
        ("timeout", {FaultKind.TIMEOUT}),
        ("timeout, Throttled", {FaultKind.TIMEOUT, FaultKind.THROTTLED}),
        ("transient,invalid", TRANSIENT_KINDS | {FaultKind.INVALID}),
        ("bug,transient", TRANSIENT_KINDS),
        ("failed,timeout", FAILED),
        (["transient", "invalid"], {FaultKind.TRANSIENT, FaultKind.INVALID}),
        (["failed"], FAILED),
        (["none"], frozenset()),
    ],
)
def test_groups_and_kinds_together_are_their_union(text, kinds):
    assert kinds_in(text, "retry") == kinds


@pytest.mark.parametrize("text", ["", "all", "timeout,,bug"])
def test_an_unknown_kind_is_refused_with_the_known_ones(text):
    with pytest.raises(ConfigurationError, match="some of throttled, overloaded"):
        kinds_in(text, "retry")


@pytest.mark.parametrize("text", ["none,transient", "failed,none", ["none", "timeout"]])
def test_none_combined_with_other_kinds_is_refused(text):
    with pytest.raises(ConfigurationError, match="--retry: none cannot be combined with other kinds; not '"):
        kinds_in(text, "retry")


def test_text_of_options_means_groups_that_combine_with_kinds():
    combined = TRANSIENT_KINDS | {FaultKind.INVALID}
    assert RunOptions(input="i", model="sim", retry="transient,invalid").retry == combined
    assert value_of("retry", "transient,invalid") == combined


def test_commas_separate_models_but_not_the_options_of_a_simulated_one():
    assert models_in("sim:rate=50,latency=1, sim:rate=5 ,gpt-5") == ("sim:rate=50,latency=1", "sim:rate=5", "gpt-5")


@pytest.mark.parametrize(
    "model",
    [
        "openai:m@http://user:hunter2@host/v1",
        "openai:m@https://hunter2@host/v1",
        "opneai:m@http://user:hunter2@host/v1",
        "openai:m@http://host/v1?api_key=hunter2",
        "openai:m@http://host/v1?a=b&access-token=hunter2",
    ],
)
@pytest.mark.parametrize("option", ["--model", "--escalate"])
def test_credentials_in_a_server_s_address_are_refused_and_not_repeated(paceline, jsonl, tmp_path, model, option):
    run = paceline("run", jsonl(1), "-o", tmp_path / "out.jsonl", option, model)
    assert run.code == 2
    assert run.err.startswith(f"paceline: {option}: the server's address must not contain a user, a password or a key")
    assert len(run.err.splitlines()) == 1
    assert "hunter2" not in run.err + run.out


@pytest.mark.parametrize(
    "model", ["openai:m@http://host:80/v1", "openai:org/m@http://host/v1?api-version=1", "gpt-5@x"]
)
def test_an_address_without_credentials_is_accepted(model):
    assert RunOptions(input="i", model=model, output="-").models == (model,)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "sim", "--escalate", "sim,sim:rate=5"], "--model and --escalate: give one of them"),
        ([], "a model must be named: --model NAME, or --escalate A,B,C"),
        (["-m", "gemini-2.5-flash", "--cache"], "--cache: needs --system FILE"),
        (["-m", "sim", "--journal", "x", "--no-journal"], "--journal and --no-journal: give one of them"),
        (["-m", "sim", "--journal", "-"], "--journal: must be a file of its own, not -"),
        (["--escalate", "sim,,sim:rate=5"], "one of them is empty"),
        (["--escalate", "sim,sim"], "share the quota"),
        (["--modle", "sim"], "unknown option --modle (did you mean --model?); see paceline run --help"),
        (["-m", "sim", "--limit", "1.5"], "--limit: must be a whole number, not '1.5'"),
        (["-m", "sim", "--max-workers", "1e3"], "--max-workers: must be a whole number, not '1e3'"),
        (["-m", "sim", "--sample", "0"], "--sample: must be 1 or more, not 0"),
        (["-m", "sim", "--retry", "all"], "--retry: must be transient, failed, none, or some of"),
        (
            ["-m", "sim", "--output-format", "xml"],
            "--output-format: must be one of own, openai, gemini, anthropic, csv, parquet, not",
        ),
        (["-m", "sim", "--durability", "half"], "--durability: must be one of normal, full, not 'half'"),
        (["-m", "sim", "--timeout", "soon"], "--timeout: must be a number, not 'soon'; see paceline run --help"),
        (["-m"], "-m: needs a value; see paceline run --help"),
        (["-m", "sim", "x", "y"], "too many arguments: x y; see paceline run --help"),
        (["-m", "sim", "--form", "openai"], "--form is now called --output-format; see paceline run --help"),
        (["-m", "sim", "--format=csv"], "--format is now called --input-format; see paceline run --help"),
        (["-m", "sim", "--retry", "passing"], "--retry: passing is now called transient"),
    ],
)
def test_invalid_options_are_refused_in_one_message(paceline, jsonl, tmp_path, arguments, words):
    run = paceline("run", jsonl(1), "-o", tmp_path / "out.jsonl", *arguments)
    assert (run.code, run.out) == (2, "")
    assert words in run.err
    assert len(run.err.splitlines()) == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_the_journal_is_next_to_the_output_by_default():
    options = RunOptions(input="i", model="sim", output="out.jsonl")
    assert options.journal_file == "out.jsonl.journal"
    assert attrs.evolve(options, journal="x.db").journal_file == "x.db"
    assert attrs.evolve(options, no_journal=True).journal_file is None
    assert attrs.evolve(options, output="-").journal_file is None
    assert attrs.evolve(options, output="/dev/null").journal_file is None
    assert attrs.evolve(options, output="-", journal="x.db").journal_file == "x.db"


def test_a_bad_answer_moves_its_item_up_the_ladder_of_models(paceline, jsonl):
    ladder = "sim:rate=none,latency=0.01,faults=invalid:1,sim:rate=none,latency=0.02"
    run = paceline("run", jsonl(20), "-o", "-", "--escalate", ladder, "--quiet")
    assert run.code == 0
    assert {(row["success"], row["attempts"]) for row in run.rows} == {(True, 2)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rum", "in.jsonl"], "unknown command 'rum' (did you mean run?); see paceline --help"),
        (["--modle", "sim"], "unknown command '--modle'; see paceline --help"),
        (["run"], "INPUT is missing; see paceline run --help"),
        (["failed", "x"], "--output is missing; see paceline failed --help"),
        (["results", "x", "--form", "own"], "--form is now called --output-format; see paceline results --help"),
        (
            ["results", "x", "--format", "csv"],
            "unknown option --format (did you mean --as?); see paceline results --help",
        ),
        (["resume", "x", "--form=own"], "--form is now called --output-format; see paceline resume --help"),
        (
            ["resume", "x", "--format", "own"],
            "unknown option --format (did you mean --output-format?); see paceline resume --help",
        ),
        (["status", "x", "--format", "json"], "status has no option --format; see paceline status --help"),
        (["failed", "x", "--form", "own"], "failed has no option --form; see paceline failed --help"),
        (["resume", "x", "--limit", "3"], "resume has no option --limit; see paceline resume --help"),
        (
            ["results", "x", "--ouput", "y"],
            "unknown option --ouput (did you mean --output?); see paceline results --help",
        ),
        (["status", "x", "--jsno"], "unknown option --jsno (did you mean --json?); see paceline status --help"),
        (["status", "x", "--pace", "-1"], "--pace: must be 0 or more, not '-1'; see paceline status --help"),
        (["completion", "tcsh"], "SHELL: must be one of bash, zsh, fish, not 'tcsh'; see paceline completion --help"),
    ],
)
def test_an_error_of_usage_names_the_help_of_its_command(paceline, arguments, message):
    run = paceline(*arguments)
    assert (run.code, run.out, run.err) == (2, "", f"paceline: {message}\n")


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (InputFormat, [*InputKind]),
        (FileFormat, [*OutputFormat]),
        (RowFormat, [form for form in OutputFormat if not form.is_table]),
        (Durability, get_args(library.Durability)),
    ],
)
def test_the_choices_of_the_command_line_are_those_of_the_library(words, values):
    assert set(get_args(words)) == set(map(str, values))


def test_without_an_output_the_rows_go_next_to_the_input(paceline, jsonl):
    path = jsonl(3)
    run = paceline("run", path, "-m", "sim:rate=none,latency=0.01", "-q")
    assert run.code == 0
    assert len(rows_of(Path(f"{path}.results.jsonl"))) == 3
    assert run.err.endswith(f"output    {path}.results.jsonl: 3 rows\n")


def test_stdin_needs_an_output(paceline):
    run = paceline("run", "-", "-m", "sim")
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("paceline: --output: is required when the input is stdin")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--temperature", "3"], "--temperature: must be a number from 0 to 2, not 3.0"),
        (["--temperature", "warm"], "--temperature: must be a number, not 'warm'"),
        (["--max-tokens", "1.5"], "--max-tokens: must be a whole number, not '1.5'"),
        (["--reasoning-effort", "big"], "--reasoning-effort: must be one of none, minimal, low"),
        (["--option", "top_p"], "--option: must be KEY=VALUE, such as top_p=0.9, not 'top_p'"),
        (["--option", "top_p=2"], "--option: top_p must be a number from 0 to 1, not 2"),
        (["--option", "extra_headers.x=secret"], "--option: extra_headers may hold a key"),
        (["--temperature", "1", "--option", "temperature=0"], "temperature is given twice"),
    ],
)
def test_settings_of_the_models_are_checked_before_anything_is_read(paceline, arguments, words):
    run = paceline("run", "no such file", "-o", "x", "-m", "sim", *arguments)
    assert run.code == 2
    assert words in run.err
    assert "secret" not in run.err


def test_options_of_the_models_may_be_repeated_and_hold_json_or_text(paceline, jsonl):
    given = ("--option", "top_k=5", "--option", "a.b=[1]", "--option", "a.c=x y", "--temperature", "0")
    (plan,) = paceline("run", jsonl(2), "-o", "x", "-m", "sim", "--dry-run", "--json", *given).rows
    assert plan["settings"] == {"temperature": 0, "options": {"top_k": 5, "a": {"b": [1], "c": "x y"}}}
    text = paceline("run", jsonl(2), "-o", "x", "-m", "sim", "--dry-run", *given).out
    assert 'settings  temperature 0.0, top_k=5, a={"b": [1], "c": "x y"}' in text.splitlines()
