"""Drawings: axes with round numbers, and texts that cannot become anything but text."""

from __future__ import annotations

import html
import unicodedata
from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from paceline.report.svg import Axis, Plot, Point, escape, number

HOSTILE = [
    "</script><script>alert(1)</script>",
    "]]>",
    "<!--",
    "\"'><img src=x onerror=alert(1)>",
    "\u202egnp.exe",
    "\x00\x1b]52;c;x\x07",
    "\ud800",
    "&lt;b&gt;",
    "</title></svg><style>*{display:none}</style>",
]


class Texts(HTMLParser):
    """Collects tags and text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@given(st.text(max_size=400) | st.sampled_from(HOSTILE))
@example(HOSTILE[0])
def test_an_escaped_text_is_text_and_nothing_in_it_can_be_obeyed(text):
    parser = Texts()
    parser.feed(f"<p>{escape(text)}</p>")
    parser.close()
    assert [tag for tag, _ in parser.tags] == ["p"]
    shown = html.unescape(escape(text))
    unsafe = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not [char for char in shown if char not in "\n\t\u200c\u200d" and unicodedata.category(char) in unsafe]
    assert len(shown) <= 300


@given(st.text(max_size=50))
def test_an_escaped_text_stays_within_an_attribute(text):
    parser = Texts()
    parser.feed(f'<p title="{escape(text)}">x</p>')
    assert [sorted(attributes) for _, attributes in parser.tags] == [["title"]]


def test_a_text_of_ten_megabytes_is_cut_before_it_is_searched():
    assert len(escape("x" * 10_000_000)) == 300


def test_a_key_in_a_message_is_blanked():
    assert "sk-proj-abcdefghijklmnop1234" not in escape("bad key sk-proj-abcdefghijklmnop1234 given")


@given(st.floats(1e-9, 1e15))
def test_an_axis_reaches_its_largest_value_in_a_few_even_steps(largest):
    axis = Axis.up_to(largest)
    assert axis.end >= largest * (1 - 1e-9)
    assert axis.end <= 2 * largest * (1 + 1e-9)
    assert 2 <= len(axis.ticks) <= 6


@given(st.floats() | st.just(0.0) | st.just(-1.0))
def test_an_axis_of_any_value_can_be_drawn(largest):
    plot = Plot(10.0, Axis.up_to(largest))
    plot.area([Point(0.0, 1.0), Point(10.0, 2.0)], "accepted")
    plot.mark(5.0, "up", "</title><script>")
    drawn = plot.svg("a title", "a sentence", [(0.0, "0")])
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert "<script>" not in drawn


@given(st.floats(-1e18, 1e18))
def test_a_number_has_few_characters(value):
    assert len(number(value)) <= 10
