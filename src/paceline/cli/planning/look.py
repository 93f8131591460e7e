"""What a run would find: the calls that are left, and what a journal has of them already. Nothing is written, no lock is taken.

1. What is compared, and what is told of it, is what a run compares (see `begin`).
2. Memory does not grow with the input: what was seen is kept in a temporary file.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import attrs

from ..._core.prompt import characters_of, content_key
from ...abc import LLMCallStrategy
from ...journal.changes import Change
from ...journal.reader import Counts, JournalReader, KnownItem
from ..asking.options import RunOptions
from ..reading import Prompt
from ..rows.emitter import Written, noted
from ..running.begin import is_the_same, noted_input
from ..running.differences import Differences

_AT_ONCE = 500  # prompts that are looked up together


@attrs.frozen(kw_only=True)
class JournalState:
    """What a journal that is there says of a run."""

    counts: Counts
    again: int
    """Failed items that would be run again."""
    changes: tuple[str, ...]
    """What is not as it was begun, a sentence each."""
    is_accepted: bool
    """Whether changes are."""
    writer: int | None
    """The process that writes it."""
    written: Written | None
    """The output that it knows."""

    @property
    def is_refused(self) -> bool:
        """Whether a run would be."""
        return self.writer is not None or (bool(self.changes) and not self.is_accepted)


class Look:
    """Counts what a run would call; made by `looking`.

    Args:
        options: of the run.
        strategy: that is to answer.
        reader: of the journal; None: there is none yet.
        seen: a database of its own.
    """

    def __init__(
        self,
        options: RunOptions,
        strategy: LLMCallStrategy[Any],
        reader: JournalReader | None,
        seen: sqlite3.Connection,
    ) -> None:
        self.wanted = 0
        """Prompts that are to be answered."""
        self._options = options
        self._reader = reader
        self._identity = _plain(strategy.identity)
        self._strategies = {} if reader is None else reader.strategies()
        self._number = next((number for number, one in self._strategies.items() if one == self._identity), None)
        self._differences = Differences()
        self._held: list[tuple[Prompt, bytes]] = []
        self._known = self._again = self._new = 0
        self._calls = self._characters = 0
        self._seen = seen
        seen.execute("CREATE TABLE prompt (digest BLOB PRIMARY KEY, length INTEGER) WITHOUT ROWID")

    def visit(self, prompt: Prompt) -> None:
        """Take a prompt of the input."""
        self._held.append((prompt, content_key(prompt.prompt)))
        if len(self._held) == _AT_ONCE:
            self._flush()

    def calls(self) -> tuple[int, int]:
        """Return the number of calls, and the characters of their prompts."""
        self._flush()
        if not self._options.dedupe:
            return self._calls, self._characters
        row = self._seen.execute("SELECT COUNT(*), IFNULL(SUM(length), 0) FROM prompt").fetchone()
        return int(row[0]), int(row[1])

    def state(self) -> JournalState | None:
        """Return what the journal says; None: there is none yet."""
        self._flush()
        reader = self._reader
        if reader is None:
            return None
        return JournalState(
            counts=reader.counts(),
            again=self._again,
            changes=tuple(self._changes(reader)),
            is_accepted=self._options.allow_changes,
            writer=reader.writer(),
            written=noted(reader),
        )

    def _changes(self, reader: JournalReader) -> list[str]:
        known = reader.known()
        before = noted_input(reader)
        as_before = before is not None and is_the_same(before, self._options) and reader.counts().total == before.count
        if not known or (as_before and reader.identities() == [self._identity]):
            return []
        return self._differences.told(new=self._new, gone=known - self._known)

    def _flush(self) -> None:
        held, self._held = self._held, []
        known = self._reader.items([prompt.id for prompt, _ in held]) if self._reader is not None else {}
        missing = [one for one in held if self._is_wanted(*one, known.get(one[0].id))]
        self.wanted += len(missing)
        if not self._options.dedupe:
            self._calls += len(missing)
            self._characters += sum(characters_of(prompt.prompt) or 0 for prompt, _ in missing)
            return
        answered = self._answered([content for _, content in missing])
        rows = [(content, characters_of(prompt.prompt) or 0) for prompt, content in missing if content not in answered]
        self._seen.executemany("INSERT OR IGNORE INTO prompt VALUES (?, ?)", rows)

    def _is_wanted(self, prompt: Prompt, content: bytes, before: KnownItem | None) -> bool:
        """Whether a prompt is to be answered; note what has changed of it."""
        if before is None:
            self._new += 1
            return True
        self._known += 1
        other = content != before.content
        if other or before.strategy != self._number:
            identity = self._strategies[before.strategy]
            self._differences.take(Change(prompt.id, prompt.position, other, identity, self._identity))
        again = not other and before.kind is not None and before.kind in self._options.retry
        self._again += again
        return other or again or not before.is_settled

    def _answered(self, contents: list[bytes]) -> set[bytes]:
        """Return those of which another item has the answer already."""
        if self._reader is None or self._number is None:
            return set()
        return self._reader.answered(contents, self._number)


@contextmanager
def looking(options: RunOptions, strategy: LLMCallStrategy[Any], journal: str | None) -> Iterator[Look]:
    """Look at a journal, if there is one, while an input is read.

    Raises:
        JournalError: it is none, or cannot be read.
    """
    with ExitStack() as stack:
        there = journal is not None and os.path.exists(journal) and os.path.getsize(journal)  # noqa: PTH110, PTH202 - texts
        reader = stack.enter_context(JournalReader(journal)) if journal is not None and there else None
        yield Look(options, strategy, reader, stack.enter_context(closing(sqlite3.connect(""))))


def _plain(identity: Any) -> dict[str, Any]:
    """Return an identity as a journal has it."""
    plain: dict[str, Any] = json.loads(json.dumps(identity, default=str))
    return plain
