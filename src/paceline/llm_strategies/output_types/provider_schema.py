"""A JSON schema in the form in which a provider can hold its model to it.

Rules owned here:

1. What is asked for is an object: any other type is asked for as the one field of one, and taken out of the reply.
2. A provider that enforces schemas wants every object closed. Closing one that has fields only narrows what may come, so every
   answer is still one of the type. Where an object is open on purpose (a dict, anything), the schema cannot be enforced.
3. A rule that a provider cannot enforce is told to the model in words; it is checked here, with the rest of the type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import make_dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

from ..._core.usage import TokenUsage
from .output_type import OutputType

T = TypeVar("T")
Schema: TypeAlias = Mapping[str, Any]

_FIELD = "value"  # of the object under rule 1
_WORDS = {"title", "description", "default", "examples", "deprecated", "$comment", "discriminator"}
_DEFINITIONS = {"$defs", "definitions"}
_FORM = {
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items"),
    *("$ref", "anyOf", "oneOf", "allOf"),
}
_OPENING = {
    "patternProperties",
    "propertyNames",
    "prefixItems",
    "not",
    "if",
    "dependentSchemas",
    "unevaluatedProperties",
}
_NOT_A_NAME = re.compile(r"[^\w-]", re.ASCII)
_LONGEST_NAME = 64


@attrs.frozen
class Dialect:
    """Which schemas a provider enforces."""

    keywords: frozenset[str] | None = None
    """The rules of values that it knows; None: any may be sent."""
    formats: frozenset[str] = frozenset()
    """Of strings."""
    needs_every_field: bool = False
    """Whether each field must be required."""
    recursion: bool = True
    """Whether a schema may contain itself."""

    def enforces(self, keyword: str, value: object) -> bool:
        """Return whether it knows a rule of values."""
        if self.keywords is None:
            return True
        return keyword in self.keywords and (keyword != "format" or value in self.formats)


class _OpenError(Exception):
    """The schema is open somewhere."""


@attrs.frozen
class Asked(Generic[T]):
    """What an answer is to be, with an object at the root of its schema."""

    schema: dict[str, Any] | None
    """None: free text."""
    _type: OutputType[Any]
    _wrapped: bool

    @classmethod
    def of(cls, output_type: Any) -> Asked[T]:
        """Wrap what is no object.

        Raises:
            ConfigurationError: the type has no schema.
        """
        known: OutputType[Any] = OutputType.of(output_type)
        if known.schema is None:
            return cls(None, known, wrapped=False)
        schema = _without_reference(known.schema)
        if schema.get("type") == "object":
            return cls(schema, known, wrapped=False)
        if isinstance(output_type, OutputType):
            wrapped = _wrapped(schema)
            return cls(wrapped, known.within(_FIELD, wrapped), wrapped=False)
        # A dataclass, as every reader of types knows them.
        known = OutputType.of(make_dataclass("Answer", [(_FIELD, output_type)]))
        return cls(_without_reference(known.schema or {}), known, wrapped=True)

    def read(self, text: str, usage: TokenUsage) -> T:
        """Return the value of an answer.

        Raises:
            InvalidOutputError: it is not of its type.
        """
        value = self._type.parse(text, usage)
        answer: T = getattr(value, _FIELD) if self._wrapped else value
        return answer

    def restore(self, data: Any) -> T:
        """Return an answer from what is left of it as plain data.

        Raises:
            InvalidOutputError: it is not of its type.
        """
        value = self._type.restore({_FIELD: data} if self._wrapped else data)
        answer: T = getattr(value, _FIELD) if self._wrapped else value
        return answer

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it from another type, as plain data."""
        return self._type.identity

    @property
    def name(self) -> str:
        """The type's, as every provider takes it."""
        return _NOT_A_NAME.sub("_", self._type.name)[:_LONGEST_NAME]

    @property
    def told(self) -> str:
        """An instruction to a model that is held to nothing; empty for free text."""
        if self.schema is None:
            return ""
        schema = json.dumps(self.schema, ensure_ascii=False)
        return f"Answer with one JSON document that fits this schema, and with nothing else:\n{schema}"


def enforced(schema: Schema, dialect: Dialect) -> dict[str, Any] | None:
    """Return a schema as a provider wants it; None where it cannot enforce it."""
    try:
        if not dialect.recursion:
            _must_end(schema)
        return _closed(schema, dialect)
    except _OpenError:
        return None


def _without_reference(schema: Schema) -> dict[str, Any]:
    root = dict(schema)
    reference = root.get("$ref")
    if isinstance(reference, str):
        kind, _, name = reference.removeprefix("#/").partition("/")
        target = root.get(kind, {}).get(name)
        if isinstance(target, Mapping):
            del root["$ref"]
            return _without_reference({**target, **root})
    return root


def _wrapped(schema: Schema) -> dict[str, Any]:
    """Return the schema of an object with one field, which is of this schema."""
    moved: Any = _with_references_below(schema)
    definitions = {key: moved.pop(key) for key in _DEFINITIONS & moved.keys()}
    about = {key: moved.pop(key) for key in ("$schema", "$id") if key in moved}
    made = {"type": "object", "properties": {_FIELD: moved}, "required": [_FIELD], "additionalProperties": False}
    return {**about, **made, **definitions}


def _with_references_below(node: Any) -> Any:
    """Return a schema whose references lead to where its parts are once it is a field's."""
    if isinstance(node, list):
        return [_with_references_below(one) for one in node]
    if not isinstance(node, Mapping):
        return node
    made = {key: _with_references_below(value) for key, value in node.items()}
    reference = made.get("$ref")
    if isinstance(reference, str) and reference.partition("/")[0] == "#":
        kept = any(reference.startswith(f"#/{key}/") for key in _DEFINITIONS)
        made["$ref"] = reference if kept else f"#/properties/{_FIELD}{reference[1:]}"
    return made


def _closed(node: object, dialect: Dialect) -> dict[str, Any]:
    if not isinstance(node, Mapping) or _OPENING & node.keys():
        raise _OpenError
    made = _form(node, dialect)
    _add_rules(made, node, dialect)
    for key in _DEFINITIONS & node.keys():
        made[key] = {name: _closed(schema, dialect) for name, schema in node[key].items()}
    if "$ref" in made and len(made) > 1:  # a reference may have nothing beside it
        made["anyOf"] = [{"$ref": made.pop("$ref")}]
    return made


def _form(node: Schema, dialect: Dialect) -> dict[str, Any]:
    """Return a schema without its rules."""
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    variants = node.get("anyOf") or node.get("oneOf") or node.get("allOf")
    if variants and ("allOf" not in node or len(variants) == 1):
        return {"anyOf": [_closed(variant, dialect) for variant in variants]}
    kind = node.get("type")
    if kind == "object":
        return _closed_object(node, dialect)
    if kind == "array":
        return {"type": "array", "items": _closed(node.get("items"), dialect)}
    if variants or not (isinstance(kind, str) or node.keys() & {"enum", "const"}):
        raise _OpenError
    return {key: node[key] for key in ("type", "enum", "const") if key in node}


def _closed_object(node: Schema, dialect: Dialect) -> dict[str, Any]:
    fields = node.get("properties") or {}
    if node.get("additionalProperties", not fields) is not False:
        raise _OpenError
    required = list(fields) if dialect.needs_every_field else list(node.get("required", ()))
    properties = {name: _closed(field, dialect) for name, field in fields.items()}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _add_rules(made: dict[str, Any], node: Schema, dialect: Dialect) -> None:
    """Add the description, and the rules of the value: as such, or under rule 3."""
    words = [node["description"]] if node.get("description") else []
    for key in sorted(node.keys() - _FORM - _WORDS - _DEFINITIONS):
        if dialect.enforces(key, node[key]):
            made[key] = node[key]
        else:
            words.append(f"{key}: {node[key]}")
    if words:
        made["description"] = "; ".join(map(str, words))


def _must_end(schema: Schema) -> None:
    """Raise if a definition contains itself."""
    definitions: dict[str, Any] = {**schema.get("definitions", {}), **schema.get("$defs", {})}

    def follow(node: object, above: frozenset[str]) -> None:
        if isinstance(node, Mapping):
            reference = node.get("$ref")
            if isinstance(reference, str):
                name = reference.rpartition("/")[2]
                if name in above:
                    raise _OpenError
                follow(definitions.get(name), above | {name})
            for key, child in node.items():
                if key not in _DEFINITIONS:
                    follow(child, above)
        elif isinstance(node, list):
            for child in node:
                follow(child, above)

    follow(schema, frozenset())
