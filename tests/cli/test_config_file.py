"""The config file: `--config`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.cli.config_file import read_config
from paceline.exceptions import ConfigurationError

from .conftest import FAST, rows_of


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "batch.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def test_a_file_may_hold_all_options_of_a_run(paceline, config, jsonl, tmp_path):
    jsonl(7)
    path = config(f'model = "{FAST}"\n[run]\ninput = "in.jsonl"\noutput = "out.jsonl"\nlimit = 5\nquiet = true\n')
    run = paceline("run", "--config", path)
    assert run.code == 0, run.err
    assert len(rows_of(tmp_path / "out.jsonl")) == 5


def test_the_command_line_overrides_the_command_s_table_which_overrides_the_top(paceline, config, jsonl):
    path = config(f'model = "unknown"\nlimit = 9\nmax_workers = 3\n[run]\nmodel = "{FAST}"\nlimit = 5\n')
    run = paceline("run", jsonl(20), "-o", "-", "--config", path, "--limit", 2)
    assert run.code == 0, run.err
    assert len(run.rows) == 2
    run = paceline("run", jsonl(20), "-o", "-", "--config", path)
    assert len(run.rows) == 5


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('escalate = ["sim", "sim:rate=5"]', ["-m", FAST]),
        ('model = "unknown"', ["--escalate", f"{FAST},sim:rate=5"]),
        (f'model = "{FAST}"\njournal = "x"', ["--no-journal"]),
    ],
)
def test_an_option_that_contradicts_one_of_the_file_overrides_it(paceline, config, jsonl, text, arguments):
    run = paceline("run", jsonl(2), "-o", "-", "--config", config(text), *arguments)
    assert run.code == 0, run.err


def test_the_command_line_can_undo_a_flag_that_has_a_negative_form(paceline, config, jsonl):
    path = config(f'model = "{FAST}"\ndedupe = false')
    run = paceline("run", jsonl(2), "-o", "x", "--config", path, "--dedupe", "--dry-run", "--json")
    assert run.rows[0]["calls"] == 2


def test_relative_paths_start_from_the_file_s_folder(config, tmp_path):
    path = config('system = "s.txt"\nschema = "/etc/schema.json"\noutput = "-"\ninput = "../in.jsonl"')
    found = read_config(str(path), "run")
    assert found == {
        "system": str(tmp_path / "s.txt"),
        "schema": "/etc/schema.json",
        "output": "-",
        "input": str(tmp_path.parent / "in.jsonl"),
    }


WRONG = [
    ('modle = "x"', "modle is not an option (did you mean model?)"),
    ("max-worker = 3", "max-worker is not an option (did you mean max-workers?)"),
    ("[run]\nlimt = 3", "run.limt is not an option (did you mean limit?)"),
    ("[rum]\nlimit = 3", "[rum] is not a command (did you mean run?)"),
    ("run = 3", "run: must be a table: [run]"),
    ('form = "openai"', "form is now called output-format"),
    ('[run]\nformat = "csv"', "run.format is now called input-format"),
    ('retry = "passing"', "retry: passing is now called transient"),
    ('config = "x"', "config is not an option"),
    ('max_workers = "many"', "max_workers: must be an integer, not a string: 'many'"),
    ("max_workers = 0", "max_workers: must be 1 or more, not 0"),
    ("max_workers = 3.0", "max_workers: must be an integer, not a number: 3.0"),
    ("max-workers = 1\nmax_workers = 2", "max_workers is given twice"),
    ('quiet = "yes"', "quiet: must be a boolean, not a string: 'yes'"),
    ("deadline = inf", "deadline: must be a number of seconds above 0, not inf"),
    ('retry = ["timeout", "tineout"]', "retry: must be transient, failed, none, or some of throttled"),
    ('input_format = "xml"', "input_format: must be one of"),
    ('output_format = "xml"', "output_format: must be one of"),
    ("limit = 1979-05-27", "limit: must be an integer, not date"),
    ('model = "openai:m@http://user:hunter2@host"', "model: the server's address must not contain a user"),
    ("x = ", "is not TOML: Invalid value"),
    ("x = 1\nx = 2", "is not TOML: Cannot overwrite a value"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_an_error_names_the_file_and_the_key(paceline, config, jsonl, text, words):
    path = config(text)
    run = paceline("run", jsonl(1), "-o", "-", "-m", FAST, "--limit", 1, "--config", path)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith(f"paceline: {path}: {words}")
    assert len(run.err.splitlines()) == 1
    assert "hunter2" not in run.err


def test_an_unreadable_file_is_one_message(paceline, tmp_path):
    run = paceline("run", "--config", tmp_path / "none.toml")
    assert run.err == f"paceline: {tmp_path}/none.toml: cannot be read: No such file or directory\n"
    (tmp_path / "bad.toml").write_bytes(b"model = '\xff'")
    run = paceline("run", "--config", tmp_path / "bad.toml")
    assert run.err == f"paceline: {tmp_path}/bad.toml: is not UTF-8 at byte 10\n"


@given(st.binary(max_size=60) | st.text("[]run.model=\"'x1\n-_", max_size=60).map(str.encode))
def test_any_content_is_accepted_or_refused_with_the_file_s_name(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_bytes(content)
    try:
        read_config(str(path), "run")
    except ConfigurationError as error:
        message = str(error)
    else:
        return
    assert message.startswith(f"{path}: ")


def test_options_of_the_models_are_a_table_whose_keys_the_command_line_overrides_one_by_one(paceline, config, jsonl):
    text = (
        f'model = "{FAST}"\ntemperature = 0.5\n[option]\ntop_k = 4\nmin_p = 0.2\n[run.option]\nmin_p = 0.1\na.b = 1\n'
    )
    run = paceline(
        "run",
        jsonl(2),
        "-o",
        "x",
        "--config",
        config(text),
        "--option",
        "top_k=9",
        "--option",
        "a.c=x",
        "--dry-run",
        "--json",
    )
    assert run.code == 0, run.err
    assert run.rows[0]["settings"] == {
        "temperature": 0.5,
        "options": {"top_k": 9, "min_p": 0.1, "a": {"b": 1, "c": "x"}},
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("temperature = 3", "temperature: must be a number from 0 to 2, not 3"),
        ('temperature = "warm"', "temperature: must be a number"),
        ("reasoning-effort = 'huge'", "reasoning-effort: must be one of none, minimal"),
        ("option = 5", "option: must be a table of options, KEY=VALUE, or a list of KEY=VALUE"),
        ("[option]\ntop_p = 2", "option: top_p must be a number from 0 to 1, not 2"),
        ("[run.option]\nday = 2026-01-01", "run.option: must have values that JSON can hold"),
        ('option = ["top_p"]', "option: must be KEY=VALUE"),
    ],
)
def test_a_setting_of_the_models_that_is_invalid_is_refused_with_the_file_and_the_key(
    paceline, config, jsonl, text, words
):
    path = config(text)
    run = paceline("run", jsonl(2), "-o", "x", "-m", FAST, "--config", path)
    assert (run.code, run.err) == (2, run.err)
    assert f"{path}: {words}" in run.err


def test_a_file_without_end_is_refused(paceline, jsonl):
    run = paceline("run", jsonl(1), "--config", "/dev/zero")
    assert (run.code, run.err) == (2, "paceline: /dev/zero: is larger than 1 MB; a file of options is not\n")
