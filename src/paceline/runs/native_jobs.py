"""Native jobs: carries out, for each job of a provider's batch API, what its machine decides.

Rules owned here, beside those of `_core/native/job.py`:

1. Each call to the provider is bounded in time. An error that says nothing about what has happened is a failure; one by which the provider
   refuses is a refusal.
2. Answers are stored as they come, and the job is collected when all are. Until then they are asked for again, which costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import attrs
from anyio import Event, fail_after, move_on_after, to_thread

from .._core.fault import Fault, FaultKind
from .._core.native import job
from .._core.native.job import Do, Effect
from .._core.quantity import quantity
from ..abc import LLMCallStrategy, NativeAnswer, NativeBatch
from ..journal.native import NativeTable, StoredJob

_CALL_SECONDS = 60.0  # of one call; half of the grace in which a lost job may still appear
_FILE_SECONDS = 900.0  # of the transfer of a file

_UNKNOWN = frozenset(
    {FaultKind.TRANSIENT, FaultKind.TIMEOUT, FaultKind.OVERLOADED, FaultKind.INVALID, FaultKind.CANCELLED}
)
"""Kinds of faults after which it is not known what the provider has done."""

Lines = Callable[[StoredJob], Awaitable[Sequence[bytes]]]
"""Writes the rows of a stored job again."""


@attrs.define(eq=False)
class JobTask:
    """A job under way, in the task that carries it."""

    stored: StoredJob
    state: job.State
    is_needed: bool = False
    """Whether its rows are to be answered otherwise."""
    wake: Event = attrs.field(factory=Event)

    def need_rows(self) -> None:
        """End the job, so that its rows can be answered otherwise."""
        self.is_needed = True
        self.wake.set()


@attrs.frozen(kw_only=True)
class JobRunner:
    """Carries jobs, each in a task of the caller's."""

    batch: NativeBatch
    strategy: LLMCallStrategy[Any]
    """Classifies the errors of the calls."""
    table: NativeTable
    lines: Lines
    on_message: Callable[[str], None]
    policy: job.JobPolicy

    async def carry(self, task: JobTask, lines: Sequence[bytes] | None = None) -> None:
        """Carry a job to its end.

        Cancelling it leaves the job at the provider: the journal has its state.

        Args:
            task: The job.
            lines: Its rows, if they are at hand.
        """
        effect = await self._tell(task, job.Begun(time.time()))
        if (
            isinstance(task.state, job.Intended | job.Asked)
            and lines is None
            and isinstance(task.stored.state, job.Intended)
        ):
            effect = await self._tell(
                task, job.CancelDue(time.time())
            )  # nothing is at the provider: its rows go into another
        while effect.do is not Do.NOTHING:
            if task.is_needed and _can_be_cancelled(task.state):
                effect = await self._tell(task, job.CancelDue(time.time()))
                continue
            with move_on_after(max(0.0, effect.at - time.time())):
                await (task.wake.wait() if not task.is_needed else Event().wait())
                continue
            event = await self._act(task, effect, lines)
            effect = await self._tell(task, event)

    async def _tell(self, task: JobTask, event: job.Event) -> Effect:
        state, effect = job.step(self.policy, task.state, event)
        if state != task.state:
            await to_thread.run_sync(self.table.set_state, task.stored.number, state)
            if type(state) is not type(task.state) or getattr(state, "done", 0) != getattr(task.state, "done", 0):
                self._report(task.stored, state)
            task.state = state
        return effect

    def _report(self, stored: StoredJob, state: job.State) -> None:
        name = f"batch job of {quantity(stored.rows, 'row')}"
        match state:
            case job.Created(id=identity, done=0, is_cancelled=False):
                self.on_message(f"{name} is at {self.batch.title} as {identity}")
            case job.Created(id=identity, done=done) if done:
                self.on_message(f"{identity}: {done:,} of {quantity(stored.rows, 'row')} answered")
            case job.Collected(id=identity, outcome=outcome, answered=answered, message=words):
                end = f"{identity}: {outcome}, {answered:,} of {quantity(stored.rows, 'row')} answered"
                self.on_message(f"{end}: {words}" if words else end)
            case job.NotCreated(message=words) if words:
                self.on_message(f"{name} was refused by {self.batch.title}: {words}")
            case job.Uploaded(failures=failures) if failures:
                self.on_message(f"{name} waits: {self.batch.title} has no room for it yet")
            case _:
                pass

    # ---------------------------------------------------------------------------------------------- effects

    async def _act(  # noqa: PLR0911 - one for each effect
        self, task: JobTask, effect: Effect, lines: Sequence[bytes] | None
    ) -> job.Event:
        """Carry out an effect; return what has happened."""
        match effect.do:
            case Do.UPLOAD:
                return await self._call(self._upload(task, lines), _FILE_SECONDS, is_asking=True)
            case Do.CREATE:
                seconds = _CALL_SECONDS if self.policy.has_upload else _FILE_SECONDS
                return await self._call(self._create(task, lines), seconds, is_asking=True)
            case Do.FIND:
                return await self._call(self._find(task), _CALL_SECONDS)
            case Do.POLL:
                return await self._call(self._look(task), _CALL_SECONDS)
            case Do.CANCEL:
                return await self._call(self._cancel(task), _CALL_SECONDS)
            case Do.COLLECT:
                return await self._call(self._collect(task), _FILE_SECONDS)
            case Do.RELEASE:
                return job.RowsReleased(time.time())
            case _:
                return job.Begun(time.time())

    async def _call(self, call: Awaitable[job.Event], seconds: float, *, is_asking: bool = False) -> job.Event:
        """Await a call; return its event, or that of its error.

        Args:
            call: The call.
            seconds: Bound on its time.
            is_asking: Whether a refusal is final; a job that exists is looked at again after any error.
        """
        try:
            with fail_after(seconds):
                return await call
        except Exception as error:  # noqa: BLE001 - the classifier knows the package's
            fault = self._fault_of(error)
        now = time.time()
        if not is_asking or fault.kind in _UNKNOWN:
            return job.Failed(now, fault.retry_after)
        if fault.kind is FaultKind.THROTTLED:
            return job.JobHeld(now, fault.retry_after)
        return job.JobRefused(now, fault.message or str(fault.kind))

    def _fault_of(self, error: Exception) -> Fault:
        if isinstance(error, TimeoutError):
            return Fault(FaultKind.TIMEOUT, "no answer in time")
        return self.strategy.error_classifier.classify(error)

    async def _rows(self, task: JobTask, lines: Sequence[bytes] | None) -> Sequence[bytes]:
        return lines if lines is not None else await self.lines(task.stored)

    async def _upload(self, task: JobTask, lines: Sequence[bytes] | None) -> job.Event:
        name = await self.batch.upload(task.stored.marker, await self._rows(task, lines))
        return job.RowsUploaded(time.time(), name)

    async def _create(self, task: JobTask, lines: Sequence[bytes] | None) -> job.Event:
        if not isinstance(task.state, job.Asked):
            raise TypeError(task.state)
        rows = () if self.policy.has_upload else await self._rows(task, lines)
        name = await self.batch.create(task.stored.marker, task.stored.kind, task.state.input, rows)
        return job.JobCreated(time.time(), name)

    async def _find(self, task: JobTask) -> job.Event:
        stored = task.stored
        found = await self.batch.find(stored.marker, stored.rows, stored.began)
        others = await to_thread.run_sync(self.table.jobs)
        known = {getattr(other.state, "id", None) for other in others if other.number != stored.number}
        return job.JobsListed(time.time(), tuple(name for name in found if name not in known))

    async def _look(self, task: JobTask) -> job.Event:
        try:
            look = await self.batch.look(_id_of(task.state))
        except LookupError:
            return job.NoSuchJob(time.time())
        if look.outcome is None:
            return job.StillRunning(time.time(), look.done)
        return job.JobEnded(time.time(), look.outcome, look.message)

    async def _cancel(self, task: JobTask) -> job.Event:
        await self.batch.cancel(_id_of(task.state))
        return job.CancelAccepted(time.time())

    async def _collect(self, task: JobTask) -> job.Event:
        state, stored = task.state, task.stored
        if not isinstance(state, job.Ended):
            raise TypeError(state)
        others = False

        async def store(answers: Sequence[NativeAnswer]) -> None:
            nonlocal others
            rows = []
            for answer in answers:
                marker, _, number = answer.key.rpartition("-")
                if marker == stored.marker and number.isdecimal():
                    rows.append((int(number), answer.status, answer.body))
                else:
                    others = True
            await to_thread.run_sync(self.table.store_answers, stored.number, rows)

        if state.outcome is not job.Outcome.GONE:
            await self.batch.answers(state.id, store)
        answered = await to_thread.run_sync(self.table.answered, stored.number)
        if others and not answered:
            return job.NotOurs(time.time())
        return job.AnswersStored(time.time(), answered, stored.rows - answered)


def _id_of(state: job.State) -> str:
    with suppress(AttributeError):
        return state.id  # type: ignore[union-attr]  # as suppressed
    raise TypeError(state)


def _can_be_cancelled(state: job.State) -> bool:
    match state:
        case job.Intended() | job.Uploaded():
            return True
        case job.Asked(is_cancelled=is_cancelled) | job.Created(is_cancelled=is_cancelled):
            return not is_cancelled and getattr(state, "is_proven", True)
        case _:
            return False
