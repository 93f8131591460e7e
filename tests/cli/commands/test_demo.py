"""`paceline demo`: its prompts, its panel and its summary."""

from __future__ import annotations

import os
import pty
import re

import pytest

from paceline.cli.commands.demo import ITEMS, docstring_prompts

from ..conftest import FAST


def on_a_terminal(start, *arguments, rows_to_it=False):
    """Run the program with stderr on a terminal; return its exit code and all that was drawn."""
    ours, theirs = pty.openpty()
    started = start(
        *arguments,
        stderr=theirs,
        **({"stdout": theirs} if rows_to_it else {}),
        environment={"TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
    )
    os.close(theirs)
    drawn = bytearray()
    try:
        while piece := os.read(ours, 65_536):
            drawn += piece
    except OSError:  # what a terminal whose program has ended answers
        pass
    os.close(ours)
    return started.wait(), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())


@pytest.fixture(scope="module")
def prompts():
    return docstring_prompts(ITEMS)


def test_the_prompts_are_real_text_under_unique_names(prompts):
    assert len({prompt.id for prompt in prompts}) == ITEMS
    assert len({prompt.prompt for prompt in prompts}) > 0.8 * ITEMS
    assert all(len(prompt.prompt) > 100 for prompt in prompts)


def test_any_number_of_prompts_can_be_made():
    many = docstring_prompts(2_500)
    assert len({prompt.id for prompt in many}) == 2_500
    assert docstring_prompts(1) == many[:1]


def test_the_demo_ends_with_a_summary_and_0(paceline):
    run = paceline("demo", "--items", 30, "--model", FAST, "--seed", 3)
    assert (run.code, run.out) == (0, "")
    assert "30 succeeded, 0 failed" in run.err
    assert f"{FAST},seed=3" in run.err


def test_failed_items_make_the_exit_code_1(paceline):
    assert paceline("demo", "--items", 30, "--model", FAST + ",faults=rejected:1").code == 1


def test_on_a_terminal_the_demo_draws_a_panel(start):
    code, drawn = on_a_terminal(start, "demo", "--items", "40", "--model", "sim:rate=10,burst=5,latency=0.2")
    assert code == 0
    for words in (
        "a batch finds its pace",
        "40 of 40",
        "workers",
        "in flight",
        "rate",
        "throttled",
        "█",
        "→",
        "40 succeeded",
    ):
        assert words in drawn
    assert "Traceback" not in drawn


def test_the_summary_compares_each_limit_with_the_pace_that_was_found(paceline):
    run = paceline("demo", "--items", 30)
    assert (run.code, run.out) == (0, "")
    assert "from  0 s  allowed 60.0 calls/s, found" in run.err
    assert "refusals per 100 calls served" in run.err
    assert "from  9 s" not in run.err


def test_on_a_terminal_a_run_draws_a_panel(start, jsonl, tmp_path):
    code, drawn = on_a_terminal(start, "run", jsonl(20), "-o", tmp_path / "out.jsonl", "-m", "sim:latency=0.3")
    assert code == 0
    for words in ("of 20", "in flight of ", "no limit met yet", "calls/s", "left", "20 succeeded"):
        assert words in drawn


@pytest.mark.parametrize("rows_to_it", [True, False])
def test_there_is_no_panel_where_rows_may_go_to_the_terminal(start, jsonl, rows_to_it):
    arguments = ("run", jsonl(20), "-o", "-", "-m", "sim:latency=0.3")
    code, drawn = on_a_terminal(start, *arguments, rows_to_it=rows_to_it)
    assert code == 0
    assert drawn.count('{"id": "q') == (20 if rows_to_it else 0)
    assert "calls/s" not in drawn
