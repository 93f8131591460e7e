"""What has changed since a journal was begun, in sentences: the same for a run, which asks whether it may go on, and for its plan.

How a run on a journal begins: with a new one, or where an earlier run has ended.

Rules owned here:

1. The items of an input are noted in the journal before the first call: all of them, or none.
2. An input that is byte for byte the one of before, read in the same way for the same strategy, has the same items: it is not
   checked again, and only what is missing is read.
3. Another input is compared item by item. What is new, gone or changed is told, and refused unless it is accepted. Then new and
   changed items are run, and the results of those that are gone stay in the journal, but are in no output.
4. The strategy is part of every item: another model or other settings are changes too. If they are accepted, the results that
   are there stand, and what is missing is run as it is asked for now.
5. Failed items are run again as far as they are asked for: their results are forgotten, what they cost is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs
from cattrs import structure
from cattrs.errors import BaseValidationError

from .._core.exceptions import JournalChangedError
from .._core.prompt import content_key
from ..abc import LLMCallStrategy
from ..files import Input, InputError, InputKind, InputRecord, digest_of, reopen_input
from ..files.types import STREAM
from ..journal.items import ItemChange, RegisteredItem
from ..journal.writer import JournalWriter
from .journal_output import restart_output
from .options import RunOptions
from .options_data import FORMER_NAMES, to_data
from .setup import open_checked_input

_SHOWN = 10  # changed prompts that are told one by one


@attrs.define
class Differences:
    """Collects changes; few of them are held, however many there are."""

    _prompts: list[str] = attrs.field(factory=list)
    _changed: int = 0
    _settings: dict[str, None] = attrs.field(factory=dict)

    def take(self, change: ItemChange) -> None:
        """Take one change."""
        if not change.content:
            self._settings |= dict.fromkeys(change.strategy_changes)
            return
        self._changed += 1
        if len(self._prompts) < _SHOWN:
            self._prompts.append(str(change))

    def told(self, *, new: int, gone: int) -> list[str]:
        """Return a sentence for each, but for prompts that are many.

        Args:
            new: items that the journal did not know.
            gone: items that the input has no longer.
        """
        more = self._changed - len(self._prompts)
        told = [*self._settings, *self._prompts]
        told += [f"and {more:,} more prompts have changed"] if more else []
        told += [f"{new:,} items of the input are new"] if new else []
        told += [f"{gone:,} items that it was begun with are not in the input"] if gone else []
        return told


INPUT, OPTIONS = "input", "options"
"""Facts of a journal: what was read, and what was asked."""
_AT_ONCE = 1_000  # items that are noted together
_REPORT_EVERY = 100_000  # items that were checked


@attrs.frozen(kw_only=True)
class RegisteredInput:
    """An input whose items are in the journal, and how it was read."""

    name: str
    digest: str
    """Of the bytes that were looked at, in hexadecimal digits."""
    size: int
    """These bytes."""
    kind: str
    asked: Mapping[str, Any]
    """The options by which it was read."""
    count: int
    """Good prompts."""
    bad_count: int
    bad: tuple[str, ...]
    """Sentences about the first lines that cannot be taken."""

    @classmethod
    def of(cls, source: Input, options: RunOptions) -> RegisteredInput:
        """Describe an input that was checked."""
        return cls(
            name=source.name,
            digest=source.digest.hex(),
            size=source.size,
            kind=str(source.kind),
            asked=reading_options(options),
            count=source.count,
            bad_count=source.bad_count,
            bad=tuple(source.complaints()),
        )


@attrs.frozen(kw_only=True)
class RegisteredItems:
    """A run whose items are in the journal."""

    identity: os.stat_result
    """Of the input's file."""
    prompts: Callable[[Callable[[int], bool]], Iterator[InputRecord]]
    """Yields the prompts at the positions that are wanted."""
    bad_count: int
    """Lines of the input that cannot be taken."""


def reading_options(options: RunOptions) -> dict[str, Any]:
    """Return the options by which an input is read, as data."""
    names = ("input_format", "prompt", "limit", "sample")
    return {name: value for name, value in to_data(options).items() if name in names}


def registered_input(store: Any) -> RegisteredInput | None:
    """Return the input that a journal was begun, or last gone on, with; None: there was none."""
    try:
        noted = structure(store.fact(INPUT), RegisteredInput)
    except (BaseValidationError, TypeError, ValueError, KeyError):
        return None
    asked = {FORMER_NAMES.get(name, name): value for name, value in noted.asked.items()}
    return attrs.evolve(noted, asked=asked)


def has_registered_bytes(noted: RegisteredInput, path: str) -> bool:
    """Whether a file holds the bytes of the input that was noted, as far as these were looked at.

    Raises:
        InputError: it cannot be read.
    """
    if not os.path.isfile(path) and os.path.exists(path):  # noqa: PTH110, PTH113 - texts
        return False
    try:
        whole = noted.asked.get("limit") is not None or os.path.getsize(path) == noted.size  # noqa: PTH202 - a text
        digest = digest_of(path, noted.size) if whole else None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    return digest is not None and digest.hex() == noted.digest


@contextmanager
def register_items(
    store: JournalWriter, options: RunOptions, strategy: LLMCallStrategy[Any], say: Callable[[str], None]
) -> Iterator[RegisteredItems]:
    """Open the input of a run, and note its items in the journal.

    Args:
        store: the journal.
        options: of the run.
        strategy: that is to answer.
        say: is told what the user should know.

    Raises:
        InputError: it cannot be read, or has nothing that can be run.
        JournalChangedError: it is not what the journal was begun with, and that is not accepted.
        JournalError: the journal cannot be written.
    """
    noted = registered_input(store)
    if noted is not None and is_unchanged(noted, options) and _is_complete(store, noted, strategy):
        with reopen_input(options.input, kind=InputKind(noted.kind), template=options.prompt) as again:
            _record_options(store, options)
            _report_bad_lines(noted.bad, say)
            yield RegisteredItems(identity=again.identity, prompts=again.prompts, bad_count=noted.bad_count)
        return
    with _checked(store, options, strategy, say) as source:
        _record_options(store, options)
        yield RegisteredItems(
            identity=source.identity,
            prompts=source.prompts,
            bad_count=source.bad_count,
        )


def is_unchanged(noted: RegisteredInput, options: RunOptions) -> bool:
    """Whether an input is the one that was noted, as far as can be told without a copy of it."""
    path = options.input
    return path != STREAM and noted.asked == reading_options(options) and has_registered_bytes(noted, path)


def _is_complete(store: JournalWriter, noted: RegisteredInput, strategy: LLMCallStrategy[Any]) -> bool:
    """Whether the journal has all items of an input, each for this strategy."""
    strategies = {store.items.strategy_number(strategy.identity)}
    return store.items.count() == noted.count and store.items.strategies() == strategies


@contextmanager
def _checked(
    store: JournalWriter, options: RunOptions, strategy: LLMCallStrategy[Any], say: Callable[[str], None]
) -> Iterator[Input]:
    """Check an input, and note its items."""
    with ExitStack() as stack:
        with store.transaction():
            planner = ItemRegistry(store, strategy.identity, say)
            source = stack.enter_context(open_checked_input(options, strategy, visit=planner.visit))
            changes = planner.end()
            if changes and not options.allow_changes:
                advice = "say --allow-changes to go on with this, or name another --journal to begin anew"
                raise JournalChangedError(store.path, [*changes, advice])
            store.set_fact(INPUT, attrs.asdict(RegisteredInput.of(source, options)))
            if changes:
                restart_output(store)
        for change in changes:
            say(change)
        _report_bad_lines(source.complaints(), say)
        yield source


def _record_options(store: JournalWriter, options: RunOptions) -> None:
    """Note what was asked, and forget what is to be run again."""
    with store.transaction():
        store.set_fact(OPTIONS, to_data(options))
        if store.items.delete_results(map(str, options.retry)):
            restart_output(store)


def _report_bad_lines(complaints: Iterator[str] | tuple[str, ...] | list[str], say: Callable[[str], None]) -> None:
    for complaint in complaints:
        say(f"passed over: {complaint}")


class ItemRegistry:
    """Notes the items of an input, in one transaction: use it in `store.transaction()`.

    Args:
        store: the journal.
        identity: of the strategy that is to answer them.
        say: is told how far it is, where it takes long.
    """

    def __init__(self, store: JournalWriter, identity: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self._store = store
        self._say = say
        self._strategy = store.items.strategy_number(identity)
        self._held: list[RegisteredItem] = []
        self._seen = 0
        self._known = store.items.count() + store.items.count(gone=True)
        self._differences = Differences()
        store.items.mark_all_gone()

    def visit(self, prompt: InputRecord) -> None:
        """Note an item."""
        self._held.append(RegisteredItem(prompt.id, content_key(prompt.prompt), self._strategy, prompt.position))
        if len(self._held) == _AT_ONCE:
            self._flush()

    def end(self) -> list[str]:
        """Note what is left; return what has changed since the journal was begun, a sentence each."""
        self._flush()
        if not self._known:
            return []
        gone = self._store.items.count(gone=True)
        new = self._store.items.count() + gone - self._known
        return self._differences.told(new=new, gone=gone)

    def _flush(self) -> None:
        for change in self._store.items.register(self._held, accept_changes=True):
            self._differences.take(change)
        before, self._seen = self._seen, self._seen + len(self._held)
        if self._seen // _REPORT_EVERY > before // _REPORT_EVERY:
            self._say(f"{self._seen:,} prompts are checked")
        self._held.clear()
