"""Batch state: the phases of a batch.

    OPEN ──STOP──► DRAINING ──EMPTY──► CLOSED
      └───────────────EMPTY──────────────▲

OPEN accepts work and starts calls. DRAINING starts no call; calls in flight finish, and waiting items are settled as pending.
CLOSED: every accepted item has its result. A pair of state and event that is not in the table is a bug.
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
    """An event that may change the phase."""

    STOP = "stop"
    """The batch is stopped before its work is done; a second STOP changes nothing."""
    EMPTY = "empty"
    """No work is left, and no more can be added."""


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
        IllegalTransitionError: The batch is closed.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(f"{event} while the batch is {state}") from None
