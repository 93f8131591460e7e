"""`paceline run`, in this process."""

from __future__ import annotations

import json

import pytest

from paceline.cli import main

from ..conftest import FAST, KEYS, rows_of


def test_every_prompt_has_one_row_in_the_output(paceline, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    run = paceline("run", jsonl(200), "-o", out, "--model", FAST)
    assert (run.code, run.out) == (0, "")
    rows = rows_of(out)
    assert sorted(row["id"] for row in rows) == sorted(f"q{i}" for i in range(200))
    assert all(row["success"] and row["context"] == {"n": int(row["id"][1:])} for row in rows)
    assert all(row["output"] == f"simulated: prompt {row['id'][1:]}" for row in rows)
    assert rows[0].keys() == {
        *("id", "success", "output", "error", "context", "model", "usage", "attempts", "seconds"),
    }


def test_the_summary_goes_to_stderr_and_rows_to_stdout(paceline, jsonl):
    slow = "sim:rate=none,latency=2,sigma=0"  # all five have started before the first is answered
    run = paceline("run", jsonl(5), "-o", "-", "-m", slow, "--quiet")
    assert run.code == 0
    assert len(run.rows) == 5
    for words in (
        "5 succeeded, 0 failed",
        "throttled 0 calls",
        "workers   20 to 20, at most 5 calls in flight",
        "tokens ",
        "time ",
    ):
        assert words in run.err


def test_text_has_one_prompt_per_line(paceline, tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("one\n\nthree\n", "utf-8")
    run = paceline("run", path, "-o", "-", "-m", FAST)
    assert {row["id"]: row["output"] for row in run.rows} == {"1": "simulated: one", "3": "simulated: three"}


@pytest.mark.parametrize(
    "line",
    [
        b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": [{"content": "Why?"}]}}',
        b'{"key": "a", "request": {"contents": [{"parts": [{"text": "Why?"}]}], "tools": []}}',
        b'{"custom_id": "a", "params": {"max_tokens": 5, "thinking": {}, "messages": [{"role": "user", "content": "Why?"}]}}',
    ],
    ids=["openai", "gemini", "anthropic"],
)
def test_lines_of_a_batch_api_are_answered(paceline, tmp_path, line):
    path = tmp_path / "in.jsonl"
    path.write_bytes(line + b"\n")
    (row,) = paceline("run", path, "-o", "-", "-m", FAST).rows
    assert (row["id"], row["output"]) == ("a", "simulated: Why?")


def test_a_request_that_a_model_cannot_serve_is_refused_before_the_first_call(paceline, tmp_path, monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "none")
    path = tmp_path / "in.jsonl"
    path.write_bytes(
        b'{"custom_id": "a", "params": {"max_tokens": 5, "thinking": {}, "messages": [{"role": "user", "content": "Why?"}]}}\n'
    )
    run = paceline("run", path, "-o", "-", "-m", "gemini-2.5-flash")
    assert run.code == 2
    assert run.err == (
        f"{path}:1: a Gemini model cannot answer a request in anthropic's form with more than text: thinking\n"
    )


def test_prompts_of_csv_are_made_by_a_template(paceline, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("id,text\na,one\nb,two\n", "utf-8")
    run = paceline("run", path, "-o", "-", "-m", FAST, "--prompt", "Say {text}")
    assert {row["id"]: (row["output"], row["context"]["text"]) for row in run.rows} == {
        "a": ("simulated: Say one", "one"),
        "b": ("simulated: Say two", "two"),
    }


def test_a_limit_selects_the_first_prompts(paceline, jsonl):
    run = paceline("run", jsonl(50), "-o", "-", "-m", FAST, "--limit", 3)
    assert sorted(row["id"] for row in run.rows) == ["q0", "q1", "q2"]


@pytest.mark.parametrize(
    ("journal", "hint"),
    [
        ((), "paceline resume {out}.journal --retry failed"),
        (("--no-journal",), "jq -r 'select(.success|not).id' {out}"),
    ],
)
def test_failed_items_give_exit_code_1_and_a_hint(paceline, jsonl, tmp_path, journal, hint):
    out = tmp_path / "out.jsonl"
    run = paceline("run", jsonl(100), "-o", out, "-m", FAST + ",faults=rejected:0.3", *journal)
    failed = [row for row in rows_of(out) if not row["success"]]
    assert run.code == 1
    assert len(rows_of(out)) == 100
    assert 0 < len(failed) < 100
    assert {row["error"]["kind"] for row in failed} == {"rejected"}
    assert f"rejected: {len(failed)}" in run.err
    assert hint.format(out=out) in run.err


def test_a_rejected_key_leaves_the_rest_pending(paceline, jsonl):
    run = paceline("run", jsonl(100), "-o", "-", "-m", FAST + ",faults=denied:1")
    kinds = [row["error"]["kind"] for row in run.rows]
    assert run.code == 1
    assert len(kinds) == 100
    assert set(kinds) == {"denied", "pending"}
    assert "check the key" in run.err.splitlines()[-1]


def test_an_exhausted_quota_leaves_the_rest_pending_and_shows_when_it_is_renewed(paceline, jsonl):
    run = paceline("run", jsonl(100), "-o", "-", "-m", "sim:window=20/86400,dialect=openai,latency=0.01,sigma=0")
    assert run.code == 1
    assert len(run.rows) == 100
    assert sum(row["success"] for row in run.rows) == 20
    messages = {row["error"]["message"] for row in run.rows if row["error"] and row["error"]["kind"] == "pending"}
    assert len(messages) == 1
    assert "; it reopens in 1 d 0 h (" in messages.pop()
    *lines, advice = run.err.splitlines()
    assert any(line.startswith("stopped   the daily quota of sim:window=20/86400") for line in lines)
    assert advice == "paceline: a quota is exhausted: run the rest in 1 d 0 h, or raise the quota"


def test_timeout_and_deadline_end_calls_and_batch(paceline, jsonl):
    slow = "sim:rate=none,latency=60,sigma=0"
    run = paceline("run", jsonl(3), "-o", "-", "-m", slow, "--deadline", 0.1)
    assert run.code == 1
    assert [row["error"]["kind"] for row in run.rows] == ["pending"] * 3
    run = paceline("run", jsonl(3), "-o", "-", "-m", slow, "--timeout", 0.05, "--deadline", 0.5)
    assert run.code == 1
    assert len(run.rows) == 3


def test_max_workers_is_a_ceiling(paceline, jsonl):
    run = paceline("run", jsonl(40), "-o", "-", "-m", FAST, "--max-workers", 2)
    assert run.code == 0
    assert "workers   2 to 2, at most 2 calls in flight\n" in run.err


BAD_LINES = [
    (b'{"id": "a", "prompt": "x"', "not JSON"),
    (b'["a", "x"]', "must be a JSON object"),
    (b'{"id": "", "prompt": "x"}', "id must not be empty"),
    (b'{"id": [], "prompt": "x"}', "id must be a string or a number"),
    (b'{"id": "q0", "prompt": "x"}', "id 'q0' is on line 1 already"),
    (b'{"id": "a", "prompt": 7}', "prompt must be a string"),
    (b"\xef\xbb\xbf", "byte order mark"),
    (b'{"id": "a", "promt": "x"}', "has no prompt"),
]


ROWS = [b"%d,2026-01-0%d,text\n" % (number, number % 9 + 1) for number in range(300)]


@pytest.mark.parametrize(
    ("broken", "options", "words"),
    [
        (b'x,2026,"open\n"an "other\n', (), ":102: a quote is closed before its field ends"),
        (b'x,2026,"open\n', (), ":102: a quote is opened and not closed, so that the rest of the file cannot be read"),
        (
            b"x,2026,caf\xe9\ny,2026,caf\xe9\n",
            (),
            ":103: not UTF-8 at byte 11 of the line; set its encoding, such as --encoding cp1252",
        ),
        (b"", ("--id-column", "date"), ": 291 of 300 rows repeat an id in 'date'"),
    ],
)
def test_an_input_of_which_much_would_be_lost_is_refused_before_the_first_call(
    paceline, tmp_path, broken, options, words
):
    path, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    path.write_bytes(b"id,date,text\n" + b"".join([*ROWS[:100], broken, *ROWS[100:]]))
    run = paceline("run", path, "-o", out, "-m", FAST, "--prompt", "{text}", *options)
    assert (run.code, out.exists()) == (2, False)
    assert words in run.err
    assert len(run.err.strip().splitlines()) == 1


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_a_strict_run_names_an_invalid_line_and_calls_nothing(paceline, jsonl, tmp_path, line, reason):
    path, out = jsonl(2), tmp_path / "out.jsonl"
    with path.open("ab") as file:
        file.write(line + b"\n")
    run = paceline("run", path, "-o", out, "-m", FAST, "--strict")
    assert run.code == 2
    assert run.err.startswith(f"{path}:3: ")
    assert reason in run.err
    assert len(run.err.splitlines()) == 1
    assert not out.exists()


def test_existing_results_are_not_replaced_without_overwrite(paceline, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_bytes(b"paid for\n")
    run = paceline("run", jsonl(3), "-o", out, "-m", FAST)
    assert (run.code, out.read_bytes()) == (2, b"paid for\n")
    assert run.err == f"paceline: {out}: has content; name another file, or set --overwrite to replace it\n"
    assert paceline("run", jsonl(3), "-o", out, "-m", FAST, "--overwrite").code == 0
    assert len(rows_of(out)) == 3


def test_errors_are_found_before_the_output_is_changed(paceline, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_bytes(b"paid for\n")
    assert paceline("run", tmp_path / "none.txt", "-o", out, "-m", FAST, "--overwrite").code == 2
    assert paceline("run", jsonl(3), "-o", out, "-m", "simm", "--overwrite").code == 2
    assert paceline("run", jsonl(3), "-o", out, "-m", "sim:rat=3", "--overwrite").code == 2
    assert out.read_bytes() == b"paid for\n"


@pytest.fixture
def without_keys(monkeypatch):
    for key in (*KEYS, "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(key, raising=False)


@pytest.mark.usefixtures("without_keys")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["IN", "-o", "OUT", "-m", "gpt-9"], "OPENAI_API_KEY"),
        (["IN", "-o", "OUT", "-m", "sim:rate=fast"], "'fast'"),
        (["IN", "-o", "OUT", "-m", "gemini-2.5-flash"], "GEMINI_API_KEY"),
        (["IN", "-o", "OUT"], "--model"),
        (["-", "-m", FAST], "--output: is required when the input is stdin"),
        (["-m", FAST, "-o", "OUT"], "INPUT"),
        (["IN", "-o", "OUT", "-m", FAST, "--max-workers", "0"], "--max-workers"),
        (["IN", "-o", "OUT", "-m", FAST, "--max-workers", "many"], "--max-workers"),
        (["IN", "-o", "OUT", "-m", FAST, "--timeout", "-1"], "--timeout"),
        (["IN", "-o", "OUT", "-m", FAST, "--timeout", "nan"], "timeout"),
        (["IN", "-o", "OUT", "-m", FAST, "--deadline", "0"], "--deadline"),
        (["IN", "-o", "OUT", "-m", FAST, "--limit", "0"], "--limit"),
        (["IN", "-o", "OUT", "-m", FAST, "--input-format", "xml"], "--input-format"),
        (["IN", "-o", "OUT", "-m", FAST, "--limti", "3"], "--limti"),
        (["IN", "IN", "-o", "OUT", "-m", FAST], "too many arguments: "),
        (["IN", "-o", "-", "-m", "-"], "unknown model '-'"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(paceline, jsonl, tmp_path, arguments, words):
    names = {"IN": jsonl(3), "OUT": tmp_path / "out.jsonl"}
    run = paceline("run", *(names.get(argument, argument) for argument in arguments))
    assert (run.code, run.out) == (2, "")
    assert len(run.err.splitlines()) == 1
    assert run.err.startswith("paceline: ")
    assert words in run.err
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    "arguments", [["rnu"], ["--nope"], ["demo", "x"], ["demo", "--items", "0"], ["demo", "--model", "gpt"]]
)
def test_wrong_arguments_of_other_commands_are_one_sentence(paceline, arguments):
    run = paceline(*arguments)
    assert (run.code, run.out) == (2, "")
    assert len(run.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["demo", "--help"], []])
def test_the_help_fits_a_screen(paceline, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "80")
    run = paceline(*arguments)
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    assert len(lines) <= (99 if "run" in arguments else 24)
    assert max(map(len, lines)) <= 80


def test_the_version_is_printed(paceline):
    run = paceline("--version")
    assert run.code == 0
    assert run.out.split(".")[0].isdigit()


def test_errors_that_are_not_of_paceline_are_raised(jsonl, tmp_path):
    with pytest.raises(ValueError, match=r"null (byte|character)"):
        main(["run", str(jsonl(1)), "-o", f"{tmp_path}/\0", "-m", FAST])


def test_no_prompt_is_ever_printed(paceline, tmp_path):
    text = "the quick brown fox"
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"id": str(i), "prompt": text}) + "\n" for i in range(30)), "utf-8")
    faults = "rejected:0.2+invalid:0.2+refused:0.2+truncated:0.2"
    run = paceline("run", path, "-o", "-", "-m", f"{FAST},faults={faults}", "--verbose")
    assert run.code == 1
    assert text not in run.err
