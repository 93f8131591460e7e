"""A journal in memory that can be slow, can fail, and checks how it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from paceline import FaultKind, WorkItemResult
from paceline.exceptions import JournalError


def never(_number: int) -> None:
    """Let every commit succeed."""


def from_commit(first: int) -> Callable[[int], JournalError | None]:
    """Let commit number `first` and all later ones fail."""
    return lambda number: JournalError("the disk is full") if number >= first else None


def at_commit(*numbers: int) -> Callable[[int], JournalError | None]:
    """Let the commits of these numbers fail."""
    return lambda number: JournalError("a hiccup") if number in numbers else None


class MemoryJournal:
    """Keeps results in a dict, by id.

    Args:
        delay: Seconds that a commit takes.
        recall_delay: Seconds that a recall takes.
        failing: Function from the number of a commit, from 1, to the exception that it raises, or None.
        recall_failing: Function from the ids of a recall to the exception that it raises, or None.
        dedupe: Whether items with the same prompt share a call.
        kept: Results that it has from the beginning, by item id.
        knowledge: Knowledge of quotas that it has from the beginning, by quota key.
    """

    def __init__(  # noqa: PLR0913 - all have defaults
        self,
        *,
        delay: float = 0.0,
        recall_delay: float = 0.0,
        failing: Callable[[int], BaseException | None] = never,
        recall_failing: Callable[[Sequence[str]], BaseException | None] = lambda _: None,
        dedupe: bool = True,
        kept: Mapping[str, WorkItemResult[Any]] | None = None,
        knowledge: Mapping[str, Any] | None = None,
    ) -> None:
        self.delay, self.recall_delay, self.dedupe = delay, recall_delay, dedupe
        self.failing, self.recall_failing = failing, recall_failing
        self.kept = dict(kept or {})
        self.knowledge = dict(knowledge or {})
        self.registered: set[str] = set()
        self.paid: list[str] = []
        """The item id of each committed attempt."""
        self.commits: list[tuple[float, list[str]]] = []
        self.tries = 0
        self.changes: list[Any] = []
        self.life: list[str] = []
        self.busy = False

    async def open(self, *, share: bool = True) -> Mapping[str, Any]:
        self.life.append("open")
        self.dedupe = self.dedupe and share
        return self.knowledge

    def key_of(self, item: Any) -> Any:
        return item.prompt if self.dedupe else None

    async def recall(self, items: Sequence[Any]) -> Sequence[Any]:
        await anyio.sleep(self.recall_delay)
        error = self.recall_failing([item.item_id for item in items])
        if error is not None:
            raise error
        self.registered |= {item.item_id for item in items}
        return [self.kept.get(item.item_id) for item in items]

    async def commit(self, results: Sequence[WorkItemResult[Any]], prices: Mapping[str, Any]) -> None:
        assert not self.busy, "two commits at once"
        self.tries += 1
        number = self.tries
        self.busy = True
        try:
            await anyio.sleep(self.delay)
        finally:
            self.busy = False
        error = self.failing(number)
        if error is not None:
            raise error
        ids = [result.item_id for result in results]
        assert results, "nothing to commit"
        assert set(ids) <= self.registered, "an item is committed that was never recalled"
        assert len(set(ids)) == len(ids), "one item twice in a commit"
        self.commits.append((anyio.current_time(), ids))
        self.paid += [result.item_id for result in results for _ in result.attempts]
        self.kept |= {result.item_id: result for result in results if not is_pending(result)}

    async def note(self, changes: Sequence[Any], knowledge: Mapping[str, Any]) -> None:
        self.changes += changes
        self.knowledge = dict(knowledge)

    async def close(self) -> None:
        self.life.append("close")


def is_pending(result: WorkItemResult[Any]) -> bool:
    """Whether a result says only that its item was not settled."""
    return result.error is not None and result.error.kind is FaultKind.PENDING
