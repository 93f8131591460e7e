"""Ranges, and what a running batch will have cost at its end."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.ranges import Range, RunningCost

ITEMS = st.lists(st.tuples(st.integers(0, 50), st.floats(0, 100)), max_size=30)


def test_ranges_add_up_bound_by_bound():
    assert Range(1, 2, 3) + Range(10, 20, 30) == Range(11, 22, 33)
    assert Range(1, 2, 3).plus(5) == Range(6, 7, 8)
    assert Range(1, 2, 3).times(0.5) == Range(0.5, 1, 1.5)


@given(ITEMS, st.integers(0, 10_000))
def test_the_cost_at_the_end_is_at_least_what_was_spent_and_its_bounds_are_in_order(steps, left):
    cost, done, running = 0.0, 0, RunningCost()
    for items, spent in steps:
        done, cost = done + items, cost + spent
        running.record(done, cost)
    found = running.at_end(cost, left)
    if found is None:
        assert (done, left > 0) == (0, True)
    else:
        assert cost <= found.low <= found.likely <= found.high


@given(ITEMS)
def test_with_nothing_left_the_cost_at_the_end_is_known(steps):
    done, cost, running = 0, 0.0, RunningCost(Range(1e6, 2e6, 3e6))
    for items, spent in steps:
        done, cost = done + items, cost + spent
        running.record(done, cost)
    assert running.at_end(cost, 0) == Range(cost, cost, cost)


def test_before_the_first_item_is_done_the_quote_holds_but_never_below_what_was_spent():
    assert RunningCost().at_end(0.5, 10) is None
    assert RunningCost(Range(1, 2, 3)).at_end(0.5, 10) == Range(1, 2, 3)
    assert RunningCost(Range(1, 2, 3)).at_end(2.5, 10) == Range(2.5, 2.5, 3)


def test_the_batch_corrects_a_quote_that_was_wrong_once_it_knows_better():
    running = RunningCost(Range(90.0, 100.0, 110.0))
    found = []
    for done in range(10, 500, 10):
        running.record(done, 0.5 * done)
        found.append(running.at_end(0.5 * done, 1_000 - done).likely)
    assert found[0] == 100.0
    assert found[-1] == pytest.approx(500.0)


def test_a_snapshot_in_which_no_item_was_done_is_counted_with_the_next():
    one, other = RunningCost(), RunningCost()
    for done, cost in ((10, 5.0), (10, 7.0), (20, 9.0)):
        one.record(done, cost)
    for done, cost in ((10, 5.0), (20, 9.0)):
        other.record(done, cost)
    assert one.at_end(9.0, 80) == other.at_end(9.0, 80)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_range_contains_the_cost_at_the_end_in_nine_of_ten_batches(share):
    hits, batches = 0, 200
    for seed in range(batches):
        random = Random(seed)
        costs = [random.lognormvariate(0, 1.2) for _ in range(1_000)]
        running, cost, done = RunningCost(), 0.0, 0
        while done < share * len(costs):
            more = random.randint(1, 20)
            cost, done = cost + sum(costs[done : done + more]), done + more
            running.record(done, cost)
        found = running.at_end(cost, len(costs) - done)
        hits += found.low <= sum(costs) <= found.high
    assert hits >= 0.9 * batches
