"""How a run on a journal begins: with a new one, or where an earlier run has ended.

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

from ..._core.exceptions import JournalChangedError
from ..._core.prompt import content_key
from ...abc import LLMCallStrategy
from ...journal.items import Known
from ...journal.store import Store
from ..asking.options import STREAM, RunOptions
from ..asking.plain import to_data
from ..reading import Input, InputError, Kind, Prompt, digest_of, open_again
from ..reading.inputs import opened
from ..rows.emitter import begin_output_anew
from .differences import Differences

INPUT, OPTIONS = "input", "options"
"""Facts of a journal: what was read, and what was asked."""
_AT_ONCE = 1_000  # items that are noted together
_TOLD_EACH = 100_000  # items that were checked


@attrs.frozen(kw_only=True)
class Noted:
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
    def of(cls, source: Input, options: RunOptions) -> Noted:
        """Describe an input that was checked."""
        return cls(
            name=source.name,
            digest=source.digest.hex(),
            size=source.size,
            kind=str(source.kind),
            asked=asked_of(options),
            count=source.count,
            bad_count=source.bad_count,
            bad=tuple(source.complaints()),
        )


@attrs.frozen(kw_only=True)
class Begun:
    """A run whose items are in the journal."""

    identity: os.stat_result
    """Of the input's file."""
    prompts: Callable[[Callable[[int], bool]], Iterator[Prompt]]
    """Yields the prompts at the positions that are wanted."""
    bad_count: int
    """Lines of the input that cannot be taken."""


def asked_of(options: RunOptions) -> dict[str, Any]:
    """Return the options by which an input is read, as data."""
    names = ("format", "prompt", "limit", "sample")
    return {name: value for name, value in to_data(options).items() if name in names}


def noted_input(store: Any) -> Noted | None:
    """Return the input that a journal was begun, or last gone on, with; None: there was none."""
    try:
        return structure(store.fact(INPUT), Noted)
    except (BaseValidationError, TypeError, ValueError, KeyError):
        return None


def has_noted_bytes(noted: Noted, path: str) -> bool:
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
def begun(
    store: Store, options: RunOptions, strategy: LLMCallStrategy[Any], say: Callable[[str], None]
) -> Iterator[Begun]:
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
    noted = noted_input(store)
    if noted is not None and is_the_same(noted, options) and _is_whole(store, noted, strategy):
        with open_again(options.source, kind=Kind(noted.kind), template=options.prompt) as again:
            _take_note(store, options)
            _tell_bad(noted.bad, say)
            yield Begun(identity=again.identity, prompts=again.prompts, bad_count=noted.bad_count)
        return
    with _checked(store, options, strategy, say) as source:
        _take_note(store, options)
        yield Begun(
            identity=source.identity,
            prompts=lambda wanted: source.prompts(lambda position: not wanted(position)),
            bad_count=source.bad_count,
        )


def is_the_same(noted: Noted, options: RunOptions) -> bool:
    """Whether an input is the one that was noted, as far as can be told without a copy of it."""
    path = options.source
    return path != STREAM and noted.asked == asked_of(options) and has_noted_bytes(noted, path)


def _is_whole(store: Store, noted: Noted, strategy: LLMCallStrategy[Any]) -> bool:
    """Whether the journal has all items of an input, each for this strategy."""
    strategies = {store.items.strategy(strategy.identity)}
    return store.items.count() == noted.count and store.items.strategies() == strategies


@contextmanager
def _checked(
    store: Store, options: RunOptions, strategy: LLMCallStrategy[Any], say: Callable[[str], None]
) -> Iterator[Input]:
    """Check an input, and note its items."""
    with ExitStack() as stack:
        with store.transaction():
            planner = Planner(store, strategy.identity, say)
            source = stack.enter_context(opened(options, strategy, visit=planner.visit))
            changes = planner.end()
            if changes and not options.allow_changes:
                advice = "say --allow-changes to go on with this, or name another --journal to begin anew"
                raise JournalChangedError(store.path, [*changes, advice])
            store.note_fact(INPUT, attrs.asdict(Noted.of(source, options)))
            if changes:
                begin_output_anew(store)
        for change in changes:
            say(change)
        _tell_bad(source.complaints(), say)
        yield source


def _take_note(store: Store, options: RunOptions) -> None:
    """Note what was asked, and forget what is to be run again."""
    with store.transaction():
        store.note_fact(OPTIONS, to_data(options))
        if store.items.forget(map(str, options.retry)):
            begin_output_anew(store)


def _tell_bad(complaints: Iterator[str] | tuple[str, ...] | list[str], say: Callable[[str], None]) -> None:
    for complaint in complaints:
        say(f"passed over: {complaint}")


class Planner:
    """Notes the items of an input, in one transaction: use it in `store.transaction()`.

    Args:
        store: the journal.
        identity: of the strategy that is to answer them.
        say: is told how far it is, where it takes long.
    """

    def __init__(self, store: Store, identity: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self._store = store
        self._say = say
        self._strategy = store.items.strategy(identity)
        self._held: list[Known] = []
        self._seen = 0
        self._known = store.items.count() + store.items.count(gone=True)
        self._differences = Differences()
        store.items.mark_all_gone()

    def visit(self, prompt: Prompt) -> None:
        """Note an item."""
        self._held.append(Known(prompt.id, content_key(prompt.prompt), self._strategy, prompt.position))
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
        for change in self._store.items.note(self._held, accept_changes=True):
            self._differences.take(change)
        before, self._seen = self._seen, self._seen + len(self._held)
        if self._seen // _TOLD_EACH > before // _TOLD_EACH:
            self._say(f"{self._seen:,} prompts are checked")
        self._held.clear()
