"""Prompts as work items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import attrs

from ...abc import LLMCallStrategy
from ...work import LLMWorkItem
from ..reading import Prompt


class Prompts(Protocol):
    """What is to be answered, where it is known how much it is."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Prompt]: ...


@attrs.frozen
class Items:
    """The items of prompts, for a strategy. They have a length, so that each has a result whatever happens."""

    prompts: Prompts
    strategy: LLMCallStrategy[Any]

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[LLMWorkItem[Any]]:
        return items_of(self.prompts, self.strategy)


def items_of(prompts: Iterable[Prompt], strategy: LLMCallStrategy[Any]) -> Iterator[LLMWorkItem[Any]]:
    """Yield the items of prompts; each is made when it is read."""
    for prompt in prompts:
        yield LLMWorkItem(prompt.id, strategy, prompt.prompt, prompt.context)
