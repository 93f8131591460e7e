"""Spending: reserves what a pool's calls may cost before they start, and counts what they have cost, under its budget.

Rules owned here:

1. Whether a call may start is decided by the machine in `budget`, by the upper estimate in `call_bounds`.
2. A job whose call may not start any more takes its turn all the same, and is settled without a call: its submitter stops, or gives up the lane.
3. Where a cap is in USD, a call of a model without a price is refused. Calls that a journal has without a cost are counted at the price
   that their model has now.
4. Where a provider reports only a total of tokens, all of them count as output, the dearer kind: the cost is not known.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..._core.accounting import Price, most_of
from ..._core.budget import Budget, BudgetState, Release, Reserve, Spend, Spent, Verdict, step, used_up_text, verdict
from ..._core.call_bounds import CallBounds, token_bytes_of
from ..._core.fault import Fault, FaultKind, FaultReason
from ..._core.request import Request
from ..._core.usage import TokenUsage
from .lane_job import LaneJob
from .strategy_values import model_of, output_bound_of, price_of


@attrs.frozen
class OverBudget:
    """Why a call may not start."""

    fault: Fault
    of_model: bool = False
    """Whether calls of other models may still start."""


class Spending:
    """What a pool has spent and reserved. Without a budget it counts nothing."""

    def __init__(self) -> None:
        self.budget: Budget | None = None
        """The cap; None: without a cap."""
        self.is_awaited: bool = False
        """Whether a lane waits for a reservation to be released."""
        self._state = BudgetState()
        self._bounds: dict[str, CallBounds] = {}
        self._unpriced: dict[str, Sequence[TokenUsage]] = {}
        """Usage of earlier calls whose cost is not known yet, by model."""

    def set_budget(self, budget: Budget | None) -> None:
        """Keep to another budget from now on; what was spent since the first one was set counts."""
        self.budget = budget

    def restart(self, spent: Spent) -> None:
        """Count what a journal has, and nothing else so far."""
        self._state = BudgetState()
        for model in {*spent.usd, *spent.tokens}:
            self._step(Spend(model, spent.usd.get(model, 0.0), spent.tokens.get(model, 0)))
        self._unpriced = {model: usages for model, usages in spent.unpriced.items() if usages}

    @property
    def state(self) -> BudgetState:
        """What is spent and reserved."""
        return self._state

    # ------------------------------------------------------------------------------------------ before a call

    def must_wait(self, job: LaneJob, quota: str) -> bool:
        """Return whether a job's next call, in the lane of this quota, has to wait until a call in flight has ended."""
        call, _ = self._request(job, quota)
        if self.budget is None or call is None or verdict(self.budget, self._state, call) is not Verdict.WAITS:
            return False
        self.is_awaited = True
        return True

    def reserve(self, job: LaneJob, quota: str) -> None:
        """Reserve the upper estimate of a job's call, which is about to start; if it may not, the job gets the reason."""
        if self.budget is None:
            return
        call, model = self._request(job, quota)
        if call is None:
            job.reserve(None, _unpriced(model))
            return
        state, found = step(self.budget, self._state, call)
        if found is Verdict.STARTED:
            self._state = state
            job.reserve(call, None)
        else:
            job.reserve(None, self._used_up(self.budget, call, found))

    def objection(self, job: LaneJob, quota: str) -> OverBudget | None:
        """Return why a job's call would be refused even if no other were in flight; None: it would not."""
        if self.budget is None:
            return None
        call, model = self._request(job, quota)
        if call is None:
            return _unpriced(model)
        found = verdict(self.budget, self._state, call)
        return None if found in {Verdict.STARTED, Verdict.WAITS} else self._used_up(self.budget, call, found)

    def _used_up(self, budget: Budget, call: Reserve, found: Verdict) -> OverBudget:
        text = used_up_text(budget, self._state, call, found)
        fault = Fault(FaultKind.PENDING, text, reason=FaultReason.BUDGET)
        return OverBudget(fault, found is Verdict.MODEL_REFUSED)

    def _request(self, job: LaneJob, quota: str) -> tuple[Reserve | None, str]:
        """Return the upper estimate of a job's next call, None if a price is missing; and its model."""
        strategy, prompt, budget = job.active_strategy, job.item.prompt, self.budget
        model = model_of(strategy) or quota
        bounds = self._bounds.get(model)
        if bounds is None:
            bounds = self._bounds[model] = CallBounds()
        sent = bounds.input_tokens(token_bytes_of(prompt))
        own = prompt.output_bound if isinstance(prompt, Request) else None
        made = bounds.output_tokens(own or output_bound_of(strategy))
        if budget is None or not budget.needs_price_of(model):
            return Reserve(model, 0.0, sent + made), model
        price = price_of(strategy)
        if price is None:
            return None, model
        if self._unpriced:
            self._count_unpriced(model, price)
        return Reserve(model, most_of(price, sent, made), sent + made), model

    def _count_unpriced(self, model: str, price: Price) -> None:
        usages = self._unpriced.pop(model, ())
        if usages:
            self._step(Spend(model, sum(price.of(usage) for usage in usages if usage.is_itemised), 0))

    # ------------------------------------------------------------------------------------------ after it

    def release(self, job: LaneJob) -> None:
        """Release the reservation of a job's call, which has ended; a call that may not start has none."""
        if job.reservation is not None:
            self._step(Release(job.reservation))
        job.reserve(None, None)

    def spend(self, job: LaneJob, model: str, cost: float | None, usage: TokenUsage) -> None:
        """Count a call that has ended.

        Args:
            job: Its job.
            model: Its model.
            cost: USD; None: unknown.
            usage: Its tokens.
        """
        bounds = self._bounds.get(model)
        if bounds is not None:
            bounds.record(token_bytes_of(job.item.prompt), usage)
        if cost is None:
            price = price_of(job.active_strategy)
            cost = 0.0 if price is None else most_of(price, 0, usage.total_tokens)
        self._step(Spend(model, cost, usage.total_tokens))

    def _step(self, event: Release | Spend) -> None:
        if self.budget is not None:
            self._state, _ = step(self.budget, self._state, event)


def _unpriced(model: str) -> OverBudget:
    message = f"no price is known of {model}, so a budget in USD cannot be kept; give its strategy one, such as Price(0.25, 2)"
    return OverBudget(Fault(FaultKind.PENDING, message, reason=FaultReason.BUDGET))
