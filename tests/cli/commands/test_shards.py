"""`paceline run --shard`: several processes share an input."""

from __future__ import annotations

import pytest

from ..conftest import FAST, prompts, rows_of


@pytest.fixture
def shared(paceline, tmp_path, monkeypatch):
    """Run a part of an input of ten prompts."""
    path = tmp_path / "in.jsonl"
    path.write_text(prompts(10))
    for name in ("JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)

    def run(shard, *arguments, output="out.jsonl"):
        options = () if shard is None else ("--shard", shard)
        return paceline("run", path, "-o", tmp_path / output, "-m", FAST, "-q", *options, *arguments)

    return run


def test_each_row_is_in_the_output_of_one_shard(shared, tmp_path):
    for index in range(3):
        assert shared(f"{index}/3").code == 0
    rows = [rows_of(tmp_path / f"out-{index:05}-of-00003.jsonl") for index in range(3)]
    assert [{row["id"] for row in part} for part in rows] == [
        {f"q{i}" for i in range(index, 10, 3)} for index in range(3)
    ]
    assert not (tmp_path / "out.jsonl").exists()


def test_a_shard_is_resumed_from_its_own_journal(shared, paceline, tmp_path):
    output = tmp_path / "out-00001-of-00003.jsonl"
    assert shared("1/3").code == 0
    before = output.read_bytes()
    for again in (shared("1/3"), paceline("resume", output, "-q"), paceline("resume", f"{output}.journal", "-q")):
        assert (again.code, again.err) == (0, "paceline: all 3 items were done already\n")
    assert output.read_bytes() == before
    assert len([*tmp_path.iterdir()]) == 3


def test_the_journal_of_one_shard_is_refused_for_another(shared, tmp_path):
    shared("1/3", "--journal", tmp_path / "j.db")
    (tmp_path / "j-00001-of-00003.db").rename(tmp_path / "j-00002-of-00003.db")
    run = shared("2/3", "--journal", tmp_path / "j.db", output="b.jsonl")
    assert run.code == 2
    assert "--shard was '1/3', is '2/3'" in run.err


def test_rows_that_are_added_at_the_end_go_to_their_shards(shared, tmp_path):
    shared("1/3")
    (tmp_path / "in.jsonl").write_text(prompts(12))
    run = shared("1/3")
    assert run.code == 0
    assert "1 item is added to the 3 of the journal" in run.err
    assert {row["id"] for row in rows_of(tmp_path / "out-00001-of-00003.jsonl")} == {"q1", "q4", "q7", "q10"}


def test_a_shard_without_rows_is_done(shared, tmp_path):
    assert shared("11/13").code == 0
    assert rows_of(tmp_path / "out-00011-of-00013.jsonl") == []


def test_a_task_of_an_array_job_finds_its_shard_if_it_is_asked_to(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "2")
    run = shared("auto/3")
    assert run.code == 0
    assert run.err.startswith("paceline: shard 2/3, by JOB_COMPLETION_INDEX=2\n")
    assert len(rows_of(tmp_path / "out-00002-of-00003.jsonl")) == 3


def test_a_plain_run_in_an_array_job_runs_all_rows_and_says_so(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "2")
    run = shared(None)
    assert run.code == 0
    assert "this is task 2 of a Kubernetes Job (JOB_COMPLETION_INDEX=2), and it runs all rows of the input" in run.err
    assert "--shard auto/COUNT gives it its part" in run.err
    assert len(rows_of(tmp_path / "out.jsonl")) == 10


@pytest.mark.parametrize(("shard", "why"), [
    ("3/3", "--shard: shards are counted from 0: the index must be 0 to 2, not 3"),
    ("x", "--shard: must be INDEX/COUNT, such as 0/8, or auto, not 'x'"),
    ("auto", "--shard: auto needs the variables of an array job"),
])  # fmt: skip
def test_a_shard_that_cannot_be_meant_is_refused_before_anything_is_written(shared, tmp_path, shard, why):
    run = shared(shard)
    assert run.code == 2
    assert run.err.startswith(f"paceline: {why}")
    assert len(run.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_budget_of_a_shard_is_said_to_be_its_own(shared):
    assert "the budget is that of shard 0/3 alone" in shared("0/3", "--max-total-tokens", "1000000").err


def merged(paceline, tmp_path, *paths, output="all.jsonl", code=0):
    run = paceline("merge", *paths, "-o", tmp_path / output)
    assert run.code == code, run.err
    return run


def test_merged_shards_have_all_rows_in_the_order_of_the_input(shared, paceline, tmp_path):
    for index in range(3):
        shared(f"{index}/3")
    output, journal = tmp_path / "out-00000-of-00003.jsonl", tmp_path / "out-00002-of-00003.jsonl.journal"
    ways = [
        [tmp_path / "out.jsonl"],
        [tmp_path],
        [tmp_path / "out-*"],
        [tmp_path / "out-*.journal"],
        [output, tmp_path / "out-00001-of-00003.jsonl", journal, journal],
        [*tmp_path.glob("out-*")],
    ]
    for number, paths in enumerate(ways):
        run = merged(paceline, tmp_path, *paths, output=f"all{number}.jsonl")
        assert [row["id"] for row in rows_of(tmp_path / f"all{number}.jsonl")] == [f"q{i}" for i in range(10)], paths
        assert run.err == f"paceline: {tmp_path / f'all{number}.jsonl'}: 10 rows of 3 shards\n"
    merged(paceline, tmp_path, tmp_path / "out.jsonl", output="all.csv")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 11


def test_a_merged_output_may_have_the_name_that_the_shards_were_given(shared, paceline, tmp_path):
    for index in range(2):
        shared(f"{index}/2")
    for _ in range(2):
        assert paceline("merge", tmp_path / "out.jsonl", "-o", tmp_path / "out.jsonl", "--overwrite").code == 0
        assert len(rows_of(tmp_path / "out.jsonl")) == 10


def test_missing_shards_and_rows_are_named(shared, paceline, tmp_path):
    shared("2/4")
    shared("0/4", "--max-total-tokens", "1")
    run = merged(paceline, tmp_path, tmp_path, code=1)
    assert "2 shards are missing: 1/4, 3/4" in run.err
    assert "3 rows of shard 0/4 have no result, the first is 'q0'; resume with: paceline resume" in run.err
    assert [row["id"] for row in rows_of(tmp_path / "all.jsonl")] == ["q2", "q6"]


def test_what_is_not_a_set_of_shards_of_one_input_is_not_merged(shared, paceline, tmp_path):
    shared("0/2")
    shared("1/3")
    shared(None, output="plain.jsonl")
    shared("1/2", "--limit", "9", output="b.jsonl")
    shared("0/2", output="c.jsonl")
    first = tmp_path / "out-00000-of-00002.jsonl"
    for other, why in {
        "out-00001-of-00003.jsonl": "are shards 0/2 and 1/3, which do not belong together",
        "plain.jsonl": "is not the journal of a shard",
        "b-00001-of-00002.jsonl": "are shards of different inputs",
        "c-00000-of-00002.jsonl": "are both shard 0/2",
        "missing.jsonl": "no journal is there",
    }.items():
        run = merged(paceline, tmp_path, first, tmp_path / other, code=2)
        assert why in run.err
        assert len(run.err.splitlines()) == 1
    assert "is the output of shard 0/2" in paceline("merge", first, "-o", first, "--overwrite").err
    assert not (tmp_path / "all.jsonl").exists()
