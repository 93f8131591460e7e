"""Codec: whatever a strategy returns, its row is valid JSON."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import math

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import Fault, FaultKind, TokenUsage, WorkItemResult
from paceline._codec import decode_knowledge, decode_progress, encode_knowledge, encode_row, progress_data, result_row
from paceline._core.progress import RunProgress
from paceline._core.ranges import Range
from paceline.exceptions import ConfigurationError
from paceline.typing import Attempt, PaceKnowledge


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Point:
    x: int
    y: object = None


@dataclasses.dataclass
class Reading:
    value: float
    points: list[object]


class Answer(pydantic.BaseModel):
    score: float
    day: dt.date


class Mute:
    def __str__(self):
        raise ValueError


class Unwilling(list):
    def __iter__(self):
        raise ValueError


def refuse(name):
    raise AssertionError(f"{name} is not JSON")


def output_of(value):
    line = encode_row(WorkItemResult("q1", 0, value, context=value))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    row = json.loads(line.decode("utf-8", "strict"), parse_constant=refuse)
    assert row["output"] == row["context"]
    return row["output"]


def test_a_row_has_the_documented_form():
    result = WorkItemResult(
        "q7",
        3,
        output="Paris",
        context={"n": 1},
        usage=TokenUsage(12, 3),
        attempts=(Attempt(1, 0.5, 0.25, "lane"), Attempt(2, 1.0, 1.34, "lane")),
        model="gemini-2.5-flash",
    )
    assert result_row(result) == {
        "id": "q7",
        "success": True,
        "output": "Paris",
        "error": None,
        "context": {"n": 1},
        "model": "gemini-2.5-flash",
        "usage": {
            "input_tokens": 12,
            "output_tokens": 3,
            "cached_input_tokens": 0,
            "total_tokens": 15,
            "cache_written_tokens": 0,
            "cache_written_1h_tokens": 0,
        },
        "attempts": 2,
        "seconds": 1.84,
    }


def test_a_failure_has_its_kind_and_message_and_no_output():
    row = result_row(WorkItemResult("q7", 0, error=Fault(FaultKind.INVALID, "no number")))
    assert (row["success"], row["output"]) == (False, None)
    assert row["error"] == {"kind": "invalid", "message": "no number"}


def test_an_answer_that_was_not_accepted_is_in_the_error_of_its_row():
    result = WorkItemResult("q7", 0, error=Fault(FaultKind.INVALID, "no number", answer='"sev\udc00en"'))
    assert result_row(result)["error"] == {"kind": "invalid", "message": "no number", "answer": '"sev?en"'}
    assert json.loads(encode_row(result)) == result_row(result)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Reading(0.5, [Point(1)]), {"value": 0.5, "points": [{"x": 1, "y": None}]}),
        (Answer(score=0.5, day=dt.date(2026, 1, 2)), {"score": 0.5, "day": "2026-01-02"}),
        (Answer(score=float("nan"), day=dt.date(2026, 1, 2)), {"score": None, "day": "2026-01-02"}),
        ([Answer(score=1, day=dt.date(2026, 1, 2))], [{"score": 1.0, "day": "2026-01-02"}]),
        (Colour.RED, "red"),
        (FaultKind.BUG, "bug"),
        ((1, (2,)), [1, [2]]),
        (frozenset({1}), [1]),
        ({1: 2, None: 3, Colour.RED: 5, 0.5: 6}, {"1": 2, "null": 3, "red": 5, "0.5": 6}),
        ({True: 1, (1, 2): 2}, {"true": 1, "(1, 2)": 2}),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (1j, "1j"),
        (b"caf\xc3\xa9 \xff", "café \N{REPLACEMENT CHARACTER}"),
        (float("nan"), None),
        (float("-inf"), None),
        (True, True),
        (2**70, 2**70),
        (Point, str(Point)),
    ],
)
def test_data_become_json_and_other_values_their_text(value, data):
    assert output_of(value) == data


def test_a_lone_surrogate_is_replaced():
    assert output_of({"\ud800": ["é\udfff"]}) == {"?": ["é?"]}
    row = json.loads(encode_row(WorkItemResult("\ud800", 0, error=Fault(FaultKind.BUG, "\udc00"))))
    assert (row["id"], row["error"]["message"]) == ("?", "\\udc00")


def test_a_value_that_cannot_be_converted_is_its_text_or_else_its_type():
    assert output_of(Unwilling([1])) == "[1]"
    assert output_of(Mute()) == "<Mute>"
    assert output_of(10**5_000) == "<int>"


def test_a_cycle_and_an_endless_list_are_their_text():
    cycle: list[object] = []
    cycle.append(cycle)
    assert output_of(cycle) == "[[...]]"
    nest: list[object] = []
    for _ in range(100_000):
        nest = [nest]
    assert isinstance(output_of(nest), str)


@pytest.mark.parametrize("depth", range(1, 1_200, 37))
def test_every_depth_has_a_row(depth):
    nest: object = 1
    for _ in range(depth):
        nest = [nest]
    output_of(nest)


any_text = st.text(st.characters(codec=None, exclude_categories=()))
leaves = st.none() | st.booleans() | st.integers() | st.floats() | any_text | st.binary() | st.dates() | st.builds(Mute)
keys = any_text | st.integers() | st.none() | st.floats() | st.tuples(st.integers())
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.builds(Point, st.integers(), inner),
    max_leaves=20,
)


@given(anything)
def test_a_row_is_always_one_line_of_valid_json(value):
    output_of(value)


json_text = st.text()
json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | json_text,
    lambda inner: st.lists(inner) | st.dictionaries(json_text, inner),
    max_leaves=20,
)


@given(json_data)
def test_json_data_is_unchanged(value):
    assert output_of(value) == value


quotas = st.dictionaries(
    st.text(),
    st.builds(
        PaceKnowledge,
        limit=st.integers(1, 10**6),
        rate=st.floats(0, exclude_min=True),
        token_rate=st.floats(0, exclude_min=True),
        latency=st.floats(0, 1e9),
        learned=st.floats(0, 4e9),
    ),
)


@given(quotas)
def test_the_learned_pace_is_restored(knowledge):
    data = encode_knowledge(knowledge)
    json.loads(data, parse_constant=pytest.fail)
    assert decode_knowledge(data) == knowledge


def test_an_infinite_rate_is_null():
    known = PaceKnowledge(limit=1, rate=math.inf, token_rate=5.0, latency=0.0, learned=0.0)
    assert json.loads(encode_knowledge({"q": known}))["quotas"]["q"]["rate"] is None


@pytest.mark.parametrize(
    "data",
    [
        *[
            "",
            "x",
            "[]",
            "{}",
            '{"version": 2, "quotas": {}}',
            '{"version": 1}',
            '{"version": 1, "quotas": []}',
            "[" * 99999,
        ],
        *['{"version": 1, "quotas": {"q": {}}}', '{"version": 1, "quotas": {"q": 5}}', b"\xff\xff\xff"],
        '{"version": 1, "quotas": {"q": {"limit": 1, "rate": 1, "token_rate": 1, "latency": 0, "learned": 0, "x": 1}}}',
        '{"version": 1, "quotas": {"q": {"limit": 1, "rate": -1, "token_rate": 1, "latency": 0, "learned": 0}}}',
        '{"version": 1, "quotas": {"q": {"limit": null, "rate": 1, "token_rate": 1, "latency": 0, "learned": 0}}}',
        '{"version": 1, "quotas": {"q": {"limit": 1, "rate": NaN, "token_rate": 1, "latency": 0, "learned": 0}}}',
    ],
)
def test_an_invalid_learned_pace_is_refused_in_one_sentence(data):
    with pytest.raises(ConfigurationError, match="knowledge"):
        decode_knowledge(data)


@given(st.none() | st.tuples(*[st.floats(0, 1e9)] * 3).map(lambda bounds: Range(*sorted(bounds))))
def test_the_cost_at_the_end_returns_from_a_journal_as_it_was(found):
    figures = dict.fromkeys(("seconds", "done", "failed", "in_flight", "workers", "rate", "refusals", "wait"), 0)
    progress = RunProgress(**figures, total=9, pace=math.inf, token_pace=math.inf, left=None, cost_at_end=found)
    assert decode_progress(json.loads(json.dumps(progress_data(progress)))) == progress
