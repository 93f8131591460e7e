"""Dry run: what a run would do and what it might cost, without a call and without writing anything.

Rules owned here:

1. Everything is checked that a run checks before its first call: the options, the models, the input to its last line, the output.
2. The journal is compared as by a run (see `item_registry`), without its lock. Memory does not grow with the input: the prompts seen
   are kept in a temporary file.
3. An estimate states its assumptions. Input tokens follow from the length of the prompts; output tokens per answer are assumed.
4. A cost is estimated if the price is known. On a ladder it is the cost of the first model for every call; for each further model
   it is what the calls would cost if all of them moved up to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import attrs

from .._core.accounting import Price
from .._core.prompt import characters_of, content_key
from .._core.request import Request
from .._core.usage import TokenUsage
from ..abc import LLMCallStrategy
from ..files import BadLine, InputRecord
from ..files.output import OutputState, check_output
from ..files.seen_set import SeenSet
from ..files.types import STREAM
from ..journal.items import ItemChange
from ..journal.reader import Counts, JournalReader, KnownItem
from ..llm_strategies.prices import known_price
from .item_registry import Differences, may_dedupe, reading_changes
from .journal_facts import WrittenOutput, recorded_input, recorded_latest_run, recorded_output
from .model_of_input import with_model
from .options import RunOptions
from .options_data import absolute
from .setup import check_files, open_checked_input, strategy_of, system_of

CHARACTERS_PER_TOKEN = 4
"""Characters of a prompt per token: the usual mean for English text."""
OUTPUT_TOKENS = 200
"""Output tokens per answer: an assumption, as nothing is known before the first answer."""
_AT_ONCE = 500  # prompts that are looked up together


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


@attrs.frozen(kw_only=True)
class PlannedModel:
    """A model that may be called."""

    name: str
    """Name of the model; of a model without one, its quota."""
    quota: str
    """Name of the lane."""
    server: str | None
    """Where it is called, without credentials; None: unknown, or it is simulated."""
    price: Price | None
    """None: unknown."""
    cost: float | None
    """USD if this model made all the calls; None: the price is unknown."""


@attrs.frozen(kw_only=True)
class RunPlan:
    """What a run would do."""

    options: RunOptions
    """Options of the run."""
    source: str
    """Name of the input."""
    kind: str
    """Format of the input, an `InputKind`."""
    prompts: int
    """Valid prompts of the input."""
    bad: tuple[BadLine, ...]
    """The first invalid lines."""
    bad_count: int
    """Invalid lines."""
    notes: tuple[str, ...] = ()
    """Sentences about how the input was read, such as that its records are identified by numbers."""
    example: str | None = None
    """The first prompt as it is sent, of a request in a provider's format as JSON; None: the input has none, or it is not a text."""
    wanted: int
    """Prompts to be answered: those without a result, and those that are run again."""
    calls: int
    """Calls for these: fewer if equal prompts share one."""
    repeats: int
    """Prompts among these that are the same as another, whether they share its call or not."""
    models: tuple[PlannedModel, ...]
    """The models, in the order in which they are called."""
    usage: TokenUsage
    """Tokens, estimated."""
    system_characters: int
    """Characters of the system instruction."""
    output: str
    """Absolute path of the output, or `stdout`."""
    output_state: OutputState
    """What happens to the output."""
    journal: str | None
    """Absolute path of the journal; None: the run has none."""
    journal_state: JournalState | None
    """What the existing journal means for the run; None: it does not exist yet."""

    @property
    def is_refused(self) -> bool:
        """Whether a run would be refused because of the journal."""
        return self.journal_state is not None and self.journal_state.is_refused

    @property
    def cost(self) -> float | None:
        """USD, estimated, if the first model answers everything; None: its price is unknown."""
        return self.models[0].cost


def plan(options: RunOptions) -> RunPlan:
    """Return what a run would do. Blocks; calls nothing and writes nothing.

    Raises:
        ConfigurationError: The run cannot start: an option, a model, the input or the output is wrong.
        JournalError: The journal cannot be read.
    """
    options = with_model(options)
    check_files(options)
    strategy = strategy_of(options)
    system = 0 if options.system is None else len(system_of(options.system))
    journal = absolute(options.journal_file)
    with (
        comparing_with_journal(options, strategy, journal) as comparison,
        open_checked_input(options, strategy, visit=comparison.visit) as source,
    ):
        calls, characters = comparison.calls()
        repeats = comparison.wanted - len(comparison)
        usage = _usage(calls, characters, system, cached=options.cache)
        state = comparison.state()
        return RunPlan(
            options=options,
            source=source.name,
            kind=str(source.kind),
            prompts=len(source),
            bad=source.bad,
            bad_count=source.bad_count,
            notes=source.notes,
            example=comparison.example,
            wanted=comparison.wanted,
            calls=calls,
            repeats=repeats,
            models=tuple(_planned(step, usage) for step in (strategy.ladder.steps if strategy.ladder else (strategy,))),
            usage=usage,
            system_characters=system,
            output="stdout" if options.output == STREAM else str(absolute(options.output)),
            output_state=_output_state(options, source.identity, state),
            journal=journal,
            journal_state=state,
        )


def _output_state(options: RunOptions, source: os.stat_result, state: JournalState | None) -> OutputState:
    written = None if state is None else state.written
    is_resumed = written is not None and written.is_at(options.output)
    return check_output(options.output, keep={"the input": source}, overwrite=options.overwrite, is_resumed=is_resumed)


def _planned(strategy: LLMCallStrategy[Any], usage: TokenUsage) -> PlannedModel:
    price = known_price(strategy)
    cost = None if price is None else price.of(usage)
    return PlannedModel(
        name=strategy.model or strategy.quota, quota=strategy.quota, server=strategy.server, price=price, cost=cost
    )


def _usage(calls: int, characters: int, system: int, *, cached: bool) -> TokenUsage:
    shared = calls * system // CHARACTERS_PER_TOKEN
    return TokenUsage(
        input_tokens=-(-characters // CHARACTERS_PER_TOKEN) + shared,
        output_tokens=calls * OUTPUT_TOKENS,
        cached_input_tokens=shared if cached else 0,
    )


class JournalComparison:
    """Counts the calls of a run; made by `comparing_with_journal`.

    Args:
        options: Options of the run.
        strategy: Answers the prompts.
        reader: Reads the journal; None: it does not exist yet.
        seen: Holds the contents of the prompts that need a call, with their lengths in characters.
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
        self._characters = 0
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

    def calls(self) -> tuple[int, int]:
        """Return the number of calls, and the number of characters of their prompts."""
        self._flush()
        if self._dedupes:
            return len(self._seen), self._seen.total()
        return self.wanted, self._characters

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
        self._characters += sum(characters_of(prompt.prompt) or 0 for prompt, _ in missing)
        answered = self._answered([content for _, content in missing])
        for prompt, content in missing:
            if content not in answered:
                self._seen.add(content, characters_of(prompt.prompt) or 0)

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
