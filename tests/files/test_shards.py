"""An input that several processes share, each with its shard."""

from __future__ import annotations

import itertools
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from paceline._core.shards import Shard
from paceline.files import InputError, open_input

LINES = st.lists(st.sampled_from(["good", "bad", "blank"]), min_size=1, max_size=30).filter(
    lambda lines: "good" in lines
)


def written(path, lines):
    texts = {"good": '{{"id": "q{0}", "prompt": "p"}}', "bad": '{{"id": "q{0}"}}', "blank": " "}
    path.write_text("".join(texts[kind].format(number) + "\n" for number, kind in enumerate(lines, 1)))
    return path


def read(path, shard=None, **options):
    visited = []
    with open_input(str(path), shard=shard, visit=lambda record: visited.append(record.position), **options) as source:
        positions = [record.position for record in source]
        assert visited == positions
        assert len(source) == len(positions)
        return positions, [bad.position for bad in source.bad], source.bad_count


@settings(max_examples=60, deadline=None)
@given(LINES, st.integers(1, 7))
def test_each_prompt_and_each_bad_line_is_in_exactly_one_shard(tmp_path_factory, lines, count):
    path = written(tmp_path_factory.mktemp("in") / "in.jsonl", lines)
    positions, bad, bad_count = read(path)
    parts = [read(path, Shard(index, count)) for index in range(count)]
    assert sorted(itertools.chain(*(part[0] for part in parts))) == positions
    assert sorted(itertools.chain(*(part[1] for part in parts))) == bad or bad_count > len(bad)
    assert sum(part[2] for part in parts) == bad_count
    rows = [len(part[0]) + part[2] for part in parts]
    assert max(rows) - min(rows) <= 1, "blank lines are not rows"


def test_a_bad_line_that_is_corrected_moves_no_other_row_to_another_shard(tmp_path):
    kinds = ["good", "bad", "good", "good", "blank", "good"]
    before = read(written(tmp_path / "a.jsonl", kinds), Shard(1, 2))[0]
    kinds[1] = "good"
    assert read(written(tmp_path / "b.jsonl", kinds), Shard(1, 2))[0] == sorted([2, *before])


@pytest.mark.parametrize("sample", [3, 11, 40])
def test_a_sample_is_the_same_whoever_draws_its_part(tmp_path, sample):
    path = written(tmp_path / "in.jsonl", ["good"] * 40)
    drawn = read(path, sample=sample)[0]
    parts = [read(path, Shard(index, 4), sample=sample)[0] for index in range(4)]
    assert sorted(itertools.chain(*parts)) == drawn
    full = [read(path, Shard(index, 4))[0] for index in range(4)]
    assert all(set(part) <= set(whole) for part, whole in zip(parts, full, strict=True))


def test_a_limit_is_that_of_all_shards_together(tmp_path):
    path = written(tmp_path / "in.jsonl", ["good"] * 40)
    assert [read(path, Shard(index, 4), limit=10)[0] for index in range(4)] == [[1, 5, 9], [2, 6, 10], [3, 7], [4, 8]]


def test_an_input_with_fewer_rows_than_shards_has_empty_shards(tmp_path):
    assert read(written(tmp_path / "in.jsonl", ["good"] * 2), Shard(3, 4)) == ([], [], 0)


def test_a_bad_line_of_any_shard_stops_a_strict_run(tmp_path):
    path = written(tmp_path / "in.jsonl", ["good", "bad"])
    with pytest.raises(InputError, match=r"in\.jsonl:2: "):
        read(path, Shard(0, 2), strict=True)


@pytest.mark.parametrize("name", ["in.csv", "in.parquet", "in.json", "in.txt"])
def test_inputs_of_each_format_are_shared(tmp_path, name):
    path = tmp_path / name
    rows = [{"id": f"q{i}", "prompt": f"p{i}"} for i in range(7)]
    if name == "in.parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        texts = {"in.csv": "id,prompt\n" + "".join(f"q{i},p{i}\n" for i in range(7)), "in.json": json.dumps(rows)}
        path.write_text(texts.get(name, "\n\n".join(row["prompt"] for row in rows)))
    for index in range(3):
        with open_input(str(path), shard=Shard(index, 3)) as source:
            assert [record.prompt for record in source] == [f"p{i}" for i in range(index, 7, 3)]
