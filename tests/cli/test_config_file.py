"""The file of `--config`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.cli.config_file import read_settings
from paceline.exceptions import ConfigurationError

from .conftest import FAST, rows_of


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "batch.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def test_all_of_a_run_may_be_in_a_file(paceline, config, jsonl, tmp_path):
    jsonl(7)
    path = config(f'model = "{FAST}"\n[run]\ninput = "in.jsonl"\noutput = "out.jsonl"\nlimit = 5\nquiet = true\n')
    run = paceline("run", "--config", path)
    assert run.code == 0, run.err
    assert len(rows_of(tmp_path / "out.jsonl")) == 5


def test_the_command_line_comes_first_then_the_command_s_table_then_the_top(paceline, config, jsonl):
    path = config(f'model = "nobody"\nlimit = 9\nmax_workers = 3\n[run]\nmodel = "{FAST}"\nlimit = 5\n')
    run = paceline("run", jsonl(20), "-o", "-", "--config", path, "--limit", 2)
    assert run.code == 0, run.err
    assert len(run.rows) == 2
    run = paceline("run", jsonl(20), "-o", "-", "--config", path)
    assert len(run.rows) == 5


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('escalate = ["sim", "sim:rate=5"]', ["-m", FAST]),
        ('model = "nobody"', ["--escalate", f"{FAST},sim:rate=5"]),
        (f'model = "{FAST}"\njournal = "x"', ["--no-journal"]),
    ],
)
def test_what_stands_in_the_place_of_a_file_s_option_comes_first_too(paceline, config, jsonl, text, arguments):
    run = paceline("run", jsonl(2), "-o", "-", "--config", config(text), *arguments)
    assert run.code == 0, run.err


def test_a_flag_of_the_file_can_be_taken_back_where_it_has_a_no(paceline, config, jsonl):
    path = config(f'model = "{FAST}"\ndedupe = false')
    run = paceline("run", jsonl(2), "-o", "x", "--config", path, "--dedupe", "--dry-run", "--json")
    assert run.rows[0]["calls"] == 2


def test_paths_are_the_file_s_own_folder_s(config, tmp_path):
    path = config('system = "s.txt"\nschema = "/etc/schema.json"\noutput = "-"\ninput = "../in.jsonl"')
    found = read_settings(str(path), "run")
    assert found == {
        "system": str(tmp_path / "s.txt"),
        "schema": "/etc/schema.json",
        "output": "-",
        "input": str(tmp_path.parent / "in.jsonl"),
    }


WRONG = [
    ('modle = "x"', "modle is no option (did you mean model?)"),
    ("max-worker = 3", "max-worker is no option (did you mean max-workers?)"),
    ("[run]\nlimt = 3", "run.limt is no option (did you mean limit?)"),
    ("[rum]\nlimit = 3", "[rum] is no command (did you mean run?)"),
    ("run = 3", "run: must be a table: [run]"),
    ('config = "x"', "config is no option"),
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
    ('model = "openai:m@http://user:hunter2@host"', "model: the server's address must not hold a user"),
    ("x = ", "is no TOML: Invalid value"),
    ("x = 1\nx = 2", "is no TOML: Cannot overwrite a value"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_what_is_wrong_in_a_file_is_told_with_file_and_key(paceline, config, jsonl, text, words):
    path = config(text)
    run = paceline("run", jsonl(1), "-o", "-", "-m", FAST, "--limit", 1, "--config", path)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith(f"paceline: {path}: {words}")
    assert len(run.err.splitlines()) == 1
    assert "hunter2" not in run.err


def test_a_file_that_cannot_be_read_is_one_sentence(paceline, tmp_path):
    run = paceline("run", "--config", tmp_path / "none.toml")
    assert run.err == f"paceline: {tmp_path}/none.toml: cannot be read: No such file or directory\n"
    (tmp_path / "bad.toml").write_bytes(b"model = '\xff'")
    run = paceline("run", "--config", tmp_path / "bad.toml")
    assert run.err == f"paceline: {tmp_path}/bad.toml: is not UTF-8 at byte 10\n"


@given(st.binary(max_size=60) | st.text("[]run.model=\"'x1\n-_", max_size=60).map(str.encode))
def test_whatever_a_file_holds_is_taken_or_refused_in_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_bytes(content)
    try:
        read_settings(str(path), "run")
    except ConfigurationError as error:
        told = str(error)
    else:
        return
    assert told.startswith(f"{path}: ")
