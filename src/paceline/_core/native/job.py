"""Native job: the state machine of one job of a provider's batch API.

    Intended ─► Uploaded ─► Asked ─► Created ─► Ended ─► Collected ─► Rescued
        │          │          │ ▲        │
        │          │          ▼ │        └ is_cancelled: it ends early, what it has answered is collected all the same
        └──────────┴─► NotCreated        (a lost answer, or a crash: its marker is looked for among the provider's jobs)

Rules owned here:

1. Every state is stored before its effect is carried out. So after a crash the stored state says what may have happened.
2. Before the provider is asked to create a job, `Asked` is stored, with a marker chosen by us. While it is not known whether the provider
   has the job, no other is created: the marker is looked for first, and again until `grace` seconds have passed since the asking.
3. Rows are released (to be answered online, or by another job) only by `Rescued` and `NotCreated`: when the provider never had the job, or
   the job has ended and its answers are stored. A cancelled job is no exception, as it may still be answering, and is billed for that.
4. A job that was found without a label (Anthropic has none) is ours only if its answers prove it: otherwise the search goes on without it.
5. An event that a state does not expect changes nothing, and its effect is that of the state: an answer may come late.

Times are wall-clock times in seconds since 1970.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias, assert_never

import attrs

from . import schedule

GRACE: Final = 120.0  # seconds in which a job may appear whose creation was asked for: the longest call, twice over
MOST_FAILED_LOOKS: Final = 3  # times in a row that the provider says it has no such job: it has deleted it


@attrs.frozen(kw_only=True)
class JobPolicy:
    """What differs between providers, and in tests."""

    has_upload: bool = True
    """Whether the rows are uploaded as a file before the job is created."""
    has_label: bool = True
    """Whether the provider shows our marker in its list of jobs."""
    grace: float = GRACE
    """Seconds after the asking in which a job may appear that was not found."""


class Outcome(enum.StrEnum):
    """How a job ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    HELD = "held"
    """The provider had no room for it: too much is enqueued."""
    GONE = "gone"
    """The provider does not have it any more."""


# ---------------------------------------------------------------------------------------------- states


@attrs.frozen(kw_only=True)
class Intended:
    """Its rows are chosen; the provider has nothing."""

    failures: int = 0


@attrs.frozen(kw_only=True)
class Uploaded:
    """The provider has its rows; no job was asked for, or each that was is known to have been refused, for now."""

    input: str
    """The provider's name of the file."""
    failures: int = 0


@attrs.frozen(kw_only=True)
class Asked:
    """The provider was, or is about to be, asked to create it, and has not answered."""

    input: str
    at: float
    """When it was asked last."""
    not_ours: tuple[str, ...] = ()
    """Jobs that were found, and proved to be another's."""
    is_cancelled: bool = False
    failures: int = 0


@attrs.frozen(kw_only=True)
class Created:
    """The provider has it, and it has not ended."""

    id: str
    """The provider's name of the job."""
    input: str
    since: float
    """When it was created, or found."""
    is_proven: bool = True
    """Whether it is known to be ours."""
    not_ours: tuple[str, ...] = ()
    is_cancelled: bool = False
    """Whether it is to be cancelled, or was."""
    is_cancelling: bool = False
    """Whether the provider has accepted the cancellation."""
    done: int = 0
    """Rows that the provider says are done."""
    failures: int = 0


@attrs.frozen(kw_only=True)
class Ended:
    """It has ended; its answers are not all stored."""

    id: str
    input: str
    since: float
    outcome: Outcome
    message: str = ""
    """What the provider says about it."""
    is_proven: bool = True
    not_ours: tuple[str, ...] = ()
    failures: int = 0


@attrs.frozen(kw_only=True)
class Collected:
    """Its answers are stored."""

    id: str
    outcome: Outcome
    message: str = ""
    answered: int
    """Rows with an answer."""
    unanswered: int
    """Rows without one."""


@attrs.frozen(kw_only=True)
class Rescued:
    """Its rows without an answer are released. Final."""

    id: str
    outcome: Outcome
    message: str = ""
    answered: int
    unanswered: int


@attrs.frozen(kw_only=True)
class NotCreated:
    """The provider never had it, or refused it; all its rows are released. Final."""

    message: str = ""
    """The provider's words, if it refused it."""


State: TypeAlias = Intended | Uploaded | Asked | Created | Ended | Collected | Rescued | NotCreated


# ---------------------------------------------------------------------------------------------- events


@attrs.frozen
class Begun:
    """The process has started, with the state that it has stored."""

    now: float


@attrs.frozen
class RowsUploaded:
    """The provider has the file."""

    now: float
    input: str


@attrs.frozen
class JobCreated:
    """The provider has answered with the job."""

    now: float
    id: str


@attrs.frozen
class JobRefused:
    """The provider has refused the file or the job: there is no such job, and there will be none."""

    now: float
    message: str


@attrs.frozen
class JobHeld:
    """The provider has refused the job for now: too much is enqueued."""

    now: float
    retry_after: float | None = None


@attrs.frozen
class JobsListed:
    """The provider has listed its jobs: these have our marker, or cannot be distinguished from ours."""

    now: float
    ids: tuple[str, ...]


@attrs.frozen
class StillRunning:
    """The job has not ended."""

    now: float
    done: int = 0


@attrs.frozen
class JobEnded:
    """The job has ended."""

    now: float
    outcome: Outcome
    message: str = ""


@attrs.frozen
class NoSuchJob:
    """The provider says that it does not have the job."""

    now: float


@attrs.frozen
class AnswersStored:
    """All answers that the job has are stored."""

    now: float
    answered: int
    unanswered: int


@attrs.frozen
class NotOurs:
    """The job's answers are to the rows of another."""

    now: float


@attrs.frozen
class CancelAccepted:
    """The provider cancels the job, or it has ended already."""

    now: float


@attrs.frozen
class RowsReleased:
    """The rows without an answer are on their way to another."""

    now: float


@attrs.frozen
class CancelDue:
    """The rows are needed: the job is to end."""

    now: float


@attrs.frozen
class Failed:
    """A call has failed: what it asked for may have happened or not."""

    now: float
    retry_after: float | None = None


Event: TypeAlias = (
    Begun
    | RowsUploaded
    | JobCreated
    | JobRefused
    | JobHeld
    | JobsListed
    | StillRunning
    | JobEnded
    | NoSuchJob
    | AnswersStored
    | NotOurs
    | CancelAccepted
    | RowsReleased
    | CancelDue
    | Failed
)


# ---------------------------------------------------------------------------------------------- effects


class Do(enum.Enum):
    """What is to be done for a job."""

    UPLOAD = "upload its rows"
    WAIT = "wait until the provider has room for it"
    CREATE = "create it"
    FIND = "look for it in the provider's list"
    POLL = "look at it"
    CANCEL = "cancel it"
    COLLECT = "store its answers"
    RELEASE = "release its rows without an answer"
    NOTHING = "nothing: it is final"


@attrs.frozen
class Effect:
    """What is to be done next, and not before when."""

    do: Do
    at: float


def is_final(state: State) -> bool:
    """Whether nothing is left to be done for a job."""
    return isinstance(state, Rescued | NotCreated)


def is_at_provider(state: State) -> bool:
    """Whether the provider may have the job, and may be working on it."""
    return isinstance(state, Asked | Created)


def step(policy: JobPolicy, state: State, event: Event) -> tuple[State, Effect]:  # noqa: PLR0911 - one for each state
    """Return the next state, to be stored, and what is to be done then."""
    match state:
        case Intended():
            return _of_intended(policy, state, event)
        case Uploaded():
            return _of_uploaded(state, event)
        case Asked():
            return _of_asked(policy, state, event)
        case Created():
            return _of_created(state, event)
        case Ended():
            return _of_ended(policy, state, event)
        case Collected():
            if isinstance(event, RowsReleased):
                fields = attrs.asdict(state, recurse=False)
                return Rescued(**fields), Effect(Do.NOTHING, event.now)
            return state, Effect(Do.RELEASE, event.now)
        case Rescued() | NotCreated():
            return state, Effect(Do.NOTHING, event.now)
        case _:
            assert_never(state)


def _of_intended(policy: JobPolicy, state: Intended, event: Event) -> tuple[State, Effect]:
    match event:
        case RowsUploaded(now, name):
            return _ask(Uploaded(input=name), now)
        case JobRefused(now, message):
            return NotCreated(message=message), Effect(Do.NOTHING, now)
        case CancelDue(now):
            return NotCreated(), Effect(Do.NOTHING, now)
        case Failed(now, retry_after) | JobHeld(now, retry_after):
            state = attrs.evolve(state, failures=state.failures + 1)
            return state, Effect(Do.UPLOAD, now + schedule.retry_wait(state.failures, asked=retry_after))
        case _:
            if not policy.has_upload:
                return _ask(Uploaded(input=""), event.now)
            return state, Effect(Do.UPLOAD, event.now)


def _ask(state: Uploaded, now: float) -> tuple[Asked, Effect]:
    return Asked(input=state.input, at=now, failures=state.failures), Effect(Do.CREATE, now)


def _of_uploaded(state: Uploaded, event: Event) -> tuple[State, Effect]:
    if isinstance(event, CancelDue):
        return NotCreated(), Effect(Do.NOTHING, event.now)
    return _ask(state, event.now)


def _of_asked(policy: JobPolicy, state: Asked, event: Event) -> tuple[State, Effect]:  # noqa: C901, PLR0911 - one for each event
    match event:
        case JobCreated(now, name):
            return _created(state, name, now, is_proven=True)
        case JobRefused(now, message):
            return NotCreated(message=message), Effect(Do.NOTHING, now)
        case JobHeld(now, retry_after):
            if state.is_cancelled:
                return NotCreated(), Effect(Do.NOTHING, now)
            held = Uploaded(input=state.input, failures=state.failures + 1)
            wait = schedule.retry_wait(held.failures + 3, schedule.LONGEST_HOLD, asked=retry_after)
            return held, Effect(Do.WAIT, now + wait)
        case JobsListed(now, ids):
            found = [name for name in ids if name not in state.not_ours]
            if found:
                return _created(state, found[0], now, is_proven=policy.has_label)
            if now < state.at + policy.grace:
                return state, Effect(Do.FIND, min(now + policy.grace / 8, state.at + policy.grace))
            if state.is_cancelled:
                return NotCreated(), Effect(Do.NOTHING, now)
            return attrs.evolve(state, at=now, failures=0), Effect(Do.CREATE, now)
        case Failed(now, retry_after):
            state = attrs.evolve(state, failures=state.failures + 1)
            return state, Effect(Do.FIND, now + schedule.retry_wait(state.failures, asked=retry_after))
        case CancelDue(now):
            return attrs.evolve(state, is_cancelled=True), Effect(Do.FIND, now)
        case _:
            return state, Effect(Do.FIND, event.now)


def _created(state: Asked, name: str, now: float, *, is_proven: bool) -> tuple[State, Effect]:
    made = Created(
        id=name,
        input=state.input,
        since=now,
        is_proven=is_proven,
        not_ours=state.not_ours,
        is_cancelled=state.is_cancelled and is_proven,
    )
    return made, _next_look(made, now)


def _next_look(state: Created, now: float) -> Effect:
    if state.is_cancelled and not state.is_cancelling:
        return Effect(Do.CANCEL, now)
    return Effect(Do.POLL, now + schedule.poll_wait(now - state.since))


def _of_created(state: Created, event: Event) -> tuple[State, Effect]:  # noqa: PLR0911 - as above
    now = event.now
    match event:
        case JobEnded(_, outcome, message):
            return _ended(state, outcome, message), Effect(Do.COLLECT, now)
        case StillRunning(_, done):
            state = attrs.evolve(state, done=max(done, state.done), failures=0)
            return state, _next_look(state, now)
        case NoSuchJob():
            state = attrs.evolve(state, failures=state.failures + 1)
            if state.failures >= MOST_FAILED_LOOKS:
                return _ended(state, Outcome.GONE, "the provider does not have it any more"), Effect(Do.COLLECT, now)
            return state, Effect(Do.POLL, now + schedule.retry_wait(state.failures))
        case CancelDue():
            # One that may be another's is left alone: it is not ours to cancel, and our rows wait until it proves what it is.
            state = attrs.evolve(state, is_cancelled=state.is_proven)
            return state, _next_look(state, now)
        case CancelAccepted():
            state = attrs.evolve(state, is_cancelling=True, failures=0)
            return state, Effect(Do.POLL, now + schedule.FIRST_POLL)
        case Failed(_, retry_after):
            state = attrs.evolve(state, failures=state.failures + 1)
            wait = schedule.retry_wait(state.failures, asked=retry_after)
            return state, attrs.evolve(_next_look(state, now), at=now + wait)
        case Begun():
            state = attrs.evolve(state, failures=0)
            return state, attrs.evolve(_next_look(state, now), at=now)
        case _:
            return state, _next_look(state, now)


def _ended(state: Created, outcome: Outcome, message: str) -> Ended:
    return Ended(
        id=state.id,
        input=state.input,
        since=state.since,
        outcome=outcome,
        message=message,
        is_proven=state.is_proven,
        not_ours=state.not_ours,
    )


def _of_ended(policy: JobPolicy, state: Ended, event: Event) -> tuple[State, Effect]:
    match event:
        case AnswersStored(now, answered, unanswered):
            stored = Collected(
                id=state.id, outcome=state.outcome, message=state.message, answered=answered, unanswered=unanswered
            )
            return stored, Effect(Do.RELEASE, now)
        case NotOurs(now) if not state.is_proven:
            # The grace is over: the job that was taken for ours has run meanwhile.
            asked = Asked(input=state.input, at=now - policy.grace, not_ours=(*state.not_ours, state.id))
            return asked, Effect(Do.FIND, now)
        case Failed(now, retry_after):
            state = attrs.evolve(state, failures=state.failures + 1)
            return state, Effect(Do.COLLECT, now + schedule.retry_wait(state.failures, asked=retry_after))
        case _:
            return state, Effect(Do.COLLECT, event.now)
