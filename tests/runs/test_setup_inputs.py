"""The options of the input reach its reader, and skipped lines are reported."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from ..cli.conftest import FAST


@pytest.fixture
def broken(jsonl):
    def write(number):
        path = jsonl(5)
        with path.open("a") as file:
            file.write("broken\n" * number)
        return path

    return write


@pytest.mark.parametrize("number", [1, 12])
def test_invalid_lines_are_reported_and_valid_ones_are_run(paceline, broken, number):
    path = broken(number)
    run = paceline("run", path, "-o", "-", "-m", FAST, "--quiet")
    assert run.code == 1
    assert len(run.rows) == 5
    messages = run.err.splitlines()
    assert messages[0] == f"paceline: skipped: {path}:6: not JSON: Expecting value at column 1"
    assert (
        f"paceline: {f'{number} lines of the input are invalid and were' if number > 1 else '1 line of the input is invalid and was'} skipped; --strict refuses such an input"
        in messages
    )


def test_a_strict_run_stops_before_the_first_call(paceline, broken, tmp_path):
    run = paceline("run", broken(1), "-o", tmp_path / "o", "-m", FAST, "--strict")
    assert (run.code, run.out) == (2, "")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("number", [1, 12])
def test_a_strict_run_refuses_invalid_lines_that_an_earlier_run_skipped(paceline, broken, tmp_path, number):
    path, arguments = broken(number), ("-o", tmp_path / "o", "-m", f"{FAST},faults=rejected:1,seed=1")
    assert paceline("run", path, *arguments).code == 1
    before = (tmp_path / "o").read_bytes()
    run = paceline("run", path, *arguments, "--strict", "--retry", "failed")
    assert (run.code, run.out) == (2, "")
    assert run.err.splitlines()[0] == f"{path}:6: not JSON: Expecting value at column 1"
    assert len(run.err.splitlines()) == min(number, 11)
    assert (tmp_path / "o").read_bytes() == before
    assert paceline("run", path, *arguments).code == 1


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize("suffix", [".xlsx", ".ods", ".TSV", ".gz"])
def test_a_new_output_with_the_name_of_a_format_that_is_not_written_is_refused(paceline, jsonl, tmp_path, suffix, more):
    out = tmp_path / f"o{suffix}"
    run = paceline("run", jsonl(1), "-o", out, "-m", FAST, *more)
    advice = f"a run writes JSON lines, CSV or Parquet; use -o {tmp_path / 'o.csv'}"
    assert (run.code, run.out, run.err) == (2, "", f"paceline: {out}: {advice}\n")
    assert not out.exists()


@pytest.mark.parametrize("suffix", [".xlsx", ".ods", ".TSV", ".gz"])
def test_results_are_not_written_under_the_name_of_a_format_that_is_not_written(paceline, jsonl, tmp_path, suffix):
    assert paceline("run", jsonl(1), "-o", tmp_path / "o.jsonl", "-m", FAST, "-q").code == 0
    out = tmp_path / f"r{suffix}"
    run = paceline("results", tmp_path / "o.jsonl", "-o", out)
    advice = f"results are written as JSON lines, CSV or Parquet; use -o {tmp_path / 'r.csv'}"
    assert (run.code, run.out, run.err) == (2, "", f"paceline: {out}: {advice}\n")
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["-o", "o.csv", "--no-journal"], "--no-journal"), (["-o", "-", "--output-format", "parquet"], "-o -")],
)
def test_a_table_without_a_journal_or_a_file_is_refused_before_the_first_call(paceline, jsonl, arguments, reason):
    run = paceline("run", jsonl(1), "-m", FAST, *arguments)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith(f"paceline: {reason}: a table (")
    assert len(run.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "more"),
    [("-o", []), ("-o", ["--no-journal"]), ("-o", ["--dry-run"]), ("--journal", []), ("--journal", ["--dry-run"])],
)
def test_a_missing_folder_is_named(paceline, jsonl, tmp_path, option, more):
    run = paceline("run", jsonl(1), option, tmp_path / "d" / "x.jsonl", "-m", FAST, *more)
    assert (run.code, run.out, run.err) == (2, "", f"paceline: {tmp_path}/d: no such folder; create it\n")


def test_a_sample_is_the_same_on_every_run(paceline, jsonl):
    path = jsonl(100)
    ids = [{row["id"] for row in paceline("run", path, "-o", "-", "-m", FAST, "--sample", 7).rows} for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 7
    assert ids[0] != {f"q{n}" for n in range(7)}


def test_a_template_makes_prompts_from_columns(paceline, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("id,text\na,one\nb,two\n")
    run = paceline("run", path, "-o", "-", "-m", FAST, "--prompt", "Say {text}")
    assert {row["output"] for row in run.rows} == {"simulated: Say one", "simulated: Say two"}


def test_a_system_instruction_is_refused_for_lines_that_are_sent_unchanged(paceline, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k" * 20)
    system, source = tmp_path / "system.txt", tmp_path / "batch.jsonl"
    system.write_text("Be brief.")
    body = '{"messages": [{"role": "user", "content": "?"}]}'
    source.write_text(f'{{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {body}}}\n')
    run = paceline("run", source, "-o", tmp_path / "o", "-m", "openai:m@http://127.0.0.1:9/v1", "--system", system)
    assert run.code == 2
    assert run.err == f"{source}:1: is sent unchanged, without --system: put that into the line\n"


@pytest.fixture
def reviews(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes("key;text\nk1;caf\xe9\nk2;\n".encode("cp1252"))
    return path


def test_options_of_the_input_reach_its_reader(paceline, reviews, tmp_path):
    (tmp_path / "template.txt").write_text("Say {{x}}\n{text}\n")
    more = ["--prompt-file", tmp_path / "template.txt", "--id-column", "key", "--encoding", "cp1252", "--skip-empty"]
    run = paceline("run", reviews, "-o", tmp_path / "o.jsonl", "-m", FAST, *more)
    assert run.code == 0
    (row,) = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert (row["id"], row["output"]) == ("k1", "simulated: Say {x}\ncafé")
    assert f"paceline: {reviews}: 1 prompt has an empty field 'text' (row 2), and is skipped" in run.err.splitlines()
    (tmp_path / "template.txt").unlink()
    assert paceline("resume", tmp_path / "o.jsonl", "--output", tmp_path / "p.jsonl").code == 0  # the journal has it
    with closing(sqlite3.connect(f"{tmp_path}/o.jsonl.journal")) as journal, journal:
        journal.execute("UPDATE results SET kind = 'refused'")
    run = paceline("failed", tmp_path / "o.jsonl.journal", "-o", tmp_path / "f.csv")
    assert run.err.endswith("f.csv; run them without --encoding, as they are in UTF-8 now\n")
    assert (tmp_path / "f.csv").read_text("utf-8") == "key;text\nk1;café\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prompt", "{text}", "--prompt-file", "x"], "--prompt and --prompt-file: give one of them"),
        (["--prompt-file", "missing.txt"], "missing.txt: --prompt-file: cannot be read: No such file"),
        (["--prompt", "{text}", "--encoding", "utf-9"], "--encoding: must be the name of an encoding, such as utf-8"),
        (["--prompt", "{text}", "--encoding", "utf-16"], "in.csv:1: is not utf-16; --encoding names another encoding"),
        (
            ["--prompt", "{text}", "--id-column", "k", "--encoding", "cp1252"],
            "has no column 'k', which --id-column names",
        ),
        (["--prompt", '{"a": {text}}', "--encoding", "cp1252"], "braces that are text are written twice: {{ and }}"),
    ],
)
def test_a_wrong_option_of_the_input_is_one_sentence(paceline, reviews, tmp_path, arguments, words):
    run = paceline("run", reviews, "-o", tmp_path / "o.jsonl", "-m", FAST, *arguments)
    assert (run.code, run.out) == (2, "")
    assert words in run.err
    assert len(run.err.splitlines()) == 1
    assert not (tmp_path / "o.jsonl").exists()


def test_a_template_in_a_file_of_options_starts_from_its_folder_and_the_command_line_wins(paceline, tmp_path):
    folder = tmp_path / "settings"
    folder.mkdir()
    (folder / "template.txt").write_text("Say {text}")
    (folder / "run.toml").write_text(f'model = "{FAST}"\n[run]\nprompt-file = "template.txt"\n')
    (tmp_path / "in.csv").write_text("text\nx\n")
    for more, output in ((), "simulated: Say x"), (("--prompt", "Tell {text}"), "simulated: Tell x"):
        run = paceline("run", tmp_path / "in.csv", "-o", "-", "--config", folder / "run.toml", *more)
        assert run.rows[0]["output"] == output


def test_a_journal_of_an_older_version_that_numbered_rows_is_resumed(paceline, tmp_path):
    path, out = tmp_path / "in.csv", tmp_path / "o.jsonl"
    path.write_text("ID,text\nq7,x\nq8,y\n")
    arguments = ["run", path, "-o", out, "-m", FAST, "--prompt", "{text}"]
    paceline(*arguments, "--id-column", "")
    with closing(sqlite3.connect(f"{out}.journal")) as journal, journal:  # as it was written then, with one row missing
        for name in ("id_column", "encoding", "skip_empty"):
            journal.execute(f"UPDATE facts SET value = json_remove(value, '$.asked.{name}') WHERE name = 'input'")  # noqa: S608 - a constant
            journal.execute(f"UPDATE facts SET value = json_remove(value, '$.{name}') WHERE name = 'options'")  # noqa: S608 - a constant
        journal.execute("DELETE FROM results WHERE item = (SELECT item FROM items WHERE id = '2')")
    out.unlink()
    run = paceline(*arguments)
    assert run.code == 0, run.err
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted((row["id"], row["output"]) for row in rows) == [("1", "simulated: x"), ("2", "simulated: y")]
