"""Fair queue: the jobs that wait in one lane, by the customers they belong to, and the choice of the next one.

A customer is a batch, or the single calls of one tenant. Its jobs wait in a backlog of its own.

Rules owned here:

1. The highest priority goes first. Meanwhile each lower one that waits gets a share of the calls, so that it does not starve. Whose turn
   it is within a priority is a rule of its band (`priority_band`).
2. A customer that may not start a call lets others go. So a lane is never idle while it has work that may be done.
3. A customer that comes, or comes back, goes after those that wait already.

A customer whose jobs all wait for a time sleeps: it is not looked at before that time, or before something happens to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from .heap import Heap
from .priority_band import LOWER_SHARE, Band, Customer, Flow, first_of, share_out

T = TypeVar("T")
_NO_HEAP: Heap[Any] = Heap()  # in most lanes no customer ever sleeps, and there may be thousands


class FairQueue(Generic[T]):
    """The waiting jobs of one lane. Owned by one task tree; no method awaits."""

    def __init__(self) -> None:
        self._flows: dict[Customer, Flow[T]] = {}
        """Those with jobs; an only one may be empty, as its next job is likely to come soon."""
        self._only: Flow[T] | None = None
        """The flow, if there is only one. It never sleeps."""
        self._bands: list[Band[T]] = []
        """The highest priority first."""
        self._sleeping: Heap[Flow[T]] = _NO_HEAP
        """By the time at which a job of theirs may start."""
        self._stepped_back: dict[Customer, Flow[T]] = {}
        """Those with jobs that may have stepped back."""
        self._idle = True

    def __len__(self) -> int:
        return sum(len(flow.backlog) for flow in self._flows.values())

    def __iter__(self) -> Iterator[T]:
        for flow in self._flows.values():
            yield from flow.backlog

    @property
    def is_empty(self) -> bool:
        """Whether no job waits."""
        return self._only.backlog.is_empty if self._only is not None else not self._flows

    @property
    def customers(self) -> tuple[Customer, ...]:
        """Whose jobs wait."""
        return () if self.is_empty else tuple(self._flows)

    @property
    def only_customer(self) -> Customer | None:
        """Whose jobs wait, if they are one customer's."""
        return None if self._only is None else self._only.customer

    def jobs_of(self, customer: Customer) -> Iterator[T]:
        """Yield the waiting jobs of a customer."""
        flow = self._flows.get(customer)
        return iter(()) if flow is None else iter(flow.backlog)

    @property
    def in_turn(self) -> int:
        """Number of waiting jobs that have not stepped back."""
        return sum(flow.backlog.in_turn for flow in self._flows.values())

    def in_turn_of(self, customer: Customer) -> int:
        """Return how many jobs of a customer wait and have not stepped back."""
        flow = self._flows.get(customer)
        return 0 if flow is None else flow.backlog.in_turn

    def ahead_of(self, customer: Customer) -> int:
        """Return how many jobs start before a new one of a customer, if no others come.

        Jobs of lower priorities, and those that wait for a time or whose customers may not start, are not counted. Of many tenants, or
        many customers of one, only the first are looked at, and the others estimated from them.
        """
        own = self._flows.get(customer)
        above = of_priority = 0
        for band in self._bands:
            if band.priority > customer.priority:
                above += band.startable
            elif band.priority == customer.priority:
                of_priority = band.ahead_of(customer, own)
        return of_priority + min(above, math.ceil((of_priority + 1) * (1 / LOWER_SHARE - 1)))

    # ------------------------------------------------------------------------------------------ jobs come

    def add(self, customer: Customer, job: T) -> None:
        """Add a job that was never called."""
        self.add_all(customer, (job,))

    def add_all(self, customer: Customer, jobs: Sequence[T]) -> None:
        """Add jobs that were never called."""
        flow = self._only
        if flow is None or flow.customer is not customer:
            flow = self._flow_of(customer)
        flow.backlog.add_all(jobs)

    def put_back(self, customer: Customer, job: T, not_before: float, now: float, step_back: int = 0) -> None:
        """Put back a job that was called; the arguments are those of `Backlog.put_back`."""
        flow = self._flow_of(customer)
        flow.backlog.put_back(job, not_before, now, step_back)
        if step_back and customer not in self._stepped_back:
            self._stepped_back[customer] = flow
            flow.backlog.idle = self._idle

    def _flow_of(self, customer: Customer) -> Flow[T]:
        """Return the flow of a customer, awake."""
        flow = self._flows.get(customer)
        if flow is None:
            if self._only is not None and self.is_empty:
                self._remove(self._only)
            band = self._band_of(customer.priority)
            flow = self._flows[customer] = Flow(customer, band)
            band.append(flow)
            band.size += 1
            self._find_only()
        else:
            self._wake(flow)
        return flow

    def _band_of(self, priority: int) -> Band[T]:
        for band in self._bands:
            if band.priority == priority:
                return band
        added: Band[T] = Band(priority)
        self._bands.append(added)
        self._bands.sort(key=lambda band: -band.priority)
        return added

    # ------------------------------------------------------------------------------------------ jobs go

    def peek(self, now: float) -> T | None:
        """Return the next job that may start now, without removing it; None if no job may."""
        flow = self._only
        if flow is None:
            turns = self._turns(now)
            if not turns:
                return None
            flow = first_of(turns)
        return flow.backlog.peek(now) if flow.customer.may_start else None

    def take(self, now: float) -> T | None:
        """Remove and return the next job that may start now; None if no job may."""
        flow = self._only
        if flow is not None:
            return flow.backlog.take(now) if flow.customer.may_start else None
        turns = self._turns(now)
        if not turns:
            return None
        flow = first_of(turns)
        job = flow.backlog.take(now)
        if len(turns) > 1:
            share_out(turns, flow.band)
        flow.band.end_turn(flow)
        self._drop_if_empty(flow)
        return job

    def ready_at(self, now: float) -> float:
        """Return when the next job may start: `now`, or a later time, or infinity if an event must come first.

        A later time may be too early: a job may step back by then, or its customer may not start.
        """
        flow = self._only
        if flow is not None:
            return flow.backlog.ready_at(now) if flow.customer.may_start else math.inf
        if self._turns(now):
            return now
        return self._sleeping.key

    def held_back(self, now: float) -> Sequence[Customer]:
        """Return the customers whose jobs would go next, if these customers might start calls."""
        flow = self._only
        if flow is not None:
            return () if flow.customer.may_start else (flow.customer,)
        return [customer for band in self._bands for customer in band.held_back(now)]

    def discard(self, customer: Customer, job: T) -> None:
        """Remove a job that waits here."""
        flow = self._flows.get(customer)
        if flow is not None:
            flow.backlog.discard(job)
            self._drop_if_empty(flow)

    def clear(self, customer: Customer | None = None, most: float = math.inf) -> list[T]:
        """Remove and return the waiting jobs of a customer, at most so many of them; None: of all customers."""
        flows = list(self._flows.values()) if customer is None else [self._flows.get(customer)]
        jobs: list[T] = []
        for flow in flows:
            if flow is not None and len(jobs) < most:
                jobs += flow.backlog.clear(most - len(jobs))
                if not len(flow.backlog):
                    self._remove(flow)
        return jobs

    def _turns(self, now: float) -> list[Flow[T]]:
        """Return of each priority the flow that goes next in it, the highest priority first."""
        while self._sleeping.is_due(now):
            self._wake(self._sleeping.first)
        turns: list[Flow[T]] = []
        for band in self._bands:
            flow, waiting = band.next_at(now)
            for at, sleeper in waiting:
                band.remove(sleeper)
                self._sleep(sleeper, at)
            if flow is not None:
                turns.append(flow)
        return turns

    def _sleep(self, flow: Flow[T], until: float) -> None:
        if self._sleeping is _NO_HEAP:
            self._sleeping = Heap()
        self._sleeping.push(until, flow)

    def _wake(self, flow: Flow[T]) -> None:
        if self._sleeping.discard(flow):
            flow.band.append(flow)

    # ------------------------------------------------------------------------------------------ calls of the lane

    def set_idle(self, *, idle: bool) -> None:
        """Record whether the lane has no call in flight."""
        self._idle = idle
        for flow in self._stepped_back.values():
            flow.backlog.idle = idle
            if idle:
                self._wake(flow)

    @property
    def may_step_forward(self) -> bool:
        """Whether a job may have stepped back."""
        return bool(self._stepped_back)

    def record_served(self) -> None:
        """Record that the lane has served a call: jobs that stepped back for it step forward."""
        for customer, flow in tuple(self._stepped_back.items()):
            flow.backlog.record_served()
            if flow.backlog.ready:
                self._wake(flow)
            if not flow.backlog.may_step_forward:
                del self._stepped_back[customer]

    def record_closed(self) -> None:
        """Record that the lane has refused a call, as it did all others lately: the next ones come from the other end."""
        for flow in self._flows.values():
            flow.backlog.record_closed()

    # ------------------------------------------------------------------------------------------ customers

    def _drop_if_empty(self, flow: Flow[T]) -> None:
        """Forget a customer without jobs, unless it is the only one."""
        if self._only is None and not len(flow.backlog):
            self._remove(flow)

    def _remove(self, flow: Flow[T]) -> None:
        del self._flows[flow.customer]
        self._stepped_back.pop(flow.customer, None)
        self._sleeping.discard(flow)
        band = flow.band
        band.remove(flow)
        band.size -= 1
        if not band.size:
            self._bands.remove(band)
        self._find_only()

    def _find_only(self) -> None:
        if len(self._flows) == 1:
            (self._only,) = self._flows.values()
            self._wake(self._only)
        else:
            self._only = None
