"""What the statistics of a suite promise: reference values, laws, and the coverage of their intervals."""

import math
import random
from itertools import combinations, product
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.suites.statistics import (
    Interval,
    accuracy,
    items_needed,
    mcnemar,
    paired_difference,
    pass_at_k,
    wilson,
)


def of_samples(scores):
    """The accuracy of lists of scores, one for each item."""
    return accuracy([fmean(samples) for samples in scores if samples], sum(map(len, scores)))


SCORES = st.lists(st.lists(st.floats(0, 1), max_size=4), max_size=30)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (80, 100, 0.711170834406841, 0.8666330666689676),  # from statsmodels 0.15.0 and SciPy 1.17.1
        (0, 10, 0.0, 0.2775327998628892),
        (10, 10, 0.7224672001371107, 1.0),
    ],
)
def test_wilson_s_interval_is_that_of_other_packages(successes, trials, low, high):
    found = wilson(successes, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.floats(0, n), st.just(n))), st.floats(0.01, 0.999))
def test_wilson_s_interval_contains_the_observed_share_and_lies_within_0_to_1(counts, confidence):
    successes, trials = counts
    found = wilson(successes, trials, confidence)
    assert 0 <= found.low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= found.high <= 1


def test_nothing_is_known_without_trials():
    assert wilson(0, 0) == Interval(0, 1)
    mean, interval = of_samples([[], []])
    assert math.isnan(mean)
    assert interval == Interval(0, 1)


@pytest.mark.parametrize("share", [0.03, 0.3, 0.5, 0.9])
def test_nineteen_of_twenty_intervals_contain_the_true_accuracy(share):
    draw = random.Random(1)
    suites = 2000
    hits = sum(share in wilson(sum(draw.random() < share for _ in range(100)), 100) for _ in range(suites))
    assert 0.93 <= hits / suites <= 0.98


def test_nineteen_of_twenty_intervals_contain_it_with_several_samples_of_items_of_different_difficulty():
    draw = random.Random(2)
    suites, items, hits, naive = 600, 60, 0, 0
    for _ in range(suites):
        chances = [draw.betavariate(0.5, 0.5) for _ in range(items)]  # most items are nearly always right, or wrong
        scores = [[float(draw.random() < chance) for _ in range(5)] for chance in chances]
        hits += 0.5 in of_samples(scores)[1]
        naive += 0.5 in wilson(sum(map(sum, scores)), 5 * items)
    assert 0.93 <= hits / suites <= 0.98
    assert naive / suites < 0.8  # as if samples of one item were items of their own


@given(SCORES)
def test_the_accuracy_is_the_mean_of_items_and_lies_in_its_interval(scores):
    mean, interval = of_samples(scores)
    if any(scores):
        assert mean == pytest.approx(fmean(fmean(samples) for samples in scores if samples))
        assert interval.low - 1e-9 <= mean <= interval.high + 1e-9


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_with_one_sample_that_is_right_or_wrong_it_is_wilson_s_interval(right):
    _, interval = of_samples([[float(one)] for one in right])
    expected = wilson(sum(right), len(right))
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 5))
def test_copies_of_a_sample_say_nothing_new(right, copies):
    once, many = of_samples([[float(one)] for one in right]), of_samples([[float(one)] * copies for one in right])
    assert many[1].low == pytest.approx(once[1].low, abs=1e-9)
    assert many[1].high == pytest.approx(once[1].high, abs=1e-9)


def test_a_score_beyond_its_bounds_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        accuracy([0.5, 1.5], 2)


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_choices_with_a_right_sample(case):
    correct, samples, k = case
    choices = list(combinations([True] * correct + [False] * (samples - correct), k))
    assert pass_at_k(correct, samples, k) == pytest.approx(sum(map(any, choices)) / len(choices), abs=1e-12)


@given(st.integers(2, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))), st.floats(0, 1))
def test_pass_at_k_has_no_bias(case, chance):
    samples, k = case
    expected = math.fsum(
        math.comb(samples, right) * chance**right * (1 - chance) ** (samples - right) * pass_at_k(right, samples, k)
        for right in range(samples + 1)
    )
    assert expected == pytest.approx(1 - (1 - chance) ** k, abs=1e-9)


@pytest.mark.parametrize(("correct", "samples", "k"), [(-1, 3, 1), (4, 3, 1), (1, 3, 0), (1, 3, 4)])
def test_pass_at_k_refuses_what_is_no_sample(correct, samples, k):
    with pytest.raises(ValueError, match="must be"):
        pass_at_k(correct, samples, k)


def test_mcnemar_s_test_is_that_of_other_packages():
    assert mcnemar(10, 20) == pytest.approx(0.09873714670538905, abs=1e-12)  # from statsmodels 0.15.0
    assert mcnemar(0, 0) == 1


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_s_test_counts_the_splits_that_are_at_least_as_uneven(first, second):
    splits = product([0, 1], repeat=first + second) if first + second <= 10 else None
    assert mcnemar(first, second) == mcnemar(second, first)
    if splits is not None:
        uneven = [abs(2 * sum(split) - first - second) >= abs(first - second) for split in splits]
        assert mcnemar(first, second) == pytest.approx(sum(uneven) / len(uneven), abs=1e-12)


def test_mcnemar_s_test_takes_large_counts():
    assert mcnemar(0, 3000) == 0  # smaller than a float can be
    assert 0.9 < mcnemar(5000, 5000) <= 1


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), min_size=1, max_size=30))
def test_the_interval_of_a_difference_is_repeatable_and_turns_with_its_sign(differences):
    found, turned = paired_difference(differences), paired_difference([-value for value in differences])
    assert found == paired_difference(differences)
    assert min(differences) <= found.low <= found.high <= max(differences)
    assert (found.low, found.high) == pytest.approx((-turned.high, -turned.low))


def test_nineteen_of_twenty_intervals_contain_the_true_difference():
    draw = random.Random(3)
    chances = {1.0: 0.2, -1.0: 0.1, 0.0: 0.7}
    suites = 80
    hits = sum(0.1 in paired_difference(draw.choices([*chances], [*chances.values()], k=50)) for _ in range(suites))
    assert hits / suites >= 0.88


def test_of_very_many_items_the_interval_is_the_normal_one():
    differences = [1.0, 0.0, -1.0, 0.0, 0.0] * 5000
    found = paired_difference(differences)
    assert found.high == pytest.approx(1.959964 * math.sqrt(0.4 / 25_000), rel=1e-4)
    assert found.low == -found.high


def test_as_many_items_as_needed_show_the_difference_four_times_in_five():
    draw = random.Random(4)
    items = items_needed(60, 30, 300)
    assert items is not None
    seen = 0
    for _ in range(400):
        answers = draw.choices([(1, 0), (0, 1), (0, 0)], [60, 30, 210], k=items)
        seen += mcnemar(sum(first for first, _ in answers), sum(second for _, second in answers)) < 0.05
    assert 0.72 <= seen / 400 <= 0.88
    assert items_needed(30, 30, 300) is None


@given(st.integers(0, 50), st.integers(0, 50), st.integers(100, 1000))
def test_a_larger_difference_needs_fewer_items(first, second, items):
    few, many = items_needed(first + second, 0, items), items_needed(first, second, items)
    if few is not None and many is not None:
        assert few <= many
