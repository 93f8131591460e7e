"""What a run says after a part of its input: how to run the rest."""

from __future__ import annotations

from ..conftest import FAST


def test_a_finished_sample_says_how_to_run_the_rest_and_a_resumed_one_does_not(paceline, jsonl, tmp_path):
    arguments = ("run", jsonl(6), "-o", tmp_path / "out.jsonl", "-m", FAST, "-q")
    hint = "the same command without --sample 2 keeps these results and runs the rest"
    assert hint in paceline(*arguments, "--sample", 2).err
    assert hint not in paceline("resume", tmp_path / "out.jsonl", "-q").err
    whole = paceline(*arguments).err
    assert "4 items are added to the 2 of the journal" in whole
    assert "the same command without" not in whole


def test_what_is_said_of_one_item_is_in_the_singular(paceline, jsonl, tmp_path):
    out = tmp_path / "out.jsonl"
    run = paceline("run", jsonl(1), "-o", out, "-m", f"{FAST},faults=refused:1", "-q")
    assert "paceline: the only item failed; retry them with" not in run.err
    assert "paceline: the only item failed; retry it with: paceline resume" in run.err
    assert (
        "1 item is added to the 1 of the journal"
        in paceline("run", jsonl(2), "-o", out, "-m", FAST, "-q", "--allow-changes").err
    )
