"""Calls: what one call came to, an answer or a fault and never both, and the signal that it gives to the lane's controller."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeGuard

import attrs

from ..._core import pace
from ..._core.exceptions import CallError
from ..._core.fault import Fault, FaultKind
from ..._core.provider_answers.classify import describe
from ..._core.quota import QuotaHint
from ..._core.request import Request, plain_text
from ..._core.token_estimate import TokenCosts
from ..._core.usage import NO_USAGE, TokenUsage
from ...abc import LLMCallStrategy
from ..loop.foreign import is_leak, logger, unwrap

_PAIR = 2  # (output, tokens)


@attrs.frozen
class FailedCall:
    """A call that has ended without an answer."""

    at: float
    """The time of its end."""
    number: int
    """Number of the call of its item, from 1."""
    fault: Fault
    """Why; with the quotas that the provider reported."""
    usage: TokenUsage = NO_USAGE
    error: BaseException | None = None
    """The exception of `execute`, if any."""
    final: bool = False
    """Whether the deadline of the item or the batch has passed, so that no other call may follow."""
    is_spared: bool = False
    """Whether the provider was overloaded and refused it while it served others, so that it uses up no attempt."""
    by_limit: bool = False
    """Whether the overloads of its lane are the refusals of a limit."""

    @property
    def is_refusal(self) -> bool:
        """Whether a limit of the provider refused it."""
        return self.by_limit or self.fault.kind is FaultKind.THROTTLED


async def execute(strategy: LLMCallStrategy[Any], prompt: Any, attempt: int, timeout: float) -> Any:
    """Make a call; a strategy that does not accept requests gets the text of one.

    Raises:
        CallError: The request is more than text.
        Exception: Any exception of the strategy.
    """
    if isinstance(prompt, Request) and not strategy.takes_requests:
        text = plain_text(prompt)
        if text is None:
            raise CallError(f"{strategy.objection(prompt)}", kind=FaultKind.REJECTED)
        return await strategy.execute(text, attempt, timeout)
    given: Any = prompt
    return await strategy.execute(given, attempt, timeout)


def is_answer(value: Any) -> TypeGuard[tuple[Any, Any]]:
    """Whether what `execute` returned is an output with its tokens."""
    return isinstance(value, tuple) and len(value) == _PAIR


def fault_without_answer(
    strategy: LLMCallStrategy[Any], value: Any, error: BaseException | None, quota: QuotaHint | None
) -> Fault:
    """Return the fault of a call that raised `error`, or returned a `value` that is no answer."""
    if error is None:
        name = type(strategy).__qualname__
        return Fault(FaultKind.BUG, f"{name}.execute must return (output, tokens), not {type(value).__name__}")
    fault = fault_of(strategy, error)
    return attrs.evolve(fault, quota=quota) if fault.quota is None and quota is not None else fault


def fault_of(strategy: LLMCallStrategy[Any], error: BaseException) -> Fault:
    """Return the fault that an exception of the strategy means, by its own classifier."""
    if is_leak(error):
        return Fault(FaultKind.CANCELLED, "a cancellation leaked out of the call")
    error = unwrap(error)
    try:
        fault = strategy.error_classifier.classify(error)
        if not isinstance(fault, Fault):
            raise TypeError(f"classify must return a Fault, not {type(fault).__name__}")
    except Exception as mistake:  # noqa: BLE001 - a user's code may raise anything
        logger.exception("%s's error_classifier failed", type(strategy).__qualname__)
        return Fault(FaultKind.BUG, f"error_classifier: {describe(mistake)}, while classifying {describe(error)}")
    return fault


def log_bug(strategy: LLMCallStrategy[Any], error: BaseException) -> None:
    """Log an exception of a strategy that is a bug, with its traceback."""
    logger.error("%s raised", type(strategy).__qualname__, exc_info=unwrap(error))


def usage_of(strategy: LLMCallStrategy[Any], tokens: Any) -> TokenUsage:
    """Return the usage that a strategy returned as the tokens of a call."""
    if isinstance(tokens, TokenUsage):
        return tokens
    try:
        return TokenUsage.of(tokens)
    except Exception as error:  # noqa: BLE001 - the output is valid and paid for: keep it, whatever its token counts are
        logger.warning("%s: tokens not counted: %s", type(strategy).__qualname__, describe(error))
        return NO_USAGE


def take_quota_hint(strategy: LLMCallStrategy[Any]) -> QuotaHint | None:
    """Return the quota hint of a strategy's latest reply, and reset it for the next."""
    try:
        hint: object = strategy.quota_hint
        if hint is None:
            return None
        strategy.quota_hint = None
    except Exception as error:  # noqa: BLE001 - a foreign property may raise anything
        logger.warning("%s.quota_hint failed: %s", type(strategy).__qualname__, describe(error))
        return None
    if isinstance(hint, QuotaHint):
        return hint
    logger.warning("%s.quota_hint must be a QuotaHint, not %s", type(strategy).__qualname__, type(hint).__name__)
    return None


def answer_signal(usage: TokenUsage, quota: QuotaHint | None, costs: TokenCosts) -> pace.Signal:
    """Return what an answer says about the provider's limits; limits on input or output tokens in tokens of whole calls."""
    tokens = usage.total_tokens
    if not tokens and quota is None:
        return pace.SERVED
    return pace.Served(float(tokens) if tokens else None, costs.as_total_tokens(quota))


def fault_signal(fault: Fault, usage: TokenUsage, costs: TokenCosts) -> pace.Signal:
    """Return what a fault says about them."""
    quota = costs.as_total_tokens(fault.quota)
    if fault.kind is FaultKind.THROTTLED:
        return pace.Throttled(fault.retry_after, quota)
    signal = SIGNALS[fault.kind]
    tokens = usage.total_tokens
    if isinstance(signal, pace.Served) and (tokens or quota is not None):
        return pace.Served(float(tokens) if tokens else signal.tokens, quota, signal.accepted)
    return signal


_USELESS = pace.Served(accepted=False)


SIGNALS: Mapping[FaultKind, pace.Signal] = MappingProxyType(
    {
        # the provider did the work, even if its result is unusable
        FaultKind.INVALID: _USELESS,
        FaultKind.TRUNCATED: _USELESS,
        FaultKind.REFUSED: _USELESS,
        FaultKind.REJECTED: pace.Served(tokens=0.0, accepted=False),  # read, but not worked on
        # the provider, or the connection to it, failed
        FaultKind.OVERLOADED: pace.Faulted(FaultKind.OVERLOADED),
        FaultKind.TRANSIENT: pace.Faulted(FaultKind.TRANSIENT),
        FaultKind.TIMEOUT: pace.Faulted(FaultKind.TIMEOUT),
        FaultKind.DENIED: pace.Faulted(FaultKind.DENIED),
        FaultKind.EXHAUSTED: pace.Faulted(FaultKind.EXHAUSTED),
        # the caller's code failed
        FaultKind.BUG: pace.Faulted(FaultKind.BUG),
        FaultKind.CANCELLED: pace.Faulted(FaultKind.CANCELLED),
        # the call never reached the provider, or was not let finish
        FaultKind.SKIPPED: pace.ABANDONED,
        FaultKind.PENDING: pace.ABANDONED,
        FaultKind.THROTTLED: pace.Throttled(),
    }
)
"""The signal of each kind of fault."""
