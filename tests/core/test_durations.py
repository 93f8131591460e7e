"""Durations: seconds as people write them."""

from __future__ import annotations

import pytest

from paceline._core.durations import format_duration, format_wait


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *[
            (0.5, "1 s"),
            (59.0, "59 s"),
            (60.0, "1 min"),
            (60.5, "1 min 1 s"),
            (125, "2 min 5 s"),
            (3599.5, "1 h 0 min"),
            (3600, "1 h 0 min"),
        ],
        *[(18_661, "5 h 12 min"), (86_400, "1 d 0 h"), (200_000, "2 d 7 h")],
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(seconds, words):
    assert format_duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "0.1 s"), (0.44, "0.4 s"), (1.0, "1 s"), (2.1, "3 s"), (720, "12 min")]
)
def test_a_wait_below_one_second_is_written_in_tenths(seconds, words):
    assert format_wait(seconds) == words
