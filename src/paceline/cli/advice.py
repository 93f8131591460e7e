"""Advice: what to do about the items that failed, by the kind of fault and its reason.

Rules owned here:

1. Each kind of fault that occurs has its own sentence, at most `MOST` of them: what stops a batch first, then what most items failed with.
2. Pending items have none if others failed: they are pending because of those, and another message says how they are resumed.
3. The reason of a fault decides, never the words of its message: those are the provider's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from .._core.durations import format_duration
from .._core.fault import UNTRUSTED_ADVICE, FaultKind, FaultReason
from .._core.fault_groups import FaultGroup
from .._core.health.exhausted_lane import reopens_in
from .._core.quantity import quantity
from .._core.results import BatchResult

_ADVICE: Mapping[FaultKind, str] = MappingProxyType(
    {
        FaultKind.DENIED: "the provider rejected the key: check the key and its permissions",
        FaultKind.EXHAUSTED: "a quota or the credit is used up, or the model is not allowed: see the provider's message, then resume",
        FaultKind.BUG: "a strategy raised an unexpected exception: --verbose shows the traceback",
        FaultKind.REJECTED: "the provider rejected requests as invalid: see the messages in the rows",
        FaultKind.TIMEOUT: "calls took too long: raise --timeout, or ask for shorter answers",
        FaultKind.THROTTLED: "the provider refused all calls for a long time: try again later",
        FaultKind.OVERLOADED: "the provider has no capacity: try again later",
        FaultKind.TRANSIENT: "calls failed repeatedly: see the messages in the rows, and try again later",
        FaultKind.TRUNCATED: "answers reached the limit of output tokens: raise --max-tokens, or ask for shorter answers",
        FaultKind.REFUSED: "the model declined to answer: see the messages in the rows",
        FaultKind.INVALID: "answers did not match the required format: see the messages in the rows; a clearer prompt, a simpler "
        "schema or another model may help",
        FaultKind.CANCELLED: "calls were cancelled by their own code: --verbose shows more",
        FaultKind.SKIPPED: "items were skipped by a middleware: see the messages in the rows",
        FaultKind.PENDING: "the run ended before all items had a result",
    }
)
_BY_REASON: Mapping[FaultReason, str] = MappingProxyType(
    {
        FaultReason.TOO_LARGE: "items are larger than the limit allows: shorten them, use a model that takes more, or have the limit raised",
        FaultReason.NOT_THE_API: "a web page came instead of answers: check the server's address, and proxies before it",
        FaultReason.UNTRUSTED: f"no key and no prompt was sent: {UNTRUSTED_ADVICE}",
        FaultReason.REFUSED_ALONE: "some items were refused each time although others were served: see the provider's message; shorten them, "
        "or have the limit raised",
        FaultReason.POLICY: "the provider's content policy does not allow these prompts: change them, or use another model",
        FaultReason.NO_ACCESS: "the account may not use the model: ask the provider for access, or use another model",
        FaultReason.REGION: "the provider does not serve this country or region: see its message, or use another model",
        FaultReason.CREDIT: "the credit or the spending limit of the account is used up: see the provider's message, add credit, then resume",
    }
)
_OTHER_MODEL = {FaultReason.NO_ACCESS, FaultReason.REGION}
_FIRST = (FaultKind.DENIED, FaultKind.EXHAUSTED)
"""Kinds that stop more than their item."""
MOST = 3
"""Sentences of advice: more are not read."""


def advice(batch: BatchResult[Any]) -> list[str]:
    """Return what to do about the kinds of faults of a batch, a sentence each; empty if no item failed.

    Kinds with which all calls of a model failed are left out: `BatchResult.stopped` has the advice on them.
    """
    explained = {FaultKind.PENDING, *(group.kind for group in batch.systematic)}
    kinds = [kind for kind, count in batch.failures.items() if count and kind not in explained]
    if not kinds:
        return [_ADVICE[FaultKind.PENDING]] if batch.pending and not batch.systematic else []
    order = [*_ADVICE]
    kinds.sort(key=lambda kind: (kind not in _FIRST, -batch.failures[kind], order.index(kind)))
    if len(kinds) == 1:
        return [_advice(batch, kinds[0])]
    sentences = [f"{kind} ({quantity(batch.failures[kind], 'item')}): {_advice(batch, kind)}" for kind in kinds[:MOST]]
    if more := len(kinds) - MOST:
        sentences[-1] += f". The summary has {quantity(more, 'more kind')}" if more > 0 else ""
    return sentences


def needs_other_model(batch: BatchResult[Any]) -> bool:
    """Return whether calls were refused because the account may not use the model."""
    reasons = {group.reason for group in batch.messages}
    return bool(_OTHER_MODEL & (reasons | ({batch.stopped.reason} if batch.stopped is not None else set())))


def cannot_succeed(failures: Mapping[str, int], messages: Iterable[FaultGroup]) -> bool:
    """Return whether all items that failed are too large, so that running the same prompts again cannot help.

    Args:
        failures: Number of failed items by kind of fault.
        messages: Their messages, with their numbers.
    """
    too_large = sum(group.count for group in messages if group.reason is FaultReason.TOO_LARGE)
    return 0 < sum(failures.values()) <= too_large


def _advice(batch: BatchResult[Any], kind: FaultKind) -> str:
    general = _ADVICE[kind]
    if kind is FaultKind.EXHAUSTED and batch.stopped is not None and (reopens := reopens_in(batch.stopped)) is not None:
        return f"a quota is exhausted: run the rest in {format_duration(reopens)}, or raise the quota"
    counts: Counter[FaultReason] = Counter()
    for group in batch.messages:
        if group.kind is kind and group.reason is not None:
            counts[group.reason] += group.count
    if not counts:
        return general
    special = ". ".join(_BY_REASON[reason] for reason, _ in counts.most_common())
    return special if counts.total() >= batch.failures[kind] else f"{special}. Of others: {general}"
