"""Quantities: a number with its noun."""

from __future__ import annotations

import pytest

from paceline._core.quantity import quantity


@pytest.mark.parametrize(("number", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1_200, "1,200 rows")])
def test_only_one_is_in_the_singular(number, words):
    assert quantity(number, "row") == words
