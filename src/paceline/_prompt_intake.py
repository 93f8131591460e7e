"""Intake of prompts: makes the work items of a batch from prompts, for processors and pools alike."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import attrs

from ._core.exceptions import InvalidWorkItemError
from ._core.quick_records import quick
from ._engine.customers.intake import Intake
from .abc import LLMCallStrategy, LLMWorkItem

if TYPE_CHECKING:
    from .files import InputRecord

T = TypeVar("T")

Prompts: TypeAlias = "Iterable[str] | Iterable[InputRecord] | AsyncIterable[str] | AsyncIterable[InputRecord]"
"""Prompts to answer: strings, or the records that `paceline.files.read` reads."""
_checked_item = quick(LLMWorkItem)
"""Makes an item of what was checked before."""


def intake_of(strategy: LLMCallStrategy[T], prompts: Prompts, name: str = "") -> Intake:
    """Return the intake of a batch of prompts.

    Args:
        strategy: Strategy that answers all prompts.
        prompts: Prompts.
        name: What the ids of the items begin with, before a `/`; empty: nothing.

    Raises:
        InvalidWorkItemError: `strategy` is not an `LLMCallStrategy`, or `prompts` is not iterable.
    """
    LLMWorkItem("0", strategy, "")  # a wrong strategy is reported before anything is read
    if isinstance(prompts, str):
        prompts = [prompts]
    return Intake(
        prompts,
        make_item=_ItemMaker(strategy, f"{name}/" if name else ""),
        unique=getattr(prompts, "has_unique_ids", False),
    )


@attrs.define
class _ItemMaker(Generic[T]):
    """Makes work items from strings, whose positions are their ids, or from input records, which have ids; not from both."""

    _strategy: LLMCallStrategy[T]
    _prefix: str
    """What ids begin with."""
    _makes_of_records: bool | None = None

    def __call__(self, index: int, prompt: object) -> LLMWorkItem[T]:
        if isinstance(prompt, str):
            if self._makes_of_records is not False:
                self._expect(records=False)
            return _checked_item(f"{self._prefix}{index}", self._strategy, prompt)
        from .files.types import BadLine, InputRecord  # noqa: PLC0415 - not needed for strings

        if isinstance(prompt, BadLine):
            raise InvalidWorkItemError(f"{prompt}; leave bad lines out, or read the file with bad_lines='skip'")
        if isinstance(prompt, InputRecord):
            self._expect(records=True)
            return LLMWorkItem(f"{self._prefix}{prompt.id}", self._strategy, prompt.prompt, prompt.context)
        return LLMWorkItem(f"{self._prefix}{index}", self._strategy, prompt)  # type: ignore[arg-type]  # a work item checks its prompt

    def _expect(self, *, records: bool) -> None:
        if self._makes_of_records not in {None, records}:
            raise InvalidWorkItemError(
                "prompts must be strings or input records, not both: their ids might be the same"
            )
        self._makes_of_records = records
