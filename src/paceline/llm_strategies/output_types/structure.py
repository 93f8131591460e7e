"""Structuring: decoded JSON becomes a value of a type, by cattrs with hooks that convert nothing.

Rules owned here:

1. A value of another JSON kind does not fit: a string is not read as a number, true not as 1, 1.0 not as an integer. An integer
   is accepted as a float.
2. Every problem is found, each with its place: by cattrs' detailed validation, and by the validators of attrs classes.
3. A union's member is chosen by the JSON kind, and among classes by their tag or their fields (see `introspect`), so that the
   problems reported are those of the intended member.
4. cattrs builds an instance only if every field fits its type. Of what the class then raises it reports no field, and of several
   failing validators only one. So the validators of the fields that fit run here once more, one by one, on an instance that has
   only those fields. A validator that fails because another field is missing is not reported.

Models read the messages of `Unfit` too: they say what the value must be, and never quote it.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any, NotRequired, Required, TypeAlias, get_args

import attrs
from cattrs import Converter
from cattrs.cols import list_structure_factory
from cattrs.errors import AttributeValidationNote, ClassValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, make_hetero_tuple_structure_fn, mapping_structure_factory, override
from cattrs.gen.typeddicts import make_dict_structure_fn as make_typeddict_structure_fn
from typing_extensions import TypedDict, is_typeddict

from ..._core.json_values import KIND_NAMES, kind_name
from ..._core.quantity import quantity
from .introspect import (
    ARRAYS,
    LEAVES,
    OBJECTS,
    Field,
    bare,
    choices_of,
    closest_class,
    fields_of,
    is_class,
    is_enum,
    is_literal,
    is_union,
    kinds_of,
    members_of,
    origin_of,
    tag_of,
)


def with_validator_errors(
    error: ClassValidationError, value: Any, fields: Sequence[Field], converter: Converter
) -> ClassValidationError:
    """Return the error with the validators' exceptions for the fields that fit, each attributed to its field: rule 4."""
    of_fields, others = error.group_exceptions()
    failed = {note.name for _, note in of_fields}
    unknown: list[Exception] = [other for other in others if isinstance(other, ForbiddenExtraKeysError)]
    alone = bool(failed or unknown)
    objections = list(_validator_errors(error.cl, value, [one for one in fields if one.name not in failed], converter))
    if alone:
        objections = [one for one in objections if not isinstance(one, AttributeError)]
    rest = unknown if alone or objections else others
    return _class_error(error.message, [*(one for one, _ in of_fields), *objections, *rest], error.cl)


def _validator_errors(cls: Any, value: Any, fields: Iterable[Field], converter: Converter) -> Iterator[Exception]:
    cls = origin_of(cls)
    twin = cls.__new__(cls)
    given = [(one, attrs.fields_dict(cls)[one.name]) for one in fields if one.name in value]
    for one, field in given:
        convert: Any = field.converter
        try:
            fit = converter.structure(value[one.name], bare(one.type))
            object.__setattr__(twin, one.name, fit if convert is None else convert(fit))
        except Exception as error:  # noqa: BLE001 - a user's converter may raise anything
            yield with_field_note(error, one)
    for one, field in given:
        if field.validator is not None and hasattr(twin, one.name):
            try:
                field.validator(twin, field, getattr(twin, one.name))
            except Exception as error:  # noqa: BLE001 - so may a validator
                yield with_field_note(error, one)


def _class_error(message: str, errors: Sequence[Exception], cls: Any) -> ClassValidationError:
    return ClassValidationError(message, errors, cls)  # pyright: ignore[reportCallIssue]  # it reads the base class's __new__


def with_field_note(error: Exception, field: Field) -> Exception:
    """Attribute an exception to a field, in the way of cattrs."""
    error.__notes__ = [*getattr(error, "__notes__", []), AttributeValidationNote("", field.name, field.type)]
    return error


Hook: TypeAlias = Callable[[Any, Any], Any]

_MOST_CHOICES = 20


class Unfit(ValueError):  # noqa: N818 - named after the value
    """A value does not fit its type. The message states the rule."""


def _unfit(must_be: str, value: object) -> Unfit:
    return Unfit(f"must be {must_be}, not {kind_name(value)}")


def structure_hook(tp: Any) -> Hook:
    """Return the function that builds values of a type from decoded JSON."""
    converter = _converter()
    _register_enum(tp, converter)
    return converter.get_structure_hook(tp)


@cache
def _converter() -> Converter:
    """Return the shared converter; it builds each type's hook once."""
    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    for tp, hook in {
        str: _exact_type(str),
        bool: _exact_type(bool),
        int: _exact_type(int),
        float: _number,
        type(None): _exact_type(type(None)),
        dt.datetime: _parsed_text("a date and time in ISO 8601", dt.datetime.fromisoformat),
        dt.date: _parsed_text("a date such as 2024-12-31", dt.date.fromisoformat),
        dt.time: _parsed_text("a time such as 23:59:00", dt.time.fromisoformat),
        uuid.UUID: _parsed_text("a UUID", uuid.UUID),
    }.items():
        converter.register_structure_hook(tp, hook)
    for predicate, factory in (
        (lambda tp: tp in (Any, object), _anything),
        (lambda tp: origin_of(tp) in OBJECTS, _object),
        (lambda tp: origin_of(tp) in ARRAYS, _array),
        (is_class, _class),
        (lambda tp: is_literal(tp) or is_enum(tp), _choice),
        (is_union, _union),
    ):
        converter.register_structure_hook_factory(predicate, factory)  # the one registered last is tried first
    return converter


def _register_enum(tp: Any, converter: Converter) -> None:
    """Register an enum, which the converter would treat as a string or number if its members are such."""
    if is_enum(bare(tp)):
        converter.register_structure_hook(bare(tp), _choice(bare(tp), converter))


def _exact_type(tp: type) -> Hook:
    must_be = KIND_NAMES[tp]

    def structure(value: Any, _: Any) -> Any:
        if type(value) is tp:
            return value
        raise _unfit(must_be, value)

    return structure


def _number(value: Any, _: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is not int:
        raise _unfit("a number", value)
    try:
        return float(value)
    except OverflowError:
        raise Unfit("must be a number that a float can hold") from None


def _parsed_text(what: str, read: Callable[[str], Any]) -> Hook:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not str:
            raise _unfit(f"a string, {what}", value)
        try:
            return read(value)
        except ValueError:
            raise Unfit(f"must be {what}") from None

    return structure


def _anything(_: Any, __: Converter) -> Hook:
    return lambda value, _: value


def _choice(tp: Any, _: Converter) -> Hook:
    values = choices_of(tp)
    by_value = {
        (type(value), value): member for value, member in zip(values, tp if is_enum(tp) else values, strict=True)
    }
    listed = ", ".join(json.dumps(value, ensure_ascii=False) for value in values[:_MOST_CHOICES])
    more = f" or another of {len(values)} values" if len(values) > _MOST_CHOICES else ""
    must_be = f"must be {'one of ' if len(values) > 1 else ''}{listed}{more}"

    def structure(value: Any, _: Any) -> Any:
        if type(value) in (str, int, bool, type(None)) and (type(value), value) in by_value:
            return by_value[type(value), value]
        raise Unfit(must_be)

    return structure


def _object(tp: Any, converter: Converter) -> Hook:
    values = (get_args(tp) or (str, Any))[1]
    if bare(values) in (Any, object):
        return _exact_type(dict)
    _register_enum(values, converter)
    inner = mapping_structure_factory(dict[str, values], converter)  # type: ignore[valid-type]  # at run time it is one

    def structure(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise _unfit("an object", value)
        return inner(value, tp)

    return structure


def _array(tp: Any, converter: Converter) -> Hook:
    origin, args = origin_of(tp), get_args(tp)
    for item in args:
        _register_enum(item, converter)
    size = len(args) if origin is tuple and args and args[-1] is not ... else None
    inner: Hook
    if size is None:
        items_of: Any = list[args[0]] if args else list  # type: ignore[valid-type]  # at run time it is one
        inner = list_structure_factory(items_of, converter)
    else:
        inner = make_hetero_tuple_structure_fn(tp, converter, detailed_validation=True)
    make: Any = {Sequence: list, AbstractSet: frozenset}.get(origin, origin)

    def structure(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise _unfit("an array", value)
        if size is not None and len(value) != size:
            raise Unfit(f"must have {quantity(size, 'item')}, not {len(value)}")
        items: Any = inner(value, tp)
        return items if make is list or size is not None else _to_collection(make, items)

    return structure


def _to_collection(make: Any, items: list[Any]) -> Any:
    try:
        made = make(items)
    except TypeError:
        raise Unfit("must have only items that a set can hold") from None
    if len(made) != len(items):
        raise Unfit("must not have an item twice")
    return made


def _class(cls: Any, converter: Converter) -> Hook:
    origin = origin_of(cls)
    fields = fields_of(cls)
    hooks: dict[str, Any] = {one.name: override(struct_hook=_deferred_hook(one.type, converter)) for one in fields}
    made: Any = _with_requirements(origin, fields) if is_typeddict(origin) else cls
    make: Any = make_dict_structure_fn if made is cls else make_typeddict_structure_fn
    inner = make(made, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True, **hooks)

    def structure(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise _unfit("an object", value)
        try:
            return inner(value, made)
        except ClassValidationError as error:
            if not attrs.has(origin):
                raise
            found = error
        raise with_validator_errors(found, value, fields, converter)

    return structure


def _with_requirements(cls: Any, fields: Sequence[Field]) -> Any:
    """Return a TypedDict with explicit requirements: cattrs does not see them in annotations that are strings."""
    needs = {one.name: Required[Any] if one.required else NotRequired[Any] for one in fields}
    make: Any = TypedDict
    return make(cls.__name__, needs)


def _union(tp: Any, converter: Converter) -> Hook:
    members = members_of(tp)
    classes = [member for member in members if is_class(member)]
    by_kind = {kind: _deferred_hook(one, converter) for one in members if one not in classes for kind in kinds_of(one)}
    if len(classes) == 1:
        by_kind[dict] = _deferred_hook(classes[0], converter)
    elif classes:
        by_kind[dict] = _class_union(classes, converter)
    if float in by_kind:
        by_kind.setdefault(int, by_kind[float])
    must_be = " or ".join(KIND_NAMES[kind] for kind in by_kind)

    def structure(value: Any, _: Any) -> Any:
        hook = by_kind.get(type(value))
        if hook is None:
            raise _unfit(must_be, value)
        return hook(value, tp)

    return structure


def _deferred_hook(tp: Any, converter: Converter) -> Hook:
    """Return the hook of a nested type. All but the simplest are looked up on first use, as a class may contain itself."""
    tp = bare(tp)
    _register_enum(tp, converter)
    if tp in LEAVES or is_literal(tp) or is_enum(tp):
        return converter.get_structure_hook(tp)
    hook: Hook | None = None

    def structure(value: Any, _: Any) -> Any:
        nonlocal hook
        if hook is None:
            hook = converter.get_structure_hook(tp)
        return hook(value, tp)

    return structure


def _class_union(classes: Sequence[Any], converter: Converter) -> Hook:
    hooks = {cls: _deferred_hook(cls, converter) for cls in classes}
    name, by_tag = tag_of(classes) or ("", {})
    closest = closest_class(classes)
    must_be = "must be one of " + ", ".join(json.dumps(tag, ensure_ascii=False) for tag in by_tag)

    def structure(value: Any, _: Any) -> Any:
        if name in value and by_tag:
            tag = value[name]
            if type(tag) is not str or tag not in by_tag:
                raise _class_error("", [with_field_note(Unfit(must_be), Field(name, str, required=True))], classes[0])
            return hooks[by_tag[tag]](value, None)
        return hooks[closest(value)](value, None)

    return structure
