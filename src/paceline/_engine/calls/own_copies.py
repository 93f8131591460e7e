"""Own copies: each item's shallow copy of its strategy.

A copy is what `copy.copy` returns. For a class that does not say how it is copied that is an object with the same attributes, which is made here
directly: `copy.copy` would ask `__reduce_ex__` and take four times as long.
"""

from __future__ import annotations

import copy
import copyreg
from functools import lru_cache
from typing import Any

from ..._core.fault import Fault, FaultKind
from ..._core.provider_answers.classify import describe
from ...abc import LLMCallStrategy
from ..lanes.job import Job

_CLASSES = 256  # whose copies are known to be plain, or not
_SPECIAL = ("__copy__", "__setstate__", "__getnewargs__", "__getnewargs_ex__", "__getattr__")
"""What says how to copy an object, or may seem to: none of these is defined by `object`."""
_USUAL = ("__new__", "__reduce__", "__reduce_ex__", "__getstate__", "__getattribute__")
"""The same, but of `object`."""


def own_copy(job: Job) -> LLMCallStrategy[Any] | Fault:
    """Return the item's own copy of its strategy, or why it cannot have one."""
    origin = job.origin
    try:
        own: object = shallow_copy(origin)
    except Exception as error:  # noqa: BLE001 - a foreign __copy__ may raise anything
        return Fault(FaultKind.BUG, f"the strategy could not be copied: {describe(error)}")
    if type(own) is not type(origin) and not isinstance(own, LLMCallStrategy):
        return Fault(FaultKind.BUG, f"the copy of a strategy must be an LLMCallStrategy, not {type(own).__qualname__}")
    if job.previous is not None:
        try:
            own.take_over(job.previous)
        except Exception as error:  # noqa: BLE001 - as above
            return Fault(FaultKind.BUG, f"{type(own).__qualname__}.take_over: {describe(error)}")
    return own


def shallow_copy(value: Any) -> Any:
    """Return what `copy.copy` returns."""
    cls = type(value)
    if not _is_plain(cls):  # type: ignore[arg-type]  # mypy does not take a class for hashable
        return copy.copy(value)
    own = object.__new__(cls)
    own.__dict__.update(value.__dict__)
    return own


@lru_cache(_CLASSES)
def _is_plain(cls: type) -> bool:
    """Whether a class leaves it to `object` how its objects are copied, and they have their attributes in a `__dict__` only."""
    return (
        cls.__dictoffset__ != 0
        and not any(hasattr(cls, name) for name in _SPECIAL)
        and all(getattr(cls, name) is getattr(object, name) for name in _USUAL)
        and not any(vars(base).get("__slots__") for base in cls.__mro__)
        and cls not in copyreg.dispatch_table
    )
