"""Rows of Parquet."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from paceline.files import InputError, InputKind, InputRecord, open_input
from paceline.files.parquet_rows import _page_size

from .conftest import complaint, opened, prompts


@pytest.fixture
def table(tmp_path):
    def write(columns, name="in.parquet", **options):
        path = tmp_path / name
        parquet.write_table(pa.table(columns), path, **options)
        return str(path)

    return write


def test_a_template_makes_the_prompt_of_a_row_and_the_row_is_the_context(table):
    path = table({"id": ["a", "b"], "text": ["x", "y"], "n": [1, None]})
    assert opened(path, template="Say {text}").kind is InputKind.PARQUET
    assert prompts(path, template="Say {text}") == [
        InputRecord(1, "a", "Say x", {"id": "a", "text": "x", "n": 1}),
        InputRecord(2, "b", "Say y", {"id": "b", "text": "y", "n": None}),
    ]


def test_parquet_is_recognised_by_its_first_bytes_where_its_name_does_not_show_it(table):
    assert opened(table({"prompt": ["x"]}, "in.data")).kind is InputKind.PARQUET


def test_values_that_json_does_not_have_are_written_as_text(table):
    day = dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC)
    columns = {
        "when": [day],
        "price": [decimal.Decimal("1.50")],
        "tree": [{"a": [1, None], "b": {"c": "d"}}],
        "flag": [True],
        "raw": [b"\xff"],
        "nan": [float("nan")],
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
    }
    (prompt,) = prompts(table(columns), template="{when} {price} {tree} {flag}")
    assert prompt.prompt == '2026-01-02T03:00:00+00:00 1.50 {"a": [1, null], "b": {"c": "d"}} true'
    assert prompt.context == {
        "when": "2026-01-02T03:00:00+00:00",
        "price": "1.50",
        "tree": {"a": [1, None], "b": {"c": "d"}},
        "flag": True,
        "raw": None,
        "nan": None,
        "map": [["k", 1]],
    }


def test_each_bad_row_has_one_reason_and_the_others_survive(table):
    columns = {"id": ["a", None, " ", "a", "e"], "text": ["x", "y", "z", "u", None]}
    path = table(columns)
    checked = opened(path, template="{text}")
    assert checked.complaints() == [
        f"{path}: row 2: id must be a string or a number, not null",
        f"{path}: row 3: id must not be empty",
        f"{path}: row 4: id 'a' is in row 1 already",
    ]
    assert [(prompt.id, prompt.prompt) for prompt in prompts(path, template="{text}")] == [("a", "x"), ("e", "")]


def test_bytes_are_not_text_and_a_text_that_is_not_utf_8_makes_only_its_row_bad(table):
    texts = pa.array([b"good", b"caf\xe9", b"fine"], pa.binary())
    path = table({"text": pa.Array.from_buffers(pa.string(), 3, texts.buffers())})
    checked = opened(path, template="{text}")
    assert checked.complaints() == [f"{path}: row 2: the column 'text' is not UTF-8"]
    assert [prompt.prompt for prompt in prompts(path, template="{text}")] == ["good", "fine"]
    assert "holds bytes" in complaint(table({"text": [b"x"]}, "2.parquet"), template="{text}")


def test_numbers_are_ids_too(table):
    assert [prompt.id for prompt in prompts(table({"id": [7, 8], "prompt": ["x", "y"]}))] == ["7", "8"]


@pytest.mark.parametrize("keep", [0, 3, 4, 100, -10])
def test_a_file_that_is_cut_off_is_refused(table, keep):
    path = table({"prompt": ["x" * 1_000] * 100})
    with Path(path).open("rb+") as file:
        file.truncate(keep if keep >= 0 else Path(path).stat().st_size + keep)
    assert "cannot be read as Parquet: " in complaint(path)


def test_a_damaged_page_is_reported_in_one_line(table):
    path = table({"prompt": [f"{i} " * 50 for i in range(10_000)]}, compression="snappy", use_dictionary=False)
    with Path(path).open("rb+") as file:
        file.seek(2_000)
        file.write(b"\xff" * 2_000)
    message = complaint(path)
    assert message.startswith(f"{path}: cannot be read as Parquet: ")
    assert "\n" not in message


def test_rows_are_read_in_batches_and_only_the_wanted_ones_are_yielded(table):
    path = table({"prompt": [f"p{i}" for i in range(1_000)]}, row_group_size=300)
    with open_input(path, limit=900) as source:
        assert len(source) == 900
        assert [prompt.id for prompt in source.prompts(lambda position: position % 300 == 0)] == ["300", "600", "900"]


def test_raw_rows_are_lines_of_jsonl_with_the_same_prompts(table, tmp_path):
    with open_input(table({"id": ["a", "b"], "n": [1, 2]}), template="Say {n}") as source:
        (tmp_path / "again.jsonl").write_bytes(b"".join(source.raw(lambda position: position == 2)))
        (expected,) = source.prompts(lambda position: position == 2)
    (again,) = prompts(str(tmp_path / "again.jsonl"))
    assert (again.id, again.prompt, again.context) == (expected.id, expected.prompt, expected.context)


def test_parquet_can_be_read_from_a_pipe(table):
    content = Path(table({"prompt": ["x", "y"]})).read_bytes()
    reading, writing = os.pipe()
    thread = threading.Thread(target=lambda: (os.write(writing, content), os.close(writing)))
    thread.start()
    try:
        assert [prompt.prompt for prompt in prompts(f"/dev/fd/{reading}")] == ["x", "y"]
    finally:
        thread.join()
        os.close(reading)


def test_without_pyarrow_the_message_says_what_to_install(table):
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from paceline.cli import main\n"
        "sys.exit(main(['run', sys.argv[1], '-o', '-', '-m', 'sim']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, table({"prompt": ["x"]})], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'paceline[parquet]'" in done.stderr


NANOSECONDS = pa.array([1704067200123456789, None], pa.timestamp("ns"))
STRANGE = {  # values that Python does not have, with the text of the first
    "nanoseconds": (NANOSECONDS, "2024-01-01T00:00:00.123456789"),
    "in a zone": (
        pa.array([1704067200123456789, None], pa.timestamp("ns", "UTC")),
        "2024-01-01T00:00:00.123456789+00:00",
    ),
    "offset": (
        pa.array([1704067200123456789, None], pa.timestamp("ns", "+02:00")),
        "2024-01-01T02:00:00.123456789+02:00",
    ),
    "year 10000": (pa.array([253402300800, None], pa.timestamp("s")), "10000-01-01T00:00:00.000"),
    "date": (pa.array([4_000_000, None], pa.int32()).view(pa.date32()), "12921-08-18"),
    "duration": (pa.array([123456789, None], pa.duration("ns")), "123456789 ns"),
    "whole duration": (pa.array([62_000_000_000, None], pa.duration("ns")), "0:01:02"),
    "nested": (
        pa.array(
            [{"at": [1704067200123456789], "n": 1}, None],
            pa.struct([("at", pa.list_(pa.timestamp("ns"))), ("n", pa.int8())]),
        ),
        {"at": ["2024-01-01T00:00:00.123456789"], "n": 1},
    ),
    "dictionary": (NANOSECONDS.dictionary_encode(), "2024-01-01T00:00:00.123456789"),
    "out of range": (pa.array([10**15, None], pa.timestamp("s")), None),
}


@pytest.mark.parametrize(("column", "value"), STRANGE.values(), ids=STRANGE)
def test_a_value_that_python_does_not_have_spoils_no_row_that_does_not_need_it(table, column, value):
    path = table({"id": ["a", "b"], "text": ["x", "y"], "strange": column})
    found = prompts(path, template="{text}")
    assert [(one.id, one.context["strange"]) for one in found] == [("a", value), ("b", None)]


def test_such_a_value_is_text_in_a_prompt_or_its_row_is_invalid(table):
    path = table({"id": ["a", "b"], "at": NANOSECONDS})
    assert [one.prompt for one in prompts(path, template="{at}")] == ["2024-01-01T00:00:00.123456789", ""]
    path = table({"id": ["a", "b"], "at": pa.array([10**15, 0], pa.timestamp("s"))})
    assert opened(path, template="{at}").complaints() == [f"{path}: row 1: the column 'at' cannot be read: ValueError"]


def test_a_text_that_is_not_utf_8_spoils_no_row_that_does_not_need_it(table):
    texts = pa.array([b"good", b"caf\xe9", b"fine"], pa.binary())
    path = table({"text": ["x", "y", "z"], "beside": pa.Array.from_buffers(pa.string(), 3, texts.buffers())})
    assert [one.context["beside"] for one in prompts(path, template="{text}")] == ["good", None, "fine"]


def test_not_a_number_is_a_null_as_pandas_means_it(table):
    path = table({"text": pa.array([1.5, float("nan")])})
    assert [one.prompt for one in prompts(path, template="{text}")] == ["1.5", ""]
    assert [one.prompt for one in prompts(path, template="{text}", skip_empty=True)] == ["1.5"]


def test_a_field_of_a_template_may_be_nested(table):
    path = table({"a": [{"b": "x", "c": [1, 2]}]})
    assert [one.prompt for one in prompts(path, template="{a.b} {a.c.1}")] == ["x 2"]
    assert "has no column 'a.z'" in complaint(path, template="{a.z}")


def test_parquet_has_no_encoding_to_be_given(table):
    assert "--encoding is for files of text" in complaint(table({"prompt": ["x"]}), encoding="cp1252")


def test_a_large_value_that_many_rows_share_is_held_once(tmp_path):
    path = str(tmp_path / "in.parquet")
    large, small = "x" * 5_000_000, "y"
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0] * 100, pa.int32()), pa.array([large, small]))
    parquet.write_table(pa.table({"text": texts}), path, compression="zstd", dictionary_pagesize_limit=2**30)
    assert Path(path).stat().st_size < 10_000
    with open_input(path, template="{text}", skip_empty=True) as source:
        records = list(source)
    assert [record.prompt[:1] for record in records] == ["x", "y", "x"] * 100
    assert len({id(record.context["text"]) for record in records}) <= 4  # two values, in each of two batches


def test_a_column_that_expands_too_much_is_refused_before_it_is_read(tmp_path):
    path = str(tmp_path / "in.parquet")
    parquet.write_table(pa.table({"text": ["x" * 110_000_000]}), path, compression="zstd")
    assert Path(path).stat().st_size < 100_000
    with pytest.raises(
        InputError, match=r"the column 'text' expands to 105 MiB, more than 50 times its size in the file"
    ):
        opened(path, template="{text}")


@pytest.mark.parametrize("size", [1, 100, 5_000_000])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_the_size_of_a_dictionary_is_read_from_its_page(tmp_path, size, compression):
    path = tmp_path / "in.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array(["x" * size]))
    parquet.write_table(pa.table({"text": texts}), path, compression=compression, dictionary_pagesize_limit=2**30)
    column = parquet.ParquetFile(path).metadata.row_group(0).column(0)
    with path.open("rb") as file:
        assert _page_size(file, column.dictionary_page_offset) == size + 4  # with its length
