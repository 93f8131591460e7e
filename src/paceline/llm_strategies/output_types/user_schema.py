"""JSON schemas written by users: checked, and applied to answers, by the jsonschema package.

Rules owned here:

1. A schema is checked completely before the first call: it must be a JSON schema with valid patterns, and each `$ref` must resolve
   within it. Other documents are never fetched.
2. `format` is checked too, as far as jsonschema supports it without further packages.
3. A problem says what the value must be and never quotes it, as for every other type. For `anyOf` and `oneOf` the problems are
   those of the alternative that the answer is closest to; if it is close to none, the JSON kinds of all alternatives are named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ..._core.exceptions import ConfigurationError, MissingExtraError
from ..._core.json_values import SCHEMA_TYPE_NAMES
from ..._core.quantity import quantity
from .validation_errors import MAX_FINDINGS, Finding, Misfit, Place

_MOST_CHOICES = 20
_DATA_KEYWORDS = {"enum", "const", "default", "examples"}  # keywords whose values are data, not schemas
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
        ConfigurationError: `schema` is not a JSON schema, or has a reference that it does not define.
        MissingExtraError: The package jsonschema is not installed.
    """
    try:
        from jsonschema.exceptions import SchemaError  # noqa: PLC0415 - an extra
        from jsonschema.validators import Draft202012Validator, validator_for  # noqa: PLC0415 - as above
        from referencing.jsonschema import EMPTY_REGISTRY  # noqa: PLC0415 - as above
    except ImportError as error:
        raise MissingExtraError("a JSON schema", "cli") from error
    if not isinstance(schema, dict):
        raise ConfigurationError(f"{what}: a JSON schema must be an object, not {type(schema).__name__}")
    validator = validator_for(schema, default=Draft202012Validator)
    try:
        validator.check_schema(schema)
    except SchemaError as error:
        place = ".".join(map(str, error.absolute_path)) or "the top level"
        raise ConfigurationError(f"{what}: not a valid JSON schema: at {place}: {error.message[:200]}") from None
    except RecursionError:
        raise ConfigurationError(f"{what}: not a valid JSON schema: it is nested too deeply") from None
    _check_references(schema, validator, what)
    ready = validator(schema, registry=EMPTY_REGISTRY, format_checker=validator.FORMAT_CHECKER)

    def check(data: Any) -> Any:
        found = list(islice(_findings_of_all(ready.iter_errors(data)), MAX_FINDINGS))
        if found:
            raise Misfit(found)
        return data

    return check


def _check_references(schema: Mapping[str, Any], validator: Any, what: str) -> None:
    """Raise for a reference that does not resolve: rule 1."""
    from referencing import Registry, Specification  # noqa: PLC0415 - an extra
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 - as above

    specification: Any = Specification.detect(validator.META_SCHEMA)
    root = specification.create_resource(schema)
    resolver = Registry().resolver_with_root(root)
    named = any("$id" in node for node in _nodes(schema) if node is not schema)
    for node in _nodes(schema):
        reference = node.get("$ref")
        if not isinstance(reference, str):
            continue
        try:
            resolver.lookup(reference)
        except Unresolvable:
            if reference.startswith("#"):
                if not named:
                    raise ConfigurationError(
                        f"{what}: $ref {reference[:200]!r} does not resolve; define it under $defs"
                    ) from None
            elif not named or "://" in reference:
                raise ConfigurationError(
                    f"{what}: $ref {reference[:200]!r} points to another document, which is never fetched; copy it into $defs"
                ) from None


def _nodes(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every object of a schema that may contain keywords."""
    pending: list[Any] = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, Mapping):
            yield node
            pending += [below for key, below in node.items() if key not in _DATA_KEYWORDS]
        elif isinstance(node, list):
            pending += node


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
