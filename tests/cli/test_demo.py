"""`paceline demo`: what it shows, and that what it promises comes true."""

from __future__ import annotations

import os
import pty
import re

import pytest

from paceline import LLMWorkItem, ParallelBatchProcessor
from paceline.cli.demo import ITEMS, MODEL
from paceline.cli.prompts import docstring_prompts
from paceline.testing import parse_model

from .conftest import FAST


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


@pytest.mark.anyio
async def test_the_demo_climbs_meets_refusals_settles_and_serves_all(prompts):
    strategy = parse_model(MODEL)
    async with ParallelBatchProcessor() as processor:
        for prompt in prompts:
            await processor.add_work(LLMWorkItem(prompt.id, strategy, prompt.text))
        batch = await processor.process_all()
    assert batch.succeeded == ITEMS
    assert 0 < batch.refusals < ITEMS / 5
    assert batch.workers[1] > 60
    assert 15 < batch.seconds < 30
    assert batch.usage.input_tokens > 10_000


def test_the_prompts_are_real_text_under_unique_names(prompts):
    assert len({prompt.id for prompt in prompts}) == ITEMS
    assert len({prompt.text for prompt in prompts}) > 0.9 * ITEMS
    assert all(len(prompt.text) > 100 for prompt in prompts)


def test_there_are_as_many_prompts_as_are_asked_for():
    many = docstring_prompts(2_500)
    assert len({prompt.id for prompt in many}) == 2_500
    assert docstring_prompts(1) == many[:1]


def test_the_demo_ends_with_a_summary_and_0(paceline):
    run = paceline("demo", "--items", 30, "--model", FAST, "--seed", 3)
    assert (run.code, run.out) == (0, "")
    assert "30 succeeded, 0 failed" in run.err
    assert f"{FAST},seed=3" in run.err


def test_a_demo_with_faults_says_so(paceline):
    assert paceline("demo", "--items", 30, "--model", FAST + ",faults=rejected:1").code == 1


def test_on_a_terminal_the_demo_draws_a_panel(start):
    code, drawn = on_a_terminal(start, "demo", "--items", "60", "--model", "sim:rate=50,burst=30,latency=0.2")
    assert code == 0
    for words in (
        "a batch finds its pace",
        "60 of 60",
        "workers",
        "in flight",
        "served",
        "refusals",
        "█",
        "→",
        "60 succeeded",
    ):
        assert words in drawn
    assert "Traceback" not in drawn


def test_on_a_terminal_a_run_draws_two_lines(start, jsonl, tmp_path):
    code, drawn = on_a_terminal(start, "run", jsonl(20), "-o", tmp_path / "out.jsonl", "-m", "sim:latency=0.3")
    assert code == 0
    for words in ("of 20", "calls/s", "left", "20 succeeded"):
        assert words in drawn


@pytest.mark.parametrize("rows_to_it", [True, False])
def test_rows_that_may_end_on_the_terminal_are_not_drawn_over(start, jsonl, rows_to_it):
    arguments = ("run", jsonl(20), "-o", "-", "-m", "sim:latency=0.3")
    code, drawn = on_a_terminal(start, *arguments, rows_to_it=rows_to_it)
    assert code == 0
    assert drawn.count('{"id": "q') == (20 if rows_to_it else 0)
    assert "calls/s" not in drawn
