"""Validation of the knowledge for a warm start."""

from __future__ import annotations

import math
import pickle

import attrs
import pytest

from paceline._core.pace.warm_start import checked
from paceline.exceptions import ConfigurationError
from paceline.typing import PaceKnowledge

KNOWN = PaceKnowledge(limit=40, rate=9.5, token_rate=math.inf, latency=4.0, learned=1.8e9)


def test_valid_knowledge_is_returned_unchanged_as_a_copy():
    given = {"a": KNOWN, "b": attrs.evolve(KNOWN, rate=math.inf, latency=0.0)}
    assert checked(given) == given
    assert checked(given) is not given


def test_it_is_frozen_and_can_be_pickled():
    assert pickle.loads(pickle.dumps(KNOWN)) == KNOWN  # noqa: S301 - our own
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        KNOWN.limit = 5


@pytest.mark.parametrize(
    ("field", "value", "bound"),
    [
        *[("limit", value, "a whole number from 1 to 1,000,000") for value in (0, -1, 1.5, True, None, "5", 10**7)],
        *[(field, value, "a number above 0") for field in ("rate", "token_rate") for value in (0, -1.0, -math.inf)],
        *[(field, value, "a finite number, 0 or more") for field in ("latency", "learned") for value in (-1, math.inf)],
        *[(field, value, "a number") for field in ("rate", "latency") for value in (math.nan, None, "x", True)],
    ],
)
def test_an_invalid_value_is_refused_with_field_value_and_bound(field, value, bound):
    with pytest.raises(ConfigurationError) as caught:
        checked({"q": attrs.evolve(KNOWN, **{field: value})})
    assert str(caught.value) == f"knowledge['q'].{field} must be {bound}, not {value!r}"


@pytest.mark.parametrize("given", [None, 5, [KNOWN], {"q": 5}, {5: KNOWN}])
def test_anything_but_a_mapping_of_knowledge_is_refused(given):
    with pytest.raises(ConfigurationError, match="knowledge"):
        checked(given)
