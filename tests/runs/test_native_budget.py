"""The rows of batch jobs keep within every cap that concerns them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paceline import Budget, Price
from paceline._core.budget import Spent
from paceline.runs.native_budget import JobBudget

PRICE = Price(1.0, 2.0)
SIZES = st.lists(st.integers(0, 5_000), max_size=40)


def of(budget, *, model="m", price=PRICE, bound=100):
    return JobBudget(budget, model, price, bound)


@given(SIZES, st.floats(1e-5, 0.01), st.floats(0.0, 0.01))
def test_reserved_and_spent_are_never_above_a_cap_in_usd(sizes, cap, spent):
    budget = of(Budget(usd=cap))
    budget.start_from(Spent(usd={"m": spent}))
    rows = [size for size in sizes if budget.reserve(size)]
    most = sum((size // 2 + 32 + 2 * 100) / 1e6 for size in rows)
    assert not rows or spent + most <= cap + 1e-12


@given(SIZES, st.integers(1, 20_000), st.integers(0, 20_000))
def test_reserved_and_spent_are_never_above_a_cap_on_tokens(sizes, cap, spent):
    budget = of(Budget(tokens=cap), price=None)
    budget.start_from(Spent(tokens={"other": spent}))
    rows = [size for size in sizes if budget.reserve(size)]
    assert not rows or spent + sum(size // 2 + 32 + 100 for size in rows) <= cap


def test_the_cap_of_another_model_does_not_concern_the_rows_and_that_of_their_own_does():
    budget = Budget(models={"m": Budget(tokens=200), "other": Budget(tokens=1)})
    assert [of(budget).reserve(10), of(budget, model="third").reserve(100_000)] == [True, True]
    assert not of(budget).reserve(1_000)


def test_rows_that_are_at_the_provider_are_reserved_in_any_case():
    budget = of(Budget(tokens=200))
    assert budget.reserve(1_000, is_at_provider=True)
    assert not budget.reserve(0)
