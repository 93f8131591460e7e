"""Printable text: nothing that a terminal could obey is left, and what people write stays as it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import FaultKind
from paceline._core.fault import Fault
from paceline._core.printable import printable

SEQUENCES = {
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "link": "\x1b]8;;http://evil.invalid\x1b\\click\x1b]8;;\x1b\\",
    "C1": "\x9b31mred\x9d0;title\x9c",
    "carriage return": "good\rbad ",
    "backspace": "a\b\b\bb",
    "bidi": "\u202egnp.exe\u2066\u2069\u200f",
    "separators": "one\u2028two\u2029three\x85four",
    "surrogate": "half \ud83d a pair",
    "tag": "\U000e0041\ufeff",
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_that_a_terminal_obeys_is_shown_and_not_obeyed(name):
    text = printable(SEQUENCES[name])
    assert text != SEQUENCES[name]
    assert text.isprintable()
    assert any(escape in text for escape in ("\\x", "\\r", "\\u", "\\U"))
    assert Fault(FaultKind.REJECTED, SEQUENCES[name]).message == text


@given(st.text())
def test_no_control_is_left_and_a_second_time_changes_nothing(text):
    safe = printable(text, keep="")
    assert not {unicodedata.category(char) for char in safe} & {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert printable(safe, keep="") == safe
    safe.encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Größe 漢字 हिन्दी",
        "👩\u200d👩\u200d👧",
        "\u0645\u06cc\u200c\u062e",
        "no\u00a0break",
        "two\nlines\tand a tab",
    ],
)
def test_what_people_write_stays_as_it_is(text):
    assert printable(text) == text


def test_line_breaks_stay_where_there_may_be_several_lines():
    assert printable("a\nb\tc") == "a\nb\tc"
    assert printable("a\nb\tc", keep="") == "a\\nb\\tc"
    assert Fault(FaultKind.REJECTED, "a\r\nb").message == "a\nb"
