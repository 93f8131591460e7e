"""Tables of results: CSV and Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from paceline import Fault, FaultKind, TokenUsage, WorkItemResult
from paceline._codec import result_row
from paceline.files.tables import COLUMNS, csv_chunks, write_parquet

GOOD = result_row(WorkItemResult("a", 0, 'one\n"two", three', context={"n": [1]}, usage=TokenUsage(5, 2, 1), model="m"))
DATA = result_row(WorkItemResult("b", 1, {"name": "Ulm"}))
BAD = result_row(WorkItemResult("c", 2, error=Fault(FaultKind.REFUSED, "no")))
ROWS = [GOOD, DATA, BAD]


def read_csv(rows):
    text = b"".join(csv_chunks(rows)).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def read_parquet(rows):
    file = io.BytesIO()
    assert write_parquet(rows, file) == len(rows)
    assert not file.closed
    return parquet.read_table(io.BytesIO(file.getvalue())).to_pylist()


def test_csv_has_one_row_per_result_after_the_header():
    good, data, bad = read_csv(ROWS)
    assert tuple(good) == COLUMNS
    assert good == {
        "id": "a",
        "success": "true",
        "output": 'one\n"two", three',
        "error_kind": "",
        "error_message": "",
        "context": '{"n": [1]}',
        "model": "m",
        "input_tokens": "5",
        "output_tokens": "2",
        "cached_input_tokens": "1",
        "total_tokens": "7",
        "cache_written_tokens": "0",
        "cache_written_1h_tokens": "0",
        "attempts": "0",
        "seconds": "0.0",
    }
    assert data["output"] == '{"name": "Ulm"}'
    assert (bad["success"], bad["output"], bad["error_kind"], bad["error_message"]) == ("false", "", "refused", "no")


def test_parquet_has_the_same_columns_with_their_types():
    good, data, bad = read_parquet(ROWS)
    assert tuple(good) == COLUMNS
    assert (good["success"], good["output"], good["total_tokens"], good["error_kind"]) == (
        True,
        'one\n"two", three',
        7,
        None,
    )
    assert data["output"] == '{"name": "Ulm"}'
    assert (bad["output"], bad["error_kind"], bad["seconds"]) == (None, "refused", 0.0)


def test_no_results_are_a_table_without_rows():
    assert read_csv([]) == read_parquet([]) == []


@pytest.mark.parametrize(
    "write", [lambda rows: sum(map(len, csv_chunks(rows))), lambda rows: write_parquet(rows, io.BytesIO())]
)
def test_few_rows_are_held_at_a_time(write):
    row = result_row(WorkItemResult("a", 0, "x" * 10_000))
    write([row])
    tracemalloc.start()
    write(itertools.islice(({**row, "output": f"{i}" + row["output"][:]} for i in itertools.count()), 6_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * 2**20  # of 60


@example([("", "\r")])
@given(st.lists(st.tuples(st.text(), st.text() | st.none() | st.lists(st.integers())), max_size=5))
def test_any_texts_come_back_unchanged(pairs):
    rows = [result_row(WorkItemResult(f"q{name}", 0, output)) for name, output in pairs]
    texts = [output if isinstance(output, str) else None for _, output in pairs]
    for found in (read_csv(rows), read_parquet(rows)):
        assert [row["id"] for row in found] == [row["id"] for row in rows]
        assert all(row["output"] == text for row, text in zip(found, texts, strict=True) if text is not None)
