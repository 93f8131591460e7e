"""Events of a native job: what its provider says, and what its run needs."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from .job_states import Outcome


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
