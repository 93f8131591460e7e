"""Soundness of a JSON schema: what is checked of it, as a whole, before the first call.

Rules owned here:

1. It is a JSON schema, its patterns are valid, and each reference resolves within it. Other documents are never fetched. It has nothing that
   `bounded_check` cannot bound.
2. It is of bounded size and depth. No part leads back to itself without a value in between: such a check would never end.
3. Its parts are applied to one value a bounded number of times. Twenty definitions that each apply the next one twice would be applied a
   million times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import regex
from jsonschema.exceptions import SchemaError
from referencing import Registry, Specification
from referencing.exceptions import Unresolvable

from ..._core.exceptions import ConfigurationError

_MOST_PARTS = 20_000
_MOST_LEVELS = 100
_MOST_TIMES = 10_000  # that parts are applied to one value
_LONGEST_WORDS = 200  # characters quoted of the schema
_DATA_KEYWORDS = {"enum", "const", "default", "examples"}  # keywords whose values are data, not schemas
_NAMED_PARTS = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_LISTS_IN_PLACE = ("allOf", "anyOf", "oneOf", "extends", "disallow")  # of schemas that are applied to the same value
_PARTS_IN_PLACE = ("not", "if", "then", "else", "extends")
_MAPS_IN_PLACE = ("dependentSchemas", "dependencies")


def require_sound(schema: Mapping[str, Any], validator: Any, what: str) -> None:
    """Check a schema.

    Args:
        schema: The decoded schema.
        validator: Class of jsonschema for its draft.
        what: The schema's name, for messages.

    Raises:
        ConfigurationError: It is not sound; the message says what and where.
    """
    nodes = _nodes(schema, what)
    _require_checkable(nodes, what)
    try:
        validator.check_schema(schema, format_checker=None)
    except SchemaError as error:
        place = ".".join(map(str, error.absolute_path)) or "the top level"
        raise ConfigurationError(
            f"{what}: not a valid JSON schema: at {place}: {error.message[:_LONGEST_WORDS]}"
        ) from None
    except RecursionError:
        raise ConfigurationError(f"{what}: not a valid JSON schema: it is nested too deeply") from None
    targets = _targets(schema, nodes, validator, what)
    _require_few_applications(nodes, targets, what)


def _nodes(schema: Mapping[str, Any], what: str) -> list[Mapping[str, Any]]:
    """Return every object of a schema that holds keywords, in any order; raise if there are too many, or too deep ones."""
    found: list[Mapping[str, Any]] = []
    pending: list[tuple[Any, int, bool]] = [
        (schema, 0, True)
    ]  # what to look at, its level, and whether its keys are keywords
    seen, known = 0, set[int]()
    while pending:
        node, level, has_keywords = pending.pop()
        seen += 1
        if level > _MOST_LEVELS:
            raise ConfigurationError(
                f"{what}: the schema is nested too deeply, more than {_MOST_LEVELS} levels; put its parts under $defs"
            )
        if seen > _MOST_PARTS:
            raise ConfigurationError(f"{what}: the schema is too large: it has more than {_MOST_PARTS:,} parts")
        if isinstance(node, list):
            pending += [(below, level + 1, True) for below in node]
        elif isinstance(node, Mapping):
            if has_keywords:
                if id(node) in known:  # the same object in two places
                    continue
                known.add(id(node))
                found.append(node)
            for key, below in node.items():
                if not has_keywords or key not in _DATA_KEYWORDS:
                    pending.append((below, level + 1, not (has_keywords and key in _NAMED_PARTS)))
    return found


def _require_checkable(nodes: list[Mapping[str, Any]], what: str) -> None:
    if any("unevaluatedProperties" in node for node in nodes) and any("patternProperties" in node for node in nodes):
        raise ConfigurationError(
            f"{what}: a schema with both patternProperties and unevaluatedProperties cannot be checked in bounded time; "
            "use additionalProperties in place of the latter"
        )
    for index, node in enumerate(nodes):
        if index and isinstance(node.get("$schema"), str):
            raise ConfigurationError(
                f"{what}: $schema stands below the top of the schema; keep the one at its top only"
            )
        named = node.get("patternProperties")
        names = [*named] if isinstance(named, Mapping) else []
        for pattern in (node.get("pattern"), *names):
            if isinstance(pattern, str):
                try:
                    regex.compile(pattern)
                except (regex.error, RecursionError, OverflowError, MemoryError) as error:
                    raise ConfigurationError(
                        f"{what}: not a valid JSON schema: the pattern {pattern[:_LONGEST_WORDS]!r} is not valid: {error}"
                    ) from None


def _targets(
    schema: Mapping[str, Any], nodes: list[Mapping[str, Any]], validator: Any, what: str
) -> dict[int, list[Any]]:
    """Return the parts that each part refers to, by its identity; raise for a reference that does not resolve."""
    specification: Any = Specification.detect(validator.META_SCHEMA)
    resolver = Registry().resolver_with_root(specification.create_resource(schema))
    has_names = any("$id" in node for node in nodes if node is not schema)
    targets: dict[int, list[Any]] = {}
    for node in nodes:
        for keyword in _REFERENCES:
            reference = node.get(keyword)
            if not isinstance(reference, str):
                continue
            try:
                targets.setdefault(id(node), []).append(resolver.lookup(reference).contents)
            except Unresolvable:
                _refuse_reference(keyword, reference, has_names=has_names, what=what)
    return targets


def _refuse_reference(keyword: str, reference: str, *, has_names: bool, what: str) -> None:
    """Raise for a reference that does not resolve, unless it may be relative to a name within the schema."""
    words = f"{what}: {keyword} {reference[:_LONGEST_WORDS]!r}"
    if reference.startswith("#"):
        if not has_names:
            raise ConfigurationError(f"{words} does not resolve; define it under $defs") from None
    elif not has_names or "://" in reference:
        raise ConfigurationError(
            f"{words} points to another document, which is never fetched; copy it into $defs"
        ) from None


def _require_few_applications(nodes: list[Mapping[str, Any]], targets: dict[int, list[Any]], what: str) -> None:
    """Raise for parts that lead back to themselves, or are applied too often to one value: rules 2 and 3."""
    times: dict[int, int] = {}  # applications to one value, by the identity of a part; 0: being counted

    def count(node: Any) -> int:
        if not isinstance(node, Mapping):
            return 1
        if (known := times.get(id(node))) is not None:
            if not known:
                raise ConfigurationError(
                    f"{what}: a part of the schema refers to itself for the same value, without end"
                )
            return known
        times[id(node)] = 0
        total = 1 + sum(map(count, [*_parts_in_place(node), *targets.get(id(node), ())]))
        if total > _MOST_TIMES:
            raise ConfigurationError(
                f"{what}: parts of the schema would be applied more than {_MOST_TIMES:,} times to one value; "
                "let fewer of its parts refer to the same definition"
            )
        times[id(node)] = total
        return total

    try:
        for node in nodes:
            count(node)
    except RecursionError:
        raise ConfigurationError(f"{what}: the references of the schema are too long a chain") from None


def _parts_in_place(node: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the parts of a part that are applied to the same value as it is."""
    for key in _LISTS_IN_PLACE:
        if isinstance(parts := node.get(key), list):
            yield from parts
    for key in _PARTS_IN_PLACE:
        yield node.get(key)
    for key in _MAPS_IN_PLACE:
        if isinstance(parts := node.get(key), Mapping):
            yield from parts.values()
