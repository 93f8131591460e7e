"""Item registry: registers the items of an input in a journal, and finds what has changed since the run before.

Rules owned here:

1. The items of an input are registered before the first call: all of them, or none.
2. An input with the same bytes as before, read with the same options for the same strategy, has the same items: it is not checked
   again, and only the items without a result are read.
3. Any other input is compared item by item. New, missing and changed items are reported, and the run is refused unless changes are
   allowed. Then new and changed items are run, and the results of missing items stay in the journal but are in no output.
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
from ..abc import LLMCallStrategy
from ..files import Input, InputError, InputRecord
from ..journal.items import ItemChange, RegisteredItem
from ..journal.writer import JournalWriter
from .journal_facts import RegisteredInput, record_input, record_options, recorded_input, restart_output
from .options import RunOptions
from .setup import open_checked_input

_SHOWN = 10  # changed prompts that are described one by one
_AT_ONCE = 1_000  # items that are registered together
_REPORT_EVERY = 100_000  # items checked between two messages


@attrs.define
class Differences:
    """Collects changes in bounded memory, however many there are."""

    _prompts: list[str] = attrs.field(factory=list)
    _changed: int = 0
    _settings: dict[str, None] = attrs.field(factory=dict)

    def add(self, change: ItemChange) -> None:
        """Add one change."""
        if not change.content:
            self._settings |= dict.fromkeys(change.strategy_changes)
            return
        self._changed += 1
        if len(self._prompts) < _SHOWN:
            self._prompts.append(str(change))

    def sentences(self, *, new: int, gone: int) -> list[str]:
        """Return a sentence for each change; of changed prompts, only the first are described.

        Args:
            new: Number of items that the journal did not have.
            gone: Number of items that the input no longer has.
        """
        more = self._changed - len(self._prompts)
        sentences = [*self._settings, *self._prompts]
        sentences += [f"and {more:,} more prompts have changed"] if more else []
        sentences += [f"{new:,} items of the input are new"] if new else []
        sentences += [f"{gone:,} items of the journal are no longer in the input"] if gone else []
        return sentences


@attrs.frozen(kw_only=True)
class RegisteredItems:
    """A run whose items are in the journal."""

    identity: os.stat_result
    """Identity of the input's file."""
    prompts: Callable[[Callable[[int], bool]], Iterator[InputRecord]]
    """Yields the input records at the positions for which the argument is true."""
    bad_count: int
    """Invalid lines of the input."""


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
            yield RegisteredItems(identity=reopened.identity, prompts=reopened.prompts, bad_count=known.bad_count)
        return
    with _checked_input(store, options, strategy, on_message) as source:
        _record_options(store, options)
        yield RegisteredItems(
            identity=source.identity,
            prompts=source.prompts,
            bad_count=source.bad_count,
        )


def _has_all_items(store: JournalWriter, known: RegisteredInput, strategy: LLMCallStrategy[Any]) -> bool:
    """Whether the journal has all items of an input, each for this strategy."""
    strategies = {store.items.strategy_number(strategy.identity)}
    return store.items.count() == known.count and store.items.strategies() == strategies


@contextmanager
def _checked_input(
    store: JournalWriter, options: RunOptions, strategy: LLMCallStrategy[Any], on_message: Callable[[str], None]
) -> Iterator[Input]:
    """Check an input, and register its items."""
    with ExitStack() as stack:
        with store.transaction():
            registry = ItemRegistry(store, strategy.identity, on_message)
            source = stack.enter_context(open_checked_input(options, strategy, visit=registry.visit))
            changes = registry.finish()
            if changes and not options.allow_changes:
                advice = "say --allow-changes to accept this, or start again with another --journal"
                raise JournalChangedError(store.path, changes, advice=advice)
            record_input(store, RegisteredInput.of(source, options))
            if changes:
                restart_output(store)
        for change in changes:
            on_message(change)
        _report_bad_lines(source.complaints(), on_message)
        yield source


def _record_options(store: JournalWriter, options: RunOptions) -> None:
    """Record the options, and remove the results of items that are to be run again."""
    with store.transaction():
        record_options(store, options)
        if store.items.delete_results(map(str, options.retry)):
            restart_output(store)


def _report_bad_lines(complaints: Iterable[str], on_message: Callable[[str], None]) -> None:
    for complaint in complaints:
        on_message(f"skipped: {complaint}")


class ItemRegistry:
    """Registers the items of an input, in one transaction: use it within `store.transaction()`.

    Args:
        store: The journal.
        identity: Identity of the strategy that answers the items.
        on_message: Receives the number of items checked, from time to time.
    """

    def __init__(self, store: JournalWriter, identity: Mapping[str, Any], on_message: Callable[[str], None]) -> None:
        self._store = store
        self._on_message = on_message
        self._strategy = store.items.strategy_number(identity)
        self._items: list[RegisteredItem] = []
        self._checked = 0
        self._known = store.items.count() + store.items.count(gone=True)
        self._differences = Differences()
        store.items.mark_all_gone()

    def visit(self, prompt: InputRecord) -> None:
        """Register an item."""
        self._items.append(RegisteredItem(prompt.id, content_key(prompt.prompt), self._strategy, prompt.position))
        if len(self._items) == _AT_ONCE:
            self._flush()

    def finish(self) -> list[str]:
        """Register the remaining items; return a sentence for each change since the run before."""
        self._flush()
        if not self._known:
            return []
        gone = self._store.items.count(gone=True)
        new = self._store.items.count() + gone - self._known
        return self._differences.sentences(new=new, gone=gone)

    def _flush(self) -> None:
        with suppress(RuntimeError):  # outside a worker thread of `run_async`
            from_thread.check_cancelled()
        for change in self._store.items.register(self._items, accept_changes=True):
            self._differences.add(change)
        before, self._checked = self._checked, self._checked + len(self._items)
        if self._checked // _REPORT_EVERY > before // _REPORT_EVERY:
            self._on_message(f"{self._checked:,} prompts are checked")
        self._items.clear()
