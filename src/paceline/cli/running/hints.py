"""What to do next, where items failed: one sentence."""

from __future__ import annotations

import shlex
from types import MappingProxyType
from typing import Any

from ..._core.fault import FaultKind
from ..._core.outcome import BatchResult
from ..._core.spent import reopens_in, span

_HINTS = MappingProxyType(  # the first that applies is given: what explains the others goes first
    {
        FaultKind.DENIED: "the provider did not accept the key: check it, and what it may be used for",
        FaultKind.EXHAUSTED: "a quota is spent: wait until it is renewed, or raise it",
        FaultKind.BUG: "a strategy raised what it should not: --verbose shows the traceback",
        FaultKind.REJECTED: "the provider takes the request itself for wrong: see the messages in the rows",
        FaultKind.TIMEOUT: "calls took too long: raise --timeout, or ask for shorter answers",
        FaultKind.THROTTLED: "the provider served nothing for a long time: try again later",
        FaultKind.OVERLOADED: "the provider has no capacity: try again later",
        FaultKind.TRANSIENT: "calls failed again and again: see the messages in the rows, and try again later",
        FaultKind.TRUNCATED: "answers hit the limit of output tokens: ask for shorter ones",
        FaultKind.REFUSED: "the model declined to answer: see the messages in the rows",
        FaultKind.INVALID: "answers did not have the form that was asked for: see the messages in the rows",
        FaultKind.CANCELLED: "calls were cancelled from within: --verbose shows more",
        FaultKind.SKIPPED: "items were skipped on purpose: see the messages in the rows",
        FaultKind.PENDING: "the batch ended before it reached them all",
    }
)


def _when_spent(batch: BatchResult[Any]) -> str | None:
    """Return what to do about a quota of which it is known when it is renewed."""
    reopens = None if batch.stopped is None else reopens_in(batch.stopped)
    return None if reopens is None else f"a quota is spent: run the rest in {span(reopens)}, or raise the quota"


def hint(batch: BatchResult[Any], output: str | None) -> str | None:
    """Return what to do about a batch's failures; None if nothing failed.

    Args:
        batch: that has ended.
        output: the file that has its rows; None: no file has.
    """
    for kind, advice in _HINTS.items():
        if batch.failures.get(kind):
            sentence = _when_spent(batch) or advice if kind is FaultKind.EXHAUSTED else advice
            if output is None:
                return sentence
            return f"{sentence}. The ids to run again: jq -r 'select(.success|not).id' {shlex.quote(output)}"
    return None
