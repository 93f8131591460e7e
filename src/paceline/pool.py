"""Pool: single calls and batches, at once and from any number of tasks, at the pace that their providers allow."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import wraps
from itertools import count
from os import PathLike
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar
from uuid import uuid4

from anyio.lowlevel import checkpoint

from ._core.budget import Budget
from ._core.config import ProcessorConfig, refuse_settings, with_budget
from ._core.exceptions import ConfigurationError
from ._core.fault import POOL_DRAINED
from ._core.pace import PaceController, PaceKnowledge
from ._core.prompt import Media
from ._core.queue.waiting_room import RoomLimits
from ._core.request import Request
from ._core.results import BatchResult, WorkItemResult
from ._engine.calls.hooks import Hooks
from ._engine.customers.intake import Intake
from ._engine.lanes.learned import NewPace
from ._engine.lanes.statistics import ProcessorStatistics
from ._engine.pool import NO_KNOWLEDGE
from ._engine.pool import Pool as _Pool
from ._engine.results.delivery import ResultStream
from ._prompt_intake import Prompts, intake_of
from .abc import BaseObserver, Journal, LLMCallStrategy, LLMWorkItem, Middleware
from .processor import as_journal
from .progress import ProgressOption, hook_of

T = TypeVar("T")
_P = ParamSpec("_P")
_R = TypeVar("_R")

INTERACTIVE = 1
"""Priority of single calls, unless they have another."""
BACKGROUND = 0
"""Priority of batches, unless they have another."""


def _explains_settings(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function say where a setting goes that was passed as an argument of its own."""

    @wraps(function)
    def call(*args: _P.args, **options: _P.kwargs) -> _R:
        refuse_settings(options)
        return function(*args, **options)

    return call


@_explains_settings
def open_pool(  # noqa: PLR0913 - all have good defaults
    config: ProcessorConfig | None = None,
    *,
    journal: Journal | str | PathLike[str] | None = None,
    middlewares: Sequence[Middleware] = (),
    observers: Sequence[BaseObserver] = (),
    pace: NewPace = PaceController,
    knowledge: Mapping[str, PaceKnowledge] = NO_KNOWLEDGE,
    budget: Budget | None = None,
    max_waiting: int = 10_000,
    max_waiting_bytes: int = 256_000_000,
) -> Pool:
    """Return a pool, to be entered with `async with`. It is ready on entry.

        async with open_pool() as pool:
            result = await pool.call(strategy, "Classify: ...", timeout=20)

    Leaving the block waits for what runs; leaving it by an exception, or being cancelled, cancels what runs. Afterwards, and never
    before, strategies are cleaned up and the journal is closed. The block must be entered and left in the same task.

    Args:
        config: Settings; `deadline` concerns each batch. Assigning to a field takes effect at once, from any thread. None: the defaults.
        journal: Path of a journal file, or a `paceline.journal.SqliteJournal`. Every result is committed before it is handed over.
        middlewares: Middlewares, outermost first; they see the items of batches and of single calls.
        observers: Observers, each of which receives every event.
        pace: Function that creates the rate controller of a new quota key, from what is known of the quota or None.
        knowledge: What is known of quotas, by quota key, from an earlier `knowledge()`.
        budget: Cap on what all calls of the pool cost, in place of `ProcessorConfig(budget=...)`; None: that of `config`.
        max_waiting: Single calls that may wait for their turn at once; one more raises `Busy`.
        max_waiting_bytes: Bytes that the prompts of these calls may take in memory, all together: a text takes one for each Latin character,
            and two or four otherwise; media take those of their content.

    Raises:
        ConfigurationError: A middleware, an observer or the journal is of another type, or a number is out of its bounds.
        JournalError: On entering: the journal cannot be written, another process writes it, or the file is not a journal.
    """
    config = with_budget(config, budget)
    room = RoomLimits(max_waiting, max_waiting_bytes)
    hooks = Hooks(config, middlewares, observers)
    return Pool(_Pool(config, hooks, pace, knowledge, as_journal(journal), room))


class Pool:
    """Lanes, prepared strategies and a pace that single calls and batches share. Made by `open_pool`.

    Calls of a lane start in this order: the highest priority goes first, while each lower one that waits keeps 5 % of the calls; tenants
    of one priority take turns, and so do the batches of one tenant. No customer starves.

    All methods must be called in the event loop that entered the pool, except for those that say "from any thread".
    """

    def __init__(self, pool: Any) -> None:
        self._pool: _Pool = pool
        self._numbers = count(1)
        self._prefix = f"call-{uuid4().hex[:12]}" if pool.has_journal else "call"

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        self._pool.keep_only_what_is_used()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(kind, error, traceback)

    @property
    def config(self) -> ProcessorConfig:
        """The settings; assigning to one of its fields takes effect at once, from any thread."""
        return self._pool.config

    async def call(  # noqa: PLR0913 - all have good defaults
        self,
        strategy: LLMCallStrategy[T],
        prompt: str | Sequence[str | Media] | Request,
        *,
        timeout: float | None = None,
        priority: int = INTERACTIVE,
        tenant: str = "",
        item_id: str | None = None,
        context: Any = None,
    ) -> WorkItemResult[T]:
        """Answer one prompt, and return its result: an output, or a fault. `result.unwrap()` returns the output or raises.

        Any number of tasks may call at once. The call is made by the calling task, so that it has its context variables and its
        cancel scopes, also when it is repeated. Cancelling withdraws an item that waits, and cancels a call in flight.

        Args:
            strategy: Strategy that answers; prepared once while anybody uses it.
            prompt: Prompt.
            timeout: Seconds from now to the result, waits and repeated calls included; then the result has a fault of the kind `TIMEOUT`.
                None: as long as it takes.
            priority: Higher goes first.
            tenant: For whom the call is made; tenants of one priority take turns.
            item_id: Id of the result, and in the journal; None: one that the pool makes: `call-1`, `call-2`, ..., with a journal
                `call-3f09b2c41d7e-1`, ..., which no other pool makes. If the journal has a result with this id, it is returned.
            context: Any value; the result has it too.

        Raises:
            Busy: Nothing was sent; answer 503 with its `retry_after`. Too many calls wait; or at the pace measured lately the answer would come
                only after `timeout`; or no call of the strategy is made for a while, as its key was denied or its quota is exhausted;
                or the pool was drained or is being left.
            BudgetError: The pool's budget is used up; nothing was sent.
            ConfigurationError: `timeout` is not a number of seconds above 0.
            InvalidWorkItemError: `strategy` or `prompt` is of another type.
            MisuseError: The pool is not open, or belongs to another event loop; or it has a journal, and a call with this `item_id` is in
                progress.
            JournalChangedError: The journal has this `item_id` with another prompt or strategy.
            JournalError: The journal failed; an UnsavedError has the result.
        """
        await checkpoint()
        return await self._call(strategy, prompt, item_id, context, timeout=timeout, priority=priority, tenant=tenant)

    def _call(
        self, strategy: LLMCallStrategy[T], prompt: Any, item_id: str | None, context: Any, **options: Any
    ) -> Awaitable[WorkItemResult[T]]:
        """Return what makes a call. Not in `call`: a hundred thousand may wait, and each would keep what is made here."""
        timeout: object = options["timeout"]
        if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
            raise ConfigurationError(f"timeout must be a number of seconds above 0, or None, not {timeout!r}")
        name = f"{self._prefix}-{next(self._numbers)}" if item_id is None else item_id
        return self._pool.call(LLMWorkItem(name, strategy, prompt, context), **options)

    async def process_prompts(  # noqa: PLR0913 - all have good defaults
        self,
        strategy: LLMCallStrategy[T],
        prompts: Prompts,
        *,
        name: str = "",
        priority: int = BACKGROUND,
        tenant: str = "",
        progress: ProgressOption = None,
    ) -> BatchResult[T]:
        """Answer every prompt as one batch, and return all results. Several batches may run at once.

        The other arguments and the exceptions are those of `paceline.process_prompts`; `priority` and `tenant` are those of `call`.
        Cancelling it cancels the calls in flight and returns no results. After `drain` the other items are `PENDING`: of a sequence all of them,
        of an iterator or async iterator those that were read.

        Args:
            strategy: Strategy that answers all prompts.
            prompts: Prompts.
            name: Name of the batch, with which the ids of its items begin: `nightly/0`, `nightly/1`, ... Batches that share a journal need
                different names: for the same id, the journal has the same item.
            priority: Higher goes first.
            tenant: For whom the calls are made.
            progress: As for `paceline.process_prompts`. Items, tokens and cost are those of this batch; the pace, the limit and the budget
                those of the pool.
        """
        intake = intake_of(strategy, prompts, name)
        return await self._pool.collect(intake, priority=priority, tenant=tenant, progress=hook_of(progress)[0])

    async def process(
        self,
        items: Iterable[LLMWorkItem[T]] | AsyncIterable[LLMWorkItem[T]],
        *,
        priority: int = BACKGROUND,
        tenant: str = "",
        progress: ProgressOption = None,
    ) -> BatchResult[T]:
        """Run work items, which may have different strategies, as one batch, and return all results.

        Raises:
            InvalidWorkItemError: `items` is a sequence with a member that cannot be run.
            SourceError: `items` raised; the error has the batch.
            JournalError: The journal cannot be used; an UnsavedError has the results that it could not store.
        """
        hook, _ = hook_of(progress)
        return await self._pool.collect(Intake(items), priority=priority, tenant=tenant, progress=hook)

    def stream(  # noqa: PLR0913 - all have good defaults
        self,
        strategy: LLMCallStrategy[T],
        prompts: Prompts,
        *,
        name: str = "",
        priority: int = BACKGROUND,
        tenant: str = "",
        progress: ProgressOption = None,
    ) -> AbstractAsyncContextManager[ResultStream[T]]:
        """Answer every prompt as one batch, and hand over each result when it is complete.

            async with pool.stream(strategy, prompts) as results:
                async for result in results: ...

        The arguments and exceptions are those of `paceline.open_stream`; `name`, `priority`, `tenant` and `progress` are those of `process_prompts`.
        """
        intake = intake_of(strategy, prompts, name)
        return self._pool.stream(intake, priority=priority, tenant=tenant, progress=hook_of(progress)[0])

    def stream_items(
        self,
        items: Iterable[LLMWorkItem[T]] | AsyncIterable[LLMWorkItem[T]],
        *,
        priority: int = BACKGROUND,
        tenant: str = "",
        progress: ProgressOption = None,
    ) -> AbstractAsyncContextManager[ResultStream[T]]:
        """Run work items, which may have different strategies, as one batch, and hand over each result when it is complete: see `stream`."""
        hook, _ = hook_of(progress)
        return self._pool.stream(Intake(items), priority=priority, tenant=tenant, progress=hook)

    def drain(self, reason: str = POOL_DRAINED) -> None:
        """Finish what was accepted and take no more, as a service does at SIGTERM. From any thread. Until the pool is left:

        - Single calls that wait or are in flight are answered, within their timeouts; new ones raise `Busy`.
        - Batches and streams that run start no more calls. Calls in flight finish, and the other items are `PENDING`: of a sequence all of
          them, of an iterator or async iterator those that were read; nothing more is read from it.
        - Batches and streams that begin later make no call: they end at once, with all items of a sequence `PENDING` (with a journal, except
          those whose results it has), and none of an iterator. Code that runs one batch after the other ends when `batch.stopped` is not None.

        A second `drain` changes nothing.

        Args:
            reason: Message of the pending items' faults, and of `batch.stopped`.
        """
        self._pool.take_no_more(reason)

    def pause(self) -> None:
        """Start no calls until `resume`: those in flight finish, and what waits keeps its place. From any thread.

        Deadlines and timeouts are not put off; patience with a provider that refuses everything is.
        """
        self._pool.pause()

    def resume(self) -> None:
        """Start calls again. From any thread."""
        self._pool.resume()

    def reopen(self) -> None:
        """Make calls again at once where they are shut for a while. From any thread.

        After a 401, and while a quota is exhausted, single calls raise `Busy` except for one now and then that tries again. Call this when you
        know that the key is valid again, or the account has credit. A batch tries again without it, and so does a new strategy object
        after a 401.
        """
        self._pool.reopen()

    def knowledge(self) -> dict[str, PaceKnowledge]:
        """Return what was learned about each quota, by quota key; a later pool that receives it starts near this pace."""
        return self._pool.knowledge()

    def statistics(self) -> ProcessorStatistics:
        """Return a snapshot: sums over all batches and calls, and the current state."""
        return self._pool.statistics()
