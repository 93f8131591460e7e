"""Does a journal keep what the port promises? For those who write one of their own.

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
from .._core.results import Attempt, WorkItemResult
from .._core.usage import TokenUsage
from ..abc import Journal, LLMCallStrategy, LLMWorkItem

_KNOWN = PaceKnowledge(limit=7, rate=math.inf, token_rate=9.5, latency=0.5, learned=3.0)
_ODD = ["plain", "\ud800", "a\0b", "\u2028", "ä😀", "'\"\\%_", " "]


class _Said(LLMCallStrategy[Any]):
    async def execute(self, prompt: str, attempt: int, timeout: float) -> tuple[Any, None]:
        raise NotImplementedError


async def check_journal(make: Callable[[], Journal]) -> None:
    """Check a journal, in two lives on the same storage.

    Args:
        make: returns a journal on that storage, which is empty before the first.

    Raises:
        AssertionError: it does not keep a promise; the message says which.
    """
    journal = make()
    _expect(not await journal.open(), "from an empty storage, open returns nothing")
    items = [LLMWorkItem(f"id {text}", _Said(), text, context=text) for text in _ODD]
    _expect(list(await journal.recall(items)) == [None] * len(items), "of new items nothing is recalled")
    kept = [_result_of(item) for item in items[:-1]]
    unsettled = attrs.evolve(_result_of(items[-1]), output=None, error=pending_fault("the batch ended"))
    await journal.commit([*kept, unsettled], {})
    for turn in (items, items[::-1], items[2:4], []):
        await _check_recalled(journal, turn, kept, "what is committed is recalled, in the order that is asked for")
    await journal.note([("lane", PaceChange(1.0, 1.0, math.inf, "more"))], {"lane": _KNOWN})
    await journal.close()

    journal = make()
    _expect(dict(await journal.open()) == {"lane": _KNOWN}, "what was learned is returned by the next open")
    await _check_recalled(journal, items, kept, "what is committed is recalled in another life")
    replaced = attrs.evolve(kept[0], output="another", error=None)
    await journal.commit([replaced, attrs.evolve(unsettled, output="late", error=None)], {})
    (again, late) = await journal.recall([items[0], items[-1]])
    _expect(again is not None and again.output == "another", "a later result takes the place of an earlier one")
    _expect(late is not None and late.output == "late", "what was pending is kept once it is settled")
    for item in items:
        key = journal.key_of(item)
        _expect(key == journal.key_of(item), "the key of an item stays the same")
        _expect(key is None or isinstance(hash(key), int), "the key of an item can be hashed")
    await journal.close()


def _result_of(item: LLMWorkItem[Any]) -> WorkItemResult[Any]:
    usage = TokenUsage(1234, 56, 78)
    fault = Fault(FaultKind.INVALID, "not what was asked for")
    attempts = (Attempt(1, 0.0, 1.5, "lane", usage, fault, "m"), Attempt(2, 2.0, 0.25, "lane", usage, None, "m"))
    end = {"error": Fault(FaultKind.REFUSED, "no")} if item.prompt == "plain" else {"output": {"said": [1, None, 2.5]}}
    return WorkItemResult(
        item.item_id, 0, context=item.context, usage=usage + usage, attempts=attempts, model="m", **end
    )


async def _check_recalled(
    journal: Journal, items: Sequence[LLMWorkItem[Any]], kept: Sequence[WorkItemResult[Any]], promise: str
) -> None:
    by_id = {result.item_id: result for result in kept}
    recalled = await journal.recall(items)
    _expect(len(recalled) == len(items), "there is a result, or None, for each item")
    for item, result in zip(items, recalled, strict=True):
        same = None if result is None else attrs.evolve(result, index=0, context=item.context)
        _expect(same == by_id.get(item.item_id), f"{promise}; {item.item_id!r}: {result!r}")


def _expect(holds: bool, promise: str) -> None:  # noqa: FBT001 - as of an assert
    if not holds:
        raise AssertionError(f"a journal must keep this promise: {promise}")
