"""Estimate: what calls will take in tokens, money and time, each as a range, learned from a journal if there is one.

Rules owned here:

1. Nothing is called, and neither a key nor the network is needed; see `pilot` for real calls.
2. What the journal has of the same models calibrates the estimate, whichever run it was. An item of which no tokens were reported says nothing.
3. The batch API's price is that of the list, if it has one of its own. The steps of a ladder are then one batch after another.
4. The time depends on limits that are mostly not known before. It is between that of all workers at once and that of as many as a run starts
   with; where a rate was learned, from half to twice the time at that rate.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from .._core.call_bounds import token_bytes_of
from .._core.forecast import BYTES_PER_TOKEN, DEFAULT_BYTES_PER_TOKEN, Forecast, SeenItem, Step, forecast
from .._core.pace import PaceKnowledge
from .._core.ranges import Range
from ..abc import LLMCallStrategy
from ..files import InputRecord
from ..journal.figures import ItemUse
from ..journal.reader import JournalReader
from ..llm_strategies.prices import known_price

_MOST_SEEN = 1_000  # settled items of the journal that are looked at: more would hardly narrow a range
_FIRST_WORKERS = 20  # calls in flight that a run starts with
_SLOW, _FAST = 20.0, 120.0  # output tokens per second of a call before one was seen
_FIRST_TOKEN = 0.5  # seconds to the first token before one was seen
_NO_TIME = Range(0.0, 0.0, 0.0)


@attrs.frozen(kw_only=True)
class Estimate:
    """What a run will take."""

    prompts: int
    """Valid prompts of the input."""
    calls: int
    """Prompts that need a call: those without a result; equal ones count once if they share it."""
    seen: int
    """Items of the journal that it was learned from; 0: it is a guess from the sizes of the prompts."""
    input_tokens: Range
    """Tokens of the calls to come."""
    output_tokens: Range
    """Tokens of the calls to come, those spent on thinking included."""
    cost: Range | None
    """USD of the calls to come; None: a price is not known."""
    batch_cost: Range | None
    """USD of the same calls in the batch APIs of the providers, which answer within hours; None: one has none, or its price is not known."""
    spent: float | None
    """USD that the calls of the journal have cost; 0 without a journal; None: unknown."""
    seconds: Range
    """Time from the first call to the last."""
    pace_is_known: bool
    """Whether the time follows from a rate that the journal has learned; otherwise the provider's limits may make it longer."""
    forecast: Forecast
    """The calls to come by model: the steps of a ladder, in the order in which they are called."""

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Models whose price is not known."""
        return tuple(step.model for step in self.forecast.steps if step.cost is None)


class Observations:
    """What a journal has of items: what they took from the journal, and the sizes of their prompts from the input.

    Args:
        reader: Reads the journal; None: it does not exist yet.
    """

    def __init__(self, reader: JournalReader | None) -> None:
        found = [] if reader is None else reader.item_uses(_MOST_SEEN)
        self._uses: Sequence[ItemUse] = [use for use in found if use.input_tokens + use.output_tokens > 0]
        self._ids = {use.id for use in self._uses}
        self._sizes: dict[str, int] = {}
        self._knowledge: Mapping[str, PaceKnowledge] = {} if reader is None else reader.knowledge()
        self._spent: float | None = 0.0
        if reader is not None:
            costs = [cost for _, cost in reader.models()]
            self._spent = None if None in costs else math.fsum(cost for cost in costs if cost is not None)

    def visit(self, record: InputRecord) -> None:
        """Note the size of a prompt of the input, if the journal has what its item took."""
        if record.id in self._ids:
            self._sizes[record.id] = token_bytes_of(record.prompt)

    def estimate(  # noqa: PLR0913 - what a run is described by
        self,
        strategy: LLMCallStrategy[Any],
        sizes: Mapping[int, int],
        *,
        prompts: int | None = None,
        fixed: int = 0,
        is_cached: bool = False,
        max_workers: int = 1_000,
    ) -> Estimate:
        """Return the estimate of calls. Blocks for up to a second to look prices up.

        Args:
            strategy: Answers the prompts.
            sizes: Number of calls, by the bytes of their prompts: see `token_bytes_of`.
            prompts: Valid prompts of the input; None: as many as calls.
            fixed: Bytes that are sent with each prompt: a system instruction, a schema.
            is_cached: Whether these are read from a cache.
            max_workers: Upper bound of the calls in flight.
        """
        models = strategy.ladder.steps if strategy.ladder else (strategy,)
        found = forecast(sizes, [self._step(model, fixed, is_cached=is_cached) for model in models])
        paced = self._seconds_at_pace(found, models)
        limits = [known.limit for model in models if (known := self._knowledge.get(model.quota)) is not None]
        first = max([_FIRST_WORKERS, *limits])
        return Estimate(
            prompts=found.items if prompts is None else prompts,
            calls=found.items,
            seen=found.seen,
            input_tokens=found.input_tokens,
            output_tokens=found.output_tokens,
            cost=found.cost,
            batch_cost=found.batch_cost,
            spent=self._spent,
            seconds=self._seconds(found, paced, max_workers, min(max_workers, first)),
            pace_is_known=bool(paced),
            forecast=found,
        )

    def _step(self, strategy: LLMCallStrategy[Any], fixed: int, *, is_cached: bool) -> Step:
        name = strategy.model or strategy.quota
        per_token = BYTES_PER_TOKEN["anthropic"] if "claude" in name.lower() else DEFAULT_BYTES_PER_TOKEN
        price = known_price(strategy)
        return Step(
            model=name,
            bytes_per_token=per_token,
            fixed=fixed,
            is_cached=is_cached,
            bound=strategy.max_output_tokens,
            price=price,
            batch_price=None if price is None else getattr(strategy, "batch_price", None),
            seen=[self._seen(use, per_token, fixed) for use in self._uses if use.model == name],
        )

    def _seen(self, use: ItemUse, per_token: float, fixed: int) -> SeenItem:
        """Return what an item took; the size of a prompt that the input no longer has follows from its input tokens."""
        size = self._sizes.get(use.id)
        if size is None:
            size = max(0, int(use.input_tokens / max(1, use.calls) * per_token) - fixed)
        cost = use.cost if use.cost is not None and use.cost >= 0 else None
        return SeenItem(size, use.input_tokens, use.output_tokens, cost)

    def _seconds(self, found: Forecast, paced: float, most: int, first: int) -> Range:
        """Return the time from the first call to the last.

        Args:
            found: The calls.
            paced: Seconds that they take at the learned rates; 0: none was learned.
            most: Calls in flight, at most.
            first: Calls in flight, at least.
        """
        if not found.items:
            return _NO_TIME
        each = self._seconds_of_an_item(found)
        if paced:
            return Range(max(each.low, paced / 2), max(each.likely, paced), max(each.high, 2 * paced))
        workers = (min(most, found.items), min(math.sqrt(most * first), found.items), min(first, found.items))
        return Range(*(max(s, s * found.items / n) for s, n in zip(attrs.astuple(each), workers, strict=True)))

    def _seconds_at_pace(self, found: Forecast, models: Collection[LLMCallStrategy[Any]]) -> float:
        """Return the seconds that calls take at the learned rates; 0: none was learned."""
        slowest = 0.0
        for model, step in zip(models, found.steps, strict=True):
            known = self._knowledge.get(model.quota)
            calls, tokens = self._calls_and_tokens_of(step.model)
            rates = () if known is None else ((known.rate, calls), (known.token_rate, tokens))
            for rate, amount in rates:
                if 0 < rate < math.inf:
                    slowest = max(slowest, step.items.likely * amount / rate)
        return slowest

    def _seconds_of_an_item(self, found: Forecast) -> Range:
        """Return the mean time that an item takes, all its calls one after another."""
        if self._uses:
            items = len(self._ids)
            mean = max(1e-3, math.fsum(use.seconds for use in self._uses) / items)
            factor = math.exp(1 / math.sqrt(items))
            return Range(mean / factor, mean, mean * factor)
        tokens = found.output_tokens.times(1 / found.items)
        return Range(
            _FIRST_TOKEN + tokens.low / _FAST,
            _FIRST_TOKEN + tokens.likely / math.sqrt(_SLOW * _FAST),
            _FIRST_TOKEN + tokens.high / _SLOW,
        )

    def _calls_and_tokens_of(self, model: str) -> tuple[float, float]:
        """Return the calls and the tokens that an item takes of a model, on average."""
        uses = [use for use in self._uses if use.model == model]
        if not uses:
            return 1.0, 0.0
        tokens = sum(use.input_tokens + use.output_tokens for use in uses)
        return sum(use.calls for use in uses) / len(uses), tokens / len(uses)
