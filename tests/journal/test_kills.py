"""kill -9 at every write of the journal, and at random times: no delivered result is missing, and none comes twice."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from .zygote import IN_FLIGHT, expected, prompt_of

RANDOM_KILLS = int(os.environ.get("PACELINE_KILLS", "40"))
REPEATED = 3 * IN_FLIGHT
"""Upper bound of the mean number of repeated calls per kill: the calls in flight, and those answered while the journal
commits, which are many where the disk is slow. A journal that commits only at the end repeats about a hundred."""


class Night:
    """A batch in its own directory that is run and killed any number of times."""

    def __init__(self, zygote, directory, items, seconds=0.001, durability="normal"):
        directory.mkdir()
        self.zygote, self.directory, self.items, self.seconds = zygote, directory, items, seconds
        self.durability = durability
        self.read = 0

    def run(self, *, kill_at=-1, killed_after=None, backend="trio"):
        """Run the batch; return whether it finished."""
        order = {
            "directory": str(self.directory),
            "items": self.items,
            "seconds": self.seconds,
            "kill_at": kill_at,
            "killed_after": killed_after,
            "backend": backend,
            "durability": self.durability,
        }
        self.read = len(self.lines("shown"))
        self.zygote.stdin.write(json.dumps(order) + "\n")
        self.zygote.stdin.flush()
        code = int(self.zygote.stdout.readline())
        assert code in {0, -9}
        return code == 0

    def lines(self, name):
        file = self.directory / name
        text = file.read_text("utf-8") if file.exists() else ""
        return text.splitlines()[: text.count("\n")]  # the kill may have cut the last line

    @property
    def calls(self):
        return [tuple(line.split()) for line in self.lines("calls")]

    @property
    def shown(self):
        """The results that the latest run delivered."""
        return [json.loads(line) for line in self.lines("shown")[self.read :]]

    def kept(self):
        """Return the rows of the journal by id; check the integrity of the file."""
        if not (self.directory / "run.db").exists():
            return {}
        with closing(sqlite3.connect(self.directory / "run.db")) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
            if not db.execute("PRAGMA user_version").fetchone()[0]:
                assert db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0
                return {}
            found = db.execute("SELECT id, kind IS NULL, output FROM results JOIN items USING (item)").fetchall()
        kept = {name: {"id": name, "success": bool(ok), "output": out and json.loads(out)} for name, ok, out in found}
        assert len(kept) == len(found)
        return kept

    def check(self):
        """Check that every delivered result is stored unchanged; return the stored ones."""
        kept = self.kept()
        for row in self.shown:
            assert kept[row["id"]] == {name: row[name] for name in kept[row["id"]]}
        for name, row in kept.items():
            assert row == expected(int(name[1:]))
        assert max(Counter(row["id"] for row in self.shown).values(), default=1) == 1
        return kept

    def finish(self, **options):
        """Finish the batch; check that it is complete, and that no stored item was called again."""
        before, calls = self.check(), len(self.calls)
        assert self.run(**options)
        again = {prompt for prompt, _ in self.calls[calls:]}
        assert not again & {prompt_of(int(name[1:])) for name in before}, "a stored result is not paid for again"
        assert sorted((row["id"], row["success"]) for row in self.shown) == sorted(
            (row["id"], row["success"]) for row in map(expected, range(self.items))
        )
        assert len(self.check()) == self.items
        return again


@pytest.fixture(scope="module")
def zygote():
    """Start the process that forks."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.journal.zygote"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
    )  # fmt: skip
    yield process
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_a_kill_before_any_statement_of_the_journal_loses_nothing(zygote, tmp_path):
    kill_at, ended, repeated = 0, False, 0
    while not ended:
        kill_at += 1
        assert kill_at < 2_000
        backend = ("trio", "asyncio")[kill_at % 2]
        night = Night(zygote, tmp_path / str(kill_at), 25)
        ended = night.run(kill_at=kill_at, backend=backend)
        if not ended:
            called = {prompt for prompt, _ in night.calls}
            repeated += len(called & night.finish(backend=backend))
    assert len(night.check()) == 25
    assert kill_at > 40, "there are enough statements to die at"
    assert repeated <= REPEATED * kill_at


def test_kills_at_random_times_lose_nothing(zygote, tmp_path):
    chance, kills, number, repeated = random.Random(5), 0, 0, 0
    while kills < RANDOM_KILLS:
        number += 1
        night = Night(zygote, tmp_path / str(number), 400, seconds=0.004, durability=("normal", "full")[number % 2])
        for run in range(12):
            calls, before = len(night.calls), night.check()
            if night.run(killed_after=chance.uniform(0.01, 0.12), backend=("trio", "asyncio")[run % 2]):
                break
            kills += 1
            kept = night.check()
            assert set(before) <= set(kept), "stored results are kept"
            called = {prompt for prompt, attempt in night.calls[calls:] if attempt == "1"}
            assert not called & {prompt_of(int(name[1:])) for name in before}, "a stored item is not called again"
            repeated += len(called - {prompt_of(int(name[1:])) for name in kept})
        night.finish()
    assert repeated <= REPEATED * kills, "only calls in flight are paid for again"
