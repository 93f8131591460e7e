"""Submitter: whose items a pool calls: a batch, or the single calls of all tasks. It has the items until each has its result."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from .._core import retry
from .._core.config import ProcessorConfig
from .._core.fault import Fault, overdue_fault
from .._core.fault_groups import FaultGroup
from .delivery import Ledger, Outlet
from .statistics import Tally

if TYPE_CHECKING:
    from .commits import CommitQueue
    from .job import Job
    from .lane import Lane


class Submitter(ABC):
    """The items of one batch, or of single calls, and what has become of them.

    Args:
        outlet: Destination of the results.
        now: Current time, in seconds.
    """

    def __init__(self, outlet: Outlet, now: float) -> None:
        self.tally: Tally = Tally()
        self.ledger: Ledger = Ledger(outlet, self.tally)
        self.started_at = now
        self.lanes: dict[str, Lane] = {}
        """Lanes that its items were in, by quota key."""
        self.exhausted: dict[str, Fault] = {}
        """Why no more calls of it start in some of these lanes."""
        self.in_flight = 0
        """Calls in flight of it."""
        self._outlet = outlet
        self._stopped: Fault | None = None
        self._allowed = 0

    # ------------------------------------------------------------------------------------------ what a subclass decides

    starts_afresh: bool
    """Whether its first call in a lane that nobody uses is made whatever earlier calls said of the lane."""
    priority: int
    """Of its calls: higher goes first."""
    tenant: str
    """For whom its calls are made."""

    @property
    @abstractmethod
    def may_start(self) -> bool:
        """Whether one of its waiting jobs may start a call."""

    @property
    @abstractmethod
    def commits(self) -> CommitQueue | None:
        """Commits results to the journal; None: there is none."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether calls may start."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether every item has its result and no more items can come."""

    @abstractmethod
    def admit(self, job: Job) -> None:
        """Pass an accepted job through the middlewares, and let it wait for its first call."""

    @abstractmethod
    def run(self, job: Job) -> None:
        """Make the call of a job that was started in its lane, in a task that has the submitter's context."""

    @abstractmethod
    def dismiss(self, job: Job, fault: Fault) -> None:
        """End a job that is neither in a lane nor in a task: it will be settled with `fault`."""

    @abstractmethod
    def leave_unprepared(self, job: Job, fault: Fault, effect: retry.Effect) -> None:
        """End a job whose strategy could not be prepared, for this fault; `effect`: what the fault means for a batch."""

    @abstractmethod
    def deny(self, fault: Fault, lane: Lane) -> None:
        """Make no more calls in a lane whose provider does not know the caller, or none at all."""

    @abstractmethod
    def stop(self, reason: Fault) -> None:
        """Start no more calls; waiting items are settled with `reason`."""

    @abstractmethod
    def settle_at_end(self, job: Job, fault: Fault) -> None:
        """Give a job a result, `fault` where none is decided: no task of it runs any more."""

    @abstractmethod
    def close_if_empty(self) -> None:
        """Close once every item has its result and no more can come."""

    # ------------------------------------------------------------------------------------------ for all

    @property
    def stopped(self) -> Fault | None:
        """Why no more calls start in any lane; None: they may."""
        return self._stopped

    @property
    def deadline(self) -> float:
        """The time by which all its items are settled."""
        return math.inf

    @property
    def deadline_fault(self) -> Fault | None:
        """The fault of items that are not settled at the deadline; None: it has not passed."""
        return None

    @property
    def waiting(self) -> int:
        """Items that are neither settled nor in flight."""
        return len(self.ledger) - self.in_flight

    def overdue_fault(self, config: ProcessorConfig) -> Fault:
        """Return the fault of an item whose deadline has passed."""
        return overdue_fault(config.deadline_per_item)

    def record_systematic(self, group: FaultGroup, reason: Fault) -> None:
        """Record that all calls of a lane failed alike."""

    def has_room(self) -> bool:
        """Whether results are consumed and committed as fast as they come."""
        commits = self.commits
        return self._outlet.has_room() and (commits is None or commits.has_room())

    def use_lane(self, lane: Lane, max_workers: int) -> None:
        """Record that items of it go to a lane."""
        self.lanes[lane.quota] = lane
        self.change_allowed(lane.pace.limit, max_workers)

    def change_allowed(self, change: int, max_workers: int) -> None:
        """Record that the controllers of its lanes allow more or fewer calls in flight than before."""
        self._allowed += change
        self.tally.record_allowed(min(max_workers, self._allowed))

    def give_up_lane(self, lane: Lane, reason: Fault) -> None:
        """Start no more calls in a lane."""
        self.exhausted.setdefault(lane.quota, reason)

    def count_call(self, change: int) -> None:
        """Count calls that started (1) or ended (-1)."""
        self.in_flight += change
        self.tally.record_in_flight(self.in_flight)

    def deliver(self, job: Job) -> None:
        """Hand a job's result over; with a journal, once it is committed."""
        job.deliver()
        if self.commits is None:
            self.hand_over(job)
        else:
            self.commits.deliver(job)

    def hand_over(self, job: Job) -> None:
        """Hand a job's result over."""
        self.ledger.deliver(job)
        self.close_if_empty()

    def withhold(self, job: Job) -> None:
        """Close a job whose result could not be committed, without handing it over."""
        self.ledger.withhold(job)
        self.close_if_empty()
