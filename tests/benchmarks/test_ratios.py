"""The gate on ratios: what fails it, what is measured again, and what is stored."""

from __future__ import annotations

import pytest
from benchmarks.ratios import MOST_WORSE, check
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import ratios

FIGURES = st.floats(0.01, 1_000)


class Machine:
    """Returns made-up ratios, one after the other for each name; the last one is repeated."""

    def __init__(self, **ratios: list[float]) -> None:
        self.ratios = ratios
        self.asked: list[list[str]] = []

    def measure(self, names):
        self.asked.append(sorted(names))
        return {
            name: self.ratios[name].pop(0) if len(self.ratios[name]) > 1 else self.ratios[name][0] for name in names
        }


@given(stored=FIGURES, share=st.floats(-0.99, 0.29))
def test_a_ratio_that_is_less_than_thirty_per_cent_worse_passes(stored, share):
    machine = Machine(warm=[stored * (1 + share)])
    assert check({"warm": stored}, ["warm"], machine.measure) == []
    assert len(machine.asked) == 1


@given(stored=FIGURES, share=st.floats(0.31, 100))
def test_one_that_is_more_than_thirty_per_cent_worse_fails_and_the_sentence_names_it(stored, share):
    machine = Machine(warm=[stored * (1 + share)])
    (sentence,) = check({"warm": stored}, ["warm"], machine.measure)
    assert sentence.startswith("warm: ")
    assert f"{stored:.2f}" in sentence


def test_the_sentence_says_how_much_worse_it_is():
    assert check({"warm": 2.0}, ["warm"], Machine(warm=[3.0]).measure) == [
        "warm: 3.00 times its peer, 50% more than the 2.00 that are stored"
    ]
    assert MOST_WORSE == 0.3


def test_what_is_too_high_is_measured_again_with_nothing_else_and_the_lowest_counts():
    machine, messages = Machine(warm=[9.0, 2.5, 9.0], cold=[1.0]), []
    assert check({"warm": 2.0, "cold": 1.0}, ["warm", "cold"], machine.measure, report=messages.append) == []
    assert machine.asked == [["cold", "warm"], ["warm"]]
    assert messages == ["measuring again: warm"]


def test_what_stays_too_high_is_measured_three_times_and_reported_at_its_lowest():
    machine = Machine(warm=[9.0, 3.0, 8.0])
    (sentence,) = check({"warm": 2.0}, ["warm"], machine.measure)
    assert "3.00 times" in sentence
    assert machine.asked == [["warm"]] * 3


def test_a_ratio_without_a_stored_one_fails_and_is_not_measured():
    machine = Machine(cold=[1.0])
    assert check({"cold": 1.0}, ["cold", "new"], machine.measure) == ["new: no ratio is stored"]
    assert machine.asked == [["cold"]]
    assert check({}, ["new"], machine.measure) == ["new: no ratio is stored"]


def test_so_does_a_stored_one_that_is_not_measured_any_more():
    assert check({"cold": 1.0, "old": 1.0}, ["cold"], Machine(cold=[1.0]).measure) == [
        "old: has a stored ratio and is not measured any more"
    ]


def test_stored_ratios_are_read_again_in_the_order_of_their_names(tmp_path):
    path = tmp_path / "ratios.json"
    assert ratios.load(path) == {}
    ratios.store({"warm": 1.23456, "cold": 2.0}, path)
    assert list(ratios.load(path).items()) == [("cold", 2.0), ("warm", 1.235)]


def test_each_ratio_that_the_gate_measures_is_stored():
    gate = pytest.importorskip("benchmarks.gate")
    assert set(ratios.load()) == set(gate.NAMES)
    assert len(set(gate.NAMES)) == len(gate.NAMES)
