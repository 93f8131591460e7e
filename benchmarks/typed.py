"""Typed answers: CPU to read an answer as a value of a type, beside pydantic, json and google-genai.

    python -m benchmarks typed

The contenders take turns, round after round, in one process; the ratio, times within each round, is to pydantic's
`model_validate_json` of the same answer.
"""

from __future__ import annotations

import dataclasses
import enum
import gc
import json
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypedDict

import attrs
import pydantic

from paceline import InvalidOutputError
from paceline.llm_strategies import OutputType
from paceline.llm_strategies.gemini.errors import read_reply

from .table import table

try:
    from google.genai import models, types
except ImportError:
    models = types = None


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class AttrsClass:
    name: str
    age: int
    score: float
    active: bool
    tags: list[str]
    colour: Colour | None = None


@dataclasses.dataclass(frozen=True)
class Dataclass:
    name: str
    age: int
    score: float
    active: bool
    tags: list[str]
    colour: Colour | None = None


class Dict(TypedDict):
    name: str
    age: int
    score: float
    active: bool
    tags: list[str]
    colour: Colour | None


class Model(pydantic.BaseModel):
    name: str
    age: int
    score: float
    active: bool
    tags: list[str]
    colour: Colour | None = None


ANSWER = '{"name": "Ada Lovelace", "age": 36, "score": 0.75, "active": true, "tags": ["a", "b", "c"], "colour": "blue"}'
WRONG = ANSWER.replace("36", '"36"')
BODY = json.dumps(
    {
        "candidates": [
            {"content": {"parts": [{"text": ANSWER}], "role": "model"}, "finishReason": "STOP", "index": 0},
        ],
        "usageMetadata": {"promptTokenCount": 40, "candidatesTokenCount": 50, "totalTokenCount": 90},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "x",
    }
)  # fmt: skip

Read = Callable[[], object]
_YARDSTICK = "pydantic: `model_validate_json`"


def typed(rounds: int = 7, items: int = 5_000) -> str:
    """Measure all contenders; return the table."""
    return _rows(_measure(_contenders(), rounds, items))


def _contenders() -> Mapping[str, Read]:
    attrs_type, dataclass_type = OutputType.of(AttrsClass), OutputType.of(Dataclass)
    dict_type, model_type = OutputType.of(Dict), OutputType.of(Model)
    return {
        "json: `json.loads`": lambda: json.loads(ANSWER),
        _YARDSTICK: lambda: Model.model_validate_json(ANSWER, strict=True),
        "**paceline** attrs class": lambda: attrs_type.parse(ANSWER),
        "**paceline** dataclass": lambda: dataclass_type.parse(ANSWER),
        "**paceline** TypedDict": lambda: dict_type.parse(ANSWER),
        "**paceline** pydantic model": lambda: model_type.parse(ANSWER),
        "**paceline** attrs class, one field wrong": lambda: _parse_wrong(attrs_type),
        "**paceline** pydantic model, one field wrong": lambda: _parse_wrong(model_type),
        **_complete_replies(model_type),
    }


def _parse_wrong(output_type: OutputType[Any]) -> None:
    with suppress(InvalidOutputError):
        output_type.parse(WRONG)


def _complete_replies(model_type: OutputType[Model]) -> Mapping[str, Read]:
    """Return contenders that read the complete body of a Gemini reply; none if google-genai is not installed."""
    if types is None:
        return {}
    config = types.GenerateContentConfig(response_schema=Model, response_mime_type="application/json")
    kwargs: dict[str, object] = {"config": {"response_schema": config.response_schema}}

    def theirs() -> object:
        converted = models._GenerateContentResponse_from_mldev(json.loads(BODY), None)  # noqa: SLF001 - what the SDK does
        return types.GenerateContentResponse._from_response(response=converted, kwargs=kwargs).parsed  # noqa: SLF001 - as above

    assert theirs() == model_type.parse(read_reply(BODY)[0])  # noqa: S101 - both read the same value
    return {
        "body of a reply: google-genai with `response_schema`": theirs,
        "body of a reply: **paceline** pydantic model": lambda: model_type.parse(*read_reply(BODY)),
    }


def _measure(contenders: Mapping[str, Read], rounds: int, items: int) -> Mapping[str, list[float]]:
    """Return the microseconds of CPU per answer of each contender, one figure for each round."""
    times: dict[str, list[float]] = {label: [] for label in contenders}
    for read in contenders.values():
        read()
    for _ in range(rounds):
        for label, read in contenders.items():
            gc.collect()
            started = time.process_time()
            for _ in range(items):
                read()
            times[label].append((time.process_time() - started) / items * 1e6)
    return times


def _rows(times: Mapping[str, list[float]]) -> str:
    units = times[_YARDSTICK]
    rows = [
        (
            label,
            f"{min(values):.1f}",
            f"{statistics.median(values):.1f}",
            f"{statistics.median(value / unit for value, unit in zip(values, units, strict=True)):.2f}",
        )
        for label, values in times.items()
    ]
    return table(("an answer of six fields", "least, us", "median, us", "ratio"), rows)
