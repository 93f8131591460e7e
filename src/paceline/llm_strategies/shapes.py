"""What does a type look like as JSON: its schema, and how the members of a union are told apart.

Rules owned here:

1. A type has a schema if its values can be written in JSON and read back without guessing: texts, numbers, dates and UUIDs;
   literals and enums; lists, tuples, sets and dicts of such; attrs classes, dataclasses and TypedDicts; unions of these.
   Anything else is refused with one sentence that names the field. What pydantic alone can read raises `PydanticIsNeeded`.
2. The order of the fields, and of an enum's members, is that of the class: models write in the order of the schema.
3. An object has its fields and no others. Fields that the constructor does not take are no part of it.
4. Of a union, each kind of JSON (text, whole number, list, ...) belongs to one member. Classes are told apart by a field in
   which each has literals of its own, else by their fields: any two must differ in a field that one of them requires.
5. What other packages check by `Annotated` is never passed over in silence: pydantic's constraints need pydantic, and
   msgspec's are refused. A description there, or in a field's metadata, is the field's.

msgspec could make most of these schemas, and pydantic the others. But msgspec knows no union of two classes, puts TypedDicts
and enums into another order, and asks for fields that no constructor takes; and attrs classes pydantic does not know.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import inspect
import re
import types
import typing
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Literal, NewType, TypeAlias, TypeVar, Union, get_args, get_origin

import attrs
import typing_extensions

from .._core.exceptions import ConfigurationError

Schema: TypeAlias = dict[str, Any]

LEAVES: Mapping[Any, Schema] = types.MappingProxyType(
    {
        str: {"type": "string"},
        bool: {"type": "boolean"},
        int: {"type": "integer"},
        float: {"type": "number"},
        type(None): {"type": "null"},
        dt.datetime: {"type": "string", "format": "date-time"},
        dt.date: {"type": "string", "format": "date"},
        dt.time: {"type": "string", "format": "time"},
        uuid.UUID: {"type": "string", "format": "uuid"},
    }
)
ARRAYS = (list, tuple, set, frozenset, Sequence, AbstractSet)
OBJECTS = (dict, Mapping)
_QUALIFIERS = (typing.Final, typing.Required, typing.NotRequired, typing_extensions.ReadOnly)
_MODULES = re.compile(r"\b(?:\w+\.)+(?:<locals>\.)?(?=\w)")
_LONGEST_NAME = 200
_WORDS = {
    str: "a text",
    int: "a whole number",
    list: "a list",
    dict: "an object",
    bool: "true or false",
    float: "a number",
}


class PydanticIsNeeded(Exception):  # noqa: N818 - control flow, never seen by users
    """The type has a part that only pydantic can read."""


@attrs.frozen
class Field:
    """A field of a class, as JSON has it."""

    name: str
    type: Any
    required: bool
    description: str | None = None


def name_of(tp: Any) -> str:
    """Return a type's name, for people."""
    if isinstance(tp, type) and not get_args(tp):
        return tp.__qualname__.rpartition("<locals>.")[2]
    if callable(tp) and hasattr(tp, "__qualname__") and not get_args(tp):
        return f"the function {tp.__qualname__.rpartition('<locals>.')[2]}"
    return _MODULES.sub("", repr(tp))[:_LONGEST_NAME]


def bare(tp: Any) -> Any:
    """Return a type without the names and the annotations around it."""
    while True:
        origin = get_origin(tp)
        if tp is None:
            return type(None)
        if isinstance(tp, NewType):
            tp = tp.__supertype__
        elif origin is Annotated or origin in _QUALIFIERS:
            tp = get_args(tp)[0]
        elif hasattr(tp, "__value__"):  # type X = ...
            tp = tp.__value__
        else:
            return tp


def is_union(tp: Any) -> bool:
    """Whether a type is a union."""
    return get_origin(tp) in (Union, types.UnionType)


def is_literal(tp: Any) -> bool:
    """Whether a type is a choice of literals."""
    return get_origin(tp) is Literal


def is_enum(tp: Any) -> bool:
    """Whether a type is an enum."""
    return isinstance(tp, type) and issubclass(tp, enum.Enum)


def is_class(tp: Any) -> bool:
    """Whether a type is an attrs class, a dataclass or a TypedDict."""
    tp = get_origin(tp) or tp
    return isinstance(tp, type) and (
        attrs.has(tp) or dataclasses.is_dataclass(tp) or typing_extensions.is_typeddict(tp)
    )


def members_of(union: Any) -> tuple[Any, ...]:
    """Return the members of a union, those of unions within it among them."""
    members: list[Any] = []
    for member in map(bare, get_args(union)):
        members.extend(members_of(member) if is_union(member) else [member])
    return tuple(dict.fromkeys(members))


def choices_of(tp: Any) -> tuple[Any, ...]:
    """Return the values of literals, or of an enum's members, as JSON has them."""
    return tuple(member.value for member in tp) if is_enum(tp) else get_args(tp)


def fields_of(cls: Any) -> tuple[Field, ...]:
    """Return the fields of a class, in order.

    Raises:
        ConfigurationError: a name in its annotations is not known, or a field is for the constructor only.
    """
    origin = get_origin(cls) or cls
    try:
        hints = typing_extensions.get_type_hints(origin, include_extras=True)
    except Exception as error:
        raise ConfigurationError(f"{name_of(cls)}: its annotations cannot be read: {error}") from error
    given = dict(zip(getattr(origin, "__parameters__", ()), get_args(cls), strict=False))
    hints = {name: _filled(hint, given) for name, hint in hints.items()}
    if typing_extensions.is_typeddict(origin):
        required = typing.cast("Any", origin).__required_keys__
        return tuple(Field(name, tp, _is_required(tp, name in required), _told(tp)) for name, tp in hints.items())
    if attrs.has(origin):
        return tuple(
            Field(one.name, tp, one.default is attrs.NOTHING, one.metadata.get("description") or _told(tp))
            for one in attrs.fields(origin)
            if one.init
            for tp in [hints.get(one.name, Any if one.type is None else one.type)]
        )
    fields = dataclasses.fields(origin)
    if any(isinstance(hint, dataclasses.InitVar) for hint in hints.values()):
        raise ConfigurationError(f"{name_of(cls)} has an InitVar, which no JSON can give back")
    return tuple(
        Field(
            one.name,
            hints[one.name],
            one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING,
            one.metadata.get("description") or _told(hints[one.name]),
        )
        for one in fields
        if one.init
    )


def _filled(hint: Any, given: Mapping[Any, Any]) -> Any:
    """Return a hint with the type parameters filled in."""
    if isinstance(hint, TypeVar):
        return given.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(one, one) for one in parameters)] if parameters and given else hint


def _is_required(tp: Any, otherwise: bool) -> bool:  # noqa: FBT001 - the class's own word on it
    origin = get_origin(tp)
    if origin in (typing.Required, typing.NotRequired):
        return origin is typing.Required
    return _is_required(get_args(tp)[0], otherwise) if origin in _QUALIFIERS or origin is Annotated else otherwise


def _told(tp: Any) -> str | None:
    """Return the description that an annotation carries: `Doc` of typing_extensions, `Meta` of msgspec."""
    for note in getattr(tp, "__metadata__", ()):
        told = getattr(note, "documentation", None) or getattr(note, "description", None)
        if isinstance(told, str):
            return told
    return None


def tag_of(classes: Sequence[Any]) -> tuple[str, dict[Any, Any]] | None:
    """Return the field by which classes say which they are, and the class of each of its values; None: there is none."""
    fields = [{field.name: bare(field.type) for field in fields_of(cls)} for cls in classes]
    for name in fields[0]:
        types_ = [of_one.get(name) for of_one in fields]
        if not all(is_literal(tp) or is_enum(tp) for tp in types_):
            continue
        pairs = [(value, cls) for tp, cls in zip(types_, classes, strict=True) for value in choices_of(tp)]
        if all(type(value) is str for value, _ in pairs) and len(dict(pairs)) == len(pairs):
            return name, dict(pairs)
    return None


def kinds_of(tp: Any) -> frozenset[type]:
    """Return the kinds of JSON that a member of a union may be, as the types that the decoder makes of them."""
    tp = bare(tp)
    origin = get_origin(tp) or tp
    if is_literal(tp) or is_enum(tp):
        return frozenset(map(type, choices_of(tp)))
    if origin in ARRAYS:
        return frozenset({list})
    if origin in OBJECTS or is_class(tp):
        return frozenset({dict})
    return frozenset({tp if tp in (bool, int, float, type(None)) else str})


def schema_of(tp: Any) -> Schema:
    """Return the JSON schema of a type.

    Raises:
        ConfigurationError: it has none.
        PydanticIsNeeded: a part of it is pydantic's.
    """
    if bare(tp) in (Any, object):
        raise ConfigurationError(f"{name_of(tp)} has no JSON schema: anything would do; for free text give str")
    walk = _Walk(name_of(tp))
    schema = walk.schema(tp, "")
    if "$ref" in schema:
        schema = walk.definitions[schema["$ref"].removeprefix("#/$defs/")]
    used = {name: one for name, one in walk.definitions.items() if one is not schema or walk.is_recursive(name)}
    return {**schema, "$defs": used} if used else dict(schema)


class _Walk:
    """One way through a type."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.definitions: dict[str, Schema] = {}
        self._named: dict[Any, str] = {}
        self._asked: list[str] = []

    def is_recursive(self, name: str) -> bool:
        """Whether a class was met within the type more often than as the whole of it."""
        return self._asked.count(name) > 1

    def schema(self, tp: Any, where: str) -> Schema:
        """Return the schema of a part; `where` says which, for people."""
        self._look_at_notes(tp, where)
        tp = bare(tp)
        origin = get_origin(tp) or tp
        if hasattr(origin, "__get_pydantic_core_schema__") or hasattr(origin, "__pydantic_core_schema__"):
            raise PydanticIsNeeded(where)
        if tp in (Any, object):
            return {}
        if is_literal(tp) or is_enum(tp):
            return self._choice(tp, where)
        if is_union(tp):
            return self._union(tp, where)
        if is_class(tp):
            return self._class(tp, where)
        if origin in OBJECTS:
            return self._object(tp, where)
        if origin in ARRAYS:
            return self._array(tp, where)
        try:
            return dict(LEAVES[tp])
        except (KeyError, TypeError):
            why = (
                f"{name_of(tp)} is none of the types that JSON can be read into, such as an attrs class or a dataclass"
            )
            raise self._refused(where, why) from None

    def _refused(self, where: str, why: str) -> ConfigurationError:
        return ConfigurationError(f"{self._name} has no JSON schema: {f'{where}: ' if where else ''}{why}")

    def _look_at_notes(self, tp: Any, where: str) -> None:
        """Apply rule 5."""
        for note in getattr(tp, "__metadata__", ()):
            package = type(note).__module__.partition(".")[0]
            if package in ("pydantic", "annotated_types"):
                raise PydanticIsNeeded(where)
            if package == "msgspec" and any(
                getattr(note, name, None) is not None
                for name in ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")
            ):
                raise self._refused(where, "msgspec's constraints would not be checked; use a validator of the class")

    def _choice(self, tp: Any, where: str) -> Schema:
        values = choices_of(tp)
        if not values or any(type(value) not in (str, int, bool, type(None)) for value in values):
            raise self._refused(where, f"the values of {name_of(tp)} must be texts, whole numbers, true, false or null")
        kinds = {type(value) for value in values}
        typed = dict(LEAVES[kinds.pop()]) if len(kinds) == 1 else {}
        return {**typed, "enum": list(values)}

    def _union(self, tp: Any, where: str) -> Schema:
        members = members_of(tp)
        schemas = [self.schema(member, where) for member in members]
        if {} in schemas:
            raise self._refused(where, f"{name_of(tp)} has Any in it, which is all that it can be")
        taken: set[type] = set()
        classes = [member for member in members if is_class(member)]
        for member in members:
            kinds = kinds_of(member)
            if clash := taken & kinds - ({dict} if member in classes[1:] else set()):
                what = _WORDS.get(clash.pop(), "null")
                raise self._refused(where, f"of {name_of(tp)} more than one member is {what}")
            taken |= kinds
        if len(classes) > 1 and tag_of(classes) is None:
            self._must_differ(classes, where)
        return {"anyOf": schemas}

    def _must_differ(self, classes: Sequence[Any], where: str) -> None:
        keys = [
            ({one.name for one in fields}, {one.name for one in fields if one.required})
            for fields in map(fields_of, classes)
        ]
        for index, (known, required) in enumerate(keys):
            for other, (other_known, other_required) in enumerate(keys[:index]):
                if required <= other_known and other_required <= known:
                    pair = f"{name_of(classes[other])} and {name_of(classes[index])}"
                    raise self._refused(
                        where, f"{pair} cannot be told apart; give each a field with a Literal of its own"
                    )

    def _class(self, cls: Any, where: str) -> Schema:
        name = self._named.get(cls)
        if name is None:
            base = "".join(char if char.isalnum() else "_" for char in name_of(cls))
            taken = sum(one == base or one.startswith(f"{base}__") for one in self.definitions)
            name = self._named[cls] = f"{base}__{taken + 1}" if taken else base
            self.definitions[name] = {}
            self._asked.append(name)
            self.definitions[name].update(self._properties(cls, where))
        else:
            self._asked.append(name)
        return {"$ref": f"#/$defs/{name}"}

    def _properties(self, cls: Any, where: str) -> Schema:
        origin = get_origin(cls) or cls
        told = origin.__dict__.get("__doc__")
        if not told or told.startswith(f"{origin.__name__}("):  # a dataclass's own
            told = None
        properties = {}
        for field in (fields := fields_of(cls)):
            try:
                schema = self.schema(field.type, f"{where}.{field.name}" if where else field.name)
            except PydanticIsNeeded as error:
                if attrs.has(origin):
                    why = f"it is pydantic's, in the attrs class {name_of(cls)}; let both be of one kind"
                    raise self._refused(str(error), why) from None
                raise
            properties[field.name] = schema | ({"description": field.description} if field.description else {})
        return {
            "title": origin.__name__,
            **({"description": inspect.cleandoc(told)} if told else {}),
            "type": "object",
            "properties": properties,
            "required": [field.name for field in fields if field.required],
            "additionalProperties": False,
        }

    def _object(self, tp: Any, where: str) -> Schema:
        key, value = get_args(tp) or (str, Any)
        if bare(key) not in (str, Any):
            raise self._refused(where, f"the keys of {name_of(tp)} are no texts")
        items = self.schema(value, f"{where}.*" if where else "*")
        return {"type": "object", **({"additionalProperties": items} if items else {})}

    def _array(self, tp: Any, where: str) -> Schema:
        args, origin = get_args(tp), get_origin(tp) or tp
        if origin is tuple and args and args[-1] is not ...:
            items = [self.schema(item, f"{where}[{index}]") for index, item in enumerate(args)]
            size = len(items)
            return {"type": "array", "prefixItems": items, "items": False, "minItems": size, "maxItems": size}
        schema: Schema = {"type": "array"}
        if args and (one := self.schema(args[0], f"{where}[]")):
            schema["items"] = one
        return schema | ({"uniqueItems": True} if issubclass(origin, AbstractSet) else {})
