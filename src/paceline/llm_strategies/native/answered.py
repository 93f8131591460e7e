"""Answered strategy: gives an item the answer of a native job, and makes further calls online if the answer does not count.

Rules owned here:

1. The answer is read by the strategy that would have made the call, so that it is accepted, or is a fault, for the same reasons.
2. It is in a lane of its own at the batch price: reading it says nothing about the pace of the provider.
3. A call after it is online: in the strategy's lane, at the strategy's price.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ..._core.accounting import Price
from ..._core.quota import QuotaHint
from ..._core.request import Request
from ...abc import ErrorClassifier, LLMCallStrategy, NativeBatch, Tokens


class AnsweredStrategy(LLMCallStrategy[Any]):
    """Gives one item its answer. It must not outlive the strategy's preparation.

    Args:
        strategy: Prepared strategy.
        batch: Its native batch.
        status: HTTP status of the answer.
        body: Body of the answer.
        price: Price of tokens in a native batch; None: unknown.
        is_billed: Whether the tokens count: not for a copy of another item's answer.
    """

    def __init__(  # noqa: PLR0913 - what an answer is
        self,
        strategy: LLMCallStrategy[Any],
        batch: NativeBatch,
        status: int,
        body: str,
        price: Price | None,
        *,
        is_billed: bool = True,
    ) -> None:
        self._strategy = copy.copy(strategy)
        self._batch = batch
        self._status = status
        self._body = body
        self._batch_price = price
        self._is_billed = is_billed
        self._is_online = False
        self.model: str | None = strategy.model
        self.error_classifier: ErrorClassifier = strategy.error_classifier
        self.is_sampled: bool = strategy.is_sampled
        self.takes_requests: bool = strategy.takes_requests
        self.max_output_tokens: int | None = strategy.max_output_tokens
        self.quota_hint: QuotaHint | None = None

    @property
    def price(self) -> Price | None:  # type: ignore[override]  # follows from the way of the next call
        """Price of the batch API for the answer, then that of calls."""
        return self._strategy.price if self._is_online else self._batch_price

    @property
    def quota(self) -> str:
        """A lane of its own for the answer, then that of calls."""
        return self._strategy.quota if self._is_online else f"{self._strategy.quota} (batch)"

    @property
    def identity(self) -> Mapping[str, Any]:
        """That of the strategy."""
        return self._strategy.identity

    def restore(self, data: Any) -> Any:
        """Return an output from its data in a journal."""
        return self._strategy.restore(data)

    def objection(self, request: Request) -> str | None:
        """Return the strategy's objection."""
        return self._strategy.objection(request)

    async def execute(self, prompt: Any, attempt: int, timeout: float) -> tuple[Any, Tokens]:
        """Return the answer; after it was found to be of no use, make a call.

        Raises:
            Exception: As the strategy.
        """
        if self._is_online:
            reply = await self._strategy.execute(prompt, attempt, timeout)
            self.quota_hint = self._strategy.quota_hint
            return reply
        with self._batch.replayed(self._status, self._body):
            output, tokens = await self._strategy.execute(prompt, attempt, timeout)
        return output, tokens if self._is_billed else None

    async def on_error(self, exception: Exception, attempt: int) -> None:
        """Make the next call online, with what the strategy learns from the error."""
        self._is_online, self._body = True, ""
        await self._strategy.on_error(exception, attempt)
