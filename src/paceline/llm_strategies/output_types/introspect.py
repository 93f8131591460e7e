"""Introspection of Python types: the JSON kind, fields, choices and members of a type.

Rules owned here:

1. Supported types are strings, numbers, dates and UUIDs; literals and enums; lists, tuples, sets and dicts of these; attrs
   classes, dataclasses and TypedDicts; and unions of these. Aliases and annotations around a type are ignored.
2. A class's fields are the arguments of its constructor, under the class's own names, with type parameters substituted.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import re
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin

import attrs
import typing_extensions

from ..._core.exceptions import ConfigurationError

LEAVES: Mapping[Any, dict[str, Any]] = types.MappingProxyType(
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


@attrs.frozen
class Field:
    """A field of a class, as its JSON object has it."""

    name: str
    type: Any
    required: bool
    description: str | None = None


def name_of(tp: Any) -> str:
    """Return a type's name, for messages."""
    if isinstance(tp, type) and not get_args(tp):
        return tp.__qualname__.rpartition("<locals>.")[2]
    if callable(tp) and hasattr(tp, "__qualname__") and not get_args(tp):
        return f"the function {tp.__qualname__.rpartition('<locals>.')[2]}"
    return _MODULES.sub("", repr(tp))[:_LONGEST_NAME]


def origin_of(tp: Any) -> Any:
    """Return a type without its parameters."""
    return get_origin(tp) or tp


def bare(tp: Any) -> Any:
    """Return a type without aliases, qualifiers and annotations."""
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
    tp = origin_of(tp)
    return isinstance(tp, type) and (
        attrs.has(tp) or dataclasses.is_dataclass(tp) or typing_extensions.is_typeddict(tp)
    )


def members_of(union: Any) -> tuple[Any, ...]:
    """Return the members of a union, with nested unions flattened."""
    members: list[Any] = []
    for member in map(bare, get_args(union)):
        members.extend(members_of(member) if is_union(member) else [member])
    return tuple(dict.fromkeys(members))


def choices_of(tp: Any) -> tuple[Any, ...]:
    """Return the JSON values of literals, or of an enum's members."""
    return tuple(member.value for member in tp) if is_enum(tp) else get_args(tp)


def fields_of(cls: Any) -> tuple[Field, ...]:
    """Return the fields of a class, in order.

    Raises:
        ConfigurationError: A name in the annotations is unknown, or a field exists for the constructor only (InitVar).
    """
    origin = origin_of(cls)
    try:
        hints = typing_extensions.get_type_hints(origin, include_extras=True)
    except Exception as error:
        raise ConfigurationError(f"{name_of(cls)}: its annotations cannot be read: {error}") from error
    given = dict(zip(getattr(origin, "__parameters__", ()), get_args(cls), strict=False))
    hints = {name: _filled(hint, given) for name, hint in hints.items()}
    if typing_extensions.is_typeddict(origin):
        required = typing.cast("Any", origin).__required_keys__
        return tuple(
            Field(name, tp, _is_required(tp, name in required), _description_of(tp)) for name, tp in hints.items()
        )
    if attrs.has(origin):
        return tuple(
            Field(one.name, tp, one.default is attrs.NOTHING, one.metadata.get("description") or _description_of(tp))
            for one in attrs.fields(origin)
            if one.init
            for tp in [hints.get(one.name, Any if one.type is None else one.type)]
        )
    fields = dataclasses.fields(origin)
    if any(isinstance(hint, dataclasses.InitVar) for hint in hints.values()):
        raise ConfigurationError(f"{name_of(cls)} has an InitVar, which cannot be restored from JSON")
    return tuple(
        Field(
            one.name,
            hints[one.name],
            one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING,
            one.metadata.get("description") or _description_of(hints[one.name]),
        )
        for one in fields
        if one.init
    )


def _filled(hint: Any, given: Mapping[Any, Any]) -> Any:
    """Return a hint with its type parameters substituted."""
    if isinstance(hint, TypeVar):
        return given.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(one, one) for one in parameters)] if parameters and given else hint


def _is_required(tp: Any, otherwise: bool) -> bool:  # noqa: FBT001 - the class's own default
    origin = get_origin(tp)
    if origin in (typing.Required, typing.NotRequired):
        return origin is typing.Required
    return _is_required(get_args(tp)[0], otherwise) if origin in _QUALIFIERS or origin is Annotated else otherwise


def _description_of(tp: Any) -> str | None:
    """Return the description that an annotation carries: `Doc` of typing_extensions, `Meta` of msgspec."""
    for note in getattr(tp, "__metadata__", ()):
        text = getattr(note, "documentation", None) or getattr(note, "description", None)
        if isinstance(text, str):
            return text
    return None


def tag_of(classes: Sequence[Any]) -> tuple[str, dict[Any, Any]] | None:
    """Return the name of the field that tags classes, and the class of each tag; None if there is no such field."""
    fields = [{field.name: bare(field.type) for field in fields_of(cls)} for cls in classes]
    for name in fields[0]:
        types_ = [of_one.get(name) for of_one in fields]
        if not all(is_literal(tp) or is_enum(tp) for tp in types_):
            continue
        pairs = [(value, cls) for tp, cls in zip(types_, classes, strict=True) for value in choices_of(tp)]
        if all(type(value) is str for value, _ in pairs) and len(dict(pairs)) == len(pairs):
            return name, dict(pairs)
    return None


def closest_class(classes: Sequence[Any]) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that maps an object to the class whose fields match best."""
    keys = [
        (cls, {one.name for one in fields}, {one.name for one in fields if one.required})
        for cls, fields in ((cls, fields_of(cls)) for cls in classes)
    ]

    def closest(value: Mapping[str, Any]) -> Any:
        given = set(value)
        return max(keys, key=lambda one: len(given & one[1]) - len(given - one[1]) - len(one[2] - given))[0]

    return closest


def kinds_of(tp: Any) -> frozenset[type]:
    """Return the JSON kinds of a union's member, as the Python types that the decoder produces."""
    tp = bare(tp)
    origin = origin_of(tp)
    if is_literal(tp) or is_enum(tp):
        return frozenset(map(type, choices_of(tp)))
    if origin in ARRAYS:
        return frozenset({list})
    if origin in OBJECTS or is_class(tp):
        return frozenset({dict})
    return frozenset({tp if tp in (bool, int, float, type(None)) else str})
