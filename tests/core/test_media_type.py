"""Types of media, by their first bytes."""

from __future__ import annotations

import mimetypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import Media
from paceline._core.media_type import mime_type_of

BEGINNINGS = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\x10\0\0\0WEBPVP8 ",
    "image/tiff": b"II*\0",
    "image/heic": b"\0\0\0\x18ftypheic",
    "image/avif": b"\0\0\0\x18ftypavif",
    "application/pdf": b"%PDF-1.7",
    "audio/wav": b"RIFF\x10\0\0\0WAVEfmt ",
    "audio/mpeg": b"ID3\x04",
    "audio/flac": b"fLaC",
    "video/mp4": b"\0\0\0\x18ftypisom",
}


@pytest.mark.parametrize(("kind", "begin"), BEGINNINGS.items(), ids=BEGINNINGS)
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.pdf", "a.unheard", "a"])
def test_the_first_bytes_of_a_file_win_over_its_suffix(tmp_path, kind, begin, name):
    path = tmp_path / name
    path.write_bytes(begin + b"content")
    assert Media.from_file(path) == Media(kind, begin + b"content")
    assert Media.from_file(path, "image/bmp").mime_type == "image/bmp"


@pytest.mark.parametrize(
    ("named", "begin"),
    [
        ("audio/x-wav", BEGINNINGS["audio/wav"]),
        ("audio/mp4", BEGINNINGS["video/mp4"]),
        ("video/quicktime", BEGINNINGS["video/mp4"]),
    ],
)
def test_another_name_of_the_same_type_stays(named, begin):
    assert mime_type_of(begin, named) == named


@given(st.binary(max_size=20), st.none() | st.sampled_from(sorted(set(mimetypes.types_map.values()))))
def test_bytes_that_show_no_type_leave_it_to_the_suffix(data, named):
    found = mime_type_of(b"?" + data, named)
    assert found == named or data[3:7] == b"ftyp"
