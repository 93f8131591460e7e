"""Finish reasons of all vendors by one table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import FaultKind
from paceline._core.provider_answers.finish_reasons import TABLE, unfinished

ROWS = [(reason, kind) for kind, _, reasons in TABLE for reason in reasons.split()]


def kind_of(*reasons):
    found = unfinished(*reasons)
    return None if found is None else found.kind


@pytest.mark.parametrize(("reason", "kind"), ROWS)
def test_a_reason_counts_in_any_spelling(reason, kind):
    spellings = (
        reason,
        reason.upper(),
        reason.title().replace("_", "-"),
        f" {reason.replace('_', ' ')} ",
        {"type": reason},
    )
    assert {kind_of(spelling) for spelling in spellings} == {kind}


def test_no_reason_has_two_kinds():
    assert all(kind_of(reason) is kind for reason, kind in ROWS)


@pytest.mark.parametrize("reason", [None, "", " ", "null", "FINISH_REASON_UNSPECIFIED", "unknown", {}, {"type": None}])
def test_a_missing_reason_makes_no_fault(reason):
    assert unfinished(reason) is None


@pytest.mark.parametrize("reason", ["a_reason_of_next_year", 5, True, ["stop"], {"type": "odd"}])
def test_an_unknown_reason_is_a_refusal_in_its_own_words(reason):
    found = unfinished(reason)
    assert found is not None
    assert (found.kind, found.reason) == (FaultKind.REFUSED, str(reason))


@pytest.mark.parametrize(
    ("reason", "vendors_own", "kind"),
    [
        ("stop", "MAX_TOKENS", FaultKind.TRUNCATED),
        (None, "SAFETY", FaultKind.REFUSED),
        ("stop", "STOP", None),
        ("stop", "a_reason_of_next_year", None),
        ("length", "STOP", FaultKind.TRUNCATED),
        ("error", "MALFORMED_FUNCTION_CALL", FaultKind.TRANSIENT),
    ],
)
def test_the_vendors_own_reason_counts_if_it_is_known_and_worse(reason, vendors_own, kind):
    assert kind_of(reason, vendors_own) is kind


@given(st.none() | st.text() | st.integers() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()), st.text())
def test_any_reason_is_read(reason, vendors_own):
    kind_of(reason, vendors_own)
