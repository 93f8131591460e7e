"""Long hints: several in a row that name the same time are believed, and nothing less is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.health.long_hints import NO_LONG_HINTS

PATIENCE = 900.0
HOURS = 5 * 3600.0


def after(*refusals):
    hints = NO_LONG_HINTS
    for now, asked in refusals:
        hints = hints.after(now, asked, PATIENCE)
    return hints


def test_five_hints_that_name_the_same_time_are_believed():
    refusals = [(float(now), HOURS - now) for now in range(0, 50, 10)]
    assert not after(*refusals[:4]).are_believed
    assert after(*refusals).are_believed
    assert after(*refusals).reopens_at == HOURS


@pytest.mark.parametrize("between", [(25.0, None), (25.0, 30.0), (25.0, PATIENCE), (25.0, 40 * HOURS)])
def test_a_refusal_that_says_otherwise_starts_the_count_again(between):
    refusals = [(float(now), HOURS - now) for now in range(0, 40, 10)]
    assert not after(*refusals, between, (41.0, HOURS - 41)).are_believed


@given(st.lists(st.tuples(st.floats(0, 1e6), st.none() | st.floats(allow_nan=True)), max_size=20))
def test_no_hint_raises_and_one_within_patience_is_never_believed(refusals):
    hints = after(*refusals)
    if hints.are_believed:
        assert all(asked is not None and asked > PATIENCE for _, asked in refusals[-5:])
