"""What is to be done: one prompt, under one name, by one strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import attrs

from ._core.exceptions import InvalidWorkItemError
from ._core.prompt import Media, Prompt
from ._core.request import Request
from .abc import LLMCallStrategy

T = TypeVar("T")


def _is_id(_: object, _attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidWorkItemError(f"item_id must be a non-empty string, not {value!r}")


def _is_strategy(item: Any, _attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, LLMCallStrategy):
        return
    if callable(value) and not isinstance(value, type):
        hint = "; wrap an async function with CallableStrategy(function)"
    elif isinstance(value, type):
        hint = "; give an instance, not the class"
    else:
        hint = ": a subclass that defines async execute(prompt, attempt, timeout)"
    name = value.__qualname__ if isinstance(value, type) else type(value).__qualname__
    raise InvalidWorkItemError(f"item {item.item_id!r}: strategy must be an LLMCallStrategy, not {name}{hint}")


def _to_prompt(value: str | Sequence[str | Media] | Request) -> Prompt:
    return tuple(value) if isinstance(value, list) else value  # type: ignore[return-value]  # the validator looks at it next


def _is_prompt(item: Any, _attribute: attrs.Attribute[Prompt], value: object) -> None:
    if isinstance(value, (str, Request)):
        return
    if not isinstance(value, tuple):
        name = type(value).__name__
        raise InvalidWorkItemError(
            f"item {item.item_id!r}: prompt must be a string, a list of parts or a Request, not {name}"
        )
    if not value:
        raise InvalidWorkItemError(f"item {item.item_id!r}: prompt has no parts")
    for index, part in enumerate(value):
        if not isinstance(part, (str, Media)):
            name = type(part).__name__
            raise InvalidWorkItemError(f"item {item.item_id!r}: prompt[{index}] must be a string or Media, not {name}")


@attrs.frozen
class LLMWorkItem(Generic[T]):
    """One prompt to be answered.

    Raises:
        InvalidWorkItemError: the id is empty, the strategy is none, or the prompt is none.
    """

    item_id: str = attrs.field(validator=_is_id)
    """Unique in its batch."""
    strategy: LLMCallStrategy[T] = attrs.field(validator=_is_strategy)
    """Makes the calls; may be shared by all items."""
    prompt: Prompt = attrs.field(converter=_to_prompt, validator=_is_prompt, repr=False)
    """What is sent: a text; or a list of texts and `Media`, or a `Request`, for strategies that take such."""
    context: Any = attrs.field(default=None, repr=False, eq=False)
    """Anything; it comes back with the result."""
