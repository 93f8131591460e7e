"""Turns: the tasks of single calls that wait for a result, what each has to do next, and how many bytes their prompts take meanwhile.

Calls of one tenant and priority wait together, as one customer.
"""

from __future__ import annotations

import enum
from typing import Any

import attrs
from anyio import Event

from ..._core.exceptions import Busy, JournalError
from ..._core.fault import Fault
from ..._core.prompt import size_of
from ..._core.results import WorkItemResult
from ..lanes.job import Job

_MOST_CUSTOMERS = 10_000  # tenants whose names are remembered


class Step(enum.Enum):
    """What is next for an item without a fault."""

    PASS_MIDDLEWARES = enum.auto()
    CALL = enum.auto()


@attrs.define(eq=False, weakref_slot=False)
class Turn:
    """What the task of a call has to do next."""

    size: int
    """Bytes of its prompt."""
    asked: float
    """When the call was asked for, in seconds."""
    changed: Event = attrs.field(factory=Event)
    step: Step | None = None
    is_waiting: bool = True
    """Whether its call is not in flight."""
    fault: Fault | None = None
    """The fault with which the item is to be settled."""
    result: WorkItemResult[Any] | None = None
    failure: JournalError | Busy | None = None
    """Why the result could not be stored, or no call is made."""

    def set(self) -> None:
        """Wake the task."""
        self.changed.set()


class Turns:
    """The turns of all open jobs, each kept by its job; the outlet of single calls."""

    has_room: bool = True
    """A task waits for each result."""

    def __init__(self) -> None:
        self.waiting_size: int = 0
        """Bytes of the prompts whose calls are not in flight."""
        self.latest: float = 0.0
        """When the latest call was asked for, in seconds."""

    def open(self, job: Job, now: float) -> Turn:
        """Return the turn of a new job."""
        turn = Turn(size_of(job.item.prompt), now)
        job.set_turn(turn)
        self.waiting_size += turn.size
        self.latest = now
        return turn

    @staticmethod
    def of(job: Job) -> Turn | None:
        """Return the turn of a job; None: its task has left."""
        turn: Turn | None = job.turn
        return turn

    def start(self, turn: Turn) -> None:
        """Let the task make its call."""
        turn.step = Step.CALL
        self._count(turn, is_waiting=False)
        turn.set()

    def wait(self, turn: Turn) -> None:
        """Record that the call of a turn is not in flight any more."""
        self._count(turn, is_waiting=True)

    def _count(self, turn: Turn, *, is_waiting: bool) -> None:
        if turn.is_waiting is not is_waiting:
            turn.is_waiting = is_waiting
            self.waiting_size += turn.size if is_waiting else -turn.size

    def close(self, job: Job) -> None:
        """Forget a job."""
        turn = self.of(job)
        job.set_turn(None)
        if turn is not None and turn.is_waiting:
            self.waiting_size -= turn.size

    def put(self, result: WorkItemResult[Any]) -> None:
        """Do nothing: `give` knows the task of a result."""

    def give(self, job: Job) -> None:
        """Give a job's result to its task."""
        turn = self.of(job)
        if turn is not None:
            turn.result = job.result
            turn.set()


@attrs.define(eq=False)
class CallCustomer:
    """The calls of one tenant and priority, which wait together."""

    priority: int
    tenant: str
    may_start: bool = True


class CallCustomers:
    """The customers whose calls were asked for lately."""

    def __init__(self) -> None:
        self._customers: dict[tuple[int, str], CallCustomer] = {}

    def of(self, priority: int, tenant: str) -> CallCustomer:
        """Return the customer of a tenant and a priority."""
        key = priority, tenant
        customer = self._customers.get(key)
        if customer is None:
            if len(self._customers) >= _MOST_CUSTOMERS:
                self._customers.clear()  # those in use live on in their lanes
            customer = self._customers[key] = CallCustomer(priority, tenant)
        return customer
