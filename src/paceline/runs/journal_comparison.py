"""Comparison of an input with its journal: what has changed since the run before, and which prompts need a call.

Rules owned here:

1. Nothing is written, and the journal's lock is not taken. `item_registry` registers an input by the same rules.
2. A change is a sentence. Of many prompts that have changed, one sentence says how many and names the first.
3. An option that reads the input differently is a cause and not a change: it is named only if prompts have changed or are missing.
4. Memory does not grow with the input: the contents of the prompts are kept in a temporary file.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import attrs

from .._core.call_bounds import token_bytes_of
from .._core.prompt import content_key
from .._core.quantity import quantity, verb
from .._core.request import Request
from ..abc import LLMCallStrategy
from ..files import InputRecord
from ..files.seen_set import SeenSet
from ..journal.figures import Counts
from ..journal.items import ItemChange, KnownItem
from ..journal.reader import JournalReader
from .journal_facts import (
    RegisteredInput,
    WrittenOutput,
    reading_options,
    recorded_input,
    recorded_latest_run,
    recorded_output,
)
from .options import RunOptions

_SELECTION = {"limit", "sample", "shard"}  # options that leave items out and change none
_LONGEST = 80  # characters of an option that a message quotes
_AT_ONCE = 500  # prompts that are looked up together


@attrs.define
class Differences:
    """Collects changes in bounded memory, however many there are."""

    _first: ItemChange | None = None
    _changed: int = 0
    _settings: dict[str, None] = attrs.field(factory=dict)

    def add(self, change: ItemChange) -> None:
        """Add one change."""
        if change.before != change.after:
            self._settings |= dict.fromkeys(change.strategy_changes)
        if not change.content:
            return
        self._changed += 1
        self._first = self._first or change

    def sentences(self, *, gone: int, reading: Mapping[str, str]) -> list[str]:
        """Return a sentence for each change that must be allowed; of changed prompts, one for all of them.

        Args:
            gone: Number of items that the input had in the run before, and no longer has.
            reading: A sentence for each option that the input was read with differently. They are causes, not changes: a template may
                change prompts, a selection leaves items out.
        """
        sentences = [*self._settings]
        if self._first is not None and self._changed == 1:
            sentences.append(str(self._first))
        elif self._first is not None:
            sentences.append(
                f"the prompts of {quantity(self._changed, 'item')} have changed, the first is that of {self._first.id!r}"
            )
        if gone:
            sentences.append(f"{quantity(gone, 'item')} of the journal {verb(gone)} no longer in the input")
        causes = [text for name, text in reading.items() if gone or (self._changed and name not in _SELECTION)]
        return [*causes, *sentences]

    def consequence(self) -> str:
        """Return what is paid for if the changes are accepted, as the end of a sentence; empty if nothing is asked otherwise than before."""
        ends = []
        if self._changed:
            ends.append(f"{quantity(self._changed, 'changed prompt')} {verb(self._changed)} called and paid for again")
        if self._settings:
            whose = "other answers" if self._changed else "answers"
            ends.append(f"{whose} that are there stay, and only what has none is called with the new settings")
        return "; ".join(ends)


def reading_changes(before: RegisteredInput | None, options: RunOptions) -> dict[str, str]:
    """Return what is different in how the input is read: by option, a sentence.

    Args:
        before: The input of the run before; None: not known.
        options: Options of the run.
    """
    if before is None:
        return {}
    now = reading_options(options)
    return {
        name: f"--{name.replace('_', '-')} was {_shown(before.reading.get(name))}, is {_shown(now.get(name))}"
        for name in sorted(now)
        if before.reading.get(name) != now.get(name)
    }


def _shown(value: object) -> str:
    text = "not given" if value is None else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def may_dedupe(options: RunOptions, strategy: LLMCallStrategy[Any], *, has_requests: bool) -> bool:
    """Return whether equal prompts of a run share one call.

    Args:
        options: Options of the run; they decide if `dedupe` is given.
        strategy: Answers the prompts.
        has_requests: Whether there are requests in a provider's form among the prompts. Then no prompts share, so that what is
            announced before the first call holds.
    """
    if options.dedupe is not None:
        return options.dedupe
    return not (strategy.is_sampled or has_requests)


@attrs.frozen(kw_only=True)
class JournalState:
    """What an existing journal means for a run."""

    counts: Counts
    """Its items: in all, succeeded, failed, pending."""
    again: int
    """Failed items that would be run again."""
    new: int
    """Items that it does not have yet."""
    changes: tuple[str, ...]
    """What differs from the run before and must be allowed, a sentence each."""
    is_accepted: bool
    """Whether changes are allowed."""
    writer: int | None
    """Process that writes the journal now; None: no process does."""
    written: WrittenOutput | None
    """The output that the journal has recorded."""

    @property
    def is_refused(self) -> bool:
        """Whether a run would be refused."""
        return self.writer is not None or (bool(self.changes) and not self.is_accepted)


class JournalComparison:
    """Counts the calls of a run; made by `comparing_with_journal`.

    Args:
        options: Options of the run.
        strategy: Answers the prompts.
        reader: Reads the journal; None: it does not exist yet.
        seen: Holds the contents of the prompts that need a call, with their sizes in bytes.
    """

    def __init__(
        self,
        options: RunOptions,
        strategy: LLMCallStrategy[Any],
        reader: JournalReader | None,
        seen: SeenSet,
    ) -> None:
        self.wanted: int = 0
        """Prompts to be answered."""
        self.example: str | None = None
        """The first prompt as it is sent, if it is a text or a request."""
        self._is_first = True
        self._options = options
        self._reader = reader
        self._answering = strategy
        self._identity = _plain(strategy.identity)
        self._strategies = {} if reader is None else reader.strategies()
        self._latest = None if reader is None else recorded_latest_run(reader)
        self._strategy = next((number for number, known in self._strategies.items() if known == self._identity), None)
        self._differences = Differences()
        self._prompts: list[tuple[InputRecord, bytes]] = []
        self._present = self._again = self._new = 0
        self._sizes: Counter[int] = Counter()
        self._has_requests = False
        self._seen = seen

    def visit(self, prompt: InputRecord) -> None:
        """Count a prompt of the input."""
        if self._is_first:
            self.example, self._is_first = _text_of(prompt.prompt), False
        self._has_requests |= isinstance(prompt.prompt, Request)
        self._prompts.append((prompt, content_key(prompt.prompt)))
        if len(self._prompts) == _AT_ONCE:
            self._flush()

    def calls(self) -> Mapping[int, int]:
        """Return the number of calls, by the size of their prompts in bytes, rounded to three digits."""
        self._flush()
        return self._seen.numbers() if self._dedupes else self._sizes

    @property
    def reader(self) -> JournalReader | None:
        """Reads the journal; None: it does not exist yet."""
        return self._reader

    def __len__(self) -> int:
        """Return the number of different prompts that need a call."""
        self._flush()
        return len(self._seen)

    @property
    def _dedupes(self) -> bool:
        is_journaled = self._options.journal_file is not None
        return is_journaled and may_dedupe(self._options, self._answering, has_requests=self._has_requests)

    def state(self) -> JournalState | None:
        """Return what the journal means for the run; None: it does not exist yet."""
        self._flush()
        reader = self._reader
        if reader is None:
            return None
        return JournalState(
            counts=reader.counts(),
            again=self._again,
            new=self._new,
            changes=tuple(self._changes(reader)),
            is_accepted=self._options.allow_changes,
            writer=reader.writer(),
            written=recorded_output(reader),
        )

    def _changes(self, reader: JournalReader) -> list[str]:
        before = recorded_input(reader)
        is_same = (
            before is not None and before.is_read_again_by(self._options) and reader.counts().total == before.count
        )
        if not reader.known() or (is_same and reader.identities() == [self._identity]):
            return []
        gone = reader.counts().total - self._present
        return self._differences.sentences(gone=gone, reading=reading_changes(before, self._options))

    def _flush(self) -> None:
        prompts, self._prompts = self._prompts, []
        known = self._reader.items([prompt.id for prompt, _ in prompts]) if self._reader is not None else {}
        missing = [
            (prompt, content) for prompt, content in prompts if self._is_wanted(prompt, content, known.get(prompt.id))
        ]
        self.wanted += len(missing)
        answered = self._answered([content for _, content in missing])
        for prompt, content in missing:
            size = _rounded(token_bytes_of(prompt.prompt))
            self._sizes[size] += 1
            if content not in answered:
                self._seen.add(content, size)

    def _is_wanted(self, prompt: InputRecord, content: bytes, before: KnownItem | None) -> bool:
        """Whether a prompt is to be answered; counts what has changed about it."""
        if before is None:
            self._new += 1
            return True
        self._present += not before.is_gone
        is_changed = content != before.content
        if is_changed or before.strategy != self._strategy:
            identity = self._strategies[before.strategy]
            self._differences.add(ItemChange(prompt.id, prompt.position, is_changed, identity, self._identity))
        again = not is_changed and self._is_run_again(before)
        self._again += again
        return is_changed or again or not before.is_settled

    def _is_run_again(self, before: KnownItem) -> bool:
        """Whether a failed item is run again: by its kind of fault, or as all calls of the latest run failed alike."""
        retry, latest = self._options.retry, self._latest
        if before.kind is None:
            return False
        return before.kind in retry or (
            bool(retry) and latest is not None and latest.stopped_by(before.kind, before.run)
        )

    def _answered(self, contents: list[bytes]) -> set[bytes]:
        """Return the contents that another item has the answer to already."""
        if self._reader is None or self._strategy is None:
            return set()
        return self._reader.answered(contents, self._strategy)


@contextmanager
def comparing_with_journal(
    options: RunOptions, strategy: LLMCallStrategy[Any], journal: str | None
) -> Iterator[JournalComparison]:
    """Open a journal, if there is one, for comparison with an input.

    Raises:
        JournalError: The file is not a journal, or cannot be read.
    """
    with ExitStack() as stack:
        exists = journal is not None and os.path.exists(journal) and os.path.getsize(journal)  # noqa: PTH110, PTH202 - texts
        reader = stack.enter_context(JournalReader(journal)) if journal is not None and exists else None
        yield JournalComparison(options, strategy, reader, stack.enter_context(closing(SeenSet())))


def _rounded(size: int) -> int:
    """Return a size rounded to three digits, so that there are not many different ones."""
    return int(float(f"{size:.3g}"))


def _text_of(prompt: object) -> str | None:
    if isinstance(prompt, Request):
        return json.dumps(prompt.body, ensure_ascii=False, default=str)
    if isinstance(prompt, list | tuple):
        return " ".join(part if isinstance(part, str) else "[media]" for part in prompt)
    return prompt if isinstance(prompt, str) else None


def _plain(identity: Any) -> dict[str, Any]:
    """Return an identity as a journal stores it."""
    plain: dict[str, Any] = json.loads(json.dumps(identity, default=str))
    return plain
