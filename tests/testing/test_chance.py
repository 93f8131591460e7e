"""Chance: what a draw depends on, and its distributions."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.exceptions import ConfigurationError
from paceline.testing.service import Dice

CALLS = st.tuples(st.text(max_size=20), st.integers(1, 9))


@given(st.integers(0, 2**40), CALLS, st.lists(CALLS, max_size=5))
def test_chance_depends_on_seed_prompt_and_attempt_and_on_nothing_else(seed, call, others):
    alone, among = Dice(seed), Dice(seed)
    for other in others:
        among.draw(*other)
    assert among.draw(*call) == alone.draw(*call)


def test_seeds_prompts_and_attempts_each_change_it():
    base = Dice(1).draw("a", 1)
    assert len({base, Dice(2).draw("a", 1), Dice(1).draw("b", 1), Dice(1).draw("a", 2)}) == 4


def test_a_prompt_may_contain_a_lone_surrogate():
    Dice(0).draw("\ud800", 1)


def test_the_draws_have_the_documented_distributions():
    throws = [Dice(0).draw(f"prompt {i}", 1) for i in range(3_000)]
    for uniform in ([t.fault for t in throws], [t.refusal for t in throws]):
        assert statistics.mean(uniform) == pytest.approx(0.5, abs=0.02)
        assert statistics.stdev(uniform) == pytest.approx(12**-0.5, abs=0.01)
    for normal in ([t.latency for t in throws], [t.output for t in throws]):
        assert statistics.mean(normal) == pytest.approx(0.0, abs=0.06)
        assert statistics.stdev(normal) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("seed", [-1, 1.5, "7", True, None])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ConfigurationError, match="seed must be a whole number, 0 or more, not"):
        Dice(seed)
