"""Lane: the jobs that share a quota, the rate controller that paces them, and what was learned about the quota."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, Generic, TypeVar

from ..._core.fault import Fault
from ..._core.health.lane_health import LaneHealth
from ..._core.health.overloads import LaneOverloads
from ..._core.health.refusals import Blame, LaneRefusals
from ..._core.pace import TRUST, PaceChange, PaceController
from ..._core.queue.fair_queue import FairQueue
from ..._core.queue.priority_band import Customer
from ..._core.queue.throughput import Throughput
from ..._core.token_estimate import TokenCosts
from ...abc import RateController
from .lane_job import LaneJob, estimate_cost
from .learned import LearnedQuota
from .spending import Spending

_MIN_READ_AHEAD = 64  # items per lane; two for each call that may be in flight if that is more
_FIRST_REOPENING, _LAST_REOPENING = (
    5.0,
    300.0,
)  # seconds until an exhausted lane is probed whose reopening is not known; it doubles


J = TypeVar("J", bound=LaneJob)


class Lane(Generic[J]):
    """The jobs that share a quota, and the rate controller that paces them."""

    def __init__(self, quota: str, learned: LearnedQuota, spending: Spending) -> None:
        self.quota = quota
        self._spending = spending
        self.pace: RateController = learned.pace
        self.costs: TokenCosts = learned.costs
        self.overloads: LaneOverloads = learned.overloads
        self.queue: FairQueue[J] = FairQueue()
        self._unreported = learned.unreported
        self._unrecorded = learned.unrecorded
        self._limit = self.pace.limit
        self._throughput = Throughput()
        self._calls: dict[J, None] = {}
        self.shut_until: float = -math.inf
        """Time before which the controller starts no calls, as everything is refused or fails; -inf: it does."""
        self.shut_since: float = -math.inf
        """When that began, in seconds."""
        self._idle_since = -math.inf
        """When its latest call ended, as far as is known."""
        self._reopening = _FIRST_REOPENING
        self._is_probing = False
        self._doubts_usage = False
        self._exhausted: Fault | None = None
        self._reopens_at = math.inf
        self._start_afresh()

    def _start_afresh(self) -> None:
        """Forget what earlier calls said about now; what was learned about the quota is kept."""
        self._refusals: LaneRefusals = LaneRefusals()
        self.health: LaneHealth = LaneHealth()
        """What they said; patience and outages are judged by it."""

    # ------------------------------------------------------------------------------------------ its state

    @property
    def in_flight(self) -> int:
        """Number of calls in flight."""
        return len(self._calls)

    @property
    def calls(self) -> Collection[J]:
        """The jobs whose calls are in flight, in the order of their starts."""
        return self._calls.keys()

    @property
    def is_below_limit(self) -> bool:
        """Whether its limit allows more than one further call, as of the last that has ended: something else holds them back."""
        return len(self._calls) + 1 < self._limit

    @property
    def is_idle(self) -> bool:
        """Whether no job waits here and no call is in flight."""
        return not self._calls and self.queue.is_empty

    def idle_for(self, now: float) -> float:
        """Return for how many seconds it had no job, as far as is known; 0 also while it is to be remembered that no calls start here."""
        is_exhausted = self._exhausted is not None and now < self._reopens_at
        if is_exhausted or now < self.shut_until or not self.is_idle or self._idle_since == -math.inf:
            self._idle_since = now
        return now - self._idle_since

    def doubts_usage(self) -> bool:
        """Record that a call is said to have used more tokens than calls have; return whether it is the first one."""
        is_first, self._doubts_usage = not self._doubts_usage, True
        return is_first

    @property
    def load(self) -> float:
        """Calls in flight over the limit, as of the last call that has ended."""
        return len(self._calls) / (self._limit or 1)

    @property
    def has_jobs(self) -> bool:
        """Whether a job waits here."""
        return not self.queue.is_empty

    @property
    def only_customer(self) -> Customer | None:
        """The customer of all jobs that wait here, if it is one."""
        return self.queue.only_customer

    @property
    def exhausted(self) -> Fault | None:
        """Why no more calls start here; None: they may."""
        return self._exhausted

    @property
    def reopens_at(self) -> float:
        """When a call is tried again, if no more start now; else inf."""
        return self._reopens_at

    def exhaust(self, reason: Fault, reopens_at: float | None, now: float) -> None:
        """Start no more calls until `reopens_at`; if that is not known, until a while from now, which is longer each time."""
        if self._exhausted is not None:
            return
        self._exhausted = reason
        if reopens_at is None:
            reopens_at = now + self._reopening
            self._reopening = min(2 * self._reopening, _LAST_REOPENING)
        self._reopens_at = reopens_at

    def is_exhausted(self, now: float) -> bool:
        """Whether no calls start here; if the time has come to try again, the next call is a probe."""
        if self._exhausted is not None and now >= self._reopens_at:
            self.reopen()
            self._is_probing = True
        return self._exhausted is not None

    def reopen(self) -> None:
        """Let calls start again, without regard to what earlier ones said about now."""
        self._exhausted, self._reopens_at = None, math.inf
        self._start_afresh()

    def surplus(self, customer: Customer, share: float) -> float:
        """Return how many more jobs of a customer wait than `share` of what is read ahead for this lane.

        Below 0, its source should be read on; inf: for this lane it need not be.
        """
        if self._exhausted is not None:
            return math.inf
        return self.queue.in_turn_of(customer) - share * max(_MIN_READ_AHEAD, 2 * self.pace.limit)

    def starts_per_second(self, now: float) -> float | None:
        """Return how many calls start in a second while jobs wait; None: it is not known."""
        rate = min(self._throughput.rate(now) or math.inf, self.pace.rate)
        return rate if 0 < rate < math.inf else None

    def call_seconds(self, now: float) -> float:
        """Return how many seconds a call takes in flight, usually; 0: it is not known."""
        known = self.pace.knowledge(now)
        return 0.0 if known is None else known.latency

    # ------------------------------------------------------------------------------------------ jobs

    def ready_at(self, now: float) -> float:
        """Return the earliest time of the next call; inf: an event must come first, such as a new job."""
        if self._exhausted is not None or self.health.is_suspended or (self._is_probing and self._calls):
            return math.inf
        job = self.queue.peek(now)
        if job is None:
            return self.queue.ready_at(now)
        if job.use is not None and not job.use.has_room:
            return math.inf
        if self._spending.budget is not None and self._spending.must_wait(job, self.quota):
            return math.inf
        return self.pace.admit_at(now, job.cost or estimate_cost(job, self.costs))

    def held_by(self, now: float) -> Sequence[object]:
        """Return the customers, the connections and the budget that hold its next call back."""
        if self._exhausted is not None or self.health.is_suspended:
            return []
        held: list[object] = [*self.queue.held_back(now)]
        job = self.queue.peek(now)
        if job is None:
            return held
        if job.use is not None and not job.use.has_room:
            held.append(job.use)
        if self._spending.budget is not None and self._spending.must_wait(job, self.quota):
            held.append(self._spending)
        return held

    def add(self, job: J) -> None:
        """Let a job wait for its first call."""
        if self.queue.is_empty:
            self._throughput.reset()
            if not self._calls and self.health.has_trouble:
                self.health.refuse_since(math.inf)  # the lane was idle: earlier refusals say nothing about now
        job.wait()
        self.queue.add(job.customer, job)

    def put_back(self, job: J, not_before: float, now: float, *, is_new_here: bool) -> None:
        """Let a job wait for a further call; `is_new_here`: the last one was in another lane."""
        if is_new_here and self.is_idle:
            self.health.refuse_since(job.refused.since)  # it may go from lane to lane, and be refused in each
        if self.queue.is_empty:
            self._throughput.reset()
        job.wait(estimate_again=True)
        step_back = job.refused.step_back
        if job.refused.is_own:  # its next refusal tells nothing new before a call that starts from now on is served
            step_back += len(self._calls)
        self.queue.put_back(job.customer, job, not_before, now, step_back)

    def start(self, job: J, now: float) -> None:
        """Count a call as started."""
        ticket = self.pace.started(now, job.cost or estimate_cost(job, self.costs))
        job.start(now, self.overloads.record_start(), ticket)
        self._throughput.record(now)
        if not self._calls:
            self.queue.set_idle(idle=False)
        self._calls[job] = None
        if self.shut_until > -math.inf:  # it is a probe
            self.look_at_gate(now)

    def finish(self, job: J, now: float, signal: Any) -> int:
        """Count a call as ended; return by how much the limit on calls in flight changed."""
        del self._calls[job]
        if not self._calls:
            self.queue.set_idle(idle=True)
            self._idle_since = now
        self.pace.settled(job.finish(), now, signal)
        before, self._limit = self._limit, self.pace.limit
        return self._limit - before

    def allow_bursts(self) -> None:
        """Let a few calls start at once, if the controller can: people wait for each of them."""
        if isinstance(self.pace, PaceController):
            self.pace.allow_bursts()

    def look_at_gate(self, now: float) -> bool:
        """Look at whether the controller starts calls; return whether it starts none until a later time than before."""
        before, self.shut_until = self.shut_until, self.pace.statistics().gate
        if before == -math.inf:
            self.shut_since = now
        return self.shut_until > max(before, now)

    # ------------------------------------------------------------------------------------------ what calls say

    def record_served(self, job: J, now: float, *, accepted: bool = True) -> None:
        """Record that the provider served a job's call: patience starts from the beginning."""
        self.overloads.record_answer(job.started, now, accepted=accepted)
        self._is_probing, self._reopening = False, _FIRST_REOPENING
        if self.health.has_trouble:
            self.health.record_served()
        self._refusals.record_served(job.refused, job.order)
        if self.queue.may_step_forward:
            self.queue.record_served()

    def record_overload(self, job: J, now: float, before: float | None) -> bool:
        """Record that a job's call in flight ended with an overload, as one did at `before`; return whether it was a refusal."""
        oldest = next(iter(self._calls)).started
        return self.overloads.record_overload(job.order, job.started, now, before=before, oldest=oldest)

    def blame(self, job: J, now: float, patience: float) -> Blame:
        """Record that a job's call was refused; return whom that tells about."""
        refused, blame = self._refusals.record_refusal(job.refused, job.order, now, patience)
        job.refuse(refused)
        if self._refusals.is_closed:
            self.queue.record_closed()
        return blame

    def record_passing_fault(self, job: J, now: float, patience: float) -> bool:
        """Record that a job's call failed for a passing reason; return whether the lane is down for longer than anyone waits.

        It is if the controller lets the next call start only after `patience` seconds, as every call failed for even longer.
        """
        self.health.record_passing_fault(id(job), now)
        if self._calls or self.pace.admit_at(now, job.cost) - now <= patience:
            return False
        return self.health.many_have_failed or all(other.was_called for other in self.queue)

    # ------------------------------------------------------------------------------------------ patience

    def patience_ends_at(self, patience: float) -> float:
        """Return when the jobs that wait here are given up; inf: nothing waits, or nothing is refused."""
        since = self.health.refused_since
        if since == math.inf or self._exhausted is not None or self.queue.is_empty:
            return math.inf
        return since + (min(patience, TRUST) if self.has_only_suspects else patience)

    @property
    def has_only_suspects(self) -> bool:
        """Whether all jobs that wait here are refused for their own sake, more likely than by chance."""
        return not self._calls and not self.queue.in_turn and all(job.refused.is_own for job in self.queue)

    # ------------------------------------------------------------------------------------------ its history

    def unreported_changes(self) -> Sequence[PaceChange]:
        """Return the changes of the pace since the last call of this method, the oldest first."""
        return self._unreported.read(self.pace.history)

    def unrecorded_changes(self) -> Sequence[PaceChange]:
        """Return, for the journal, the changes of the pace since the last call of this method."""
        return self._unrecorded.read(self.pace.history)
