"""JSON schemas written by users: checked, and applied to answers, by the jsonschema package.

Rules owned here:

1. A schema is checked completely before the first call (see `schema_soundness`). The check of an answer is bounded (see `bounded_check`); one
   that takes longer is a problem of the answer.
2. `format` is checked too, as far as jsonschema supports it without further packages.
3. A problem says what the value must be and never quotes it, as for every other type. For `anyOf` and `oneOf` the problems are
   those of the alternative that the answer is closest to; if it is close to none, the JSON kinds of all alternatives are named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from ..._core.exceptions import ConfigurationError, MissingExtraError
from ..._core.json_values import SCHEMA_TYPE_NAMES
from ..._core.quantity import quantity
from .check_budget import MOST_SECONDS, MOST_STEPS, CheckTooLong, at_most, budget
from .validation_errors import MAX_FINDINGS, Finding, Misfit, Place

_MOST_CHOICES = 20
_TOO_LONG = Finding(
    (),
    f"must be simpler: checking it under its schema took more than {MOST_STEPS:,} steps, or {MOST_SECONDS:g} s for patterns, and was ended",
)
_WORDS: dict[str, Callable[[Any], str]] = {
    "type": lambda rule: f"must be {_join_kinds(rule if isinstance(rule, list) else [rule])}",
    "enum": lambda rule: f"must be one of {_join_values(rule)}",
    "const": lambda rule: f"must be {_join_values([rule])}",
    "minimum": lambda rule: f"must be {rule} or more",
    "maximum": lambda rule: f"must be {rule} or less",
    "exclusiveMinimum": lambda rule: f"must be more than {rule}",
    "exclusiveMaximum": lambda rule: f"must be less than {rule}",
    "multipleOf": lambda rule: f"must be a multiple of {rule}",
    "minLength": lambda rule: f"must have {quantity(rule, 'character')} or more",
    "maxLength": lambda rule: f"must have {quantity(rule, 'character')} or fewer",
    "minItems": lambda rule: f"must have {quantity(rule, 'item')} or more",
    "maxItems": lambda rule: f"must have {quantity(rule, 'item')} or fewer",
    "minProperties": lambda rule: f"must have {quantity(rule, 'field')} or more",
    "maxProperties": lambda rule: f"must have {quantity(rule, 'field')} or fewer",
    "pattern": lambda rule: f"must match the pattern {rule}",
    "format": lambda rule: f"must be of the format {rule}",
    "uniqueItems": lambda _: "must not have an item twice",
    "oneOf": lambda _: "must fit exactly one of the alternatives of its schema",
    "anyOf": lambda _: "must fit one of the alternatives of its schema",
    "not": lambda _: "must not fit what its schema excludes",
    "contains": lambda _: "must have an item of the kind that its schema asks for",
}


def schema_checker(schema: object, what: str) -> Callable[[Any], Any]:
    """Return a function that returns an answer's data if it is valid under a schema, and raises `Misfit` otherwise.

    Args:
        schema: The decoded JSON schema.
        what: The schema's name, for messages.

    Raises:
        ConfigurationError: `schema` is not a JSON schema, or is not sound (see `schema_soundness`).
        MissingExtraError: The package jsonschema is not installed.
    """
    try:
        from jsonschema.validators import Draft202012Validator, validator_for  # noqa: PLC0415 - an extra
        from referencing.jsonschema import EMPTY_REGISTRY  # noqa: PLC0415 - as above

        from .bounded_check import bounded  # noqa: PLC0415 - as above
        from .schema_soundness import require_sound  # noqa: PLC0415 - as above
    except ImportError as error:
        raise MissingExtraError("a JSON schema", "cli") from error
    if not isinstance(schema, dict):
        raise ConfigurationError(f"{what}: a JSON schema must be an object, not {type(schema).__name__}")
    known = validator_for(schema, default=Draft202012Validator)
    require_sound(schema, known, what)
    ready = bounded(known)(schema, registry=EMPTY_REGISTRY, format_checker=known.FORMAT_CHECKER)

    def check(data: Any) -> Any:
        if budget() is None:
            try:
                with at_most(MOST_STEPS, MOST_SECONDS):
                    return check(data)
            except CheckTooLong:
                raise Misfit([_TOO_LONG]) from None
        found = list(islice(_findings_of_all(ready.iter_errors(data)), MAX_FINDINGS))
        if found:
            raise Misfit(found)
        return data

    return check


def _findings_of_all(errors: Iterator[Any]) -> Iterator[Finding]:
    for error in errors:
        yield from _read(error)


def _read(error: Any) -> Iterator[Finding]:
    place: Place = tuple(error.absolute_path)
    rule, value, keyword = error.validator_value, error.instance, error.validator
    if keyword == "required":
        yield from (Finding((*place, name), "is missing") for name in _missing(error))
    elif keyword in {"additionalProperties", "unevaluatedProperties"} and rule is False:
        yield from (
            Finding((*place, name), "is not a field of this object", value[name]) for name in _unexpected(error)
        )
    elif keyword in {"anyOf", "oneOf"} and error.context:
        yield from _alternative_findings(error, place)
    else:
        words = _WORDS.get(keyword)
        yield Finding(place, words(rule) if words else f"must fit the rule {keyword} of its schema", value)


def _missing(error: Any) -> list[str]:
    """Return the name that an error is about: jsonschema yields one error for each name, and names it only in the message."""
    return [name for name in error.validator_value if error.message == f"{name!r} is a required property"]


def _unexpected(error: Any) -> list[str]:
    schema, value = error.schema, error.instance
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    if error.validator == "unevaluatedProperties" or patterns:
        return [name for name in value if name not in known and repr(name) in error.message]
    return [name for name in value if name not in known]


def _alternative_findings(error: Any, place: Place) -> Iterator[Finding]:
    """Yield the problems of the closest alternative: rule 3."""
    branches: dict[int, list[Any]] = {}
    for one in error.context:
        branches.setdefault(one.relative_schema_path[0], []).append(one)
    near = [errors for errors in branches.values() if not any(_is_of_kind(one, error) for one in errors)]
    if near:
        closest = min(near, key=_distance)
        yield from _findings_of_all(iter(closest))
        return
    kinds: list[str] = []
    for errors in branches.values():
        for one in errors:
            if one.validator == "type":
                kinds += one.validator_value if isinstance(one.validator_value, list) else [one.validator_value]
    yield Finding(place, f"must be {_join_kinds(list(dict.fromkeys(kinds)))}", error.instance)


def _distance(errors: Sequence[Any]) -> tuple[int, int, int]:
    """Return how far an answer is from an alternative: by wrong tags, then by missing fields, then by problems."""
    rules = [one.validator for one in errors]
    return rules.count("const") + rules.count("enum"), rules.count("required"), len(rules)


def _is_of_kind(error: Any, above: Any) -> bool:
    return error.validator == "type" and list(error.absolute_path) == list(above.absolute_path)


def _join_kinds(kinds: Sequence[str]) -> str:
    return " or ".join(SCHEMA_TYPE_NAMES.get(kind, str(kind)) for kind in kinds)


def _join_values(values: Sequence[Any]) -> str:
    listed = ", ".join(json.dumps(value, ensure_ascii=False) for value in values[:_MOST_CHOICES])
    return listed if len(values) <= _MOST_CHOICES else f"{listed} or another of {len(values)} values"
