"""Which phase a batch is in.

    OPEN ──STOP──► DRAINING ──EMPTY──► CLOSED
      └───────────────EMPTY──────────────▲

OPEN accepts work and starts calls. DRAINING starts nothing; calls in flight finish, and what waits is settled as
pending. CLOSED: every accepted item has its result. A pair that is not in the table is a bug.
"""

from __future__ import annotations

import enum
from types import MappingProxyType

from .exceptions import IllegalTransitionError


class BatchState(enum.Enum):
    """The phase of a batch."""

    OPEN = "open"
    DRAINING = "draining"
    CLOSED = "closed"


class BatchEvent(enum.Enum):
    """What moves a batch on."""

    STOP = "stop"
    """Something ended the batch before its work did; told again, it changes nothing."""
    EMPTY = "empty"
    """No work is left, and none can come."""


TRANSITIONS = MappingProxyType(
    {
        (BatchState.OPEN, BatchEvent.STOP): BatchState.DRAINING,
        (BatchState.OPEN, BatchEvent.EMPTY): BatchState.CLOSED,
        (BatchState.DRAINING, BatchEvent.STOP): BatchState.DRAINING,
        (BatchState.DRAINING, BatchEvent.EMPTY): BatchState.CLOSED,
    }
)


def step(state: BatchState, event: BatchEvent) -> BatchState:
    """Return the next phase.

    Raises:
        IllegalTransitionError: the batch is closed.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(f"{event} while the batch is {state}") from None
