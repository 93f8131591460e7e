"""Item registry: registers the items of an input in a journal, and finds what has changed since the run before.

Rules owned here:

1. The items of an input are registered before the first call: all of them, or none.
2. An input with the same bytes as before, read with the same options for the same strategy, has the same items: it is not checked
   again, and only the items without a result are read.
3. Any other input is compared item by item. New items are run: a sample, or an input that has become longer, keeps its results. If
   items are missing or have changed, the run is refused unless changes are allowed. Then changed items are run, and the results of
   missing items stay in the journal but are in no output.
4. The strategy is part of every item: another model or other settings are changes too. If they are allowed, existing results are
   kept, and items without a result are run with the new strategy.
5. Failed items are run again if their kind of fault is to be retried: their results are removed, their cost is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import attrs
from anyio import from_thread

from .._core.exceptions import JournalChangedError
from .._core.prompt import content_key
from .._core.quantity import quantity, verb
from .._core.request import DIALECTS, Request
from ..abc import LLMCallStrategy, LLMWorkItem
from ..files import Input, InputError, InputRecord
from ..journal.inserts import storable
from ..journal.items import ItemRow, ItemTable, RegisteredItem
from ..journal.writer import JournalWriter
from .journal_comparison import Differences, may_dedupe, reading_changes
from .journal_facts import (
    RegisteredInput,
    record_input,
    record_latest_run,
    record_options,
    recorded_input,
    recorded_latest_run,
    restart_output,
)
from .options import RunOptions
from .setup import open_checked_input

_AT_ONCE = 1_000  # items that are registered together
_REPORT_EVERY = 100_000  # items checked between two messages


def render_added(new: int, kept: int) -> str:
    """Return a sentence about items that are added to a journal.

    Args:
        new: Number of new items.
        kept: Number of items that the journal had.
    """
    return f"{quantity(new, 'item')} {verb(new)} added to the {kept:,} of the journal"


@attrs.frozen(kw_only=True)
class RegisteredItems:
    """A run whose items are in the journal."""

    identity: os.stat_result
    """Identity of the input's file."""
    prompts: Callable[[Callable[[int], bool]], Iterator[InputRecord]]
    """Yields the input records at the positions for which the argument is true."""
    bad_count: int
    """Invalid lines of the input."""
    dedupe: bool
    """Whether equal prompts share one call."""
    numbers: range = range(0)
    """The items' numbers in the journal, in the order of the input, if this run has added them to a new journal; otherwise empty."""

    def remembered(
        self, items: Iterable[LLMWorkItem[Any]], table: ItemTable, strategy: int
    ) -> Iterator[LLMWorkItem[Any]]:
        """Yield all items of the input; the table remembers their `numbers`, as to look one up takes 2 us.

        Args:
            items: The items, in the order of the input.
            table: Where they are registered.
            strategy: Number of their strategy.
        """
        numbers = iter(self.numbers)
        for item in items:
            if number := next(numbers, 0):
                table.remember_one(storable(item.item_id), number, strategy)
            yield item


@contextmanager
def register_items(
    store: JournalWriter, options: RunOptions, strategy: LLMCallStrategy[Any], on_message: Callable[[str], None]
) -> Iterator[RegisteredItems]:
    """Open the input of a run, and register its items in the journal.

    Args:
        store: The journal.
        options: Options of the run.
        strategy: Answers the items.
        on_message: Receives sentences about skipped lines, accepted changes and progress.

    Raises:
        InputError: The input cannot be read, has no valid prompt, or has an invalid line while `options.strict` is true.
        JournalChangedError: Items differ from those in the journal, and changes are not allowed.
        JournalError: The journal cannot be written.
    """
    known = recorded_input(store)
    if known is not None and known.is_read_again_by(options) and _has_all_items(store, known, strategy):
        if options.strict and known.bad_count:
            raise InputError("\n".join(known.bad))
        with known.reopened(options.input) as reopened:
            _record_options(store, options)
            _report_bad_lines(known.bad, on_message)
            yield RegisteredItems(
                identity=reopened.identity,
                prompts=reopened.prompts,
                bad_count=known.bad_count,
                dedupe=may_dedupe(options, strategy, has_requests=known.has_requests or known.kind in DIALECTS),
            )
        return
    with _checked_input(store, options, strategy, on_message) as (source, registry):
        _record_options(store, options)
        yield RegisteredItems(
            identity=source.identity,
            prompts=source.prompts,
            bad_count=source.bad_count,
            dedupe=may_dedupe(options, strategy, has_requests=registry.has_requests),
            numbers=registry.numbers,
        )


def render_sharing(shared: int, wanted: int) -> str:
    """Return a sentence about prompts that share a call.

    Args:
        shared: Number of prompts that need no call of their own.
        wanted: Number of prompts to be answered.
    """
    fact = "is the same as another and shares its call" if shared == 1 else "are the same as another and share its call"
    return f"{shared:,} of {quantity(wanted, 'prompt')} {fact}; --no-dedupe calls the model for each"


def _has_all_items(store: JournalWriter, known: RegisteredInput, strategy: LLMCallStrategy[Any]) -> bool:
    """Whether the journal has all items of an input, each for this strategy."""
    strategies = {store.items.strategy_number(strategy.identity)}
    return store.items.count() == known.count and store.items.strategies() == strategies


@contextmanager
def _checked_input(
    store: JournalWriter, options: RunOptions, strategy: LLMCallStrategy[Any], on_message: Callable[[str], None]
) -> Iterator[tuple[Input, ItemRegistry]]:
    """Check an input, and register its items; yield both."""
    with ExitStack() as stack:
        with store.transaction():
            before = recorded_input(store)
            has_lost_items = before is not None and store.items.count() < before.count
            registry = ItemRegistry(store, strategy.identity, on_message)
            source = stack.enter_context(open_checked_input(options, strategy, visit=registry.visit))
            found = registry.finish(reading_changes(before, options))
            if found.changes and not options.allow_changes:
                accepted = f": {found.consequence}" if found.consequence else ""
                advice = f"say --allow-changes to accept this{accepted}; or start again with another --journal"
                raise JournalChangedError(store.path, found.changes, advice=advice)
            record_input(store, RegisteredInput.of(source, options, has_requests=registry.has_requests))
            if found.changes or found.returned or has_lost_items:
                restart_output(store)
        if found.changes:
            on_message("; ".join(filter(None, [*found.changes, found.consequence])))
        if found.new:
            on_message(render_added(found.new, found.kept))
        _report_bad_lines(source.complaints(), on_message)
        for note in source.notes:
            on_message(note)
        yield source, registry


def _record_options(store: JournalWriter, options: RunOptions) -> None:
    """Record the options, and remove the results of items that are to be run again.

    Those are the ones that failed with a kind of `options.retry`; and if all calls of the latest run failed alike, so that it was stopped, the
    ones that failed so in that run. An empty `options.retry` keeps all results.
    """
    with store.transaction():
        record_options(store, options)
        removed = store.items.delete_results(map(str, options.retry))
        latest = recorded_latest_run(store)
        if options.retry and latest is not None and latest.systematic:
            removed += store.items.delete_results(map(str, latest.systematic), run=latest.run)
            record_latest_run(store, attrs.evolve(latest, systematic=()))
        if removed:
            restart_output(store)


def _report_bad_lines(complaints: Iterable[str], on_message: Callable[[str], None]) -> None:
    for complaint in complaints:
        on_message(f"skipped: {complaint}")


@attrs.frozen(kw_only=True)
class RegistryChanges:
    """What differs between an input and the journal that it was registered in."""

    changes: tuple[str, ...]
    """What must be allowed, a sentence each."""
    consequence: str
    """What is paid for if it is allowed, as the end of a sentence; empty: nothing is."""
    new: int
    """Items that the journal did not have; 0 for a new journal."""
    returned: int
    """Items that were missing in the input of the run before and are in this one."""
    kept: int
    """Items that the journal had and the input has."""


class ItemRegistry:
    """Registers the items of an input, in one transaction: use it within `store.transaction()`.

    Args:
        store: The journal.
        identity: Identity of the strategy that answers the items.
        on_message: Receives the number of items checked, from time to time.
    """

    def __init__(self, store: JournalWriter, identity: Mapping[str, Any], on_message: Callable[[str], None]) -> None:
        self.has_requests: bool = False
        """Whether a request in a provider's form was registered."""
        self.numbers: range = range(0)
        """After `finish`: see `RegisteredItems`."""
        self._store = store
        self._on_message = on_message
        self._strategy = store.items.strategy_number(identity)
        self._rows: list[ItemRow] = []
        self._checked = 0
        self._gone = store.items.count(gone=True)
        self._known = store.items.count() + self._gone
        self._differences = Differences()
        store.items.mark_all_gone()
        if not self._known:
            store.items.contents.drop_index()

    def visit(self, prompt: InputRecord) -> None:
        """Register an item."""
        self.has_requests |= isinstance(prompt.prompt, Request)
        self._rows.append((storable(prompt.id), content_key(prompt.prompt), self._strategy, prompt.position))
        if len(self._rows) == _AT_ONCE:
            self._flush()

    def finish(self, reading: Mapping[str, str]) -> RegistryChanges:
        """Register the remaining items; return what has changed since the run before.

        Args:
            reading: What was different when the input was read: see `reading_changes`.
        """
        self._flush()
        if (
            not self._known and self._store.items.count() == self._checked
        ):  # none was ignored, so they have one number after another
            last = self._store.items.last_number()
            self.numbers = range(last - self._checked + 1, last + 1)
        self._store.items.contents.create_index()
        missing = self._store.items.finish_marking()
        gone, present = self._store.items.count(gone=True), self._store.items.count()
        new = present + gone - self._known
        return RegistryChanges(
            changes=tuple(self._differences.sentences(gone=gone - missing, reading=reading)),
            consequence=self._differences.consequence(),
            new=new if self._known else 0,
            returned=self._gone - missing,
            kept=present - new,
        )

    def _flush(self) -> None:
        with suppress(RuntimeError):  # outside a worker thread of `run_async`
            from_thread.check_cancelled()
        items, rows = self._store.items, self._rows
        if items.add(rows) < len(rows):
            for change in items.compare([RegisteredItem(*row) for row in rows], accept_changes=True):
                self._differences.add(change)
        before, self._checked = self._checked, self._checked + len(rows)
        if self._checked // _REPORT_EVERY > before // _REPORT_EVERY:
            self._on_message(f"{quantity(self._checked, 'prompt')} {verb(self._checked)} checked")
        rows.clear()
