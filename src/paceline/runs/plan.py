"""What a run would find: the calls that are left, and what a journal has of them already. Nothing is written, no lock is taken.

1. What is compared, and what is told of it, is what a run compares (see `begin`).
2. Memory does not grow with the input: what was seen is kept in a temporary file.

What a run would do, and what it might cost: found without a call, and without a trace.

Rules owned here:

1. All is checked that a run checks before its first call: the options, the models, the input to its last line, the output.
2. An estimate says what it assumes. What a model reads is taken from the length of its prompts; what it will write nobody knows, so it
   is a number that is told.
3. A cost is estimated where the price is known. On a ladder it is that of the first model for every call; for each model above it is told what
   it would be, did all of them move up to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import attrs

from .._core.accounting import Price
from .._core.prompt import characters_of, content_key
from .._core.usage import TokenUsage
from ..abc import LLMCallStrategy
from ..files import BadLine, InputRecord
from ..files.output import check_output
from ..files.seen_set import SeenSet
from ..files.types import STREAM
from ..journal.items import ItemChange
from ..journal.reader import Counts, JournalReader, KnownItem
from ..llm_strategies.prices import known_price
from .item_registry import Differences, is_unchanged, registered_input
from .journal_output import Written, recorded_output
from .options import RunOptions
from .options_data import absolute
from .setup import open_checked_input, strategy_of, system_of

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


class JournalComparison:
    """Counts what a run would call; made by `comparing_with_journal`.

    Args:
        options: of the run.
        strategy: that is to answer.
        reader: of the journal; None: there is none yet.
        seen: Keeps the contents of the prompts that need a call, with their lengths in characters.
    """

    def __init__(
        self,
        options: RunOptions,
        strategy: LLMCallStrategy[Any],
        reader: JournalReader | None,
        seen: SeenSet,
    ) -> None:
        self.wanted = 0
        """Prompts that are to be answered."""
        self._options = options
        self._reader = reader
        self._identity = _plain(strategy.identity)
        self._strategies = {} if reader is None else reader.strategies()
        self._number = next((number for number, one in self._strategies.items() if one == self._identity), None)
        self._differences = Differences()
        self._held: list[tuple[InputRecord, bytes]] = []
        self._known = self._again = self._new = 0
        self._calls = self._characters = 0
        self._seen = seen

    def visit(self, prompt: InputRecord) -> None:
        """Take a prompt of the input."""
        self._held.append((prompt, content_key(prompt.prompt)))
        if len(self._held) == _AT_ONCE:
            self._flush()

    def calls(self) -> tuple[int, int]:
        """Return the number of calls, and the characters of their prompts."""
        self._flush()
        if not self._options.dedupe:
            return self._calls, self._characters
        return len(self._seen), self._seen.total()

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
            written=recorded_output(reader),
        )

    def _changes(self, reader: JournalReader) -> list[str]:
        known = reader.known()
        before = registered_input(reader)
        as_before = before is not None and is_unchanged(before, self._options) and reader.counts().total == before.count
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
        for prompt, content in missing:
            if content not in answered:
                self._seen.add(content, characters_of(prompt.prompt) or 0)

    def _is_wanted(self, prompt: InputRecord, content: bytes, before: KnownItem | None) -> bool:
        """Whether a prompt is to be answered; note what has changed of it."""
        if before is None:
            self._new += 1
            return True
        self._known += 1
        other = content != before.content
        if other or before.strategy != self._number:
            identity = self._strategies[before.strategy]
            self._differences.take(ItemChange(prompt.id, prompt.position, other, identity, self._identity))
        again = not other and before.kind is not None and before.kind in self._options.retry
        self._again += again
        return other or again or not before.is_settled

    def _answered(self, contents: list[bytes]) -> set[bytes]:
        """Return those of which another item has the answer already."""
        if self._reader is None or self._number is None:
            return set()
        return self._reader.answered(contents, self._number)


@contextmanager
def comparing_with_journal(
    options: RunOptions, strategy: LLMCallStrategy[Any], journal: str | None
) -> Iterator[JournalComparison]:
    """Look at a journal, if there is one, while an input is read.

    Raises:
        JournalError: it is none, or cannot be read.
    """
    with ExitStack() as stack:
        there = journal is not None and os.path.exists(journal) and os.path.getsize(journal)  # noqa: PTH110, PTH202 - texts
        reader = stack.enter_context(JournalReader(journal)) if journal is not None and there else None
        yield JournalComparison(options, strategy, reader, stack.enter_context(closing(SeenSet())))


def _plain(identity: Any) -> dict[str, Any]:
    """Return an identity as a journal has it."""
    plain: dict[str, Any] = json.loads(json.dumps(identity, default=str))
    return plain


CHARACTERS_PER_TOKEN = 4
OUTPUT_TOKENS = 200
"""Of an answer: an assumption."""


@attrs.frozen(kw_only=True)
class PlannedModel:
    """A model that may be called."""

    name: str
    quota: str
    """The lane's name."""
    price: Price | None
    """None: not known."""
    cost: float | None
    """USD, if it made all the calls; None: the price is not known."""


@attrs.frozen(kw_only=True)
class Plan:
    """What a run would do."""

    options: RunOptions
    source: str
    kind: str
    prompts: int
    bad: tuple[BadLine, ...]
    """The first lines that cannot be taken."""
    bad_count: int
    wanted: int
    """Prompts that are to be answered: those that have no result yet, or are run again."""
    calls: int
    """Of these those that differ, if the same ones are made once."""
    models: tuple[PlannedModel, ...]
    usage: TokenUsage
    """By estimate."""
    system_characters: int
    output: str
    output_state: str
    journal: str | None
    journal_state: JournalState | None
    """What the journal that is there says; None: there is none yet."""

    @property
    def is_refused(self) -> bool:
        """Whether a run would be, by what the journal says."""
        return self.journal_state is not None and self.journal_state.is_refused

    @property
    def cost(self) -> float | None:
        """USD, if the first model answers all; None: its price is not known."""
        return self.models[0].cost


def make_plan(options: RunOptions) -> Plan:
    """Return what a run would do.

    Raises:
        ConfigurationError: it cannot be run.
        JournalError: the journal cannot be read.
    """
    strategy = strategy_of(options)
    system = 0 if options.system is None else len(system_of(options.system))
    journal = absolute(options.journal_file)
    with (
        comparing_with_journal(options, strategy, journal) as look,
        open_checked_input(options, strategy, visit=look.visit) as source,
    ):
        calls, characters = look.calls()
        usage = _usage(calls, characters, system, cached=options.cache)
        state = look.state()
        return Plan(
            options=options,
            source=source.name,
            kind=str(source.kind),
            prompts=len(source),
            bad=source.bad,
            bad_count=source.bad_count,
            wanted=look.wanted,
            calls=calls,
            models=tuple(_planned(step, usage) for step in (strategy.ladder.steps if strategy.ladder else (strategy,))),
            usage=usage,
            system_characters=system,
            output="stdout" if options.output == STREAM else str(absolute(options.output)),
            output_state=_output_state(options, source.identity, state),
            journal=journal,
            journal_state=state,
        )


def _output_state(options: RunOptions, source: os.stat_result, state: JournalState | None) -> str:
    written = None if state is None else state.written
    place = str(Path(options.output).resolve())
    is_resumed = options.output != STREAM and written is not None and written.path == place
    return check_output(options.output, keep={"the input": source}, overwrite=options.overwrite, is_resumed=is_resumed)


def _planned(strategy: LLMCallStrategy[Any], usage: TokenUsage) -> PlannedModel:
    price = known_price(strategy)
    cost = None if price is None else price.of(usage)
    return PlannedModel(name=strategy.model or strategy.quota, quota=strategy.quota, price=price, cost=cost)


def _usage(calls: int, characters: int, system: int, *, cached: bool) -> TokenUsage:
    shared = calls * system // CHARACTERS_PER_TOKEN
    return TokenUsage(
        input_tokens=-(-characters // CHARACTERS_PER_TOKEN) + shared,
        output_tokens=calls * OUTPUT_TOKENS,
        cached_input_tokens=shared if cached else 0,
    )
