"""Bounded checks: no schema and no answer takes more than a known amount of work to check.

jsonschema applies each rule of a schema to each value it is for. A schema whose parts refer to each other can make that exponential in
its size or in the depth of the answer, and Python's `re` needs exponential time for some patterns.

Rules owned here:

1. The application of one rule to one value is a step. Patterns are matched by the package `regex`, which can be given a time. A check with more
   steps, or more time, than its budget has ends with `CheckTooLong`.
2. `uniqueItems` takes time in proportion to the array: equal items have the same text in a canonical form.
3. No other class of jsonschema takes over within a schema: `$schema` stands at its top only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from time import thread_time
from typing import Any

import regex
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from .check_budget import Budget, CheckTooLong, budget


def bounded(validator: Any) -> Any:
    """Return a class like one of jsonschema's whose checks are bounded by their budget, without which they must not be made."""
    rules = {keyword: _counted(apply) for keyword, apply in validator.VALIDATORS.items()}
    ours = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
    }
    make: Any = extend  # without types
    return make(validator, {**rules, **{keyword: ours[keyword] for keyword in ours.keys() & rules.keys()}})


def _budget() -> Budget:
    if (given := budget()) is None:
        raise RuntimeError("a bounded check was made without a budget")
    return given


def _matches(pattern: str, text: str) -> bool:
    """Whether a pattern matches anywhere in a text."""
    left, began = _budget(), thread_time()
    try:
        return regex.search(pattern, text, timeout=max(1e-4, left.seconds), concurrent=True) is not None
    except TimeoutError:
        raise CheckTooLong from None
    finally:
        left.seconds -= thread_time() - began


def _counted(apply: Callable[..., Any]) -> Callable[..., Any]:
    def counted(validator: Any, rule: Any, value: Any, schema: Any) -> Any:
        _budget().spend(len(rule) if isinstance(rule, list) else 1)
        return apply(validator, rule, value, schema)

    return counted


def _pattern(validator: Any, rule: str, value: Any, _: Any) -> Iterator[ValidationError]:
    _budget().spend(1)
    if validator.is_type(value, "string") and not _matches(rule, value):
        yield ValidationError(f"does not match {rule!r}")


def _pattern_properties(validator: Any, rule: Mapping[str, Any], value: Any, _: Any) -> Iterator[ValidationError]:
    if not validator.is_type(value, "object"):
        return
    for pattern, schema in rule.items():
        _budget().spend(1 + len(value))
        for name, below in value.items():
            if _matches(pattern, name):
                yield from validator.descend(below, schema, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, rule: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not validator.is_type(value, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    _budget().spend(1 + len(value) * len(patterns))
    others = [name for name in value if name not in known and not any(_matches(pattern, name) for pattern in patterns)]
    if rule is False and others:
        yield ValidationError(", ".join(map(repr, others)))
    elif isinstance(rule, Mapping):
        for name in others:
            yield from validator.descend(value[name], rule, path=name)


def _unique_items(validator: Any, rule: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    if rule and validator.is_type(value, "array"):
        _budget().spend(1 + len(value))
        if len({canonical(item) for item in value}) < len(value):
            yield ValidationError("has an item twice")


def canonical(value: Any) -> str:
    """Return a text that is the same for JSON values that are equal: `1` and `1.0` are, `1` and `true` are not."""
    return json.dumps(_with_whole_numbers(value), sort_keys=True)


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _with_whole_numbers(below) for name, below in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(below) for below in value]
    return value
