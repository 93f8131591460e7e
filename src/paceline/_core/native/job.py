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
from typing import Final, assert_never

import attrs

from . import schedule
from .job_events import (
    AnswersStored,
    Begun,
    CancelAccepted,
    CancelDue,
    Event,
    Failed,
    JobCreated,
    JobEnded,
    JobHeld,
    JobRefused,
    JobsListed,
    NoSuchJob,
    NotOurs,
    RowsReleased,
    RowsUploaded,
    StillRunning,
)
from .job_states import Asked, Collected, Created, Ended, Intended, NotCreated, Outcome, Rescued, State, Uploaded

__all__ = [
    "GRACE",
    "MOST_FAILED_LOOKS",
    "AnswersStored",
    "Asked",
    "Begun",
    "CancelAccepted",
    "CancelDue",
    "Collected",
    "Created",
    "Do",
    "Effect",
    "Ended",
    "Event",
    "Failed",
    "Intended",
    "JobCreated",
    "JobEnded",
    "JobHeld",
    "JobPolicy",
    "JobRefused",
    "JobsListed",
    "NoSuchJob",
    "NotCreated",
    "NotOurs",
    "Outcome",
    "Rescued",
    "RowsReleased",
    "RowsUploaded",
    "State",
    "StillRunning",
    "Uploaded",
    "is_at_provider",
    "is_final",
    "step",
]

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
            return _of_ended(state, event)
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


def _of_ended(state: Ended, event: Event) -> tuple[State, Effect]:
    match event:
        case AnswersStored(now, answered, unanswered):
            stored = Collected(
                id=state.id, outcome=state.outcome, message=state.message, answered=answered, unanswered=unanswered
            )
            return stored, Effect(Do.RELEASE, now)
        case NotOurs(now) if not state.is_proven:
            # The grace counts from when that one was found, as it may have ended before ours appears in the list.
            asked = Asked(input=state.input, at=state.since, not_ours=(*state.not_ours, state.id))
            return asked, Effect(Do.FIND, now)
        case Failed(now, retry_after):
            state = attrs.evolve(state, failures=state.failures + 1)
            return state, Effect(Do.COLLECT, now + schedule.retry_wait(state.failures, asked=retry_after))
        case _:
            return state, Effect(Do.COLLECT, event.now)
