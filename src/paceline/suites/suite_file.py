r"""Suite files: a suite of the user's own, described by a few lines of TOML.

    name = "capitals"
    items = "capitals.csv"                      # JSONL, CSV or Parquet, beside this file
    prompt = "What is the capital of {country}?"
    target = "capital"                          # the field with the right answer
    score = "normalised"

More, if needed: `id`, the field with the ids; `answer`, how an example's answer is written, with `{target}`; `[[examples]]`, questions
that are shown with their answers; `source` and `licence`. A scorer with settings is a table:

    score = { name = "matches", pattern = "\\b{target}\\b" }
    score = { name = "json_fields", weights = { total = 3, date = 1 } }
    score = { name = "unit_tests", tests = "test", function = "entry_point", prompt = "prompt" }     # fields of the items
    score = { name = "graded", model = "gpt-5-mini", prompt = "...", price = "in=0.25,out=2" }
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .._core.exceptions import ConfigurationError
from ..files import read
from ..runs.option_values import OptionError
from ..runs.price_options import prices_in, set_prices
from .code import completed, unit_tests
from .graded import GRADE, ModelGraded
from .scorer_names import find_scorer
from .suite import Question, Scorer, Suite

_REQUIRED = ("name", "items", "prompt", "score")
_OPTIONAL = ("target", "id", "answer", "examples", "source", "licence")


def read_suite(path: str) -> Suite:
    """Return the suite that a file describes; its items are read when they are iterated.

    Raises:
        ConfigurationError: The file cannot be read, or a value in it is wrong; the message names it.
    """
    try:
        with Path(path).open("rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from None
    _check(path, data)
    target = data.get("target", "target")
    items = Path(path).parent / data["items"]
    try:
        return Suite(
            data["name"],
            partial(_questions, items, data["prompt"], data.get("id"), target),
            data["prompt"],
            _scorer(data["score"]),
            examples=[
                Question(f"example {at}", fields, fields.get(target))
                for at, fields in enumerate(data.get("examples", ()), 1)
            ],
            answer=data.get("answer", " {target}"),
            source=data.get("source", ""),
            licence=data.get("licence", ""),
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _check(path: str, data: Mapping[str, Any]) -> None:
    for field in _REQUIRED:
        if field not in data:
            raise ConfigurationError(f"{path}: has no {field}; a suite needs {', '.join(_REQUIRED)}")
    for field, value in data.items():
        if field not in _REQUIRED and field not in _OPTIONAL:
            raise ConfigurationError(
                f"{path}: {field} is no setting of a suite; they are {', '.join((*_REQUIRED, *_OPTIONAL))}"
            )
        is_right = isinstance(value, str)
        if field == "score":
            is_right = is_right or (isinstance(value, dict) and isinstance(value.get("name"), str))
        if field == "examples":
            is_right = isinstance(value, list) and all(isinstance(example, dict) for example in value)
        if not is_right:
            kind = {"score": "a name or a table with a name", "examples": "tables: [[examples]]"}.get(field, "a string")
            raise ConfigurationError(f"{path}: {field} must be {kind}, not {value!r:.80}")


def _questions(path: Path, prompt: str, key: str | None, target: str) -> Iterator[Question]:
    for record in read(path, prompt=prompt, id_column=key):
        fields = record.context
        if not isinstance(fields, Mapping) or target not in fields:
            raise ConfigurationError(
                f"{path}: item {record.id} has no field {target!r} with the right answer; name it by target = ..."
            )
        yield Question(record.id, fields, fields[target])


def _scorer(given: str | Mapping[str, Any]) -> Scorer:
    if isinstance(given, str):
        return find_scorer(given)
    settings = {key: value for key, value in given.items() if key != "name"}
    match given["name"]:
        case "graded":
            return _graded(**settings)
        case "unit_tests":
            return _tested(**settings)
        case name:
            return find_scorer(name, **settings)


def _graded(*, model: str = "", prompt: str = GRADE, price: str | Mapping[str, Any] | None = None) -> Scorer:
    from ..llm_strategies.registry import model as strategy_of  # noqa: PLC0415 - providers are loaded by those who use them

    if not model:
        raise ConfigurationError('a graded suite needs a model: score = { name = "graded", model = "gpt-5-mini" }')
    grader = strategy_of(model)
    if price is not None:
        try:
            set_prices(prices_in(price), {model: grader})
        except OptionError as error:
            raise ConfigurationError(f"score: price {error.rule}") from None
    return ModelGraded(grader, prompt)


def _tested(*, tests: str = "test", function: str = "entry_point", prompt: str = "") -> Scorer:
    def program(item: Question, code: str) -> str:
        fields = item.fields
        begun = str(fields[prompt]) if prompt else ""
        whole = completed(begun, code, str(fields[function])) if prompt and function in fields else code
        return f"{whole}\n{fields[tests]}\n"

    return unit_tests(program)
