"""A test of journals: whether one of your own keeps the promises of the `Journal` port.

async def test_it_is_a_journal(tmp_path):
    await check_journal(lambda: MyJournal(tmp_path / "run"))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from .._core.fault import Fault, FaultKind, pending_fault
from .._core.pace import PaceChange, PaceKnowledge
from .._core.results import Attempt, WorkItemResult, make_result
from .._core.usage import TokenUsage
from ..abc import Journal, LLMCallStrategy, LLMWorkItem

_KNOWN = PaceKnowledge(limit=7, rate=math.inf, token_rate=9.5, latency=0.5, learned=3.0)
_ODD = ["plain", "\ud800", "a\0b", "\u2028", "ä😀", "'\"\\%_", " "]


class _NeverCalled(LLMCallStrategy[Any]):
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[Any, None]:
        raise NotImplementedError


async def check_journal(make: Callable[[], Journal]) -> None:
    """Check a journal: open it, commit, close it, and open it again on the same storage.

    Args:
        make: Returns a journal on that storage, which is empty at first.

    Raises:
        AssertionError: The journal breaks a promise; the message names it.
    """
    journal = make()
    _expect(not await journal.open(), "open returns nothing if the storage is empty")
    items = [LLMWorkItem(f"id {text}", _NeverCalled(), text, context=text) for text in _ODD]
    _expect(list(await journal.recall(items)) == [None] * len(items), "recall returns None for each new item")
    committed = [_result_of(item) for item in items[:-1]]
    unsettled = attrs.evolve(_result_of(items[-1]), output=None, error=pending_fault("the batch ended"))
    await journal.commit([*committed, unsettled], {})
    for turn in (items, items[::-1], items[2:4], []):
        await _check_recalled(journal, turn, committed, "committed results are recalled, in the order of the items")
    await journal.note([("lane", PaceChange(1.0, 1.0, math.inf, "more"))], {"lane": _KNOWN})
    await journal.close()

    journal = make()
    _expect(dict(await journal.open()) == {"lane": _KNOWN}, "the pace that was recorded is returned by the next open")
    await _check_recalled(
        journal, items, committed, "committed results are recalled after the journal was closed and opened again"
    )
    replaced = attrs.evolve(committed[0], output="another", error=None)
    await journal.commit([replaced, attrs.evolve(unsettled, output="late", error=None)], {})
    (replaced_later, late) = await journal.recall([items[0], items[-1]])
    _expect(replaced_later is not None and replaced_later.output == "another", "a later result replaces an earlier one")
    _expect(late is not None and late.output == "late", "an item that was pending is recalled once it has a result")
    for item in items:
        key = journal.key_of(item)
        _expect(key == journal.key_of(item), "an item has the same key each time")
        _expect(key is None or isinstance(hash(key), int), "the key of an item is hashable")
    await journal.close()


def _result_of(item: LLMWorkItem[Any]) -> WorkItemResult[Any]:
    usage = TokenUsage(1234, 56, 78)
    fault = Fault(FaultKind.INVALID, "not what was asked for")
    attempts = (Attempt(1, 0.0, 1.5, "lane", usage, fault, "m"), Attempt(2, 2.0, 0.25, "lane", usage, None, "m"))
    result: WorkItemResult[Any] = make_result(
        item.item_id, 0, context=item.context, usage=usage + usage, attempts=attempts, model="m"
    )
    if item.prompt == "plain":
        return attrs.evolve(result, error=Fault(FaultKind.REFUSED, "no"))
    return attrs.evolve(result, output={"answer": [1, None, 2.5]})


async def _check_recalled(
    journal: Journal, items: Sequence[LLMWorkItem[Any]], committed: Sequence[WorkItemResult[Any]], promise: str
) -> None:
    by_id = {result.item_id: result for result in committed}
    recalled = await journal.recall(items)
    _expect(len(recalled) == len(items), "recall returns a result or None for each item")
    for item, result in zip(items, recalled, strict=True):
        same = None if result is None else attrs.evolve(result, index=0, context=item.context)
        _expect(same == by_id.get(item.item_id), f"{promise}; {item.item_id!r}: {result!r}")


def _expect(holds: bool, promise: str) -> None:  # noqa: FBT001 - like assert
    if not holds:
        raise AssertionError(f"the journal breaks a promise: {promise}")
