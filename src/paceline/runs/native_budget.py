"""Job budget: which rows may go into a batch job, so that the jobs of a run keep within its budget.

Rules owned here:

1. A row is reserved at the most that it can cost, before its job is created: afterwards nothing keeps the provider from answering it.
2. What is reserved stays so for the run, even if the answer was cheaper: its cost is in the journal only once the item has its result.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from .._core.accounting import Price, most_of
from .._core.budget import Budget, Spent
from .._core.call_bounds import CallBounds


@attrs.define(eq=False)
class JobBudget:
    """What the rows of a run's batch jobs may still cost."""

    budget: Budget | None
    """None: any amount."""
    model: str
    """Name of the model."""
    price: Price | None
    """Price of tokens in a batch job; None: unknown, so that no cap in USD can be kept."""
    max_output_tokens: int | None
    """Upper bound on the tokens of an answer; None: it has none."""
    _spent: Spent = attrs.field(factory=Spent, init=False)
    _usd: float = attrs.field(default=0.0, init=False)
    _tokens: int = attrs.field(default=0, init=False)
    _bounds: CallBounds = attrs.field(factory=CallBounds, init=False)

    def start_from(self, spent: Spent) -> None:
        """Count from what the journal's calls have cost."""
        self._spent = spent

    def reserve(self, size: int, *, is_at_provider: bool = False) -> bool:
        """Reserve a row, if each cap has room for it.

        Args:
            size: Of its prompt: see `token_bytes_of`.
            is_at_provider: Whether it is in a job already, so that it is reserved in any case.

        Returns:
            Whether it is reserved.
        """
        sent, made = self._bounds.input_tokens(size), self._bounds.output_tokens(self.max_output_tokens)
        usd = 0.0 if self.price is None else most_of(self.price, sent, made)
        if not is_at_provider and not self._has_room(usd, sent + made):
            return False
        self._usd += usd
        self._tokens += sent + made
        return True

    def _has_room(self, usd: float, tokens: int) -> bool:
        return all(
            (cap.usd is None or spent_usd + self._usd + usd <= cap.usd)
            and (cap.tokens is None or spent_tokens + self._tokens + tokens <= cap.tokens)
            for cap, spent_usd, spent_tokens in self._caps()
        )

    def _caps(self) -> Iterator[tuple[Budget, float, int]]:
        """Yield the caps that concern the rows, each with what is spent of it."""
        if self.budget is None:
            return
        usd, tokens = self._spent.usd, self._spent.tokens
        yield self.budget, sum(usd.values()), sum(tokens.values())
        if own := self.budget.models.get(self.model):
            yield own, usd.get(self.model, 0.0), tokens.get(self.model, 0)
