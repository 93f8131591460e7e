"""JSON schema of a Python type.

Rules owned here:

1. Fields and enum members keep the order of the class: models write in the order of the schema.
2. An object has its fields and no others. A field that the constructor does not accept is left out.
3. Each JSON kind (string, integer, array, ...) belongs to at most one member of a union. Classes are distinguished by a field in
   which each has literals of its own, or else by their fields: any two must differ in a field that one of them requires.
4. Constraints of other packages in `Annotated` are never ignored silently: those of pydantic need pydantic, those of msgspec are
   refused. A description there, or in a field's metadata, becomes the field's description.
5. A type without a schema is refused with one sentence that names the field. A type that only pydantic can read raises
   `PydanticIsNeeded`.

msgspec could build most of these schemas, and pydantic the others. But msgspec does not support a union of two classes, reorders
TypedDicts and enums, and requires fields that no constructor accepts; and pydantic does not support attrs classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias, get_args

import attrs

from ..._core.exceptions import ConfigurationError
from ..._core.json_values import KIND_NAMES
from .introspect import (
    ARRAYS,
    LEAVES,
    OBJECTS,
    bare,
    choices_of,
    fields_of,
    is_class,
    is_enum,
    is_literal,
    is_union,
    kinds_of,
    members_of,
    name_of,
    origin_of,
    tag_of,
)

Schema: TypeAlias = dict[str, Any]

_CONSTRAINTS = (
    "gt",
    "ge",
    "lt",
    "le",
    "multiple_of",
    "pattern",
    "min_length",
    "max_length",
    "tz",
)  # fields of msgspec.Meta


class PydanticIsNeeded(Exception):  # noqa: N818 - control flow, never seen by users
    """The type contains a type that only pydantic can read."""


def schema_of(tp: Any) -> Schema:
    """Return the JSON schema of a type.

    Raises:
        ConfigurationError: The type has no JSON schema.
        PydanticIsNeeded: The type contains a pydantic type.
    """
    if bare(tp) in (Any, object):
        raise ConfigurationError(f"{name_of(tp)} has no JSON schema, as any value fits; use str for free text")
    walk = _SchemaBuilder(name_of(tp))
    schema = walk.schema(tp, "")
    if "$ref" in schema:
        schema = walk.definitions[schema["$ref"].removeprefix("#/$defs/")]
    used = {name: one for name, one in walk.definitions.items() if one is not schema or walk.is_recursive(name)}
    return {**schema, "$defs": used} if used else dict(schema)


class _SchemaBuilder:
    """Builds the schema of one type."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.definitions: dict[str, Schema] = {}
        self._named: dict[Any, str] = {}
        self._references: list[str] = []

    def is_recursive(self, name: str) -> bool:
        """Whether a class occurs inside the type, and not only as the type itself."""
        return self._references.count(name) > 1

    def schema(self, tp: Any, where: str) -> Schema:
        """Return the schema of a nested type; `where` is its path, for messages."""
        self._check_annotations(tp, where)
        tp = bare(tp)
        origin = origin_of(tp)
        if hasattr(origin, "__get_pydantic_core_schema__") or hasattr(origin, "__pydantic_core_schema__"):
            raise PydanticIsNeeded(where)
        builders: tuple[tuple[bool, Callable[[Any, str], Schema]], ...] = (
            (tp in (Any, object), lambda _, __: {}),
            (is_literal(tp) or is_enum(tp), self._choice),
            (is_union(tp), self._union),
            (is_class(tp), self._class),
            (origin in OBJECTS, self._object),
            (origin in ARRAYS, self._array),
        )
        for fits, build in builders:
            if fits:
                return build(tp, where)
        if isinstance(tp, type) and tp in LEAVES:
            return dict(LEAVES[tp])
        why = f"{name_of(tp)} is not a type that JSON can be read into; use an attrs class or a dataclass, for example"
        raise self._no_schema_error(where, why)

    def _no_schema_error(self, where: str, why: str) -> ConfigurationError:
        return ConfigurationError(f"{self._name} has no JSON schema: {f'{where}: ' if where else ''}{why}")

    def _check_annotations(self, tp: Any, where: str) -> None:
        """Refuse constraints that would be ignored: rule 4."""
        for note in getattr(tp, "__metadata__", ()):
            package = type(note).__module__.partition(".")[0]
            if package in ("pydantic", "annotated_types"):
                raise PydanticIsNeeded(where)
            if package == "msgspec" and any(getattr(note, name, None) is not None for name in _CONSTRAINTS):
                raise self._no_schema_error(
                    where, "msgspec's constraints would not be checked; use a validator of the class"
                )

    def _choice(self, tp: Any, where: str) -> Schema:
        values = choices_of(tp)
        if not values or any(type(value) not in (str, int, bool, type(None)) for value in values):
            raise self._no_schema_error(
                where, f"the values of {name_of(tp)} must be strings, integers, true, false or null"
            )
        kinds = {type(value) for value in values}
        typed = dict(LEAVES[kinds.pop()]) if len(kinds) == 1 else {}
        return {**typed, "enum": list(values)}

    def _union(self, tp: Any, where: str) -> Schema:
        members = members_of(tp)
        schemas = [self.schema(member, where) for member in members]
        if {} in schemas:
            raise self._no_schema_error(where, f"{name_of(tp)} accepts any value, as Any is a member")
        taken: set[type] = set()
        classes = [member for member in members if is_class(member)]
        for member in members:
            kinds = kinds_of(member)
            if clash := taken & kinds - ({dict} if member in classes[1:] else set()):
                what = KIND_NAMES.get(clash.pop(), "null")
                raise self._no_schema_error(where, f"more than one member of {name_of(tp)} is {what}")
            taken |= kinds
        if len(classes) > 1 and tag_of(classes) is None:
            self._check_distinct(classes, where)
        return {"anyOf": schemas}

    def _check_distinct(self, classes: Sequence[Any], where: str) -> None:
        keys = [
            ({one.name for one in fields}, {one.name for one in fields if one.required})
            for fields in map(fields_of, classes)
        ]
        for index, (known, required) in enumerate(keys):
            for other, (other_known, other_required) in enumerate(keys[:index]):
                if required <= other_known and other_required <= known:
                    pair = f"{name_of(classes[other])} and {name_of(classes[index])}"
                    raise self._no_schema_error(
                        where, f"{pair} cannot be distinguished; give each a field with a Literal of its own"
                    )

    def _class(self, cls: Any, where: str) -> Schema:
        name = self._named.get(cls)
        if name is None:
            base = "".join(char if char.isalnum() else "_" for char in name_of(cls))
            taken = sum(one == base or one.startswith(f"{base}__") for one in self.definitions)
            name = self._named[cls] = f"{base}__{taken + 1}" if taken else base
            self.definitions[name] = {}
            self._references.append(name)
            self.definitions[name].update(self._properties(cls, where))
        else:
            self._references.append(name)
        return {"$ref": f"#/$defs/{name}"}

    def _properties(self, cls: Any, where: str) -> Schema:
        origin = origin_of(cls)
        doc = origin.__dict__.get("__doc__")
        if not doc or doc.startswith(f"{origin.__name__}("):  # generated by dataclass
            doc = None
        properties = {}
        for field in (fields := fields_of(cls)):
            try:
                schema = self.schema(field.type, f"{where}.{field.name}" if where else field.name)
            except PydanticIsNeeded as error:
                if attrs.has(origin):
                    why = f"a pydantic type in the attrs class {name_of(cls)}; use either pydantic or attrs for both"
                    raise self._no_schema_error(str(error), why) from None
                raise
            properties[field.name] = schema | ({"description": field.description} if field.description else {})
        return {
            "title": origin.__name__,
            **({"description": inspect.cleandoc(doc)} if doc else {}),
            "type": "object",
            "properties": properties,
            "required": [field.name for field in fields if field.required],
            "additionalProperties": False,
        }

    def _object(self, tp: Any, where: str) -> Schema:
        key, value = get_args(tp) or (str, Any)
        if bare(key) not in (str, Any):
            raise self._no_schema_error(where, f"the keys of {name_of(tp)} must be strings")
        items = self.schema(value, f"{where}.*" if where else "its values")
        return {"type": "object", **({"additionalProperties": items} if items else {})}

    def _array(self, tp: Any, where: str) -> Schema:
        args, origin = get_args(tp), origin_of(tp)
        if origin is tuple and args and args[-1] is not ...:
            items = [self.schema(item, f"{where}[{index}]") for index, item in enumerate(args)]
            size = len(items)
            return {"type": "array", "prefixItems": items, "items": False, "minItems": size, "maxItems": size}
        schema: Schema = {"type": "array"}
        if args and (one := self.schema(args[0], f"{where}[]" if where else "its items")):
            schema["items"] = one
        return schema | ({"uniqueItems": True} if issubclass(origin, AbstractSet) else {})
