"""Intervals: each value lies within its interval and within the drawing, whatever the numbers and names are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.report.intervals import Estimate, differences_chart, shares_chart

from .test_page import Page
from .test_svg import HOSTILE

shares = st.floats(0, 1).map(lambda value: round(value, 6))
differences = st.floats(-1, 1).map(lambda value: round(value, 6))


def estimates(values):
    three = st.lists(values, min_size=3, max_size=3).map(sorted)
    return st.lists(
        st.builds(lambda ends, name: Estimate(name=name, low=ends[0], value=ends[1], high=ends[2], words="w"), three, st.text(max_size=90)),
        min_size=1,
        max_size=5,
    )  # fmt: skip


def places(svg):
    whiskers = [(float(a), float(b)) for a, b in re.findall(r'class="whisker" x1="([\d.]+)" x2="([\d.]+)"', svg)]
    return whiskers, [float(x) + 4 for x in re.findall(r'class="dot" x="([-\d.]+)"', svg)]


@given(estimates(shares))
def test_a_share_lies_in_its_interval_on_an_axis_of_all_shares(found):
    svg = shares_chart("Accuracy", "what is seen", found).svg
    whiskers, dots = places(svg)
    assert len(whiskers) == len(dots) == len(found)
    for (low, high), dot in zip(whiskers, dots, strict=True):
        assert 10 <= low <= high <= 480
        assert low - 0.11 <= dot <= high + 0.11
    assert re.findall(r"(\d+)%</text>", svg) == ["0", "25", "50", "75", "100"]
    Page(svg)  # its elements nest


@given(estimates(differences))
def test_a_difference_lies_in_its_interval_and_the_axis_has_0_in_its_middle(found):
    svg = differences_chart("Difference", "what is seen", found).svg
    whiskers, dots = places(svg)
    zero = float(re.search(r'class="rule" x1="([\d.]+)"', svg)[1])
    assert zero == pytest.approx(165, abs=0.1)
    for one, (low, high), dot in zip(found, whiskers, dots, strict=True):
        assert 10 <= low <= high <= 480
        assert low - 0.11 <= dot <= high + 0.11
        assert (dot >= zero - 0.11) if one.value >= 0 else (dot <= zero + 0.11)
    labels = [int(label) for label in re.findall(r">([-+]?\d+)</text>", svg)]
    assert labels == sorted(labels)
    assert labels[0] == -labels[-1]
    assert labels[-1] >= 100 * max(abs(end) for one in found for end in (one.low, one.high)) - 1e-6


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_text(text):
    one = Estimate(name=text, value=0.5, low=0.4, high=0.6, words=text)
    for chart in (shares_chart(text, text, [one]), differences_chart(text, text, [one])):
        assert {tag for tag, _ in Page(chart.svg).elements} <= {"svg", "title", "desc", "line", "rect", "text"}
