"""The program as a process: exit codes, pipes, signals, missing packages."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import FAST, clean_environment, rows_of

SLOW = "sim:rate=none,latency=60,faults=rejected:0.3"  # rejected calls return at once, the others take a minute
STEADY = "sim:rate=none,latency=0.2,sigma=0"
LONG = "sim:rate=none,latency=2,sigma=0"  # many calls are in flight at the first answer


def block(*modules):
    """Return a command that runs the program without these modules."""
    blocked = "".join(f"sys.modules[{module!r}] = None; " for module in modules)
    return ("-c", f"import sys; {blocked}from paceline.cli import main; sys.exit(main())")


HEAVY = {"trio", "anyio", "sqlite3", "jsonschema", "google", "openai", "httpx", "paceline._engine", "paceline.journal"}


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_loads_nothing_that_only_a_run_needs(process, arguments):
    program = f"import sys; from paceline.cli import main; main(); print(*{HEAVY} & sys.modules.keys())"
    run = process(*arguments, command=("-c", program))
    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines()[-1] == ""


def first_row_of(process):
    return json.loads(process.stdout.readline())


def test_the_module_and_the_script_are_the_same_program(process):
    script = subprocess.run(
        [Path(sys.executable).with_name("paceline"), "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert process("--version").out == script.stdout


@pytest.mark.parametrize("package", ["cyclopts", "rich"])
def test_without_the_cli_extra_a_message_names_what_to_install(process, package):
    run = process("demo", command=block(package))
    assert (run.code, run.out) == (2, "")
    assert run.err == (
        "paceline: the command line needs an optional package; install it with: pip install 'paceline[cli]'\n"
    )


def test_another_missing_module_is_a_bug_and_shows_its_traceback(process):
    run = process("demo", command=block("paceline.cli.commands.demo"))
    assert run.code == 1
    assert "ModuleNotFoundError" in run.err


def test_without_the_gemini_extra_a_message_names_what_to_install(process, jsonl):
    run = process("run", jsonl(1), "-o", "-", "-m", "gemini-2.5-flash", command=block("google.genai"))
    assert (run.code, run.out) == (2, "")
    assert run.err == (
        "paceline: GeminiStrategy needs an optional package; install it with: pip install 'paceline[gemini]'\n"
    )


def test_without_a_key_a_message_names_the_variable(paceline, jsonl, no_keys):
    run = paceline("run", jsonl(1), "-o", "-", "-m", "gemini-2.5-flash")
    assert (run.code, run.out) == (2, "")
    assert len(run.err.splitlines()) == 1
    assert run.err.startswith("paceline: no API key for gemini: set GOOGLE_API_KEY or GEMINI_API_KEY, or ")


def test_a_key_is_never_shown(process, jsonl):
    key = "AIza" + "x" * 35
    environment = {"GEMINI_API_KEY": key, "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:1"}
    run = process(
        "run", jsonl(2), "-o", "-", "-m", "gemini-2.5-flash", "--deadline", "1", "--verbose", environment=environment
    )
    assert run.code == 1
    assert len(run.rows) == 2
    assert key not in run.err + run.out


def test_prompts_come_from_stdin_and_rows_go_to_stdout(process, paceline, jsonl):
    run = process("run", "-", "-o", "-", "-m", FAST, stdin=jsonl(20).read_text("utf-8"))
    assert run.code == 0
    assert len(run.rows) == 20
    text = paceline("run", "-", "-o", "-", "-m", FAST, stdin="one\ntwo\n")
    assert {row["id"] for row in text.rows} == {"1", "2"}
    braces = paceline("run", "-", "-o", "-", "-m", FAST, "--input-format", "text", stdin="{one}\n")
    assert [row["output"] for row in braces.rows] == ["simulated: {one}"]


def test_stdin_is_checked_to_its_end_before_the_first_call(paceline, jsonl):
    run = paceline("run", "-", "-o", "-", "-m", FAST, "--strict", stdin=jsonl(3).read_text("utf-8") + "broken\n")
    assert (run.code, run.out) == (2, "")
    assert run.err == "stdin:4: not JSON: Expecting value at column 1\n"


def test_stdin_may_be_a_file_that_was_partly_read(start, jsonl):
    with jsonl(5).open("rb") as file:
        os.lseek(file.fileno(), len(file.readline()), os.SEEK_SET)
        started = start("run", "-", "-o", "-", "-m", FAST, stdin=file)
        out, _ = started.communicate()
    assert sorted(json.loads(line)["id"] for line in out.splitlines()) == ["q1", "q2", "q3", "q4"]


def test_an_endless_stdin_is_read_up_to_the_limit(start):
    endless = subprocess.Popen(["yes", "a prompt"], stdout=subprocess.PIPE)
    started = start("run", "-", "-o", "-", "-m", FAST, "--limit", "7", stdin=endless.stdout)
    endless.stdout.close()
    out, _ = started.communicate()
    endless.wait()
    assert (started.returncode, len(out.splitlines())) == (0, 7)


@pytest.mark.parametrize(
    ("redirection", "words"),
    [("<&-", "stdin: cannot be read"), (">&-", "stdout: cannot be written to")],
)
def test_a_closed_stdin_or_stdout_is_one_message(redirection, words):
    command = f"echo x | {sys.executable} -m paceline run - -o - -m {FAST} {redirection}"
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=clean_environment(), check=False)
    assert run.returncode == 2
    assert run.stderr.startswith(words) or run.stderr.startswith(f"paceline: {words}")
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_an_unwritable_stderr_does_not_affect_the_run(redirection):
    command = f"printf 'x\\ny\\n' | {sys.executable} -m paceline run - -o - -m {FAST} {redirection}"
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=clean_environment(), check=False)
    assert run.returncode == 0
    assert sorted(json.loads(line)["id"] for line in run.stdout.splitlines()) == ["1", "2"]


def test_stdout_must_not_be_the_input(start, jsonl):
    path = jsonl(3)
    before = path.read_bytes()
    with path.open("ab") as out:
        started = start("run", path, "-o", "-", "-m", FAST, stdout=out)
        _, err = started.communicate()
    assert (started.returncode, path.read_bytes()) == (2, before)
    assert err == "paceline: stdout: is the input; name another file\n"


def test_an_interruption_before_the_first_call_leaves_no_output(start, tmp_path):
    started = start("run", "-", "-o", tmp_path / "out.jsonl", "-m", FAST, stdin=subprocess.PIPE)
    started.stdin.write("prompt\n" * 100_000)  # more than a pipe holds: some of it was read
    started.stdin.flush()
    started.send_signal(signal.SIGINT)
    assert started.stderr.read() == "paceline: interrupted\n"
    assert started.wait() == 130
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_lets_the_calls_in_flight_finish(start, jsonl, number, code):
    started = start("run", jsonl(5_000), "-o", "-", "-m", LONG, "--max-workers", "50")
    rows = [first_row_of(started)]
    started.send_signal(number)
    rows += map(json.loads, started.stdout)
    err = started.stderr.read()
    started.wait()
    assert started.returncode == code
    assert len({row["id"] for row in rows}) == len(rows) == 5_000
    assert {row["error"]["kind"] for row in rows if not row["success"]} == {"pending"}
    in_flight = int(re.search(r"finishing the calls in flight \((\d+)\)", err)[1])
    assert in_flight >= 5
    assert sum(row["success"] for row in rows) >= 1 + in_flight
    assert re.search(r", 0 failed, [\d,]+ pending\n", err)
    assert "Traceback" not in err


def test_the_second_signal_cancels_them(start, jsonl):
    started = start("run", jsonl(500), "-o", "-", "-m", SLOW)
    rows = [first_row_of(started)]
    started.send_signal(signal.SIGINT)
    assert "interrupt again" in started.stderr.readline()
    started.send_signal(signal.SIGINT)
    rows += map(json.loads, started.stdout)
    err = started.stderr.read()
    started.wait()
    assert started.returncode == 130
    assert len({row["id"] for row in rows}) == len(rows) == 500
    assert {row["error"]["kind"] for row in rows} == {"rejected", "pending"}
    assert "Traceback" not in err


def test_without_a_journal_an_interrupted_run_writes_a_row_for_every_item(start, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    started = start("run", jsonl(1_000), "-o", out, "--no-journal", "-m", SLOW, "--verbose")
    while not (out.exists() and out.stat().st_size):
        assert started.poll() is None
        os.sched_yield()
    started.send_signal(signal.SIGINT)
    started.stderr.readline()
    started.send_signal(signal.SIGTERM)
    started.communicate()
    assert started.returncode == 130
    assert len({row["id"] for row in rows_of(out)}) == len(rows_of(out)) == 1_000


def test_a_reader_that_closes_stdout_stops_the_batch_without_a_traceback(start, jsonl):
    started = start("run", jsonl(5_000), "-o", "-", "-m", STEADY, "--max-workers", "50")
    assert first_row_of(started)["success"]
    started.stdout.close()
    err = started.stderr.read()
    assert started.wait() == 141
    assert "Traceback" not in err
    assert "Broken pipe" in err


def test_help_into_a_closed_pipe_shows_no_traceback():
    command = f"{sys.executable} -m paceline run --help | true"
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=clean_environment(), check=False)
    assert run.stderr == ""


def test_a_full_device_stops_the_batch_with_one_message(process, jsonl):
    run = process("run", jsonl(5_000), "-o", "/dev/full", "-m", STEADY, "--max-workers", "50")
    assert run.code == 3
    assert run.err.splitlines()[-1] == (
        "paceline: /dev/full: No space left on device; 5,000 of 5,000 results could not be saved"
    )


def test_a_file_that_cannot_grow_keeps_complete_rows_and_the_rest_is_counted(process, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    run = process(
        *("run", jsonl(500), "-o", out, "--no-journal", "-m", FAST),
        limits=(resource.RLIMIT_FSIZE, 10_000, 10_000),
    )
    saved = len(rows_of(out))
    assert run.code == 3
    assert 0 < saved < 500
    assert run.err.splitlines()[-1].endswith(f"File too large; {500 - saved} of 500 results could not be saved")


def test_an_unwritable_output_is_one_message(paceline, jsonl, tmp_path):
    run = paceline("run", jsonl(2), "-o", tmp_path, "-m", FAST)
    assert run.code == 2
    assert run.err == f"paceline: {tmp_path}: cannot be written to: Is a directory\n"
