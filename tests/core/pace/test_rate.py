"""The rate: measured, cut, raised, remembered."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.rate import Rate

from ...pace.worlds import logarithmic

AIM = 0.97
LEAST = 1 / 600  # calls a second
SAME_BURST = 0.91


def known(value=10.0, *, best=0.0, patience=1.0):
    rate = Rate(value=value, best=best, patience=patience)
    rate.anchor(0.0)
    rate.start_cycle()
    return rate


def exhausted(rate, now, calls, *, recent=None, refusals=1, consecutive=1):  # noqa: PLR0913 - the parts of an exhaustion
    """Admit a number of calls since the last exhaustion, then refuse one now."""
    rate.admitted += calls
    rate.refused += refusals
    rate.cut(now, now, 1.0, consecutive, rate.value if recent is None else recent)


def grown(rate, calls):
    for _ in range(calls):
        rate.grow(1.0)
    return rate.value


# ------------------------------------------------------------------------------------------------ cutting


@given(logarithmic(0.1, 1e4))
def test_the_first_exhaustion_sets_the_rate_to_the_rate_of_admission(recent):
    rate = Rate()
    exhausted(rate, 5.0, 3, recent=recent)
    assert rate.value == recent


def test_without_recent_admissions_the_rate_is_measured_since_the_start():
    rate = Rate()
    exhausted(rate, 5.0, 30, recent=0.0)
    assert rate.value == 6.0
    rate = Rate()
    exhausted(rate, 0.0, 0, recent=0.0)
    assert rate.value == 1 / 0.2


@given(st.integers(20, 200), st.floats(1, 100))
def test_between_two_exhaustions_admissions_over_time_are_the_rate(calls, seconds):
    value = 1.1 * calls / seconds
    rate = known(value, best=value)
    rate.cycle = 60.0
    exhausted(rate, seconds, calls, recent=calls / seconds, refusals=0)
    assert rate.value == pytest.approx(AIM * (calls + 0.5) / seconds)


@given(st.floats(5, 20))
def test_a_measure_above_the_rate_raises_nothing(value):
    rate = known(value)
    exhausted(rate, 10.0, 300)
    assert rate.value <= value


def test_an_excluded_time_is_not_part_of_the_measure():
    rate = known(12.0)
    rate.exclude(7.0)
    exhausted(rate, 10.0, 30, recent=10.0, refusals=0)
    assert rate.value == pytest.approx(AIM * 30.5 / 3.0)


def test_the_next_measure_starts_at_the_exhaustion():
    rate = known(12.0)
    exhausted(rate, 10.0, 100, recent=10.0, refusals=0)
    rate.value = 12.0
    exhausted(rate, 15.0, 40, recent=10.0, refusals=0)
    assert rate.value == pytest.approx(AIM * 40.5 / 5.0)


def test_few_calls_do_not_end_a_measure():
    rate = known(12.0, best=12.0)
    exhausted(rate, 1.0, 10, recent=10.0, refusals=0)
    exhausted(rate, 10.0, 90, recent=10.0, refusals=0)
    assert rate.value == pytest.approx(AIM * 100.5 / 10.0)


def test_many_refusals_between_may_have_used_up_the_limit_too():
    few, some, most = (known(12.0, best=12.0) for _ in range(3))
    exhausted(few, 10.0, 100, recent=10.0, refusals=2)
    exhausted(some, 10.0, 100, recent=10.0, refusals=10)
    exhausted(most, 10.0, 100, recent=10.0, refusals=15)
    assert few.value == most.value == pytest.approx(AIM * 10.05)
    assert some.value == pytest.approx(AIM * 11.05)


@given(logarithmic(0.5, 1e3), st.floats(0, 1e3))
def test_no_cut_goes_below_half_of_what_is_being_admitted(value, recent):
    rate = known(value)
    exhausted(rate, 100.0, 20, recent=recent)
    assert rate.value >= min(value, 0.5 * recent)
    assert rate.value >= LEAST


@given(logarithmic(0.5, 1e3), st.integers(0, 7))
def test_a_measure_over_few_calls_does_not_halve_the_rate(value, calls):
    rate = known(value)
    exhausted(rate, 1e4, calls, recent=0.0)
    assert rate.value >= 0.5 * value


def test_a_measure_over_many_calls_may_lower_the_rate_below_half():
    rate = known(100.0)
    exhausted(rate, 10.0, 20, recent=0.0)
    assert rate.value < 10.0


@given(st.lists(st.tuples(st.floats(0, 0.99), st.integers(1, 60)), min_size=1, max_size=30))
def test_later_refusals_of_one_burst_deepen_the_cut_only_slightly(later):
    rate = known(12.0)
    exhausted(rate, 10.0, 100, recent=10.0)
    first = rate.value
    for row, (started, _) in enumerate(later, start=2):
        rate.cut(10.5, 9.0 + started, 1.0, row, 0.0)
    assert first >= rate.value >= SAME_BURST * first - 1e-9


def test_half_of_a_refused_call_counts_and_after_few_admissions_all_of_it_and_one_more():
    few, enough, first = known(10.0, best=10.0), known(10.0, best=10.0), known(10.0)
    exhausted(few, 0.4, 2, recent=10.0)
    exhausted(enough, 0.4, 3, recent=10.0)
    exhausted(first, 0.4, 2, recent=10.0)
    assert few.value == pytest.approx(AIM * 4 / 0.4)
    assert enough.value == pytest.approx(AIM * 3.5 / 0.4)
    assert first.value == pytest.approx(AIM * 2.5 / 0.4)


def test_few_large_calls_are_few_calls_however_many_units_they_cost():
    rate = known(10.0, best=10.0)
    rate.admitted += 25.0
    rate.cut(5.0, 5.0, 10.0, 1, 10.0)
    assert rate.value == pytest.approx(AIM * (25.0 + 20.0) / 5.0)
    assert rate.best == 10.0, "a measure over two and a half calls is not sound"


def test_the_third_refusal_in_a_row_is_not_a_measure():
    rate = known(10.0)
    exhausted(rate, 100.0, 30, recent=1.0, consecutive=3)
    assert rate.value == 10.0
    rate = known(10.0)
    exhausted(rate, 100.0, 30, recent=1.0, consecutive=2)
    assert rate.value < 1.0


def test_a_rate_that_has_outgrown_the_measure_is_set_mostly_by_the_latest_calls():
    rate = known(10.0)
    before = grown(rate, int(2 * rate.cycle))
    assert before > 15
    exhausted(rate, 100.0, 1000, recent=14.0)
    assert rate.value == pytest.approx(14.0**0.7 * 10.0**0.3)
    rate = known(10.0)
    before = grown(rate, int(2 * rate.cycle))
    exhausted(rate, 100.0, 1000, recent=1.9 * before)
    assert rate.value == pytest.approx(AIM * before)


def test_a_cut_after_many_cycles_is_small():
    rate = known(10.0)
    exhausted(rate, 20.0, int(4 * rate.cycle) + 1, recent=10.0)
    assert rate.value == pytest.approx(AIM * 10.0)


# ------------------------------------------------------------------------------------------------ growing


def test_growth_is_a_few_per_cent_in_the_first_cycle_and_faster_later():
    rate = known(10.0, best=10.0)
    cycle = int(rate.cycle)
    first = grown(rate, cycle) / 10.0
    second = grown(rate, cycle) / (10.0 * first)
    third = grown(rate, cycle) / (10.0 * first * second)
    assert 1.05 <= first <= 1.07
    assert 1.15 < second < third <= 1.3


def test_growth_is_quick_below_the_best_rate_and_slow_above():
    low, high = known(10.0, best=40.0), known(10.0, best=10.0)
    cycles = int(3 * low.cycle)
    assert grown(low, cycles) > 2 * grown(high, cycles)
    assert low.value < 1.3 * 40.0


@given(st.integers(91, 100), st.floats(1, 12))
def test_a_measure_that_supports_the_best_rate_causes_no_quick_growth(calls, patience):
    rate = known(10.0, best=10.0, patience=patience)
    grown(rate, int(rate.cycle) // 2)
    exhausted(rate, 10.0, calls, recent=calls / 10.0, refusals=0)
    assert rate.value < 10.0
    assert rate.cycle == pytest.approx(max(12.0, min(rate.patience * 5.0, 30.0) * rate.value))
    before = rate.value
    assert grown(rate, int(rate.cycle)) <= 1.07 * before


def test_quick_growth_does_not_start_at_once():
    rate = known(10.0, best=40.0)
    assert grown(rate, int(0.6 * rate.cycle)) <= 10.6


def test_growth_is_fast_while_nothing_was_measured():
    rate = known(10.0)
    assert grown(rate, int(rate.cycle)) == pytest.approx(15.0, rel=0.15)


@given(logarithmic(0.1, 1e4), st.integers(1, 100))
def test_large_calls_cause_growth_in_proportion(mean, parts):
    one, many = Rate(value=10.0, mean=mean), Rate(value=10.0, mean=mean)
    one.grow(mean)
    for _ in range(parts):
        many.grow(mean / parts)
    assert one.value == pytest.approx(many.value, rel=0.01)


@given(logarithmic(3, 1e4))
def test_a_cycle_is_in_proportion_to_the_rate(value):
    rate = known(value, best=value)
    assert rate.cycle == max(12.0, 5.0 * value)


def test_patience_stretches_a_cycle_up_to_a_bound():
    assert known(10.0, best=10.0, patience=2.0).cycle == 100.0
    assert known(10.0, best=10.0, patience=12.0).cycle == 300.0
    assert known(1.0, best=1.0, patience=12.0).cycle == 120.0
    assert known(10.0, best=20.0, patience=12.0).cycle == 50.0


def test_a_cycle_is_never_shorter_than_a_window():
    rate = Rate(value=10.0, window=500.0)
    rate.start_cycle()
    assert rate.cycle == 500.0


# ------------------------------------------------------------------------------------------------ patience


def after_an_exhaustion(patience, *, calls, refusals):
    """Return the patience after an exhaustion at the end of a cycle, with that many calls and refusals."""
    rate = known(10.0, best=10.0, patience=patience)
    grown(rate, int(rate.cycle))
    rate.admitted += calls
    exhausted(rate, calls / 10.0, 0, recent=10.0, refusals=refusals)
    return rate.patience


@given(st.floats(1, 12), st.integers(1, 2000), st.integers(0, 300))
def test_patience_follows_the_refusals_per_call_that_an_exhaustion_costs(patience, calls, refusals):
    price = max(1, refusals) / calls
    factor = min(4.0, max(0.7, math.sqrt(price / 0.006)))
    expected = min(12.0, max(1.0, patience * factor))
    assert after_an_exhaustion(patience, calls=calls, refusals=refusals) == pytest.approx(expected)


@pytest.mark.parametrize(("pace", "calls", "patience"), [(10.0, 5, 1.0), (2.0, 1, 4.0)])
def test_a_refusal_early_in_a_cycle_ends_patience_and_lowers_it_where_a_cycle_has_few_calls(pace, calls, patience):
    rate = known(pace, best=pace, patience=8.0)
    exhausted(rate, 0.5, calls, recent=pace)
    assert rate.patience == patience


def test_further_refusals_of_one_exhaustion_shrink_no_window_however_slowly_calls_start():
    rate = known(1.0, best=1.0)
    rate.window = 60.0
    rate.start_cycle()
    grown(rate, 60)
    for number in (1, 2, 3, 4):
        exhausted(rate, 60.0 + number, 60 if number == 1 else 0, recent=1.0, consecutive=number)
    assert rate.window == 60.0


def test_refusals_at_a_fallen_limit_leave_patience_unchanged():
    rate = known(10.0, best=10.0, patience=3.0)
    for _ in range(30):
        rate.grow(1.0)
    exhausted(rate, 30.0, 30, recent=1.0, refusals=100)
    assert rate.value < 0.5 * 10
    assert rate.patience == 3.0


# ------------------------------------------------------------------------------------------------ memory and windows


def test_the_best_rate_is_remembered_longer_the_more_measures_support_it():
    def best_after(measures):
        rate = Rate(value=10.0)
        now = 0.0
        rate.anchor(now)
        for _ in range(measures):
            now += 10.0
            rate.value = 11.0
            exhausted(rate, now, 100, recent=10.0)
        assert rate.best == pytest.approx(10.0, rel=0.15)
        now += 20.0
        rate.value = 6.0
        exhausted(rate, now, 100, recent=5.0)
        return rate.best

    assert best_after(1) < best_after(3) < best_after(10) < 10.2
    assert best_after(10) > 9.5


@given(st.integers(1, 15))
def test_a_lower_measure_lowers_the_best_rate_less_the_more_measures_support_it(measures):
    rate = Rate(value=11.0)
    rate.anchor(0.0)
    for turn in range(1, measures + 1):
        rate.value = 11.0
        exhausted(rate, 10.0 * turn, 100, recent=10.0, refusals=0)
    assert rate.best == pytest.approx(10.0)
    rate.value = 6.0
    exhausted(rate, 10.0 * measures + 20.0, 100, recent=5.0, refusals=0)
    assert rate.best == pytest.approx(10.0 - 0.3 / min(10, measures) * 5.0)


def test_a_higher_measure_becomes_the_best_rate_at_once():
    rate = known(25.0, best=10.0)
    exhausted(rate, 10.0, 200, recent=20.0, refusals=0)
    assert rate.best == 20.0


@given(st.integers(1, 2000), st.floats(1, 100))
def test_a_window_is_a_measure_of_its_rate(calls, seconds):
    rate = Rate()
    rate.learn_window(calls, seconds, 0.3 * seconds)
    assert rate.value == max(LEAST, calls / seconds)
    assert rate.window == calls
    assert rate.best == (calls / seconds if calls >= 20 else 0.0)


@given(st.integers(20, 2000), st.floats(1, 100), st.floats(0, 100))
def test_a_window_whose_end_was_not_measured_is_not_remembered(calls, seconds, best):
    rate = Rate(best=best)
    rate.learn_window(calls, seconds, 0.3 * seconds, measured=False)
    assert rate.value == max(LEAST, calls / seconds)
    assert rate.best == best


def test_several_windows_at_once_are_not_one_window():
    rate = Rate(value=10.0, window=100.0)
    rate.learn_window(301.0, 60.0, 2.0)
    assert rate.value == pytest.approx(max(301 / 60, 10.0 * (1 - 2.0 / 10.0)))
    assert rate.window == 100.0
    rate.learn_window(300.0, 60.0, 2.0)
    assert rate.value == 5.0
    assert rate.window == 300.0


def test_a_long_exhaustion_after_several_windows_at_most_halves_the_rate():
    rate = Rate(value=10.0, window=100.0)
    rate.learn_window(500.0, 600.0, 300.0)
    assert rate.value == 5.0


def test_a_refusal_early_in_a_window_shrinks_the_window():
    rate = Rate(value=10.0, window=100.0, best=10.0)
    rate.anchor(0.0)
    rate.start_cycle()
    grown(rate, 20)
    exhausted(rate, 2.0, 20)
    assert rate.window == pytest.approx(70.0)
    grown(rate, 40)
    exhausted(rate, 6.0, 40)
    assert rate.window == pytest.approx(70.0)


# ------------------------------------------------------------------------------------------------ other changes


def test_shrink_lowers_only_a_known_rate():
    rate = known(10.0)
    rate.shrink(0.7)
    assert rate.value == 7.0
    rate = Rate()
    rate.shrink(0.7)
    assert rate.value == math.inf
    rate = known(LEAST)
    rate.shrink(0.7)
    assert rate.value == LEAST


def test_restore_sets_the_rate_back_completely():
    rate = known(10.0)
    exhausted(rate, 100.0, 30)
    rate.restore(10.0)
    assert rate.value == 10.0
    rate.restore(math.inf)
    assert rate.value == math.inf


moves = st.one_of(
    st.tuples(st.just("cut"), st.floats(-100, 1), st.floats(0, 1e7), st.integers(1, 50), st.floats(0, 1e9)),
    st.tuples(st.just("grow"), st.floats(0, 1e7)),
    st.tuples(st.just("exclude"), st.floats(0, 1e6)),
    st.tuples(st.just("learn_window"), st.floats(0.1, 1e9), st.floats(1e-3, 1e6), st.floats(1e-3, 1e6)),
    st.tuples(st.just("shrink"), st.just(0.7)),
    st.tuples(st.just("restore"), st.floats(1, 1e9) | st.just(math.inf)),
    st.tuples(st.just("anchor"), st.floats(-1e3, 0)),
    st.tuples(st.just("admit"), st.floats(-1e3, 1e9)),
    st.tuples(st.just("refuse"), st.floats(0, 1e9)),
)


@given(st.lists(st.tuples(st.floats(0, 1e4), moves), max_size=60), logarithmic(0.1, 1e6))
def test_the_rate_stays_positive_and_is_never_nan_after_any_sequence(history, mean):
    rate, now = Rate(mean=mean), 0.0
    for seconds, (name, *values) in history:
        now += seconds
        if name == "cut":
            started, cost, row, recent = values
            rate.cut(now, now + started, cost, row, recent)
        elif name == "admit":
            rate.admitted += values[0]
        elif name == "refuse":
            rate.refused += values[0]
        elif name == "anchor":
            rate.anchor(now + values[0])
        elif name != "grow" or (rate.value < 1e12 and values[0] < 100 * mean):
            getattr(rate, name)(*values)
        assert 0 < rate.value <= math.inf
        assert 1.0 <= rate.patience <= 12.0
        assert 0 < rate.cycle < math.inf
        assert 0 <= rate.best < math.inf
        assert rate.window >= 0
