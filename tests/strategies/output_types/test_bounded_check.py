"""Bounded checks: whatever the answer, its check ends, and the event loop goes on meanwhile."""

from __future__ import annotations

import json
import threading

import anyio
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import InvalidOutputError
from paceline.llm_strategies.output_types import output_type as module
from paceline.llm_strategies.output_types import user_schema
from paceline.llm_strategies.output_types.bounded_check import canonical
from paceline.llm_strategies.output_types.check_budget import CheckTooLong, at_most
from paceline.llm_strategies.output_types.output_type import OutputType

SLOW = "^(a|aa)+$"  # exponential for a matcher that goes back
TREE = {"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"x": {"allOf": [{"$ref": "#/$defs/a"}] * 2}}}}}
LONG = {
    "pattern": ({"pattern": SLOW}, "a" * 100 + "b"),
    "names of fields": ({"patternProperties": {SLOW: {}}}, {"a" * 100 + "b": 1}),
    "other fields": ({"patternProperties": {SLOW: {}}, "additionalProperties": False}, {"a" * 100 + "b": 1}),
    "depth": (TREE, json.loads('{"x":' * 40 + "1" + "}" * 40)),
    "enum": ({"items": {"enum": [[n] for n in range(1_000)]}}, [[999]] * 1_000),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 1.5, -0.0]) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param  # not in virtual time: there are threads


@pytest.mark.parametrize("name", LONG)
def test_a_check_that_would_not_end_makes_the_answer_invalid_with_the_reason(name, monkeypatch):
    monkeypatch.setattr(user_schema, "MOST_STEPS", 20_000)
    monkeypatch.setattr(user_schema, "MOST_SECONDS", 0.1)
    schema, answer = LONG[name]
    with pytest.raises(InvalidOutputError, match="took more than 200,000 steps, or 1 s for patterns, and was ended"):
        OutputType.of_schema(schema).parse(json.dumps(answer))


def test_without_enough_budget_a_check_says_so_and_leaves_the_judgement_to_the_caller():
    kind = OutputType.of_schema({"items": {"type": "integer"}})
    with at_most(10, 1.0), pytest.raises(CheckTooLong):
        kind.parse("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]")
    with at_most(10, 1.0):
        assert kind.parse("[1, 2]") == [1, 2]


@pytest.mark.anyio
@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_long_check_is_made_in_a_thread_while_the_event_loop_goes_on(monkeypatch, wrapped):
    beside = []
    original = module.to_thread.run_sync

    async def run_sync(work, **options):
        beside.append(options)
        return await original(work, **options)

    monkeypatch.setattr(module.to_thread, "run_sync", run_sync)
    kind = OutputType.of_schema({"items": {"type": "integer"}, "pattern": "^x*$"})
    answer, text = list(range(2_000)), json.dumps(list(range(2_000)))
    if wrapped:
        kind = kind.within("value", {"type": "object"})
        text = json.dumps({"value": answer})
    assert await kind.parse_async(text) == answer
    assert len(beside) == 1
    assert beside[0]["abandon_on_cancel"]
    assert await OutputType.of_schema({}).parse_async("[1]") == [1]
    assert len(beside) == 1


@pytest.mark.anyio
async def test_a_wrong_answer_is_invalid_in_the_event_loop_and_beside_it():
    kind = OutputType.of_schema({"items": {"type": "integer"}})
    for text in ("[true]", json.dumps([*range(2_000), "x"]), json.dumps([*range(20_000), "x"])):
        with pytest.raises(InvalidOutputError, match="must be an integer"):
            await kind.parse_async(text)


@pytest.mark.anyio
async def test_a_long_answer_is_read_beside_the_event_loop(monkeypatch):
    threads = []
    original = OutputType._read

    def read(self, text):
        threads.append(threading.current_thread())
        return original(self, text)

    monkeypatch.setattr(OutputType, "_read", read)
    kind = OutputType.of(list[int])
    assert await kind.parse_async("[1]") == [1]
    assert len(await kind.parse_async(json.dumps([1] * 30_000))) == 30_000
    here, there = threads
    assert here is threading.main_thread() is not there


@pytest.mark.anyio
async def test_a_caller_that_is_cancelled_does_not_wait_for_a_check():
    kind = OutputType.of_schema(TREE)
    text = json.dumps(LONG["depth"][1])
    with anyio.move_on_after(0.0) as scope:
        await kind.parse_async(text)
    assert scope.cancelled_caught


@given(JSON, JSON)
def test_items_are_twice_in_an_array_exactly_if_jsonschema_says_so(one, other):
    expected = jsonschema.Draft202012Validator({"uniqueItems": True}).is_valid([one, other])
    assert (canonical(one) != canonical(other)) == expected
    kind = OutputType.of_schema({"uniqueItems": True})
    text = json.dumps([one, other])
    if expected:
        assert kind.parse(text) == [one, other]
    else:
        with pytest.raises(InvalidOutputError, match="must not have an item twice"):
            kind.parse(text)


@given(st.dictionaries(st.text("ab1", min_size=1, max_size=3), st.integers() | st.text(max_size=2), max_size=4))
def test_rules_on_names_of_fields_are_those_of_jsonschema(answer):
    schema = {
        "properties": {"a": {"type": "integer"}},
        "patternProperties": {"^b": {"type": "integer"}, "1$": {"type": "string"}},
        "additionalProperties": {"type": "integer"},
    }
    for more in ({}, {"additionalProperties": False}):
        expected = jsonschema.Draft202012Validator({**schema, **more}).is_valid(answer)
        try:
            assert OutputType.of_schema({**schema, **more}).parse(json.dumps(answer)) == answer
        except InvalidOutputError:
            assert not expected
        else:
            assert expected
