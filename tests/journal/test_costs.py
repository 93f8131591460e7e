"""Costs in a journal: the attempts of all runs count, by model, and those without a cost one by one."""

from __future__ import annotations

import attrs

from paceline import TokenUsage
from paceline.journal.writer import JournalWriter

from .support import attempt, done, failed, register


def test_all_attempts_of_all_runs_are_counted_by_model(tmp_path):
    with JournalWriter(tmp_path / "j") as writer:
        assert (writer.spent().usd, writer.spent().tokens) == ({}, {})
        for run in range(2):
            writer.begin_run()
            register(writer, "a", "b")
            priced = [attrs.evolve(attempt(n, tokens=10), cost=0.25, model="m-1") for n in (1, 2)]
            other = attrs.evolve(attempt(), cost=None, model=None, usage=TokenUsage(7, 3, 2))
            free = attrs.evolve(attempt(), cost=None, model=None, usage=TokenUsage())
            writer.commit([done("a", attempts=tuple(priced)), failed("b", attempts=(other, free))], {})
            spent = writer.spent()
            assert spent.usd == {"m-1": 0.5 * (run + 1), "lane": 0.0}
            assert spent.tokens == {"m-1": 24 * (run + 1), "lane": 10 * (run + 1)}
            assert spent.unpriced == {"lane": [TokenUsage(7, 3, 2)] * (run + 1)}
