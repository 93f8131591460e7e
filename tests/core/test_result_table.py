"""Rows and frames of a batch: one row an item, in the order of the input, with the columns and types that are documented."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.exceptions import MissingExtraError
from paceline._core.fault import Fault, FaultKind
from paceline._core.result_table import DTYPES
from paceline._core.results import Attempt, BatchResult, WorkItemResult
from paceline._core.usage import TokenUsage

OUTPUTS = (
    st.none()
    | st.text(max_size=5)
    | st.lists(st.integers(), max_size=3)
    | st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)
    | st.floats(allow_nan=False)
)
TEXTS = st.text(max_size=5) | st.just("\ud800")


@st.composite
def results(draw):
    found = []
    for index in range(draw(st.integers(0, 8))):
        costs = draw(st.lists(st.none() | st.floats(0, 1), max_size=3))
        attempts = tuple(
            Attempt(number, float(number), 0.5, "lane", TokenUsage(10, 5), cost=cost)
            for number, cost in enumerate(costs, 1)
        )
        fault = draw(st.none() | st.builds(Fault, st.sampled_from(FaultKind), TEXTS))
        output = draw(OUTPUTS) if fault is None else None
        found.append(
            WorkItemResult(
                draw(TEXTS),
                index,
                output,
                fault,
                draw(OUTPUTS),
                TokenUsage(10, 5),
                attempts,
                index,
                draw(st.none() | TEXTS),
            )
        )
    return tuple(draw(st.permutations(found)))


@given(results())
def test_every_item_has_one_row_in_the_order_of_the_input(found):
    rows = BatchResult(results=found).to_dicts()
    ordered = sorted(found, key=lambda result: result.index)
    assert [row["id"] for row in rows] == [result.item_id for result in ordered]
    for row, result in zip(rows, ordered, strict=True):
        assert [*row] == [*DTYPES]
        assert row["output"] is result.output
        assert row["context"] is result.context
        assert row["success"] is (result.error is None)
        assert (row["error_kind"] is None) is row["success"]
        assert row["total_tokens"] == 15
        assert row["attempts"] == len(result.attempts)
        known = [attempt.cost for attempt in result.attempts]
        assert row["cost"] == (None if not known or None in known else sum(known))


@given(results())
def test_a_frame_has_the_types_that_are_documented_and_the_same_values(found):
    batch = BatchResult(results=found)
    frame, rows = batch.to_pandas(), batch.to_dicts()
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(DTYPES)
    assert len(frame) == len(rows)
    for (_, values), row in zip(frame.iterrows(), rows, strict=True):
        assert values["output"] is row["output"] or values["output"] == row["output"]
        assert bool(values["success"]) is row["success"]
        assert (values["cost"] == row["cost"]) if row["cost"] is not None else values["cost"] != values["cost"]


def test_lists_of_one_length_stay_values_of_one_column():
    found = tuple(WorkItemResult(f"q{n}", n, output=[n, n + 1]) for n in range(3))
    assert [*BatchResult(results=found).to_pandas()["output"]] == [[0, 1], [1, 2], [2, 3]]


def test_without_pandas_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"to_pandas needs an optional package; .*paceline\[pandas\]"):
        BatchResult().to_pandas()


def test_every_column_is_documented_with_its_type():
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "use-in-a-notebook.md").read_text("utf-8")
    documented = {}
    for line in page.splitlines():
        names, _, rest = line.removeprefix("| ").partition(" | ")
        dtype = rest.partition(" | ")[0].strip("`")
        if line.startswith("| `") and dtype in {*DTYPES.values()}:
            documented |= {name.strip("` "): dtype for name in names.split(",")}
    assert documented == dict(DTYPES)
