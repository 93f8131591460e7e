"""Files that are not read: recognised by their first bytes, with what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_SHEETS = {".xlsx": "an Excel workbook", ".xlsm": "an Excel workbook", ".ods": "a spreadsheet of LibreOffice"}
_SAVE = "save the sheet as CSV (UTF-8), and run that file"
_UNPACK = {"gzip": "gunzip -k", "bzip2": "bunzip2 -k", "xz": "unxz -k", "zstd": "unzstd"}
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_OTHERS = {  # beginnings of files that are easily mistaken for an input
    b"\xd0\xcf\x11\xe0": f"an Excel workbook; {_SAVE}",
    b"%PDF-": "a PDF document, which is not read",
    b"\x89PNG": "an image, which is not read",
    b"\xff\xd8\xff": "an image, which is not read",
    b"SQLite format 3\0": "an SQLite database, perhaps a journal; journals are for paceline resume and paceline results",
    b"ARROW1\0\0": "an Arrow file; write it as Parquet",
    b"Obj\x01": "an Avro file; write it as Parquet or JSON lines",
}
_ZIP = b"PK\x03\x04"
_ENCODINGS = {  # by their byte order marks; that of UTF-32 begins as that of UTF-16
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def why_not_read(path: str, begin: bytes, *, has_encoding: bool) -> str | None:
    """Return why a file cannot be read as an input, and what to do; None if it may be one.

    Args:
        path: Path of the file.
        begin: Its first bytes, some 100 of them.
        has_encoding: Whether the caller names the encoding of the file.
    """
    suffix = Path(path).suffix.lower()
    if (compressed := _first(_COMPRESSED, begin)) is not None:
        return f"is compressed ({compressed}); unpack it first: {_UNPACK[compressed]} {Path(path).name}"
    if (encoding := _first(_ENCODINGS, begin)) is not None and not has_encoding:
        return f"is {encoding}, not UTF-8; set --encoding {encoding.lower()}"
    if (other := _first(_OTHERS, begin)) is not None:
        return f"is {other}"
    sheet = _SHEETS.get(suffix)
    if begin.startswith(_ZIP):
        sheet = _SHEETS[".ods"] if b"opendocument.spreadsheet" in begin else sheet
        return f"is {sheet or 'a ZIP archive, such as an Excel workbook'}; {_SAVE}"
    return None if sheet is None else f"has the name of {sheet}; {_SAVE}, or set --input-format if it is something else"


def _first(kinds: Mapping[bytes, str], begin: bytes) -> str | None:
    return next((kind for magic, kind in kinds.items() if begin.startswith(magic)), None)
