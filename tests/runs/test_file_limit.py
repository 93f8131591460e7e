"""Fewer file descriptors than workers, in processes that really have few."""

from __future__ import annotations

import resource

import pytest

from ..cli.conftest import FAST

ASK = """
import resource, sys
from paceline.runs.file_limit import workers_within
workers = workers_within(200, models=int(sys.argv[1]), on_message=print)
print(workers, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def limited(soft, hard):
    return resource.RLIMIT_NOFILE, soft, hard


def test_the_soft_limit_is_raised_as_far_as_needed(process):
    run = process("1", command=("-c", ASK), limits=limited(64, 1024))
    workers, soft = map(int, run.out.split())
    assert workers == 200
    assert 200 < soft < 300


def test_a_limit_that_is_high_enough_is_left_alone(process):
    assert process("1", command=("-c", ASK), limits=limited(512, 1024)).out == "200 512\n"


def test_each_model_of_a_ladder_has_connections_of_its_own(process):
    run = process("3", command=("-c", ASK), limits=limited(64, 400))
    message, (workers, soft) = run.out.splitlines()[0], map(int, run.out.splitlines()[1].split())
    assert message.startswith(f"at most {workers} calls at a time, not 200")
    assert workers * 3 < soft == 400


def test_a_low_hard_limit_means_fewer_workers_and_one_sentence(process, jsonl, tmp_path):
    arguments = ("run", jsonl(300), "-o", tmp_path / "out.jsonl", "-m", FAST, "--max-workers", "200")
    run = process(*arguments, limits=limited(64, 64))
    assert run.code == 0, run.err
    first = run.err.splitlines()[0]
    assert first.startswith("paceline: at most ")
    assert "this process may have 64 files open; for more raise its limit (ulimit -n 2" in first
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 300


def test_a_batch_with_room_for_all_items_prints_nothing_about_the_limit(process, jsonl, tmp_path):
    run = process("run", jsonl(5), "-o", tmp_path / "out.jsonl", "-m", FAST, limits=limited(64, 64))
    assert run.code == 0
    assert "files open" not in run.err


@pytest.mark.parametrize("limit", [24, 29])
def test_without_room_for_one_call_nothing_is_called(process, jsonl, tmp_path, limit):
    out = tmp_path / "out.jsonl"
    run = process("run", jsonl(5), "-o", out, "-m", FAST, limits=limited(limit, limit))
    assert run.code == 2
    assert len(run.err.splitlines()) == 1
    assert f"this process may have {limit} files open, and needs " in run.err
    assert not out.exists() or not out.stat().st_size
