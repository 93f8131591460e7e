"""One prompt to be answered, and what is wrong with one that cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs

from .._core.exceptions import InvalidWorkItemError
from .._core.prompt import Media, Prompt
from .._core.request import Request
from .strategy import LLMCallStrategy

T = TypeVar("T")


def _to_prompt(value: str | Sequence[str | Media] | Request) -> Prompt:
    return tuple(value) if isinstance(value, list) else value  # type: ignore[return-value]  # checked with the other fields


def _check_item(item: LLMWorkItem[Any]) -> None:
    item_id: object = item.item_id
    if not isinstance(item_id, str) or not item_id.strip():
        raise InvalidWorkItemError(f"item_id must be a non-empty string, not {item_id!r}")
    strategy: object = item.strategy
    if not isinstance(strategy, LLMCallStrategy):
        raise InvalidWorkItemError(
            f"item {item_id!r}: strategy must be an LLMCallStrategy, not {_not_a_strategy(strategy)}"
        )
    prompt: object = item.prompt
    if isinstance(prompt, (str, Request)):
        return
    if not isinstance(prompt, tuple):
        name = type(prompt).__name__
        raise InvalidWorkItemError(
            f"item {item_id!r}: prompt must be a string, a list of parts or a Request, not {name}"
        )
    if not prompt:
        raise InvalidWorkItemError(f"item {item_id!r}: prompt has no parts")
    for index, part in enumerate(prompt):
        if not isinstance(part, (str, Media)):
            name, hint = type(part).__name__, _CHAT_HINT if isinstance(part, Mapping) else ""
            raise InvalidWorkItemError(f"item {item_id!r}: prompt[{index}] must be a string or Media, not {name}{hint}")


def _not_a_strategy(value: object) -> str:
    """Return the name of something that is not a strategy, with what to do about it."""
    if callable(value) and not isinstance(value, type):
        hint = "; wrap an async function with CallableStrategy(function)"
    elif isinstance(value, type):
        hint = "; pass an instance, not the class"
    else:
        hint = "; pass an instance of a subclass that defines async execute(prompt, attempt, timeout)"
    name = value.__qualname__ if isinstance(value, type) else type(value).__qualname__
    return f"{name}{hint}"


_CHAT_HINT = '; a chat in a provider\'s form is Request("openai", {"messages": ...})'


@attrs.frozen
class LLMWorkItem(Generic[T]):
    """One prompt to be answered.

    Raises:
        InvalidWorkItemError: The id is empty, or the strategy or the prompt is of another type.
    """

    item_id: str
    """Not empty, and unique in its batch."""
    strategy: LLMCallStrategy[T]
    """Makes the calls; all items may share one instance."""
    prompt: Prompt = attrs.field(converter=_to_prompt, repr=False)
    """A text; or, for strategies that accept them, a list of texts and `Media`, or a `Request`."""
    context: Any = attrs.field(default=None, repr=False, eq=False)
    """Any value; it is returned with the result, unchanged."""

    def __attrs_post_init__(self) -> None:
        # most items, without a call of a validator for each field; `isinstance` asks an abstract class in Python, which takes longest
        is_text = type(self.item_id) is type(self.prompt) is str
        if not (is_text and self.item_id.strip() and LLMCallStrategy in type(self.strategy).__mro__):
            _check_item(self)
