"""Types of media, by their first bytes."""

from __future__ import annotations

import json
import mimetypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import FaultKind, Media
from paceline._core.media_type import ANSWERED_HTML, is_html, mime_type_of
from paceline._core.provider_answers.classify import classify

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


PAGES = [
    "<!DOCTYPE html><html>",
    "\n <html lang='en'>",
    "<!-- login -->\n<HTML>",
    "<head><title>Log in</title>",
    "<body>",
]


@pytest.mark.parametrize("page", PAGES)
def test_a_web_page_is_known_by_its_beginning(page):
    assert is_html(page)
    assert is_html(page.encode())


@given(st.dictionaries(st.text(), st.text()), st.binary())
def test_json_is_no_web_page_and_any_bytes_can_be_judged(data, body):
    assert not is_html(json.dumps(data))
    assert not is_html(json.dumps([PAGES[0]]))
    assert is_html(body) in {True, False}


class StatusError(Exception):
    """As clients raise it: the text of an answer that is not JSON is the message."""

    status_code = 502


@pytest.mark.parametrize("page", PAGES)
def test_an_error_with_a_web_page_has_its_status_and_says_so(page):
    fault = classify(StatusError(f"{page}<h1>Bad Gateway</h1>"), wall_time=0.0)
    assert (fault.kind, fault.message) == (FaultKind.TRANSIENT, f"HTTP 502: {ANSWERED_HTML}")
