"""What do the validators of an attrs class say, where cattrs could not make one?

cattrs makes an instance only where every field fits its type, and of what the class then raises it tells no field; of several
validators that object, one. So the validators of the fields that fit are asked here again, one by one, on an instance that has
those fields alone. One that fails for want of the others is not to be blamed on its field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
from cattrs import Converter
from cattrs.errors import AttributeValidationNote, ClassValidationError, ForbiddenExtraKeysError

from .shapes import Field, bare, origin_of


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
