"""Simulated answers: JSON values that are valid under a schema, so that a run with a schema can be rehearsed.

Rules owned here:

1. The same schema and prompt give the same answer, and different prompts different ones: words of an enum, numbers, lengths.
2. Every answer is valid. A value is made from the schema's keywords and then checked by the type itself; where that fails, as the
   schema has keywords that are not read here (`not`, `if`, `patternProperties`), the one answer that passed at the start is given.
3. If no valid answer is found at the start, the schema is refused: a rehearsal that fails for a reason of its own shows nothing.
"""

from __future__ import annotations

import json
import math
import random
import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol

from .._core.exceptions import ConfigurationError, InvalidOutputError

_DEEP = 4  # levels after which optional parts are left out, so that recursive schemas end
_DEEPEST = 40  # levels at which a schema is given up: it has no end
_TRIES = 50  # values tried for the one answer of rule 2
_SPAN = 100  # numbers are drawn from so many values if the schema has no upper bound
_MORE_ITEMS = 2  # items of a list beyond the least number
_ENDLESS = 8  # most repetitions of an unbounded part of a pattern
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "simulated@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/simulated",
    "uri-reference": "https://example.com/simulated",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "regex": ".*",
    "json-pointer": "/simulated",
}
_TYPE_BY_KEYWORD = {
    "properties": "object",
    "required": "object",
    "items": "array",
    "prefixItems": "array",
    "minimum": "number",
    "maximum": "number",
    "multipleOf": "number",
    "pattern": "string",
    "minLength": "string",
    "format": "string",
}


class AnswerType(Protocol):
    """The type that answers must have; `OutputType` is one."""

    @property
    def name(self) -> str:
        """Name of the type, for messages."""
        ...

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """JSON schema; None for free text."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """What distinguishes it from another type, as plain data."""
        ...

    def parse(self, text: str) -> Any:
        """Parse an answer, or raise InvalidOutputError."""
        ...

    def restore(self, data: Any) -> Any:
        """Return a value from its plain data."""
        ...


class AnswerMaker:
    """Makes answers of a type.

    Args:
        output_type: Type with a JSON schema.

    Raises:
        ConfigurationError: No valid answer was found.
    """

    def __init__(self, output_type: AnswerType) -> None:
        self._type = output_type
        self._schema: Mapping[str, Any] = output_type.schema or {}
        self._sure = self._find_one()

    def make(self, prompt: str) -> str:
        """Return the answer to a prompt, as JSON."""
        text = self._draw(zlib.crc32(prompt.encode("utf-8", "surrogatepass")))
        try:
            self._type.parse(text)
        except InvalidOutputError:
            return self._sure
        return text

    def _draw(self, seed: int) -> str:
        return json.dumps(_Draw(self._schema, random.Random(seed)).value(self._schema, 0), ensure_ascii=False)  # noqa: S311 - a simulation

    def _find_one(self) -> str:
        problem = ""
        for seed in range(_TRIES):
            try:
                text = self._draw(seed)
                self._type.parse(text)
            except InvalidOutputError as error:
                problem = str(error.problems[0]) if error.problems else str(error)
            except (RecursionError, LookupError, ValueError, TypeError) as error:
                problem = str(error) or type(error).__name__
            else:
                return text
        raise ConfigurationError(
            f"a simulated model finds no answer of the type {self._type.name}: {problem}; name a real model to try this schema"
        )


class _Draw:
    """Draws one value."""

    def __init__(self, root: Mapping[str, Any], generator: random.Random) -> None:
        self._root = root
        self._random = generator

    def value(self, node: Any, depth: int) -> Any:
        """Return a value for a schema at a depth."""
        if depth > _DEEPEST:
            raise RecursionError("it has no value that ends")
        node = self._resolved(node)
        if "const" in node:
            return node["const"]
        if node.get("enum"):
            return self._random.choice(node["enum"])
        for name in ("oneOf", "anyOf"):
            if node.get(name):
                rest = {key: value for key, value in node.items() if key != name}
                return self.value(_joined(rest, self._alternative(node[name], depth)), depth + 1)
        makers: dict[str, Callable[[Mapping[str, Any], int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda *_: self._random.random() < 0.5,  # noqa: PLR2004 - either
            "null": lambda *_: None,
        }
        return makers[self._type_of(node, depth)](node, depth)

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        """Return a schema with its references followed and the members of `allOf` joined."""
        node: Mapping[str, Any] = schema if isinstance(schema, Mapping) else {}
        for _ in range(_DEEPEST):
            if "$ref" not in node:
                break
            rest = {key: value for key, value in node.items() if key != "$ref"}
            node = _joined(self._target(node["$ref"]), rest)
        for part in node.get("allOf", ()):
            node = _joined({key: value for key, value in node.items() if key != "allOf"}, self._resolved(part))
        return node

    def _target(self, reference: str) -> Mapping[str, Any]:
        target: Any = self._root
        for escaped in reference.removeprefix("#").split("/")[1:]:
            part = escaped.replace("~1", "/").replace("~0", "~")
            target = target[int(part)] if isinstance(target, list) else target[part]
        return target if isinstance(target, Mapping) else {}

    def _alternative(self, alternatives: list[Any], depth: int) -> Mapping[str, Any]:
        """Return one of the alternatives; from some depth on one without parts, if there is one."""
        known = [self._resolved(one) for one in alternatives]
        flat = [one for one in known if not {"properties", "items", "anyOf", "oneOf"} & one.keys()]
        return self._random.choice(flat if flat and depth >= _DEEP else known)

    def _type_of(self, node: Mapping[str, Any], depth: int) -> str:
        types = node.get("type")
        if isinstance(types, list):
            flat = [one for one in types if one not in {"object", "array"}]
            return str(self._random.choice(flat if flat and depth >= _DEEP else types))
        return str(types or next((tp for keyword, tp in _TYPE_BY_KEYWORD.items() if keyword in node), "string"))

    def _object(self, node: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties, required = node.get("properties", {}), node.get("required", ())
        names = [name for name in properties if depth < _DEEP or name in required]
        made = {name: self.value(properties[name], depth + 1) for name in names}
        more = node.get("additionalProperties", {})
        for name in required:
            if name not in made:
                made[name] = self.value(more, depth + 1)
        while len(made) < node.get("minProperties", 0):
            made[f"simulated_{len(made)}"] = self.value(more, depth + 1)
        return made

    def _array(self, node: Mapping[str, Any], depth: int) -> list[Any]:
        first = node.get("prefixItems", [])
        least = max(node.get("minItems", 0), len(first))
        most = node.get("maxItems", least + _MORE_ITEMS) if node.get("items", True) else least
        shortest = least if depth >= _DEEP else max(least, min(1, most))
        size = (
            shortest
            if depth >= _DEEP
            else self._random.randint(shortest, max(shortest, min(most, least + _MORE_ITEMS)))
        )
        items = [self.value(one, depth + 1) for one in first]
        rest = node.get("contains", {}) if "items" not in node else node["items"]
        for _ in range(_TRIES):
            if len(items) >= size:
                break
            item = self.value(rest, depth + 1)
            if not (node.get("uniqueItems") and item in items):
                items.append(item)
        return items

    def _string(self, node: Mapping[str, Any], _: int) -> str:
        if "pattern" in node:
            return self._of_pattern(node["pattern"])
        text = _FORMATS.get(node.get("format", "")) or f"simulated {self._random.randrange(_SPAN)}"
        return text[: node.get("maxLength")].ljust(node.get("minLength", 0), ".")

    def _integer(self, node: Mapping[str, Any], _: int) -> int:
        return int(self._in_steps(node, float(node.get("multipleOf", 1)), whole=True))

    def _number(self, node: Mapping[str, Any], _: int) -> float:
        if "multipleOf" in node:
            return self._in_steps(node, float(node["multipleOf"]), whole=False)
        low, high = _bounds(node)
        inside = low + (high - low) * (0.1 + 0.8 * self._random.random())  # the bounds themselves may be excluded
        near = round(inside, 2)
        return near if low < near < high else inside if low < high else low

    def _in_steps(self, node: Mapping[str, Any], step: float, *, whole: bool) -> float:
        low, high = _bounds(node)
        first, last = math.ceil(low / step), math.floor(high / step)
        first += first * step <= node.get("exclusiveMinimum", -math.inf)
        last -= last * step >= node.get("exclusiveMaximum", math.inf)
        value = self._random.randint(first, max(first, last)) * step
        return round(value) if whole else round(value, 10)

    def _of_pattern(self, pattern: str) -> str:
        """Return a text that a pattern matches, as far as its parts are those that are usual."""
        parser = import_module("re._parser")  # the parser of the standard library; where it differs, rule 2 applies
        return "".join(self._of_parts(parser.parse(pattern)))

    def _of_parts(self, parts: Any) -> list[str]:
        return [self._of_part(op.name, value) for op, value in parts]

    def _of_part(self, op: str, value: Any) -> str:
        draw = self._random
        match op:
            case "LITERAL":
                text = chr(value)
            case "ANY":
                text = "x"
            case "IN":
                text = self._of_parts([draw.choice(value)])[0]
            case "RANGE":
                text = chr(draw.randint(*value))
            case "CATEGORY":
                text = {"CATEGORY_DIGIT": str(draw.randrange(10)), "CATEGORY_SPACE": " "}.get(value.name, "x")
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, part = value
                times = draw.randint(least, max(least, min(int(most), least + _ENDLESS)))
                text = "".join("".join(self._of_parts(part)) for _ in range(times))
            case "SUBPATTERN":
                text = "".join(self._of_parts(value[-1]))
            case "BRANCH":
                text = "".join(self._of_parts(draw.choice(value[1])))
            case _:  # the beginning or the end; anything else fails the check and leads to rule 2
                text = ""
        return text


def _bounds(node: Mapping[str, Any]) -> tuple[float, float]:
    """Return the least and the greatest number of a schema; an excluded bound counts as the bound."""
    lows = [node[name] for name in ("minimum", "exclusiveMinimum") if isinstance(node.get(name), int | float)]
    highs = [node[name] for name in ("maximum", "exclusiveMaximum") if isinstance(node.get(name), int | float)]
    high = min(highs) if highs else max([0, *lows]) + _SPAN
    return (max(lows) if lows else min(0, high)), high


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema for what two schemas allow, as far as that is a union of their keywords."""
    made = {**one, **other}
    if "properties" in one and "properties" in other:
        made["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        made["required"] = [*dict.fromkeys((*one["required"], *other["required"]))]
    return made
