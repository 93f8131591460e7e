"""Files of other programs are refused with what to do, whatever their names are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from .conftest import complaint, prompts

TABLE = b"id,text\na,x\n"


def workbook(kind=b""):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("mimetype" if kind else "[Content_Types].xml"), kind or b"<xml/>")
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("in.xlsx", workbook(), "is an Excel workbook; save the sheet as CSV (UTF-8), and run that file"),
        ("in.csv", workbook(), "is a ZIP archive, such as an Excel workbook; save the sheet as CSV (UTF-8)"),
        (
            "in.ods",
            workbook(b"application/vnd.oasis.opendocument.spreadsheet"),
            "is a spreadsheet of LibreOffice; save",
        ),
        ("in.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Excel workbook; save the sheet"),
        ("in.xlsx", TABLE, "has the name of an Excel workbook; save the sheet"),
        ("in.csv.gz", gzip.compress(TABLE, mtime=0), "is compressed (gzip); unpack it first: gunzip -k in.csv.gz"),
        ("in.csv", gzip.compress(TABLE, mtime=0), "is compressed (gzip)"),
        ("in.jsonl.bz2", bz2.compress(TABLE), "is compressed (bzip2); unpack it first: bunzip2 -k in.jsonl.bz2"),
        ("in.xz", lzma.compress(TABLE), "is compressed (xz)"),
        ("in.csv", TABLE.decode().encode("utf-16"), "is UTF-16, not UTF-8; set --encoding utf-16"),
        ("in.jsonl", TABLE.decode().encode("utf-32"), "is UTF-32, not UTF-8; set --encoding utf-32"),
        ("in.txt", b"%PDF-1.7", "is a PDF document, which is not read"),
        ("in.csv", b"SQLite format 3\0", "journals are for paceline resume and paceline results"),
        ("in.feather", b"ARROW1\0\0", "is an Arrow file; write it as Parquet"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_of_another_program_is_refused_with_what_to_do(file, name, content, words):
    message = complaint(file(content, name), template="{text}")
    assert words in message
    assert "\n" not in message


def test_text_that_only_resembles_such_a_file_is_read(file):
    assert [found.prompt for found in prompts(file(b"PK is short for Pakistan\nBZ is not\n", "in.txt"))] == [
        "PK is short for Pakistan",
        "BZ is not",
    ]
