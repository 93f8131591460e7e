"""What do the validators of an attrs class say, where cattrs could not make one?

cattrs makes an instance only where every field fits its type, and of what the class then raises it tells no field; of several
validators that object, one. So the validators of the fields that fit are asked here again, one by one, on an instance that has
those fields alone. One that fails for want of the others is not to be blamed on its field.

How does decoded JSON become a value of a type? By cattrs, with hooks that coerce nothing.

Rules owned here:

1. A value of another kind of JSON is unfit: no text is taken for a number, no true for a 1, no 1.0 for a whole number. A whole
   number will do for a float.
2. All that is wrong is found, each with its place: cattrs' detailed validation, and the validators of attrs (see `validators`).
3. A union's member is chosen by the kind of JSON, and among classes by their tag or their fields (see `shapes`), so that the
   problems told are those of the member that was meant.

The sentences of `Unfit` are read by models too: they say what must be, and never the value.
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
from .introspect import (
    ARRAYS,
    LEAVES,
    OBJECTS,
    Field,
    bare,
    choices_of,
    closest_of,
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


def with_validators(
    error: ClassValidationError, value: Any, fields: Sequence[Field], converter: Converter
) -> ClassValidationError:
    """Return the error with what the validators say of the fields that fit, each by its field."""
    of_fields, others = error.group_exceptions()
    failed = {note.name for _, note in of_fields}
    unknown: list[Exception] = [other for other in others if isinstance(other, ForbiddenExtraKeysError)]
    alone = bool(failed or unknown)
    objections = list(_objections(error.cl, value, [one for one in fields if one.name not in failed], converter))
    if alone:
        objections = [one for one in objections if not isinstance(one, AttributeError)]
    rest = unknown if alone or objections else others
    return ClassValidationError(error.message, [*(one for one, _ in of_fields), *objections, *rest], error.cl)


def _objections(cls: Any, value: Any, fields: Iterable[Field], converter: Converter) -> Iterator[Exception]:
    cls = origin_of(cls)
    twin = cls.__new__(cls)
    given = [(one, attrs.fields_dict(cls)[one.name]) for one in fields if one.name in value]
    for one, field in given:
        convert: Any = field.converter
        try:
            fit = converter.structure(value[one.name], bare(one.type))
            object.__setattr__(twin, one.name, fit if convert is None else convert(fit))
        except Exception as error:  # noqa: BLE001 - a user's converter may raise anything
            yield noted(error, one)
    for one, field in given:
        if field.validator is not None and hasattr(twin, one.name):
            try:
                field.validator(twin, field, getattr(twin, one.name))
            except Exception as error:  # noqa: BLE001 - and so may a validator
                yield noted(error, one)


def noted(error: Exception, field: Field) -> Exception:
    """Note on an exception, as cattrs does, of which field it is."""
    error.__notes__ = [*getattr(error, "__notes__", []), AttributeValidationNote("", field.name, field.type)]
    return error


Hook: TypeAlias = Callable[[Any, Any], Any]

_MOST_CHOICES = 20


class Unfit(ValueError):  # noqa: N818 - a word for a value
    """A value is not what it must be. The message is the rule."""


def _unfit(must_be: str, value: object) -> Unfit:
    return Unfit(f"must be {must_be}, not {kind_name(value)}")


def structure_hook(tp: Any) -> Hook:
    """Return the function that makes values of a type."""
    converter = _converter()
    _know(tp, converter)
    return converter.get_structure_hook(tp)


@cache
def _converter() -> Converter:
    """Return the one converter; its hooks are made once for each type."""
    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    for tp, hook in {
        str: _exactly(str),
        bool: _exactly(bool),
        int: _exactly(int),
        float: _number,
        type(None): _exactly(type(None)),
        dt.datetime: _read_by("a date and time in ISO 8601", dt.datetime.fromisoformat),
        dt.date: _read_by("a date such as 2024-12-31", dt.date.fromisoformat),
        dt.time: _read_by("a time such as 23:59:00", dt.time.fromisoformat),
        uuid.UUID: _read_by("a UUID", uuid.UUID),
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
        converter.register_structure_hook_factory(predicate, factory)  # the latest goes first
    return converter


def _know(tp: Any, converter: Converter) -> None:
    """Let the converter know of an enum, which it would take for a text or a number where its members are such."""
    if is_enum(bare(tp)):
        converter.register_structure_hook(bare(tp), _choice(bare(tp), converter))


def _exactly(tp: type) -> Hook:
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


def _read_by(what: str, read: Callable[[str], Any]) -> Hook:
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
    told = ", ".join(json.dumps(value, ensure_ascii=False) for value in values[:_MOST_CHOICES])
    more = f" or another of {len(values)} values" if len(values) > _MOST_CHOICES else ""
    must_be = f"must be {'one of ' if len(values) > 1 else ''}{told}{more}"

    def structure(value: Any, _: Any) -> Any:
        if type(value) in (str, int, bool, type(None)) and (type(value), value) in by_value:
            return by_value[type(value), value]
        raise Unfit(must_be)

    return structure


def _object(tp: Any, converter: Converter) -> Hook:
    values = (get_args(tp) or (str, Any))[1]
    if bare(values) in (Any, object):
        return _exactly(dict)
    _know(values, converter)
    inner = mapping_structure_factory(dict[str, values], converter)  # type: ignore[valid-type]  # at run time it is one

    def structure(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise _unfit("an object", value)
        return inner(value, tp)

    return structure


def _array(tp: Any, converter: Converter) -> Hook:
    origin, args = origin_of(tp), get_args(tp)
    for item in args:
        _know(item, converter)
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
            raise Unfit(f"must have {size} items, not {len(value)}")
        items: Any = inner(value, tp)
        return items if make is list or size is not None else _made(make, items)

    return structure


def _made(make: Any, items: list[Any]) -> Any:
    try:
        made = make(items)
    except TypeError:
        raise Unfit("must have no items but those that a set can hold") from None
    if len(made) != len(items):
        raise Unfit("must not have an item twice")
    return made


def _class(cls: Any, converter: Converter) -> Hook:
    origin = origin_of(cls)
    fields = fields_of(cls)
    hooks: dict[str, Any] = {one.name: override(struct_hook=_late(one.type, converter)) for one in fields}
    made: Any = _required_seen(origin, fields) if is_typeddict(origin) else cls
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
        raise with_validators(found, value, fields, converter)

    return structure


def _required_seen(cls: Any, fields: Sequence[Field]) -> Any:
    """Return a TypedDict of which cattrs sees what is required, as it does not where annotations are strings."""
    needs = {one.name: Required[Any] if one.required else NotRequired[Any] for one in fields}
    make: Any = TypedDict
    return make(cls.__name__, needs)


def _union(tp: Any, converter: Converter) -> Hook:
    members = members_of(tp)
    classes = [member for member in members if is_class(member)]
    by_kind = {kind: _late(one, converter) for one in members if one not in classes for kind in kinds_of(one)}
    if len(classes) == 1:
        by_kind[dict] = _late(classes[0], converter)
    elif classes:
        by_kind[dict] = _one_of(classes, converter)
    if float in by_kind:
        by_kind.setdefault(int, by_kind[float])
    must_be = " or ".join(KIND_NAMES[kind] for kind in by_kind)

    def structure(value: Any, _: Any) -> Any:
        hook = by_kind.get(type(value))
        if hook is None:
            raise _unfit(must_be, value)
        return hook(value, tp)

    return structure


def _late(tp: Any, converter: Converter) -> Hook:
    """Return the hook of a part; but for the simplest it is looked up when it is needed, as a class may contain itself."""
    tp = bare(tp)
    _know(tp, converter)
    if tp in LEAVES or is_literal(tp) or is_enum(tp):
        return converter.get_structure_hook(tp)
    hook: Hook | None = None

    def structure(value: Any, _: Any) -> Any:
        nonlocal hook
        if hook is None:
            hook = converter.get_structure_hook(tp)
        return hook(value, tp)

    return structure


def _one_of(classes: Sequence[Any], converter: Converter) -> Hook:
    hooks = {cls: _late(cls, converter) for cls in classes}
    name, by_tag = tag_of(classes) or ("", {})
    closest = closest_of(classes)
    must_be = "must be one of " + ", ".join(json.dumps(tag, ensure_ascii=False) for tag in by_tag)

    def structure(value: Any, _: Any) -> Any:
        if name in value and by_tag:
            tag = value[name]
            if type(tag) is not str or tag not in by_tag:
                raise ClassValidationError("", [noted(Unfit(must_be), Field(name, str, required=True))], classes[0])
            return hooks[by_tag[tag]](value, None)
        return hooks[closest(value)](value, None)

    return structure
