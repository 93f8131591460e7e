"""`estimate`: what a run will take, for people and as JSON; what is wrong is one sentence, before anything is paid."""

from __future__ import annotations

import re

import pytest

from ..conftest import FAST

pytestmark = pytest.mark.usefixtures("no_keys")
PRICE = ("--price", "in=1,out=10")


def test_an_estimate_needs_no_key_and_fits_a_terminal(paceline, jsonl):
    run = paceline("estimate", jsonl(50), "-m", "gpt-5-mini")
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    assert "calls     50" in lines
    assert "estimate  a guess from the sizes of the prompts" in lines
    for words in (
        r"tokens    .+ \(.+ to .+\) in",
        r"cost      \$.+ \(\$.+ to \$.+\)",
        r"batch API \$.+",
        r"time      .+",
    ):
        assert re.search(f"^{words}$", run.out, re.MULTILINE), words
    assert max(map(len, lines[1:])) <= 90


def test_a_ladder_has_a_line_for_each_model(paceline, jsonl):
    run = paceline("estimate", jsonl(50), "--escalate", "gpt-5-nano,gpt-5")
    assert re.search(r"^ +gpt-5-nano: \$.+ for 50 items$", run.out, re.MULTILINE)
    assert re.search(r"^ +gpt-5: \$.+ for 10 items \(\d+ to 50\)$", run.out, re.MULTILINE)


def test_a_pilot_is_kept_for_the_run_and_narrows_the_ranges(paceline, jsonl, tmp_path):
    given = (jsonl(50), "-o", tmp_path / "out.jsonl", "-m", FAST, *PRICE)
    (guess,) = paceline("estimate", *given, "--json").rows
    run = paceline("estimate", *given, "--pilot", 20, "--json")
    (found,) = run.rows
    assert (run.code, found["calls"], found["seen"]) == (0, 30, 20)
    assert "pilot: 20 items in" in run.err
    assert found["cost"]["high"] / found["cost"]["low"] < guess["cost"]["high"] / guess["cost"]["low"]
    assert (
        paceline("estimate", *given, "--pilot", 20).err == "paceline: no pilot: the journal has as many items already\n"
    )
    done = paceline("run", *given, "-q", "--json")
    assert done.code == 0
    assert "30 items are added to the 20 of the journal" in done.err


def test_a_table_of_the_run_in_a_config_file_holds_for_its_estimate(paceline, jsonl, tmp_path):
    jsonl(10)
    (tmp_path / "p.toml").write_text(
        f'[run]\nmodel = "{FAST}"\noutput = "o.jsonl"\ndry-run = true\n[estimate]\npilot = 4\n'
    )
    run = paceline("estimate", tmp_path / "in.jsonl", "--config", tmp_path / "p.toml", *PRICE, "--json")
    assert (run.code, run.rows[0]["seen"]) == (0, 4)
    assert (tmp_path / "o.jsonl.journal").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-m", FAST), "no price is known of sim; give one with --price in=0.25,out=2.00"),
        (("-m", FAST, *PRICE, "--pilot", "0"), "--pilot: must be 1 or more, not 0"),
        (("-m", FAST, *PRICE, "--pilot", "many"), "--pilot: must be a whole number, not 'many'"),
        (("-m", FAST, *PRICE, "--pilot", "2", "--no-journal"), "--pilot: keeps its calls in a journal"),
        (("-m", "gpt-5-mini", "--pilot", "2"), "no API key for openai: set OPENAI_API_KEY"),
        (("-m", "gpd-5"), "unknown model 'gpd-5'"),
        (("-m", FAST, "--dry-run"), "has no option --dry-run"),
    ],
)
def test_what_is_wrong_is_one_sentence_before_a_call(paceline, jsonl, tmp_path, arguments, words):
    path = jsonl(5)
    run = paceline("estimate", path, *arguments)
    assert (run.code, run.out) == (2, "")
    assert words in run.err
    assert len(run.err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["empty.jsonl", "missing.jsonl", "."])
def test_an_input_that_cannot_be_read_is_one_sentence(paceline, tmp_path, name):
    (tmp_path / "empty.jsonl").touch()
    run = paceline("estimate", tmp_path / name, "-m", FAST, *PRICE)
    assert (run.code, run.out, len(run.err.splitlines())) == (2, "", 1)
