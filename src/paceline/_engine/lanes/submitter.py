"""Submitter: whose items a pool calls, to whom all that happens to them is reported.

The engine knows its customers by this class only; `accepted_items` has what both kinds of them do alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from ..._core import pace, retry
from ..._core.config import ProcessorConfig
from ..._core.fault import Fault
from ..._core.fault_groups import FaultGroup
from .lane import Lane
from .lane_job import LaneJob
from .spending import OverBudget
from .statistics import Tally

J = TypeVar("J", bound=LaneJob)
"""A job, as the submitter knows it."""


class Submitter(ABC, Generic[J]):
    """Whose items a pool calls: a batch, or the single calls of all tasks."""

    starts_afresh: bool
    """Whether its first call in an idle lane is made even if the lane is exhausted."""
    priority: int
    """Of its calls: higher goes first."""
    tenant: str
    """For whom its calls are made."""
    tally: Tally
    """Its counts."""
    started_at: float
    """When it began, in seconds."""
    lanes: dict[str, Lane[J]]
    """Lanes that its items were in, by quota key."""
    exhausted: dict[str, Fault]
    """Why no more calls of it start in some of these lanes."""
    stopped: Fault | None
    """Why no more calls start in any lane; None: they may."""

    @property
    @abstractmethod
    def may_start(self) -> bool:
        """Whether one of its waiting jobs may start a call."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether calls may start, as far as it knows."""

    @property
    @abstractmethod
    def deadline(self) -> float:
        """The time by which all its items are settled; inf: it has no deadline."""

    @property
    @abstractmethod
    def deadline_fault(self) -> Fault | None:
        """The fault of items that are not settled at the deadline; None: it has not passed."""

    @property
    @abstractmethod
    def unsettled(self) -> int:
        """Items without a result."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """Items that are neither settled nor in flight."""

    @abstractmethod
    def open_jobs(self) -> list[J]:
        """Return the jobs of all items without a result."""

    @abstractmethod
    def admit(self, job: J) -> None:
        """Pass an accepted job through the middlewares, and let it wait for its first call."""

    @abstractmethod
    def run(self, job: J) -> None:
        """Make the call of a job that was started in its lane, in a task that has the submitter's context."""

    @abstractmethod
    def dismiss(self, job: J, fault: Fault) -> None:
        """End a job that is neither in a lane nor in a task: it will be settled with `fault`."""

    def expire(self, job: J) -> None:
        """End a job whose deadline has passed, if it waits for something else than a lane, a preparation or its call."""

    @abstractmethod
    def leave_unprepared(self, job: J, fault: Fault, effect: retry.Effect) -> None:
        """End a job whose strategy could not be prepared, for this fault; `effect`: what the fault means for a batch."""

    @abstractmethod
    def deliver(self, job: J) -> None:
        """Hand a job's result over; with a journal, once it is committed."""

    @abstractmethod
    def deny(self, job: J, fault: Fault, lane: Lane[J]) -> None:
        """Make no more calls that a provider will not answer either, as it does not know the caller of a job of this lane."""

    @abstractmethod
    def stop(self, reason: Fault) -> None:
        """Start no more calls; waiting items are settled with `reason`."""

    @abstractmethod
    def give_up_lane(self, lane: Lane[J], reason: Fault) -> None:
        """Start no more calls in a lane."""

    def heed_budget(self, job: J, over: OverBudget) -> None:
        """Make no more calls like that of a job, for which the budget is used up."""

    def heed_shut(self, lane: Lane[J], now: float) -> None:
        """Heed that a lane starts no calls until a later time than before."""

    @abstractmethod
    def cut_off_signal(self, job: J, now: float) -> pace.Signal:
        """Return what a call says about its provider that was cut off by its own deadline or by that of its batch."""

    @abstractmethod
    def record_systematic(self, group: FaultGroup, reason: Fault) -> None:
        """Record that all calls of a lane failed alike."""

    @abstractmethod
    def use_lane(self, lane: Lane[J], max_workers: int) -> None:
        """Record that items of it go to a lane."""

    @abstractmethod
    def leave_lane(self, lane: Lane[J]) -> None:
        """Forget a lane that is dropped."""

    @abstractmethod
    def change_allowed(self, change: int, max_workers: int) -> None:
        """Record that the controllers of its lanes allow more or fewer calls in flight than before."""

    @abstractmethod
    def record_start(self) -> None:
        """Count a call that starts."""

    @abstractmethod
    def record_end(self) -> None:
        """Count a call that has ended."""

    @abstractmethod
    def overdue_fault(self, config: ProcessorConfig) -> Fault:
        """Return the fault of an item whose deadline has passed."""
