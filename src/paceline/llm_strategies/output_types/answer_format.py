"""Answer formats: an output type as a request asks for it, and its answers.

Rules owned here:

1. The root of the schema is an object. Any other type is wrapped in an object with one field, and unwrapped after parsing.
2. A wrapped schema keeps its definitions at the root; other references are adjusted to its new place.
3. A model whose provider enforces no schema is instructed to answer with one JSON document of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import make_dataclass
from typing import Any, Generic, TypeVar

import attrs

from ..._core.usage import TokenUsage
from .output_type import OutputType
from .provider_schema import DEFINITIONS, Schema

T = TypeVar("T")
_FIELD = "value"  # name of the wrapping object's field: rule 1
_NOT_A_NAME = re.compile(r"[^\w-]", re.ASCII)
_LONGEST_NAME = 64


@attrs.frozen(kw_only=True)
class AnswerFormat(Generic[T]):
    """The requested answer: its type, and a schema whose root is an object."""

    schema: dict[str, Any] | None
    """The JSON schema; None for free text."""
    _type: OutputType[Any] = attrs.field(alias="type")
    _wrapped: bool = attrs.field(alias="wrapped")

    @classmethod
    def of(cls, output_type: Any) -> AnswerFormat[T]:
        """Build the format of a type; a type that is not an object is wrapped: rule 1.

        Raises:
            ConfigurationError: The type has no JSON schema.
        """
        known: OutputType[Any] = OutputType.of(output_type)
        if known.schema is None:
            return cls(schema=None, type=known, wrapped=False)
        schema = _without_reference(known.schema)
        if schema.get("type") == "object":
            return cls(schema=schema, type=known, wrapped=False)
        if isinstance(output_type, OutputType):
            wrapped = _wrapped(schema)
            return cls(schema=wrapped, type=known.within(_FIELD, wrapped), wrapped=False)
        # A dataclass works with pydantic and cattrs alike.
        known = OutputType.of(make_dataclass("Answer", [(_FIELD, output_type)]))
        return cls(schema=_without_reference(known.schema or {}), type=known, wrapped=True)

    async def read(self, text: str, usage: TokenUsage) -> T:
        """Parse an answer, without holding up the event loop.

        Raises:
            InvalidOutputError: The answer is not of the type.
        """
        value = await self._type.parse_async(text, usage)
        answer: T = getattr(value, _FIELD) if self._wrapped else value
        return answer

    def restore(self, data: Any) -> T:
        """Return an answer from its plain data, as a journal stores it.

        Raises:
            InvalidOutputError: The data is not of the type.
        """
        value = self._type.restore({_FIELD: data} if self._wrapped else data)
        answer: T = getattr(value, _FIELD) if self._wrapped else value
        return answer

    @property
    def identity(self) -> dict[str, Any]:
        """What distinguishes it from another type, as plain data."""
        return self._type.identity

    @property
    def name(self) -> str:
        """The type's name, in characters that every provider accepts."""
        return _NOT_A_NAME.sub("_", self._type.name)[:_LONGEST_NAME]

    @property
    def instruction(self) -> str:
        """The instruction for a model whose provider enforces no schema; empty for free text."""
        if self.schema is None:
            return ""
        schema = json.dumps(self.schema, ensure_ascii=False)
        return f"Answer with one JSON document that fits this schema, and with nothing else:\n{schema}"


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
    """Return the schema of an object with one field of this schema."""
    moved: Any = _with_references_below(schema)
    definitions = {key: moved.pop(key) for key in DEFINITIONS & moved.keys()}
    about = {key: moved.pop(key) for key in ("$schema", "$id") if key in moved}
    made = {"type": "object", "properties": {_FIELD: moved}, "required": [_FIELD], "additionalProperties": False}
    return {**about, **made, **definitions}


def _with_references_below(node: Any) -> Any:
    """Return a schema with its references adjusted to its new place below a field."""
    if isinstance(node, list):
        return [_with_references_below(one) for one in node]
    if not isinstance(node, Mapping):
        return node
    made = {key: _with_references_below(value) for key, value in node.items()}
    reference = made.get("$ref")
    if isinstance(reference, str) and reference.partition("/")[0] == "#":
        is_definition = any(reference.startswith(f"#/{key}/") for key in DEFINITIONS)
        made["$ref"] = reference if is_definition else f"#/properties/{_FIELD}{reference[1:]}"
    return made
