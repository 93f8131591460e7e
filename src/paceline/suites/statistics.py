"""Statistics: what the scores of a suite say about a model, and about two models. Pure.

| question | method | source |
|---|---|---|
| how far the true accuracy may be from the observed one | Wilson's score interval | Wilson, JASA 22 (1927) |
| the same, for scores between 0 and 1 or several samples of an item | Wilson's interval with the effective number of items | Franco et al., J. Survey Stat. Methodol. 7 (2019) |
| the chance that one of k samples is right | the unbiased estimator of pass@k | Chen et al., arXiv:2107.03374 (2021) |
| whether two models differ | McNemar's exact test | McNemar, Psychometrika 12 (1947) |
| by how much they differ | percentiles of a paired bootstrap | Efron and Tibshirani (1993), chapter 13 |
| how many items would tell them apart | the sample size of McNemar's test | Connor, Biometrics 43 (1987) |
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import NormalDist, fmean

import attrs

CONFIDENCE = 0.95
"""Share of suites whose interval contains the true value; the usual one."""
_POWER = 0.8  # chance that a difference which is there is seen; the usual one
_ROUNDS = 10_000  # resamples: the ends of the interval are then right to about a hundredth of its width
_LEAST_ROUNDS = 1_000
_MOST_DRAWS = 20_000_000  # over all rounds: some seconds
_NORMAL_FROM = 20_000  # items from which on the bootstrap's distribution and the normal one are the same in print
_SEED = 20_261_130  # the same scores have the same interval


@attrs.frozen
class Interval:
    """A confidence interval."""

    low: float
    """Lower end."""
    high: float
    """Upper end, `low` or more."""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson(successes: float, trials: float, confidence: float = CONFIDENCE) -> Interval:
    """Return Wilson's score interval of a proportion, within 0 to 1; without trials it is all of that.

    Args:
        successes: Number of successes, 0 to `trials`; the sum of scores between 0 and 1 is one too.
        trials: Number of trials, or their effective number.
        confidence: Share of intervals that contain the true value, above 0 and below 1.

    Raises:
        ValueError: An argument is out of its bounds.
    """
    if not 0 <= successes <= trials or not math.isfinite(trials):
        raise ValueError(f"successes must be 0 to trials, not {successes!r} of {trials!r}")
    if trials == 0:
        return Interval(0.0, 1.0)
    z = _z(confidence)
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # at 0 and at 1 the end is exact; elsewhere rounding could take it a little outside
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(low, high)


def accuracy(means: Sequence[float], samples: int, confidence: float = CONFIDENCE) -> tuple[float, Interval]:
    """Return the mean score of a suite and its interval.

    Samples of one item are alike, so they say less than as many items: the interval is Wilson's with the number of items that would
    have the same standard error.

    Args:
        means: For each item the mean score of its samples, 0 to 1; an item counts once, however many samples it has.
        samples: Samples of all these items.
        confidence: As for `wilson`.

    Returns:
        The mean, nan without items; and the interval.

    Raises:
        ValueError: A mean is not between 0 and 1.
    """
    if not means:
        return math.nan, Interval(0.0, 1.0)
    if not (min(means) >= 0 and max(means) <= 1):
        raise ValueError("scores must be between 0 and 1")
    mean, items = fmean(means), len(means)
    variance = (
        math.fsum((value - mean) ** 2 for value in means) / items
    )  # mean * (1 - mean) where each item is right or wrong
    effective = items if variance == 0 else min(items * mean * (1 - mean) / variance, samples)
    return mean, wilson(min(mean * effective, effective), effective, confidence)


def pass_at_k(correct: int, samples: int, k: int) -> float:
    """Return the chance that at least one of `k` samples of an item is right, estimated without bias from `samples` of them.

    Args:
        correct: Samples that are right, 0 to `samples`.
        samples: Samples of the item, `k` or more.
        k: Samples that a user would take, 1 or more.

    Raises:
        ValueError: An argument is out of its bounds.
    """
    if not 0 <= correct <= samples:
        raise ValueError(f"correct must be 0 to {samples}, the number of samples, not {correct}")
    if not 1 <= k <= samples:
        raise ValueError(f"k must be 1 to {samples}, the number of samples, not {k}")
    return 1 - math.comb(samples - correct, k) / math.comb(samples, k)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p-value of McNemar's exact test, two-sided: how likely a split at least as uneven is if both models are equally good.

    Args:
        only_first: Items that only the first model has right, 0 or more.
        only_second: Items that only the second model has right, 0 or more.

    Raises:
        ValueError: A count is negative.
    """
    if min(only_first, only_second) < 0:
        raise ValueError(f"counts of items must be 0 or more, not {only_first} and {only_second}")
    items, fewer = only_first + only_second, min(only_first, only_second)
    tail = ways = 1
    for count in range(1, fewer + 1):
        ways = ways * (items - count + 1) // count
        tail += ways
    of_all: int = 2**items
    return min(1.0, 2 * tail / of_all)  # Python divides whole numbers of any size, and rounds once


def paired_difference(differences: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of the mean of paired differences, from a bootstrap over items; the same differences have the same interval.

    From 20,000 items on it is the normal interval, which the bootstrap approaches.

    Args:
        differences: For each item that both models have, the score of one less that of the other.
        confidence: As for `wilson`.

    Raises:
        ValueError: There are no differences, or `confidence` is out of its bounds.
    """
    if not differences:
        raise ValueError("there are no items that both have")
    z, items = _z(confidence), len(differences)
    mean = fmean(differences)
    if items >= _NORMAL_FROM:
        error = math.sqrt(math.fsum((value - mean) ** 2 for value in differences) / (items - 1) / items)
        return Interval(mean - z * error, mean + z * error)
    draw = random.Random(_SEED)  # noqa: S311 - not for secrets
    rounds = max(_LEAST_ROUNDS, min(_ROUNDS, _MOST_DRAWS // items))
    means = sorted(sum(draw.choices(differences, k=items)) / items for _ in range(rounds))
    outside = round((1 - confidence) / 2 * rounds)
    return Interval(means[outside], means[-1 - outside])


def items_needed(only_first: int, only_second: int, items: int, confidence: float = CONFIDENCE) -> int | None:
    """Return how many items would show the observed difference of two models four times in five; None: they do not differ.

    Args:
        only_first: Items that only the first model has right, 0 or more.
        only_second: Items that only the second model has right, 0 or more.
        items: Items that both models have, 1 or more.
        confidence: One less the chance of seeing a difference that is not there.

    Raises:
        ValueError: An argument is out of its bounds.
    """
    if min(only_first, only_second) < 0 or items < max(1, only_first + only_second):
        raise ValueError(
            f"only_first and only_second must be 0 or more, and together at most items, not {only_first}, {only_second} and {items}"
        )
    uneven, difference = (only_first + only_second) / items, abs(only_first - only_second) / items
    if difference == 0:
        return None
    false, missed = _z(confidence), NormalDist().inv_cdf(_POWER)
    root = false * math.sqrt(uneven) + missed * math.sqrt(uneven - difference**2)
    return math.ceil((root / difference) ** 2)


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be above 0 and below 1, not {confidence!r}")
    return NormalDist().inv_cdf((1 + confidence) / 2)
