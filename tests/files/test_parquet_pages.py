"""How far a Parquet file expands: by the headers of its pages, whatever its footer claims."""

from __future__ import annotations

import io
import itertools
from contextlib import suppress

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet as pq

from paceline.files import InputError
from paceline.files.parquet_pages import DamagedPageError, expanded_size

from .conftest import prompts


def varint(number, length):
    """A zigzag varint of a length, which may be longer than it needs to be."""
    number <<= 1
    return bytes((number >> (7 * at)) & 0x7F | (0x80 if at < length - 1 else 0) for at in range(length))


@pytest.mark.parametrize("has_dictionary", [False, True])
def test_a_footer_that_claims_little_does_not_hide_how_far_a_file_expands(tmp_path, has_dictionary):
    path = tmp_path / "small.parquet"
    texts = pa.table({"text": ["x" * 150_000_000]})
    limits = {"use_dictionary": has_dictionary, "dictionary_pagesize_limit": 2**31 - 1, "write_statistics": False}
    pq.write_table(texts, path, compression="zstd", **limits)
    size = pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    written = next(varint(size, length) for length in range(1, 10) if varint(size, length) in data[footer:])
    path.write_bytes(data[:footer] + data[footer:].replace(written, varint(1000, len(written))))
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size == 1000
    with pytest.raises(
        InputError, match="the column 'text' expands to 143 MiB, more than 50 times its size in the file"
    ):
        prompts(path, template="{text}")


def test_the_headers_of_pages_say_what_their_columns_expand_to(tmp_path):
    path = tmp_path / "pages.parquet"
    table = pa.table({"n": list(range(20_000)), "text": [f"text {n % 50}" for n in range(20_000)]})
    for version in ("1.0", "2.0"):
        pq.write_table(
            table, path, data_page_version=version, data_page_size=2_000, row_group_size=5_000, write_page_index=True
        )
        metadata = pq.ParquetFile(path).metadata
        with path.open("rb") as file:
            for group, index in itertools.product(range(metadata.num_row_groups), range(2)):
                column = metadata.row_group(group).column(index)
                start = min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset)
                expanded = expanded_size(file, start, column.total_compressed_size)
                heads = column.total_uncompressed_size - expanded  # the footer counts the headers too
                assert 0 < heads < 0.5 * column.total_uncompressed_size


@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_bytes_that_are_no_pages_are_refused_or_sum_up_to_a_size(data, length):
    with suppress(DamagedPageError):
        assert expanded_size(io.BytesIO(data), 0, length) >= 0


@pytest.mark.parametrize(
    "data", [b"", b"\x15", b"\x00", b"\x15\x00\x15\x01\x15\x02\x00", b"\x1c" * 100, b"\x19\xff" + b"\xff" * 20]
)
def test_a_damaged_header_is_an_error_and_never_endless(data):
    with pytest.raises(DamagedPageError):
        expanded_size(io.BytesIO(data), 0, 1000)
