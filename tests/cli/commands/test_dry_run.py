"""`--dry-run`: everything is checked, the plan is printed, nothing is called and nothing is written."""

from __future__ import annotations

import json
import re

import pytest

from paceline import Price, TokenUsage
from paceline._core.forecast import AROUND, DEFAULT_BYTES_PER_TOKEN, GUESSED_OUTPUT

from ..conftest import FAST, KEYS


@pytest.fixture
def same(tmp_path):
    path = tmp_path / "in.jsonl"
    rows = [{"id": str(n), "prompt": "abcd" * (n % 3)} for n in range(9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def keys(monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "k" * 40)
    monkeypatch.setenv("GEMINI_API_KEY", "AIza" + "k" * 35)


def test_a_dry_run_leaves_no_trace(paceline, same, tmp_path):
    before = sorted(tmp_path.iterdir())
    run = paceline("run", same, "-o", tmp_path / "out.jsonl", "-m", f"{FAST},faults=denied:1", "--dry-run")
    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines()[0] == "plan      nothing is called, nothing is written"
    assert sorted(tmp_path.iterdir()) == before


def test_an_output_that_a_run_would_replace_is_left_unchanged(paceline, same, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_bytes(b"paid for\n")
    run = paceline("run", same, "-o", out, "-m", FAST, "--dry-run", "--overwrite")
    assert "its content is replaced" in run.out
    assert out.read_bytes() == b"paid for\n"


def test_equal_prompts_are_counted_as_one_call(paceline, same, tmp_path):
    for arguments, calls, size in ([], 3, 12), (["--no-dedupe"], 9, 36):
        run = paceline("run", same, "-o", tmp_path / "o", "-m", FAST, "--dry-run", "--json", *arguments)
        (plan,) = run.rows
        assert plan["input"] == {
            "name": str(same),
            "kind": "jsonl",
            "prompts": 9,
            "bad_lines": 0,
            "problems": [],
            "notes": plan["input"]["notes"],
        }
        assert plan["calls"] == calls
        tokens = round(size / DEFAULT_BYTES_PER_TOKEN + calls * AROUND)
        assert plan["tokens"] == {"input": tokens, "cached_input": 0, "output": calls * GUESSED_OUTPUT}
        assert (plan["estimate"]["calls"], plan["estimate"]["seen"]) == (calls, 0)


def test_the_plan_shows_models_lanes_files_and_costs(paceline, same, tmp_path, keys):
    (tmp_path / "s.txt").write_text("x" * 400 + "\n")
    arguments = ("--escalate", "gpt-5-nano,gemini-2.5-flash", "--system", tmp_path / "s.txt")
    run = paceline("run", same, "-o", tmp_path / "out.jsonl", *arguments, "--dry-run")
    assert run.code == 0, run.err
    for line in (
        f"input     {same}: 9 prompts (jsonl)",
        "calls     3",
        "            6 of 9 prompts are the same as another and share its call; --no-dedupe calls the model for each",
        "model     gpt-5-nano, lane OpenAIStrategy:gpt-5-nano",
        "then      gemini-2.5-flash, lane GeminiStrategy:gemini-2.5-flash",
        f"system    {tmp_path}/s.txt: 400 characters",
        f"output    {tmp_path}/out.jsonl (new), format own",
        f"journal   {tmp_path}/out.jsonl.journal (new)",
        "estimate  a guess from the sizes of the prompts",
    ):
        assert line in run.out.splitlines()
    assert re.search(r"^            gpt-5-nano: \$0\.\d+ \(\$0\.\d+ to \$0\.\d+\) for 3 items$", run.out, re.MULTILINE)
    assert re.search(r"^            gemini-2.5-flash: .* for 1 item \(0 to 3\)$", run.out, re.MULTILINE)
    assert re.search(r"^batch API \$0\.\d+ ", run.out, re.MULTILINE)
    assert "k" * 35 not in run.out


def test_a_cached_system_instruction_is_priced_as_cached_tokens(paceline, same, tmp_path, keys):
    (tmp_path / "s.txt").write_text("x" * 400)
    arguments = ("-m", "gemini-2.5-flash", "--system", tmp_path / "s.txt", "--cache")
    (plan,) = paceline("run", same, "-o", tmp_path / "o", *arguments, "--dry-run", "--json").rows
    sent, cached = plan["tokens"]["input"], plan["tokens"]["cached_input"]
    assert cached == round(3 * 400 / DEFAULT_BYTES_PER_TOKEN) < sent
    (model,) = plan["models"]
    price = Price(**model["price"])
    expected = price.of(TokenUsage(sent, 600, cached_input_tokens=cached))
    assert plan["cost"] == model["cost"] == pytest.approx(expected, rel=0.01)


def test_a_missing_key_is_in_the_plan_which_says_that_a_run_would_be_refused(
    paceline, same, tmp_path, keys, monkeypatch
):
    monkeypatch.delenv("OPENAI_API_KEY")
    run = paceline("run", same, "-o", tmp_path / "o", "-m", "gpt-5-mini", "--dry-run")
    assert run.code == 2
    assert "            a run would be refused: no API key for openai: set OPENAI_API_KEY" in run.out.splitlines()
    (plan,) = paceline("run", same, "-o", tmp_path / "o", "-m", "gpt-5-mini", "--dry-run", "--json").rows
    assert plan["missing_keys"] == ["no API key for openai: set OPENAI_API_KEY"]
    assert plan["cost"] > 0


def test_a_cap_that_a_run_would_refuse_is_refused(paceline, same, tmp_path):
    run = paceline("run", same, "-o", tmp_path / "o", "-m", FAST, "--dry-run", "--max-cost", "1")
    assert (run.code, run.out) == (2, "")
    assert "--max-cost: needs the price of each model" in run.err


def test_an_unknown_price_is_reported_as_unknown(paceline, same, tmp_path):
    run = paceline("run", same, "-o", tmp_path / "o", "-m", FAST, "--dry-run")
    assert "cost      unknown, as no price is known " in run.out
    (plan,) = paceline("run", same, "-o", tmp_path / "o", "-m", FAST, "--dry-run", "--json").rows
    assert plan["cost"] is None


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("in.jsonl", "is the input; name another file"),
        ("full.jsonl", "has content; name another file, or set --overwrite"),
        (".", "cannot be written to: Is a directory"),
        ("none/out.jsonl", "none: no such folder; create it"),
        ("full.jsonl/out.jsonl", "cannot be written to: Not a directory"),
    ],
)
def test_an_output_that_a_run_would_refuse_is_refused(paceline, same, tmp_path, output, words):
    (tmp_path / "full.jsonl").write_bytes(b"paid for\n")
    run = paceline("run", same, "-o", tmp_path / output, "-m", FAST, "--dry-run")
    assert (run.code, run.out) == (2, "")
    assert paceline("run", same, "-o", tmp_path / output, "-m", FAST).code == 2
    assert words in run.err


@pytest.mark.parametrize(("output", "state"), [("/dev/null", "a stream"), ("empty.jsonl", "empty"), ("-", "a stream")])
def test_streams_and_empty_files_are_accepted(paceline, same, monkeypatch, output, state):
    monkeypatch.chdir(same.parent)
    (same.parent / "empty.jsonl").touch()
    run = paceline("run", same, "-o", output, "-m", FAST, "--dry-run")
    assert run.code == 0, run.err
    assert f"({state}), format own" in run.out
    assert ("journal   none: the run cannot be resumed" in run.out) == (state == "a stream")


def test_invalid_lines_are_in_the_plan(paceline, same, tmp_path):
    with same.open("a") as file:
        file.write("broken\n" * 12)
    arguments = ("run", same, "-o", tmp_path / "o", "-m", FAST, "--dry-run")
    run = paceline(*arguments)
    assert f"input     {same}: 9 prompts (jsonl); 12 invalid lines are skipped" in run.out.splitlines()
    assert f"            {same}:10: not JSON: Expecting value at column 1" in run.out.splitlines()
    assert "            and 2 more" in run.out.splitlines()
    (plan,) = paceline(*arguments, "--json").rows
    assert (plan["input"]["bad_lines"], len(plan["input"]["problems"])) == (12, 10)
    assert plan["input"]["problems"][0] == {
        "line": 10,
        "row": 10,
        "reason": "not JSON: Expecting value at column 1",
    }


def test_the_plan_shows_the_first_prompt_as_it_is_sent_in_one_short_line(paceline, tmp_path):
    table = tmp_path / "in.csv"
    table.write_text('review\n"good\n\x1b[31m"\n', "utf-8")
    run = paceline("run", table, "--prompt", "Classify: {review}" + " long" * 100, "-m", FAST, "--dry-run")
    (line,) = [line for line in run.out.splitlines() if line.startswith("prompt    ")]
    assert line.startswith("prompt    Classify: good \\x1b[31m long long")
    assert line.endswith("…")
    assert len(line) <= 215


def test_a_plan_shows_the_body_of_a_request_and_json_has_no_prompt(paceline, tmp_path):
    batch = tmp_path / "in.jsonl"
    body = {"model": "m", "messages": [{"role": "user", "content": "Who?"}]}
    line = {"custom_id": "q", "method": "POST", "url": "/v1/chat/completions", "body": body}
    batch.write_text(json.dumps(line) + "\n", "utf-8")
    arguments = ("run", batch, "-o", tmp_path / "o", "-m", FAST, "--dry-run")
    assert any(line.startswith("prompt    {") and "Who?" in line for line in paceline(*arguments).out.splitlines())
    assert "Who?" not in paceline(*arguments, "--json").out


def test_an_input_that_cannot_be_run_is_refused_as_in_a_run(paceline, same, tmp_path):
    with same.open("a") as file:
        file.write("broken\n")
    run = paceline("run", same, "-o", tmp_path / "o", "-m", FAST, "--dry-run", "--strict")
    assert run.code == 2
    assert run.err.startswith(f"{same}:10: not JSON")


def test_requests_that_differ_in_more_than_words_are_different_calls(paceline, tmp_path):
    path = tmp_path / "batch.jsonl"
    rows = [
        {"custom_id": str(n), "method": "POST", "url": "/v1/chat/completions", "body": body}
        for n, body in enumerate(
            {"model": "m", "messages": [{"role": "user", "content": "abcd"}], "temperature": t} for t in (0, 0, 1)
        )
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ("-m", "openai:m@http://127.0.0.1:9/v1", "--dry-run", "--json")
    (plan,) = paceline("run", path, "-o", tmp_path / "o", *arguments, "--dedupe").rows
    assert (plan["input"]["kind"], plan["calls"], plan["tokens"]["input"]) == (
        "openai",
        2,
        round(2 * (4 / DEFAULT_BYTES_PER_TOKEN + AROUND)),
    )


def test_lines_of_a_batch_file_are_calls_of_their_own_by_default(paceline, tmp_path):
    path = tmp_path / "batch.jsonl"
    body = {"model": "m", "messages": [{"role": "user", "content": "abcd"}]}
    lines = [{"custom_id": str(n), "method": "POST", "url": "/v1/chat/completions", "body": body} for n in range(3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ("run", path, "-o", tmp_path / "o", "-m", FAST, "--dry-run")
    (plan,) = paceline(*arguments, "--json").rows
    assert (plan["calls"], plan["repeats"]) == (3, 2)
    assert (
        "2 prompts are the same as another and have calls of their own; --dedupe calls once" in paceline(*arguments).out
    )


@pytest.fixture
def begun(paceline, same, tmp_path):
    """Run a batch whose items of one prompt are rejected; return the arguments to run it again."""
    arguments = ("run", same, "-o", tmp_path / "out.jsonl", "-m", f"{FAST},faults=rejected:1")
    assert paceline(*arguments, "--limit", 4).code == 1
    return arguments


def state_in(run):
    return run.rows[0]["journal"]["state"]


def test_the_plan_shows_what_the_journal_has_done(paceline, begun, tmp_path):
    kept = [tmp_path / "out.jsonl", tmp_path / "out.jsonl.journal"]
    before = [path.read_bytes() for path in kept]
    run = paceline(*begun, "--limit", 4, "--dry-run")
    assert run.code == 0, run.err
    lines = run.out.splitlines()
    assert "calls     0" in lines
    assert f"output    {tmp_path}/out.jsonl (continued: it belongs to the journal), format own" in lines
    assert "            4 items: 0 succeeded, 4 failed, 0 pending" in lines
    assert "            0 failed items are run again" in lines
    assert [path.read_bytes() for path in kept] == before


def test_items_that_are_run_again_are_counted_in_the_plan(paceline, begun):
    (plan,) = paceline(*begun, "--limit", 4, "--dry-run", "--json", "--retry", "rejected").rows
    assert (plan["wanted"], plan["calls"]) == (4, 3)
    assert plan["output"]["state"] == "continued"
    assert plan["journal"]["state"] == {
        "items": 4,
        "succeeded": 0,
        "failures": {"rejected": 4},
        "pending": 0,
        "again": 4,
        "new": 0,
        "changes": [],
        "writer": None,
        "refused": False,
    }


def test_the_plan_reports_changes_in_the_words_of_the_run(paceline, begun, same):
    text = same.read_text("utf-8").replace("abcdabcd", "abcdefgh")
    same.write_text(text, "utf-8")
    planned = paceline(*begun, "--dry-run", "--json")
    assert planned.code == 2
    state = state_in(planned)
    assert state["refused"]
    assert (state["changes"], state["new"]) == (["the prompt of '2' has changed"], 5)
    refused = paceline(*begun)
    assert refused.code == 2
    assert all(change in refused.err for change in state["changes"])
    allowed = paceline(*begun, "--dry-run", "--json", "--allow-changes")
    assert (allowed.code, state_in(allowed)["refused"]) == (0, False)
    assert allowed.rows[0]["wanted"] == 6


def test_another_model_is_a_change_in_the_plan(paceline, begun):
    other = [f"{FAST},faults=rejected:0.5" if str(one).startswith("sim") else one for one in begun]
    state = state_in(paceline(*other, "--limit", 4, "--dry-run", "--json"))
    assert len(state["changes"]) == 1
    assert state["changes"][0].startswith("service was ")


def test_a_prompt_that_another_item_has_answered_needs_no_call(paceline, same, tmp_path):
    arguments = ("run", same, "-o", tmp_path / "out.jsonl", "-m", FAST)
    assert paceline(*arguments, "--limit", 3).code == 0
    (plan,) = paceline(*arguments, "--dry-run", "--json", "--allow-changes").rows
    assert (plan["wanted"], plan["calls"]) == (6, 0)
    (plan,) = paceline(*arguments, "--dry-run", "--json", "--allow-changes", "--no-dedupe").rows
    assert (plan["wanted"], plan["calls"]) == (6, 6)


def test_a_file_that_is_not_a_journal_is_refused_in_a_dry_run_too(paceline, same, tmp_path):
    (tmp_path / "out.jsonl.journal").write_bytes(b"somebody's" * 100)
    run = paceline("run", same, "-o", tmp_path / "out.jsonl", "-m", FAST, "--dry-run")
    assert (run.code, run.out) == (2, "")
    assert run.err == f"paceline: {tmp_path}/out.jsonl.journal: is not a journal; name another file\n"


def test_the_plan_of_a_native_run_has_the_price_of_the_batch_api_and_no_time(paceline, same, tmp_path, keys):
    run = paceline(
        "run", same, "-o", tmp_path / "o", "-m", "gpt-5-mini", "--price", "in=1,out=0", "--native", "--dry-run"
    )
    assert "sent      in jobs of the provider's batch API, whose answers may take a day" in run.out
    assert "if all were called online" in run.out
    assert not re.search(r"^(workers|time|batch API) ", run.out, re.MULTILINE)
    run = paceline("run", same, "-o", tmp_path / "o", "-m", "gpt-5-mini", "--within", "6h", "--dry-run")
    assert "what is not answered in time is called online before 20" in run.out


def test_a_native_run_of_a_model_without_a_batch_api_is_refused_by_the_plan(paceline, same, tmp_path):
    run = paceline("run", same, "-o", tmp_path / "o", "-m", FAST, "--native", "--dry-run")
    assert run.code == 2
    assert "has no batch API" in run.err
