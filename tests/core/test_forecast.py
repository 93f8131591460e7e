"""The forecast of tokens and costs: bounds in order, corrected by what was seen, and by tier of a ladder."""

from __future__ import annotations

from random import Random

import attrs
import pytest
from benchmarks.estimate import measure
from hypothesis import given
from hypothesis import strategies as st

from paceline import Price
from paceline._core.forecast import AROUND, BYTES_PER_TOKEN, GUESSED_OUTPUT, SeenItem, Step, forecast

SIZES = st.dictionaries(st.integers(0, 10**6), st.integers(1, 10**6), max_size=8)
SEEN = st.lists(
    st.builds(
        SeenItem,
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.none() | st.floats(0, 1e6, allow_subnormal=False),
    ),
    max_size=12,
)
PRICES = st.none() | st.builds(Price, st.floats(0, 100), st.floats(0, 100))
STEPS = st.lists(
    st.builds(
        Step,
        model=st.sampled_from(["a", "b"]),
        fixed=st.integers(0, 10_000),
        is_cached=st.booleans(),
        bound=st.none() | st.integers(1, 10_000),
        price=PRICES,
        batch_price=PRICES,
        seen=SEEN,
    ),
    min_size=1,
    max_size=3,
)
CHEAP, DEAR = Price(0.1, 0.4), Price(2.0, 8.0)


def ranges_of(found):
    shown = (found.input_tokens, found.output_tokens, found.cost, found.batch_cost)
    return [one for one in shown if one is not None]


@given(SIZES, STEPS)
def test_any_items_and_models_have_a_forecast_whose_bounds_are_in_order(sizes, steps):
    found = forecast(sizes, steps)
    assert (found.items, found.seen) == (sum(sizes.values()), len(steps[0].seen))
    for one in [*ranges_of(found), *(one for step in found.steps for one in (*ranges_of(step), step.items))]:
        assert 0 <= one.low <= one.likely <= one.high < float("inf")
    for step in found.steps:
        assert step.items.high <= found.items
    assert (found.cost is None) == any(step.price is None for step in steps)
    assert (found.batch_cost is None) == any(step.price is None or step.batch_price is None for step in steps)


@given(SIZES, STEPS)
def test_a_sum_is_not_said_to_be_less_than_one_of_its_parts(sizes, steps):
    found = forecast(sizes, steps)
    for step in found.steps:
        assert found.output_tokens.high >= step.output_tokens.high
        if found.cost is not None:
            assert found.cost.high >= step.cost.high


@given(STEPS)
def test_no_items_take_nothing(steps):
    assert {bound for one in ranges_of(forecast({}, steps)) for bound in attrs.astuple(one)} <= {0.0}


@given(SIZES, STEPS)
def test_twice_as_many_items_are_likely_to_take_twice_as_much(sizes, steps):
    once, twice = forecast(sizes, steps), forecast({size: 2 * count for size, count in sizes.items()}, steps)
    assert twice.input_tokens.likely == pytest.approx(2 * once.input_tokens.likely)
    assert twice.output_tokens.likely == pytest.approx(2 * once.output_tokens.likely)


def test_before_an_item_was_seen_the_input_follows_from_its_bytes_and_the_output_is_a_guess():
    found = forecast({3_592: 10}, [Step(model="m", fixed=3_608)])
    assert found.input_tokens.likely == pytest.approx(10 * (7_200 / 3.6 + AROUND))
    assert found.output_tokens.likely == 10 * GUESSED_OUTPUT
    assert found.output_tokens.high > 5 * found.output_tokens.likely
    claude = forecast({3_000: 10}, [Step(model="claude", bytes_per_token=BYTES_PER_TOKEN["anthropic"])])
    assert claude.input_tokens.likely == pytest.approx(10 * (1_000 + AROUND))


def test_a_bound_on_the_answers_bounds_the_guess_and_its_cost():
    found = forecast({100: 1_000}, [Step(model="m", bound=64, price=Price(0, 10))])
    assert found.output_tokens.likely == 32 * 1_000
    assert found.output_tokens.high == 64 * 1_000
    assert found.cost.high == pytest.approx(0.64)


def test_what_was_seen_replaces_the_guess_and_more_of_it_narrows_the_range():
    random, widths = Random(1), []
    for number in (1, 5, 20, 200):
        seen = [SeenItem(360, 150, int(40 * random.lognormvariate(0, 0.5))) for _ in range(number)]
        found = forecast({360: 10_000}, [Step(model="m", price=CHEAP, seen=seen)])
        widths.append(found.cost.high / found.cost.low)
    assert widths == sorted(widths, reverse=True)
    assert found.input_tokens.likely == pytest.approx(1_500_000)
    assert found.output_tokens.likely == pytest.approx(10_000 * sum(one.output_tokens for one in seen) / 200)


def test_answers_as_long_as_their_prompts_are_forecast_by_the_prompts():
    seen = [SeenItem(size, size // 4, size // 2) for size in range(100, 2_000, 100)]
    longer = forecast({10_000: 100}, [Step(model="m", seen=seen)])
    assert longer.output_tokens.likely == pytest.approx(100 * 5_000, rel=0.2)
    unrelated = [attrs.evolve(one, output_tokens=50) for one in seen]
    assert forecast({10_000: 100}, [Step(model="m", seen=unrelated)]).output_tokens.likely == pytest.approx(5_000)


def test_costs_that_were_paid_count_more_than_the_price_list():
    seen = [SeenItem(360, 100, 50, 0.02) for _ in range(20)]
    found = forecast({360: 1_000}, [Step(model="m", price=CHEAP, seen=seen)])
    assert found.cost.likely == pytest.approx(20.0)


def test_the_upper_step_of_a_ladder_has_its_own_line_by_the_share_that_reaches_it():
    first = [SeenItem(360, 100, 50) for _ in range(20)]
    found = forecast(
        {360: 1_000},
        [Step(model="small", price=CHEAP, seen=first), Step(model="large", price=DEAR, seen=first[:5])],
    )
    small, large = found.steps
    assert attrs.astuple(small.items) == (1_000, 1_000, 1_000)
    assert 100 < large.items.low < large.items.likely < large.items.high < 650
    assert large.items.likely == pytest.approx(262, abs=1)
    assert found.cost.likely == pytest.approx(small.cost.likely + large.cost.likely)
    assert large.cost.likely > small.cost.likely


def test_a_step_that_no_item_of_the_sample_has_reached_still_counts():
    first = [SeenItem(360, 100, 50) for _ in range(20)]
    found = forecast({360: 1_000}, [Step(model="small", price=CHEAP, seen=first), Step(model="large", price=DEAR)])
    assert 0 < found.steps[1].items.likely < 50 < found.steps[1].items.high
    assert found.steps[1].output_tokens.likely == pytest.approx(50 * found.steps[1].items.likely)


def test_the_batch_api_has_its_share_of_the_price():
    half = Price(0.05, 0.2)
    step = Step(model="m", price=CHEAP, batch_price=half)
    found = forecast({100: 10}, [step])
    assert found.batch_cost == found.cost.times(0.5)
    ladder = forecast({100: 10}, [step, Step(model="n", price=DEAR)])
    assert (ladder.steps[0].batch_cost, ladder.batch_cost) == (ladder.steps[0].cost.times(0.5), None)


def test_a_cached_instruction_costs_less():
    step = Step(model="m", fixed=36_000, price=Price(1, 1, cached_input=0.1))
    assert forecast({10: 10}, [attrs.evolve(step, is_cached=True)]).cost.likely < forecast({10: 10}, [step]).cost.likely


def test_the_range_contains_the_truth_in_nine_of_ten_batches_after_a_pilot_of_twenty():
    """Heavy-tailed sizes, ladders and retries; `python -m benchmarks estimate` measures more and larger ones."""
    inside, below, above, width = measure(100, 20, most_items=1_000)
    assert inside >= 0.9
    assert below + above == pytest.approx(1 - inside)
    assert width < 4
