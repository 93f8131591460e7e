"""JSON schemas in the form that a provider can enforce.

Rules owned here:

1. Providers enforce only schemas whose objects are all closed (no additional properties). Closing an object that lists its fields
   only narrows the answers, so each is still of the type. A schema with an object that is open on purpose (a dict, `Any`) cannot be
   enforced.
2. A rule that the provider cannot enforce is put into the description, for the model; it is checked here with the rest of the type.
3. Every choice has one JSON type: values of several types, and a list of types, become alternatives. All definitions are `$defs`.
4. For a provider that accepts open objects, a schema is adapted and never refused (see `open_schema`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import attrs

Schema: TypeAlias = Mapping[str, Any]

_WORDS = {"title", "description", "default", "examples", "deprecated", "$comment", "discriminator", "$schema", "$id"}
DEFINITIONS = {"$defs", "definitions"}
"""Keywords with the definitions of a schema, of newer and older drafts."""
_STRUCTURE = {
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items"),
    *("$ref", "anyOf", "oneOf", "allOf"),
}
_OPEN_KEYWORDS = {
    "patternProperties",
    "propertyNames",
    "prefixItems",
    "not",
    "if",
    "dependentSchemas",
    "unevaluatedProperties",
}
_RULES_OF: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"pattern", "format", "minLength", "maxLength"}),
    **dict.fromkeys(
        ("integer", "number"),
        frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    ),
}
"""Keywords that say something of one JSON type only."""
_LOOKAROUND = re.compile(r"\(\?(?!:)")  # and other extensions, which the grammars of providers lack


@attrs.frozen
class SchemaSupport:
    """The schemas that a provider can enforce."""

    keywords: frozenset[str] | None = None
    """Keywords of rules on values that it accepts; None: all."""
    formats: frozenset[str] = frozenset()
    """Values of `format` that it accepts."""
    needs_every_field: bool = False
    """Whether each field must be required."""
    recursion: bool = True
    """Whether a schema may contain itself."""
    open_objects: bool = False
    """Whether an object may have fields that the schema does not list, and a value may be anything."""
    boolean_choices: bool = True
    """Whether a choice may be one of the booleans."""

    def enforces(self, keyword: str, value: object) -> bool:
        """Whether the provider enforces a rule on values."""
        if self.keywords is None:
            return True
        if keyword == "pattern" and _LOOKAROUND.search(str(value)):
            return False
        return keyword in self.keywords and (keyword != "format" or value in self.formats)


class _OpenError(Exception):
    """The schema has an open object: rule 1."""


def enforced(schema: Schema, support: SchemaSupport) -> dict[str, Any] | None:
    """Return a schema in the form that a provider enforces; None if it cannot enforce this one."""
    try:
        if not support.recursion:
            _refuse_recursion(schema)
        return _close(schema, support)
    except _OpenError:
        return None


def open_schema(schema: Schema, support: SchemaSupport) -> dict[str, Any]:
    """Return a schema in the form of a provider that accepts open objects; as it is if it has no such form.

    A field whose schema leads back to its own definition is not required there: its answers are checked here all the same.
    """
    made = enforced(schema, support)
    if made is None:
        return dict(schema)
    definitions = made.get("$defs", {})
    below = {name: _references_in(definition) for name, definition in definitions.items()}
    for _ in below:  # the definitions that a definition leads to, over any number of steps
        below = {name: names.union(*(below.get(one, ()) for one in names)) for name, names in below.items()}
    cyclic = {name for name, names in below.items() if name in names}
    for node in _objects_in(made):
        fields = node["properties"]
        node["required"] = [name for name in node["required"] if not _references_in(fields.get(name)) & cyclic]
    return made


def _references_in(node: object) -> set[str]:
    """Return the names of the definitions that a schema refers to."""
    if isinstance(node, list):
        return set().union(*map(_references_in, node))
    if not isinstance(node, Mapping):
        return set()
    reference = node.get("$ref")
    own = {reference.rpartition("/")[2]} if isinstance(reference, str) else set()
    return own.union(*(_references_in(child) for key, child in node.items() if key != "$defs"))


def _objects_in(node: object) -> Iterator[dict[str, Any]]:
    """Yield the schemas of objects with fields."""
    if isinstance(node, dict):
        if "properties" in node and "required" in node:
            yield node
        for child in node.values():
            yield from _objects_in(child)
    elif isinstance(node, list):
        for child in node:
            yield from _objects_in(child)


def _close(node: object, support: SchemaSupport) -> dict[str, Any]:
    if isinstance(node, bool):
        node = {} if node else {"not": {}}
    allowed = {"prefixItems"} if support.open_objects else set()
    if not isinstance(node, Mapping) or (_OPEN_KEYWORDS - allowed) & node.keys():
        raise _OpenError
    node = _with_one_type(node, support)
    made = _close_structure(node, support)
    _add_rules(made, node, support)
    for key in DEFINITIONS & node.keys():
        made.setdefault("$defs", {}).update({name: _close(schema, support) for name, schema in node[key].items()})
    if "$ref" in made and len(made) > 1:  # no other keyword may stand beside a reference
        made["anyOf"] = [{"$ref": made.pop("$ref")}]
    return made


def _with_one_type(node: Schema, support: SchemaSupport) -> Schema:
    """Return an equivalent schema in which each choice has one JSON type: rule 3."""
    kinds = node.get("type")
    about = {key: node[key] for key in (_WORDS | DEFINITIONS) & node.keys()}
    values = node["enum"] if "enum" in node else [node["const"]] if "const" in node else None
    if values is not None:
        return {**about, **_choice(values, kinds, support)}
    if isinstance(kinds, list):
        branches = [
            {"type": kind, **{key: node[key] for key in _RULES_OF.get(kind, set()) & node.keys()}} for kind in kinds
        ]
        return {**about, **(branches[0] if len(branches) == 1 else {"anyOf": branches})}
    return node


def _choice(values: Any, kinds: object, support: SchemaSupport) -> dict[str, Any]:
    """Return the schema of a choice of values, which may be restricted to JSON types."""
    groups: dict[str, list[Any]] = {}
    for value in values if isinstance(values, list) else ():
        kind = next((name for tp, name in _SCALARS.items() if type(value) is tp), None)
        if kind is None:
            raise _OpenError
        named = {kinds} if isinstance(kinds, str) else set(kinds) if isinstance(kinds, list) else {kind}
        if kind in named or (kind == "integer" and "number" in named):
            groups.setdefault(kind, []).append(value)
    if not groups:
        raise _OpenError
    if "number" in groups:
        groups["number"] += groups.pop("integer", [])
    made = [_choice_of_one_type(kind, group, support) for kind, group in groups.items()]
    return made[0] if len(made) == 1 else {"anyOf": made}


def _choice_of_one_type(kind: str, values: list[Any], support: SchemaSupport) -> dict[str, Any]:
    if kind == "null" or (kind == "boolean" and len(set(values)) > 1):
        return {"type": kind}
    if kind == "boolean" and not support.boolean_choices:
        return {"type": kind, "description": f"must be {json.dumps(values[0])}"}
    return {"type": kind, "enum": values}


_SCALARS = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def _close_structure(node: Schema, support: SchemaSupport) -> dict[str, Any]:
    """Return a closed schema without descriptions and rules on values."""
    if "$ref" in node:
        group, _, name = str(node["$ref"]).removeprefix("#/").partition("/")
        if not str(node["$ref"]).startswith("#"):
            raise _OpenError
        return {"$ref": f"#/$defs/{name}" if group in DEFINITIONS else node["$ref"]}
    variants = node.get("anyOf") or node.get("oneOf") or node.get("allOf")
    if variants and ("allOf" not in node or len(variants) == 1):
        return {"anyOf": [_close(variant, support) for variant in variants]}
    kind = node.get("type")
    if kind == "object":
        return _close_object(node, support)
    if kind == "array":
        return _close_array(node, support)
    if support.open_objects and not variants and kind is None:
        return {}
    if variants or not isinstance(kind, str):
        raise _OpenError
    return {key: node[key] for key in ("type", "enum") if key in node}


def _close_array(node: Schema, support: SchemaSupport) -> dict[str, Any]:
    items = node.get("items")
    if not support.open_objects:
        return {"type": "array", "items": _close(items, support)}
    first = {"prefixItems": [_close(item, support) for item in node["prefixItems"]]} if "prefixItems" in node else {}
    return {"type": "array", **first, **({"items": _close(items, support)} if isinstance(items, Mapping) else {})}


def _close_object(node: Schema, support: SchemaSupport) -> dict[str, Any]:
    fields = node.get("properties") or {}
    rest = node.get("additionalProperties", not fields)
    if rest is not False and not support.open_objects:
        raise _OpenError
    properties = {name: _close(field, support) for name, field in fields.items()}
    made: dict[str, Any] = {"type": "object", "properties": properties} if properties else {"type": "object"}
    if properties or not support.open_objects:
        made["properties"] = properties
        made["required"] = list(fields) if support.needs_every_field else list(node.get("required", ()))
    if rest is not True:
        made["additionalProperties"] = False if rest is False else _close(rest, support)
    return made


def _add_rules(made: dict[str, Any], node: Schema, support: SchemaSupport) -> None:
    """Add the description and the rules on values, as keywords or in words: rule 2."""
    words = [text for text in (node.get("description"), made.get("description")) if text]
    for key in sorted(node.keys() - _STRUCTURE - _WORDS - DEFINITIONS - {"prefixItems"}):
        if support.enforces(key, node[key]):
            made[key] = node[key]
        else:
            words.append(f"{key}: {node[key]}")
    if words:
        made["description"] = "; ".join(map(str, words))


def _refuse_recursion(schema: Schema) -> None:
    """Raise `_OpenError` if a definition contains itself."""
    definitions: dict[str, Any] = {**schema.get("definitions", {}), **schema.get("$defs", {})}

    above: set[str] = set()
    finished: set[str] = set()

    def follow(node: object) -> None:
        if isinstance(node, Mapping):
            reference = node.get("$ref")
            if isinstance(reference, str) and (name := reference.rpartition("/")[2]) not in finished:
                if name in above:
                    raise _OpenError
                above.add(name)
                follow(definitions.get(name))
                above.remove(name)
                finished.add(name)
            for key, child in node.items():
                if key not in DEFINITIONS:
                    follow(child)
        elif isinstance(node, list):
            for child in node:
                follow(child)

    follow(schema)
