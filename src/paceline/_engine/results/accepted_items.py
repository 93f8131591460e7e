"""Accepted items: what both kinds of submitters do with their items: accept them, count them, and hand their results over."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from ..._core import pace
from ..._core.config import ProcessorConfig
from ..._core.fault import Fault, overdue_fault
from ..._core.fault_groups import FaultGroup
from ..lanes.job import Job
from ..lanes.lane import Lane
from ..lanes.statistics import Tally
from ..lanes.submitter import Submitter
from .delivery import Ledger, Outlet


class Commits(Protocol):
    """Commits results to a journal."""

    @property
    def has_room(self) -> bool:
        """Whether results are committed as fast as they come."""
        ...

    def deliver(self, job: Job) -> None:
        """Let a job's result wait for its commit; then hand it over."""
        ...


class AcceptedItems(Submitter[Job]):
    """The items of one batch, or of single calls, until each has its result.

    Args:
        outlet: Destination of the results.
        now: Current time, in seconds.
    """

    when_journal_fails: str
    """What becomes of its uncalled items when the journal fails, for messages."""

    def __init__(self, outlet: Outlet, now: float) -> None:
        self.tally = Tally()
        self.ledger: Ledger = Ledger(outlet, self.tally)
        self.started_at = now
        self.lanes: dict[str, Lane[Job]] = {}
        self.exhausted: dict[str, Fault] = {}
        self.in_flight = 0
        """Calls in flight of it."""
        self._outlet = outlet
        self.stopped: Fault | None = None
        self._allowed = 0

    @property
    @abstractmethod
    def commits(self) -> Commits | None:
        """Commits results to the journal; None without a journal."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether every item has its result and no more items can come."""

    @abstractmethod
    def settle_at_end(self, job: Job, fault: Fault) -> None:
        """Give a job a result, `fault` where none is decided: no task of it runs any more."""

    @abstractmethod
    def close_if_empty(self) -> None:
        """Close once every item has its result and no more can come."""

    def admit_all(self, jobs: Sequence[Job]) -> None:
        """Do with each of these accepted jobs what `admit` does."""
        for job in jobs:
            self.admit(job)

    @property
    def deadline(self) -> float:
        """The time by which all its items are settled."""
        return math.inf

    @property
    def deadline_fault(self) -> Fault | None:
        """The fault of items that are not settled at the deadline; None: it has not passed."""
        return None

    @property
    def unsettled(self) -> int:
        """Items without a result."""
        return len(self.ledger)

    def open_jobs(self) -> list[Job]:
        """Return the jobs of all items without a result."""
        return self.ledger.jobs()

    @property
    def waiting(self) -> int:
        """Items that are neither settled nor in flight."""
        return len(self.ledger) - self.in_flight

    def overdue_fault(self, config: ProcessorConfig) -> Fault:
        """Return the fault of an item whose deadline has passed."""
        return overdue_fault(config.deadline_per_item)

    def record_systematic(self, group: FaultGroup, reason: Fault) -> None:
        """Record that all calls of a lane failed alike."""

    def may_share_result(self, job: Job) -> bool:  # noqa: ARG002 - single calls look at it
        """Whether a result is also that of the items with the same prompt, which wait for it."""
        return True

    def cut_off_signal(self, job: Job, now: float) -> pace.Signal:
        """Return what a call says about its provider that was cut off by its own deadline or by that of its batch."""
        return pace.cut_off_signal(now - job.started, job.lane_or_raise.call_seconds(now))

    @property
    def has_room(self) -> bool:
        """Whether results are consumed and committed as fast as they come."""
        commits = self.commits
        return self._outlet.has_room and (commits is None or commits.has_room)

    @property
    def commits_are_late(self) -> bool:
        """Whether results are committed more slowly than they come."""
        return self.commits is not None and not self.commits.has_room

    @property
    def reader_is_late(self) -> bool:
        """Whether results are consumed more slowly than they come."""
        return not self._outlet.has_room

    def use_lane(self, lane: Lane[Job], max_workers: int) -> None:
        """Record that items of it go to a lane."""
        self.lanes[lane.quota] = lane
        self.change_allowed(lane.pace.limit, max_workers)

    def leave_lane(self, lane: Lane[Job]) -> None:
        """Forget a lane that is dropped."""
        del self.lanes[lane.quota]
        self.exhausted.pop(lane.quota, None)
        self._allowed -= lane.pace.limit

    def change_allowed(self, change: int, max_workers: int) -> None:
        """Record that the controllers of its lanes allow more or fewer calls in flight than before."""
        self._allowed += change
        self.tally.record_allowed(min(max_workers, self._allowed))

    def give_up_lane(self, lane: Lane[Job], reason: Fault) -> None:
        """Start no more calls in a lane."""
        self.exhausted.setdefault(lane.quota, reason)

    def record_start(self) -> None:
        """Count a call that starts."""
        self.in_flight += 1
        if self.in_flight > self.tally.max_workers:
            self.tally.record_in_flight(self.in_flight)

    def record_end(self) -> None:
        """Count a call that has ended."""
        self.in_flight -= 1

    def deliver(self, job: Job) -> None:
        """Hand a job's result over; with a journal, once it is committed."""
        job.deliver()
        commits = self.commits
        if commits is None:
            self.hand_over(job)
        else:
            commits.deliver(job)

    def hand_over(self, job: Job) -> None:
        """Hand a job's result over."""
        if self.ledger.deliver(job):
            self.close_if_empty()

    def withhold(self, job: Job) -> None:
        """Close a job whose result could not be committed, without handing it over."""
        self.ledger.withhold(job)
        self.close_if_empty()
