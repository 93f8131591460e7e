"""Native source: the work items of a run through a provider's batch API, each yielded once it is answered, or is to be called online.

Rules owned here:

1. An item is yielded at most once in a run: with the answer of a job, or, in a run with a deadline, to be called online.
2. Rows that a job left unanswered go into another job, three at most; with a deadline they are called online at once, at the pace that the
   engine finds. Without a deadline nothing is ever called online, and what stays unanswered is pending.
3. Equal prompts that share a call are one row; the others get its answer.
4. When the run ends early, jobs go on at the provider, and the next run on the journal continues with them.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import attrs
from anyio import (
    EndOfStream,
    Event,
    create_memory_object_stream,
    create_task_group,
    move_on_after,
    to_thread,
)
from anyio.abc import TaskGroup

from .._core.call_bounds import token_bytes_of
from .._core.exceptions import MisuseError
from .._core.native import job
from .._core.native.schedule import LONGEST_HOLD, rescue_at, retry_wait
from .._core.native.splitting import Group, Splitter
from .._core.prompt import content_key
from .._core.quantity import quantity, verb
from ..abc import LLMWorkItem, NativeRequest
from ..files import InputRecord
from ..journal.native import OpenItem, StoredJob
from ..llm_strategies.native.answered import AnsweredStrategy
from .native_budget import JobBudget
from .native_jobs import JobRunner, JobTask
from .native_run import NativeRun

T = TypeVar("T")

MOST_JOBS = 3
"""Jobs in which one row is tried, without a deadline."""
_LINE_BYTES = 300  # around the request of a row: its name, and what the provider wants there
_AT_ONCE = 200  # prompts that are read together
_CLEANUP = 30.0  # seconds
_MARKER = "paceline-"


async def with_native_items(run: NativeRun, use: Callable[[NativeSource], Awaitable[T]]) -> T:
    """Prepare the strategy, carry the jobs while `use` reads the items, and return what it returns.

    If it ends early, the jobs go on at the provider.
    """
    source, failure = NativeSource(run), None
    result: T | None = None
    try:
        await run.strategy.prepare()
        async with create_task_group() as nursery:
            nursery.start_soon(source.feed)
            try:
                result = await use(source)
            except Exception as error:  # noqa: BLE001 - it is raised as it is, not in the group of the nursery
                failure = error
            nursery.cancel_scope.cancel()
    finally:
        source.close()
        with move_on_after(_CLEANUP, shield=True):
            await run.strategy.cleanup()
    if failure is not None:
        raise failure
    return result  # type: ignore[return-value]  # `use` has returned it


class NativeSource:
    """An asynchronous iterator over the work items of a run."""

    def __init__(self, run: NativeRun) -> None:
        self._run = run
        self._send, self._receive = create_memory_object_stream[LLMWorkItem[Any]](_AT_ONCE)
        self._failure: Exception | None = None
        self._tasks: dict[int, JobTask] = {}
        self._given: set[int] = set()
        """Items that were yielded, or are left pending."""
        self._followers: dict[bytes, list[OpenItem]] = {}
        """Items that get the answer of another, by their content."""
        self._refused: set[int] = set()
        """Items of jobs that the provider has refused: they are called online."""
        self._holds = 0
        self._is_spent = False
        self._is_read = Event()
        """Set once an item is asked for: the run has a number then."""
        self._changed = Event()
        self._is_rescuing = False
        self._began = time.time()
        self._budget = JobBudget(run.budget, run.strategy.model or "", run.price, run.strategy.max_output_tokens)
        self._runner = JobRunner(
            batch=run.batch,
            strategy=run.strategy,
            table=run.store.native,
            lines=self._lines_of,
            on_message=run.on_message,
            policy=attrs.evolve(run.batch.policy, grace=run.grace),
        )

    def __aiter__(self) -> NativeSource:
        return self

    async def __anext__(self) -> LLMWorkItem[Any]:
        self._is_read.set()
        try:
            return await self._receive.receive()
        except EndOfStream:
            if self._failure is not None:
                raise self._failure from None
            raise StopAsyncIteration from None

    def close(self) -> None:
        """End the source; it has no more items."""
        self._send.close()
        self._receive.close()

    @property
    def title(self) -> str:
        """The provider's name, for people."""
        return self._run.batch.title

    @property
    def jobs_at_provider(self) -> Sequence[str]:
        """The provider's names of the jobs that have not ended."""
        states = [task.state for task in self._tasks.values()]
        return [state.id for state in states if isinstance(state, job.Created)]

    async def feed(self) -> None:
        """Carry the jobs, and yield the items as they are answered. A failure is raised where the items are read."""
        await self._is_read.wait()
        with self._send:
            try:
                async with create_task_group() as nursery:
                    await self._feed(nursery)
            except* Exception as errors:  # noqa: BLE001 - it is raised where the items are read
                self._failure = _first(errors)

    async def _feed(self, nursery: TaskGroup) -> None:
        table = self._run.store.native
        for stored in await to_thread.run_sync(lambda: table.jobs(is_open=True)):
            await self._reserve_for(stored)
            self._start(nursery, stored, None)
        while True:
            self._changed = Event()
            self._check_deadline()
            await self._yield_answers()
            await self._assign(nursery)
            if not self._tasks and not self._changed.is_set():
                return
            wait = None if self._is_rescuing or self._rescue_at is None else max(0.0, self._rescue_at - time.time())
            with move_on_after(wait):
                await self._changed.wait()

    def _start(self, nursery: TaskGroup, stored: StoredJob, lines: Sequence[bytes] | None) -> None:
        task = self._tasks[stored.number] = JobTask(stored, stored.state)
        if self._is_rescuing:
            task.need_rows()
        nursery.start_soon(self._carry, task, lines)

    async def _carry(self, task: JobTask, lines: Sequence[bytes] | None) -> None:
        await self._runner.carry(task, lines)
        state = task.state
        is_refused = isinstance(state, job.NotCreated) and bool(state.message)
        is_failed = isinstance(state, job.Rescued) and state.outcome is job.Outcome.FAILED
        if is_refused or is_failed:  # the same rows would fail again
            items = await to_thread.run_sync(self._run.store.native.items_of, task.stored.number)
            (self._given if self._run.deadline is None else self._refused).update(items.values())
        if isinstance(state, job.Rescued) and state.outcome is job.Outcome.HELD and not task.is_needed:
            self._holds += 1
            with move_on_after(retry_wait(self._holds + 5, LONGEST_HOLD)):
                await task.wake.wait()
        del self._tasks[task.stored.number]
        self._changed.set()

    # ---------------------------------------------------------------------------------------------- deadline

    @property
    def _rescue_at(self) -> float | None:
        """When the jobs are to end, so that their rows can be answered online in time; None: never."""
        if self._run.deadline is None:
            return None
        rows = sum(task.stored.rows for task in self._tasks.values())
        known = self._run.store.knowledge().get(self._run.strategy.quota)
        rate = None
        if known is not None:
            rate = known.rate if known.rate < float("inf") else known.limit / known.latency if known.latency else None
        return rescue_at(self._run.deadline, self._began, rows, rate)

    def _check_deadline(self) -> None:
        if self._is_rescuing or (at := self._rescue_at) is None or time.time() < at:
            return
        self._is_rescuing = True
        rows = sum(task.stored.rows for task in self._tasks.values())
        if rows:
            self._run.on_message(
                f"the deadline is near: {quantity(len(self._tasks), 'batch job')} of {quantity(rows, 'row')} "
                f"{verb(len(self._tasks))} cancelled, "
                "and what they have not answered is called online"
            )
        for task in self._tasks.values():
            task.need_rows()

    # ---------------------------------------------------------------------------------------------- items

    async def _yield_answers(self) -> None:
        """Yield the items that have an answer, and those with the same prompt."""
        native = self._run.store.native
        found = await to_thread.run_sync(native.unused_answers)
        wanted = {place: item for place, item in found.items() if item not in self._given}
        followers: dict[int, tuple[int, str]] = {}
        records = self._read(wanted)
        while together := await self._next(records):
            items = [wanted[record.position] for record in together]
            answers = await to_thread.run_sync(native.answers_to, items)
            for record, item in zip(together, items, strict=True):
                if item in answers:
                    await self._yield(record, item, *answers[item])
                    for follower in self._followers.pop(content_key(record.prompt), ()):
                        followers[follower.place or 0] = answers[item]
                        self._given.add(follower.item)
        records = self._read(followers)
        while together := await self._next(records):
            for record in together:
                await self._yield(record, 0, *followers[record.position], is_billed=False)

    async def _yield(self, record: InputRecord, item: int, status: int, body: str, *, is_billed: bool = True) -> None:
        run = self._run
        self._given.add(item)
        answered = AnsweredStrategy(run.strategy, run.batch, status, body, run.price, is_billed=is_billed)
        await self._send.send(LLMWorkItem(record.id, answered, record.prompt, record.context))

    async def _assign(self, nursery: TaskGroup) -> None:
        """Put the items that have neither an answer nor a job into jobs, or call them online."""
        native = self._run.store.native
        found = await to_thread.run_sync(native.open_items, self._run.store.run)
        wanted = [item for item in found if item.item not in self._given and item.place is not None]
        if not wanted:
            return
        if self._run.dedupe and not self._is_rescuing:
            wanted = self._without_followers(wanted, await to_thread.run_sync(native.contents_under_way))
        is_online = self._run.deadline is not None
        online = [
            item for item in wanted if is_online and (self._is_rescuing or item.jobs or item.item in self._refused)
        ]
        if online:
            self._run.on_message(f"{quantity(len(online), 'row')} {verb(len(online))} called online")
            for item in [*online]:
                online += self._followers.pop(item.content, ())
        await self._call_online({item.place or 0: item.item for item in online})
        if not self._is_rescuing:
            rest = [item for item in wanted if item.item not in self._given and item.jobs < MOST_JOBS]
            await self._make_jobs(nursery, {item.place or 0: item.item for item in rest})

    def _without_followers(self, items: Sequence[OpenItem], under_way: set[bytes]) -> list[OpenItem]:
        """Return the items without those that get the answer of another with the same prompt; these are remembered."""
        self._followers, firsts, seen = {}, [], set(under_way)
        for item in items:
            if item.content in seen:
                self._followers.setdefault(item.content, []).append(item)
            else:
                seen.add(item.content)
                firsts.append(item)
        return firsts

    async def _call_online(self, wanted: Mapping[int, int]) -> None:
        self._given.update(wanted.values())
        records = self._read(wanted)
        while together := await self._next(records):
            for record in together:
                await self._send.send(LLMWorkItem(record.id, self._run.strategy, record.prompt, record.context))

    async def _make_jobs(self, nursery: TaskGroup, wanted: Mapping[int, int]) -> None:
        """Put items, by their places, into jobs.

        Those that cannot be sent are called online if there is a deadline, where the engine meets the same error; otherwise they stay pending.
        """
        splitter: Splitter[str, tuple[int, NativeRequest]] = Splitter(self._run.batch.limits)
        unsent: dict[int, int] = {}
        if wanted and self._run.budget is not None:
            self._budget.start_from(await to_thread.run_sync(self._run.store.spent))
        records = self._read(wanted)
        while together := await self._next(records):
            for record in together:
                item = wanted[record.position]
                try:
                    request = await self._run.batch.request(record.prompt)
                except (
                    MisuseError
                ):  # the client is not ours: the request was not recorded, but sent, and would be for every row
                    raise
                except Exception as error:  # noqa: BLE001 - one row's
                    self._leave_out(record, item, f"cannot be put into a batch job ({type(error).__name__})", unsent)
                    continue
                if not splitter.fits(len(request.body) + _LINE_BYTES):
                    self._leave_out(record, item, "is too large for a batch job", unsent)
                elif not self._may_spend(record):
                    self._given.add(item)
                elif full := splitter.add(request.kind, (item, request), len(request.body) + _LINE_BYTES):
                    await self._make_job(nursery, full)
        for group in splitter.finish():
            await self._make_job(nursery, group)
        await self._call_online(unsent)

    def _leave_out(self, record: InputRecord, item: int, why: str, unsent: dict[int, int]) -> None:
        """Put an item into no job: it is added to those that are called online, or stays pending if nothing may be."""
        if self._run.deadline is None:
            self._given.add(item)
            self._run.on_message(f"{record.id}: {why}, and stays pending")
        else:
            unsent[record.position] = item

    async def _make_job(self, nursery: TaskGroup, group: Group[str, tuple[int, NativeRequest]]) -> None:
        run, marker = self._run, f"{_MARKER}{uuid.uuid4().hex}"
        lines = [run.batch.line(f"{marker}-{number}", request) for number, (_, request) in enumerate(group.rows)]
        items = [item for item, _ in group.rows]
        stored = await to_thread.run_sync(
            lambda: run.store.native.add(marker, group.kind, items, run=run.store.run, now=time.time())
        )
        self._start(nursery, stored, lines)

    def _may_spend(self, record: InputRecord) -> bool:
        """Whether the budget has room for one more row; the row is then reserved."""
        if self._budget.reserve(token_bytes_of(record.prompt)):
            return True
        if not self._is_spent:
            self._is_spent = True
            self._run.on_message(f"the budget of {self._run.budget} has no room for more rows: the rest stays pending")
        return False

    async def _reserve_for(self, stored: StoredJob) -> None:
        """Reserve what a job of an earlier run may cost."""
        if self._run.budget is None:
            return
        records = self._read(await to_thread.run_sync(self._run.store.native.places_of, stored.number))
        while together := await self._next(records):
            for record in together:
                self._budget.reserve(token_bytes_of(record.prompt), is_at_provider=True)

    def _read(self, wanted: Mapping[int, Any]) -> Iterator[InputRecord]:
        """Return an iterator over the input records at some places; it blocks."""
        return self._run.prompts(wanted.__contains__) if wanted else iter(())

    async def _next(self, records: Iterator[InputRecord]) -> list[InputRecord]:
        """Return the next records, read in a worker thread; empty at the end."""
        return await to_thread.run_sync(lambda: [*islice(records, _AT_ONCE)])

    async def _lines_of(self, stored: StoredJob) -> Sequence[bytes]:
        """Write the rows of a stored job again, from the input."""
        numbers = await to_thread.run_sync(self._run.store.native.items_of, stored.number)
        places = await to_thread.run_sync(self._run.store.native.places_of, stored.number)
        lines = []
        records = self._read(places)
        while together := await self._next(records):
            for record in together:
                number = places[record.position]
                if number in numbers:
                    request = await self._run.batch.request(record.prompt)
                    lines.append(self._run.batch.line(f"{stored.marker}-{number}", request))
        return lines


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    error: Any = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error  # type: ignore[no-any-return]  # a leaf of the group
