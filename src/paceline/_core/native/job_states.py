"""States of a native job, as the journal has them."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs


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
