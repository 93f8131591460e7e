"""Where the results of a batch are stored."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .._core.accounting import Price
    from .._core.pace import PaceChange, PaceKnowledge
    from .._core.results import WorkItemResult
    from .work_item import LLMWorkItem


class Journal(Protocol):
    """Stores the results of a batch; `paceline.journal.SqliteJournal` does so in a file.

    Used by one processor at a time: opened when the processor is entered, closed when it is left. `recall`, `commit` and `close`
    are shielded from cancellation and have no timeout. If `recall`, `key_of` or `commit` raises, no more calls start and the batch
    ends with the error; an exception that is not a `JournalError` is also logged with its traceback.
    """

    async def open(self, *, share: bool = True) -> Mapping[str, PaceKnowledge]:
        """Open the journal; return what was last stored about quotas, by quota key.

        Args:
            share: Whether items with the same key share a call. False if a middleware defines `before_process`: it may turn equal
                prompts into different ones.

        Raises:
            JournalError: It cannot be opened; then it is not closed either.
        """
        ...

    def key_of(self, item: LLMWorkItem[Any]) -> Hashable | None:
        """Return a key that is equal for items of which one call serves all; None: the item needs a call of its own.

        Called after the item was recalled.
        """
        ...

    async def recall(self, items: Sequence[LLMWorkItem[Any]]) -> Sequence[WorkItemResult[Any] | None]:
        """Register items; return for each its stored result, or None if it has to be called.

        `paceline.typing.make_result` constructs a result for a type checker.

        Raises:
            JournalChangedError: An item differs from the one that was stored under its id.
        """
        ...

    async def commit(self, results: Sequence[WorkItemResult[Any]], prices: Mapping[str, Price]) -> None:
        """Store results and what their attempts cost: all of them or none. Of a pending result, store only the attempts.

        Args:
            results: Results of items that were recalled before.
            prices: Known prices in USD, by model; an attempt has its own cost.

        Raises:
            JournalError: Nothing was stored. It may be called again with the same results.
        """
        ...

    async def note(self, changes: Sequence[tuple[str, PaceChange]], knowledge: Mapping[str, PaceKnowledge]) -> None:
        """Store changes of the pace and what was learned about quotas; called every 10 seconds and at the end of a batch.

        Args:
            changes: Pairs of quota key and change; the time of a change is in seconds since the batch started.
            knowledge: What was learned, by quota key.

        Raises:
            JournalError: Nothing was stored. It is logged; no result depends on it.
        """
        ...

    async def close(self) -> None:
        """Release what `open` acquired."""
        ...
