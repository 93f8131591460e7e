"""The test of journals: ours pass it, and a journal that breaks any promise fails it."""

from __future__ import annotations

import anyio
import pytest

from paceline.journal import SqliteJournal
from paceline.testing import check_journal

from ..engine.journals import MemoryJournal, is_pending


class DurableJournal(MemoryJournal):
    """Keeps its contents when it is closed and opened again, as a file does."""

    def __init__(self, disk):
        super().__init__(kept=None)
        self.disk = disk

    async def open(self, *, share=True):
        self.kept, self.knowledge, self.registered = self.disk.setdefault("state", ({}, {}, set()))
        return self.knowledge

    async def close(self):
        self.disk["state"] = self.kept, self.knowledge, self.registered


class KeepsPending(DurableJournal):
    async def commit(self, results, prices):
        self.kept |= {result.item_id: result for result in results}


class ForgetsEverything(DurableJournal):
    async def close(self):
        self.disk.clear()


class KeepsTheFirstResult(DurableJournal):
    async def commit(self, results, prices):
        for result in results:
            if not is_pending(result):
                self.kept.setdefault(result.item_id, result)


class ForgetsThePace(DurableJournal):
    async def note(self, changes, knowledge):
        pass


class ReordersResults(DurableJournal):
    async def recall(self, items):
        return sorted(await super().recall(items), key=str)


class OmitsNewItems(DurableJournal):
    async def recall(self, items):
        return [result for result in await super().recall(items) if result]


class HasNoKey(DurableJournal):
    def key_of(self, item):
        return object()


def check(make):
    anyio.run(check_journal, make, backend="trio")


def test_a_journal_in_a_file_keeps_its_promises(tmp_path):
    check(lambda: SqliteJournal(tmp_path / "run.db"))


def test_a_journal_in_memory_keeps_its_promises():
    disk = {}
    check(lambda: DurableJournal(disk))


@pytest.mark.parametrize(
    "kind",
    [KeepsPending, ForgetsEverything, KeepsTheFirstResult, ForgetsThePace, ReordersResults, OmitsNewItems, HasNoKey],
)
def test_a_broken_promise_is_reported(kind):
    disk = {}
    with pytest.raises(AssertionError, match="the journal breaks a promise: "):
        check(lambda: kind(disk))
