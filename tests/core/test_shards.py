"""Shards: which rows a process answers, and which shard a task of an array job is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.exceptions import ConfigurationError
from paceline._core.shards import MOST_SHARDS, Shard, missing, shard_of_file, shard_of_job, tasks_of_job, to_shard
from paceline._core.shards import to_shard_of_job as of_job

COUNTS = st.integers(1, 40)
SHARDS = COUNTS.flatmap(lambda count: st.builds(Shard, st.integers(0, count - 1), st.just(count)))


@given(st.integers(0, 10**12), COUNTS)
def test_each_row_belongs_to_exactly_one_shard(row, count):
    assert sum(Shard(index, count).has_row(row) for index in range(count)) == 1


@given(st.integers(0, 300), COUNTS)
def test_shards_differ_by_at_most_one_row(total, count):
    sizes = [sum(map(Shard(index, count).has_row, range(total))) for index in range(count)]
    assert sizes == [Shard(index, count).rows_of(total) for index in range(count)]
    assert sum(sizes) == total
    assert max(sizes) - min(sizes) <= 1


@given(SHARDS)
def test_the_text_of_a_shard_is_read_as_that_shard(shard):
    assert to_shard(str(shard)) == to_shard(shard) == of_job(f" {shard} ", {}) == shard


@given(SHARDS, st.from_regex(r"\A(?:/?[a-z.]{1,8}/)?[a-z-]{1,8}(?:\.[a-z]{1,7}){0,2}\Z"))
def test_a_file_of_a_shard_has_a_name_of_its_own_and_keeps_its_suffix(shard, path):
    named = shard.path_of(path)
    assert shard_of_file(named) == (path, shard)
    assert named.rpartition(".")[2] == path.rpartition(".")[2] or "." not in path.rpartition("/")[2]
    assert shard.path_of(named) == named, "a resumed run keeps the name"


def test_the_journal_of_a_shard_is_named_after_its_output():
    shard = Shard(3, 8)
    assert (
        shard.path_of("a/r.jsonl.journal")
        == shard.path_of("a/r.jsonl") + ".journal"
        == "a/r-00003-of-00008.jsonl.journal"
    )
    assert shard.path_of("x.journal") == "x-00003-of-00008.journal"
    assert shard.path_of(shard.path_of("r.jsonl") + ".journal") == "r-00003-of-00008.jsonl.journal"


@given(st.sets(st.integers(0, 19)), st.integers(20, 30))
def test_the_shards_that_are_missing_are_those_not_found(found, count):
    rest = missing([Shard(index, count) for index in found], count)
    assert {shard.index for shard in rest} == set(range(count)) - found
    assert [*rest] == sorted(rest)


@pytest.mark.parametrize("name", ["results.jsonl", "a-1-of-2.jsonl", "a-00002-of-00002.jsonl", "a-00000-of-00000", ""])
def test_other_names_are_not_those_of_shards(name):
    assert shard_of_file(name) is None


@pytest.mark.parametrize(
    "text", ["", "3", "/", "1/", "/4", "a/4", "1/b", "-1/4", "+1/4", "1/4/2", "1.0/4", "\u0661/\u0664", "auto"]
)
def test_a_text_that_is_not_a_shard_is_refused(text):
    with pytest.raises(ConfigurationError, match="--shard: must be INDEX/COUNT, such as 0/8, or auto, not"):
        to_shard(text)


@pytest.mark.parametrize(("text", "why"), [
    ("4/4", "counted from 0: the index must be 0 to 3, not 4"),
    ("0/0", "the count must be 1 to 100,000, not 0"),
    (f"0/{MOST_SHARDS + 1}", "the count must be 1 to 100,000"),
])  # fmt: skip
def test_an_index_outside_of_the_count_is_refused(text, why):
    with pytest.raises(ConfigurationError, match=why):
        to_shard(text)


KUBERNETES = {"JOB_COMPLETION_INDEX": "3"}
AWS = {"AWS_BATCH_JOB_ARRAY_INDEX": "3", "AWS_BATCH_JOB_ARRAY_SIZE": "8"}
CLOUD_RUN = {"CLOUD_RUN_TASK_INDEX": "3", "CLOUD_RUN_TASK_COUNT": "8"}


def slurm(task, count, least=0, step=None):
    found = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": count, "SLURM_ARRAY_TASK_MIN": least}
    return {
        name: str(value) for name, value in (found | ({} if step is None else {"SLURM_ARRAY_TASK_STEP": step})).items()
    }


@pytest.mark.parametrize("environment", [
    AWS, CLOUD_RUN, slurm(3, 8), slurm(4, 8, least=1), slurm(16, 8, least=10, step=2), AWS | CLOUD_RUN, KUBERNETES | AWS,
])  # fmt: skip
def test_the_variables_of_an_array_job_say_which_shard_a_task_is(environment):
    assert shard_of_job(environment) == of_job("auto", environment) == of_job("Auto/8", environment) == Shard(3, 8)


def test_kubernetes_needs_the_number_of_completions():
    assert of_job("auto/8", KUBERNETES) == Shard(3, 8)
    with pytest.raises(
        ConfigurationError,
        match="JOB_COMPLETION_INDEX=3 does not tell how many tasks there are: say --shard auto/COUNT",
    ):
        of_job("auto", KUBERNETES)
    with pytest.raises(ConfigurationError, match="JOB_COMPLETION_INDEX=3 is not one of 3 tasks"):
        of_job("auto/3", KUBERNETES)


@pytest.mark.parametrize(("value", "environment", "why"), [
    ("auto", {}, "auto needs the variables of an array job"),
    ("auto/4", AWS, "means 8 tasks, not 4"),
    ("auto/x", AWS, "must be INDEX/COUNT"),
    ("auto/0", AWS, "the count must be 1"),
    ("auto", AWS | {"AWS_BATCH_JOB_ARRAY_INDEX": "x"}, "AWS_BATCH_JOB_ARRAY_INDEX must be a whole number, not 'x'"),
    ("auto", AWS | {"AWS_BATCH_JOB_ARRAY_INDEX": "8"}, "is not one of 8 tasks"),
    ("auto", {"CLOUD_RUN_TASK_INDEX": "3"}, "CLOUD_RUN_TASK_INDEX=3 is set without CLOUD_RUN_TASK_COUNT"),
    ("auto", AWS | slurm(4, 8), "contradict each other"),
    ("auto", AWS | {"CLOUD_RUN_TASK_INDEX": "3", "CLOUD_RUN_TASK_COUNT": "9"}, "contradict each other"),
    ("auto", KUBERNETES | slurm(4, 8), "contradict each other"),
    ("auto", slurm(9, 3, least=1), "does not say which part"),
    ("auto", slurm(3, 1, least=3), "does not say which part"),
    ("auto", slurm(3, 8, step=2), "does not say which part"),
    ("auto", {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}, "is set without SLURM_ARRAY_TASK_MIN"),
])  # fmt: skip
def test_what_could_leave_rows_out_or_pay_them_twice_is_refused(value, environment, why):
    with pytest.raises(ConfigurationError, match=why):
        of_job(value, environment)


@given(COUNTS, st.integers(0, 5), st.integers(1, 3))
def test_the_tasks_of_a_slurm_array_are_all_its_shards(count, least, step):
    tasks = [least + step * index for index in range(count)]
    if count == 1 and least:
        return  # a single task with a number may be one of more that is run again
    assert [shard_of_job(slurm(task, count, least, step)).index for task in tasks] == [*range(count)]


def test_outside_of_an_array_job_there_is_no_task():
    assert tasks_of_job({"PATH": "/bin", "SLURM_JOB_ID": "3", "JOB_COMPLETION_INDEX": ""}) == []
