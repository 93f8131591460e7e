"""Forecast: what the items that are left will take, in tokens and money, as ranges, from their sizes and the items seen so far.

Rules owned here:

1. Before an item was seen, input tokens follow from the bytes of the prompts, and output tokens are a wide guess. Both are corrected by
   what was seen: a ratio estimate, whose auxiliary variable is what was expected of each item (Särndal, Swensson, Wretman: Model Assisted
   Survey Sampling, 1992). The output of an item is expected to be the mean, or proportional to its prompt, whichever fits better.
2. What an item takes over what was expected of it is skewed to the right, and is modelled as lognormal. The variance of its mean is Cox's
   (Zhou, Gao: Confidence intervals for the log-normal mean, 1997); the scatter of the items that are left is added, and a weak prior, so that few or equal
   items do not pretend to be precise.
3. On a ladder each step is forecast by itself. The share of items that reach it is Jeffreys' estimate (Brown, Cai, DasGupta: Interval
   estimation for a binomial proportion, 2001), so that a step which no item of a small sample has reached still counts.
4. Variances add up over the steps, and the range of a sum is that of a lognormal quantity with the same mean and variance. A small sample mostly
   lacks the largest items, so the range is wider than 1.96 standard deviations. `benchmarks/estimate.py` measures how often it contains the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from .accounting import Price, most_of
from .ranges import Range

_DEVIATIONS = 2.4  # of the logarithm, to each side of an estimate, see rule 4
_MOST = 5.0  # of the logarithm of a factor: 150 times; what is less certain is not known
_PRIOR_ITEMS, _PRIOR_SPREAD = 1.0, 0.5  # weight of the prior, and its standard deviation of the logarithm
_NO_INPUT_SEEN, _NO_OUTPUT_SEEN = 0.2, 1.0  # standard deviations of the logarithm of a guess
_OTHER_MODEL = 0.5  # the same, of an output that follows from that of the model before
_LEAST_RATIO = 0.02  # of what was expected: an item that took nothing has a logarithm, too
_ENOUGH = 8  # items, for output in proportion to the prompt
_JEFFREYS = 0.5  # of an item, added to those that reached a step and to those that did not
_NO_REACH_SEEN = (0.5, 2.0)  # the same, before an item was seen: one in five moves up
GUESSED_OUTPUT: Final = 200.0
"""Output tokens of an answer before one was seen."""
AROUND: Final = 8.0
"""Input tokens around a prompt, such as roles."""
BYTES_PER_TOKEN: Final[Mapping[str, float]] = {"anthropic": 3.0}
"""Bytes of a prompt per token, by provider. Measured on English, Markdown and code with the tokenizers themselves."""
DEFAULT_BYTES_PER_TOKEN: Final = 3.6
"""Of OpenAI's o200k; also used for Gemini and for servers of which nothing is known."""


@attrs.frozen
class SeenItem:
    """What an item has taken of one model, all its calls together."""

    size: int
    """Bytes of its prompt."""
    input_tokens: int
    output_tokens: int
    cost: float | None = None
    """USD; None: unknown."""


@attrs.frozen(kw_only=True)
class Step:
    """A model that items may be called with: the only one, or a step of a ladder."""

    model: str
    bytes_per_token: float = DEFAULT_BYTES_PER_TOKEN
    fixed: int = 0
    """Bytes that are sent with each prompt, such as an instruction."""
    is_cached: bool = False
    """Whether these are read from a cache."""
    bound: int | None = None
    """Upper bound on the output tokens of a call; None: it has none."""
    price: Price | None = None
    """None: unknown."""
    batch_price: Price | None = None
    """Price of the same calls in the provider's batch API; None: it has none, or it is unknown."""
    seen: Sequence[SeenItem] = ()
    """The items that it has answered, or failed to: a sample of all that reach it."""

    def tokens_of(self, size: float) -> float:
        """Return the input tokens that are expected of a prompt with so many bytes before one was seen."""
        return (size + self.fixed) / self.bytes_per_token + AROUND


@attrs.frozen(kw_only=True)
class StepForecast:
    """What a model will take."""

    model: str
    """Name of the model."""
    items: Range
    """Items that reach it."""
    input_tokens: Range
    """Input tokens of its calls."""
    output_tokens: Range
    """Output tokens of its calls, those spent on thinking included."""
    cost: Range | None
    """USD; None: the price is not known."""
    batch_cost: Range | None
    """USD of the same calls in the provider's batch API; None: it has none, or its price is not known."""


@attrs.frozen(kw_only=True)
class Forecast:
    """What the items that are left will take, over all models."""

    items: int
    """Items that are left."""
    seen: int
    """Items that it was learned from."""
    input_tokens: Range
    """Input tokens of all calls."""
    output_tokens: Range
    """Output tokens of all calls, those spent on thinking included."""
    cost: Range | None
    """USD; None: a price is not known."""
    batch_cost: Range | None
    """USD of the same calls in the providers' batch APIs, each model's calls as a batch; None: one has none, or its price is not known."""
    steps: tuple[StepForecast, ...]
    """Each model's part, in the order in which they are called."""


@attrs.frozen
class _Amount:
    """An estimated amount."""

    likely: float
    variance: float
    most: float = math.inf

    def __add__(self, other: _Amount) -> _Amount:
        return _Amount(self.likely + other.likely, self.variance + other.variance, self.most + other.most)

    def of_share(self, share: _Amount) -> _Amount:
        """Return the amount of a share of the items."""
        likely = self.likely * share.likely
        variance = (self.variance + self.likely**2) * (share.variance + share.likely**2) - likely**2
        return _Amount(likely, max(0.0, variance), self.most)

    def range(self) -> Range:
        if self.likely <= 0 or not (self.likely**2):  # nothing, or too little to compute with
            return Range(0.0, 0.0, 0.0)
        deviation = math.sqrt(math.log1p(self.variance / self.likely**2))
        factor = math.exp(min(_MOST, _DEVIATIONS * deviation))
        return Range(self.likely / factor, self.likely, max(self.likely, min(self.most, self.likely * factor)))


_NOTHING = _Amount(0.0, 0.0, 0.0)
_ALL = _Amount(1.0, 0.0)


def forecast(sizes: Mapping[int, int], steps: Sequence[Step]) -> Forecast:
    """Return what items will take.

    Args:
        sizes: Number of items that are left, by the bytes of their prompts.
        steps: Models in the order in which an item is called with them; what the first has seen is the sample.
    """
    count = sum(sizes.values())
    share, parts = _ALL, list[StepForecast]()
    sums = [_NOTHING, _NOTHING, _NOTHING]
    before: Step | None = None
    for step in steps:
        if before is not None:
            share = _share_of(len(before.seen), len(step.seen)).of_share(share)
        amounts = [amount.of_share(share) for amount in _amounts(sizes, step, before)]
        sums = [total + amount for total, amount in zip(sums, amounts, strict=True)]
        sent, made, cost = (amount.range() for amount in amounts)
        batch = _batch_share(step, amounts)
        parts.append(
            StepForecast(
                model=step.model,
                items=_Amount(count, 0.0, count).of_share(share).range(),
                input_tokens=sent,
                output_tokens=made,
                cost=None if step.price is None else cost,
                batch_cost=None if batch is None else cost.times(batch),
            )
        )
        before = step if step.seen or before is None else attrs.evolve(step, seen=before.seen)
    sent = _at_least(sums[0].range(), [part.input_tokens for part in parts])
    made = _at_least(sums[1].range(), [part.output_tokens for part in parts])
    cost = _at_least(sums[2].range(), [part.cost for part in parts if part.cost is not None])
    is_priced = all(part.cost is not None for part in parts)
    shares = [part.batch_cost.likely for part in parts if part.batch_cost is not None]
    has_batch = is_priced and len(shares) == len(parts)
    return Forecast(
        items=count,
        seen=len(steps[0].seen),
        input_tokens=sent,
        output_tokens=made,
        cost=cost if is_priced else None,
        batch_cost=cost.times(sum(shares) / cost.likely if cost.likely else 1.0) if has_batch else None,
        steps=tuple(parts),
    )


def _at_least(whole: Range, parts: Sequence[Range]) -> Range:
    """Return the range of a sum with bounds that are not below those of any part."""
    low, high = (
        max([bound, *bounds])
        for bound, bounds in ((whole.low, [part.low for part in parts]), (whole.high, [part.high for part in parts]))
    )
    return Range(min(low, whole.likely), whole.likely, high)


def _share_of(reached_before: int, reached: int) -> _Amount:
    """Return the share of the items of one step that move up to the next."""
    up, stay = reached + _JEFFREYS, max(0, reached_before - reached) + _JEFFREYS
    if not reached_before:
        up, stay = _NO_REACH_SEEN
    both = up + stay
    return _Amount(up / both, up * stay / (both * both * (both + 1)), 1.0)


def _amounts(sizes: Mapping[int, int], step: Step, before: Step | None) -> tuple[_Amount, _Amount, _Amount]:
    """Return the input tokens, the output tokens and the cost of all items, if all of them reach a step; a cost of 0 is unknown.

    Args:
        sizes: Number of items, by the bytes of their prompts.
        step: The model.
        before: The model before it on the ladder; None: it is the first.
    """
    seen, price = step.seen, step.price
    sent_ratio = _ratio([one.input_tokens for one in seen], [step.tokens_of(one.size) for one in seen])
    output = _expected_output(step, before)

    def sent_of(size: float) -> float:
        return sent_ratio * step.tokens_of(size)

    def cost_of(size: float) -> float:
        if price is None:
            return 0.0
        saved = step.fixed / step.bytes_per_token * (price.input - price.cached_input) / 1e6 if step.is_cached else 0.0
        return max(0.0, most_of(price, int(sent_of(size)), round(output(size))) - saved)

    made_spread = _NO_OUTPUT_SEEN if before is None or not before.seen else _OTHER_MODEL
    bound = math.inf if step.bound is None or seen else float(step.bound * sum(sizes.values()))
    sent = _amount(sizes, sent_of, [(one.size, float(one.input_tokens)) for one in seen], _NO_INPUT_SEEN)
    made = _amount(sizes, output, [(one.size, float(one.output_tokens)) for one in seen], made_spread, bound)
    if price is None:
        return sent, made, _NOTHING
    paid = [
        (one.size, most_of(price, one.input_tokens, one.output_tokens) if one.cost is None else one.cost)
        for one in seen
    ]
    most = math.inf if bound == math.inf else sent.likely * price.input * 1.6 / 1e6 + bound * price.output / 1e6
    spread = _spread_of_sum((sent.likely * price.input, _NO_INPUT_SEEN), (made.likely * price.output, made_spread))
    return sent, made, _amount(sizes, cost_of, paid, spread, most)


def _expected_output(step: Step, before: Step | None) -> Callable[[float], float]:
    """Return the output tokens that are expected of an item, by the bytes of its prompt."""
    made = [float(one.output_tokens) for one in step.seen]
    if sum(made) > 0:
        prior = [step.tokens_of(one.size) for one in step.seen]
        if len(made) >= _ENOUGH and _spread([m / p for m, p in zip(made, prior, strict=True)]) < _spread(made):
            per_token = _ratio(made, prior)
            return lambda size: per_token * step.tokens_of(size)
    elif before is not None and before.seen:
        return _expected_output(before, None)
    guess = GUESSED_OUTPUT if step.bound is None else min(GUESSED_OUTPUT, step.bound / 2)
    mean = sum(made) / len(made) if sum(made) > 0 else guess
    return lambda _: mean


def _amount(
    sizes: Mapping[int, int],
    expected: Callable[[float], float],
    taken: Sequence[tuple[int, float]],
    spread: float,
    most: float = math.inf,
) -> _Amount:
    """Return an amount that all items take.

    Args:
        sizes: Number of items, by the bytes of their prompts.
        expected: What is expected of an item, by the bytes of its prompt.
        taken: The bytes of the prompts that were seen, and what each has taken.
        spread: Standard deviation of the logarithm of the whole amount before an item was seen.
        most: Upper bound.
    """
    total = squares = 0.0
    for size, count in sizes.items():
        value = expected(size)
        total += count * value
        squares += count * value * value
    if not taken or not total:
        return _Amount(total, total * total * math.expm1(spread * spread), most)
    of_seen = [expected(size) for size, _ in taken]
    scale = _ratio([value for _, value in taken], of_seen)
    total, squares = total * scale, squares * scale * scale
    ratios = [value / (scale * own) if scale * own else 1.0 for (_, value), own in zip(taken, of_seen, strict=True)]
    count, variance = len(ratios), _log_variance(ratios)
    of_mean = variance / count + variance * variance / (2 * (count + 1))
    return _Amount(total, total * total * math.expm1(of_mean) + squares * math.expm1(variance), most)


def _log_variance(ratios: Sequence[float]) -> float:
    """Return the variance of the logarithms, with the prior; at most 4, of which the 95th percentile is 27 times the median."""
    logs = [math.log(max(ratio, _LEAST_RATIO)) for ratio in ratios]
    mean = sum(logs) / len(logs)
    squares = _PRIOR_ITEMS * _PRIOR_SPREAD**2 + sum((log - mean) ** 2 for log in logs)
    return min(4.0, squares / (_PRIOR_ITEMS + len(logs) - 1))


def _ratio(taken: Sequence[float], expected: Sequence[float]) -> float:
    whole = sum(expected)
    return sum(taken) / whole if whole and sum(taken) > 0 else 1.0


def _spread(values: Sequence[float]) -> float:
    logs = [math.log(value + 1e-3) for value in values]
    mean = sum(logs) / len(logs)
    return math.sqrt(sum((log - mean) ** 2 for log in logs) / len(logs))


def _spread_of_sum(*parts: tuple[float, float]) -> float:
    """Return the standard deviation of the logarithm of a sum, from its parts: each an amount and its own deviation."""
    whole = sum(amount for amount, _ in parts)
    if not whole:
        return 0.0
    return math.sqrt(math.log1p(sum((amount / whole) ** 2 * math.expm1(spread * spread) for amount, spread in parts)))


def _batch_share(step: Step, amounts: Sequence[_Amount]) -> float | None:
    """Return the cost of the batch API over that of single calls; None: the provider has none, or a price is unknown."""
    if step.price is None or step.batch_price is None:
        return None
    sent, made = amounts[0].likely, amounts[1].likely
    standard = sent * step.price.input + made * step.price.output
    return (sent * step.batch_price.input + made * step.batch_price.output) / standard if standard else 1.0
