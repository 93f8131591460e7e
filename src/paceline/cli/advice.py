"""Advice: what to do about the items that failed, by the kind of fault and by what the provider said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from .._core.durations import format_duration
from .._core.exhausted_lane import reopens_in
from .._core.fault import FaultKind
from .._core.fault_groups import FaultGroup
from .._core.results import BatchResult

_ADVICE: Mapping[FaultKind, str] = (
    MappingProxyType(  # the first that applies is given: causes stand before their consequences
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
)
_TOO_LARGE = re.compile(r"refused as too large for the limit\b")
_ADVICE_BY_WORDS = (  # kind; words of the message; advice for items that failed so; whether the same prompt may succeed later
    (
        FaultKind.THROTTLED,
        re.compile(r"refused [\d,]+ times? in a row, whereas\b"),
        "some items were refused each time although others were served: see the provider's message; shorten them, or have the limit raised",
    ),
    (
        FaultKind.REJECTED,
        _TOO_LARGE,
        "items are larger than the provider's limit allows: shorten them, or have the limit raised",
    ),
    (
        FaultKind.REFUSED,
        re.compile(r"(?:\w+: )?(?:Error code: )?4\d\d\b"),
        "the provider's content policy does not allow these prompts: change them, or use another model",
    ),
)
_NO_ACCESS = re.compile(
    r"(?i)\b(?:access to|sample from|terms (?:of|for))\b.{0,40}\bmodel|\bmodel\b.{0,100}\b(?:is blocked|not available|not open|not allowed)"
)
_NO_ACCESS_ADVICE = "the account may not use the model: ask the provider for access, or use another model"


def advice(batch: BatchResult[Any]) -> str | None:
    """Return what to do about the first kind of fault of a batch; None if no item failed."""
    for kind, general in _ADVICE.items():
        if batch.failures.get(kind):
            return _advice(batch, kind, general)
    return None


def lacks_access(batch: BatchResult[Any]) -> bool:
    """Return whether calls of a batch were refused because the account may not use the model."""
    said = [group.message for group in batch.messages if group.kind is FaultKind.EXHAUSTED]
    said += [batch.stopped.message] if batch.stopped is not None and batch.stopped.kind is FaultKind.PENDING else []
    return any(map(_NO_ACCESS.search, said))


def cannot_succeed(failures: Mapping[str, int], messages: Iterable[FaultGroup]) -> bool:
    """Return whether all items that failed are too large, so that running the same prompts again cannot help.

    Args:
        failures: Number of failed items by kind of fault.
        messages: Their messages, with their numbers.
    """
    too_large = sum(
        group.count for group in messages if group.kind is FaultKind.REJECTED and _TOO_LARGE.match(group.message)
    )
    return 0 < sum(failures.values()) <= too_large


def _advice(batch: BatchResult[Any], kind: FaultKind, general: str) -> str:
    if kind is FaultKind.EXHAUSTED:
        reopens = None if batch.stopped is None else reopens_in(batch.stopped)
        if reopens is not None:
            return f"a quota is exhausted: run the rest in {format_duration(reopens)}, or raise the quota"
        return _NO_ACCESS_ADVICE if lacks_access(batch) else general
    groups = [group for group in batch.messages if group.kind is kind]
    for of_kind, words, special in _ADVICE_BY_WORDS:
        alike = sum(group.count for group in groups if of_kind is kind and words.match(group.message))
        if alike:
            return special if alike >= batch.failures[kind] else f"{special}. Of others: {general}"
    return general
