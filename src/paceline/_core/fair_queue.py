"""Fair queue: the jobs that wait in one lane, by the customers they belong to, and whose job goes next.

A customer is a batch, or the single calls of one tenant. Its jobs wait in a backlog of its own.

Rules owned here:

1. The highest priority goes first. While it does, each lower one that waits keeps `LOWER_SHARE` of the calls: nobody starves.
2. Tenants of one priority take turns, and so do the customers of one tenant, whatever the number of their jobs.
3. A customer that may not start a call now is passed over, and so is one whose jobs must all wait: a lane with work that may be done does
   it.

Lower priorities that wait share at most half of the calls, so that many of them do not displace the highest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

import attrs

from .lanes import Backlog

T = TypeVar("T")

LOWER_SHARE = 0.05
"""Share of a lane's calls that each lower priority keeps while a higher one waits."""
_ALL_LOWER = 0.5  # the most that all lower priorities keep together


class Customer(Protocol):
    """Whose jobs wait together. Told apart by identity."""

    @property
    def priority(self) -> int:
        """Higher goes first."""
        ...

    @property
    def tenant(self) -> str:
        """For whom its calls are made."""
        ...

    @property
    def may_start(self) -> bool:
        """Whether one of its jobs may start a call."""
        ...


@attrs.define(eq=False)
class _Flow(Generic[T]):
    """The waiting jobs of one customer."""

    customer: Customer
    backlog: Backlog[T] = attrs.field(factory=Backlog)


@attrs.define(eq=False)
class _Band(Generic[T]):
    """The customers of one priority, by tenant; the first tenant and its first customer are next in turn."""

    priority: int
    tenants: dict[str, dict[int, _Flow[T]]] = attrs.field(factory=dict)
    credit: float = 0.0
    """Calls that it may start before higher priorities."""

    def next(self, now: float) -> _Flow[T] | None:
        """Return the next flow that may start a call."""
        for flows in self.tenants.values():
            for flow in flows.values():
                if flow.customer.may_start and flow.backlog.peek(now) is not None:
                    return flow
        return None

    def take_turn(self, flow: _Flow[T]) -> None:
        """Let the others go before this flow."""
        tenant = flow.customer.tenant
        flows = self.tenants[tenant]
        if len(flows) > 1:
            flows[id(flow.customer)] = flows.pop(id(flow.customer))
        if len(self.tenants) > 1:
            self.tenants[tenant] = self.tenants.pop(tenant)


class FairQueue(Generic[T]):
    """The waiting jobs of one lane. Owned by one task tree; no method awaits."""

    def __init__(self) -> None:
        self._flows: dict[int, _Flow[T]] = {}  # by identity of the customer
        self._only: _Flow[T] | None = None
        """The flow, if there is only one."""
        self._bands: list[_Band[T]] = []  # the highest priority first
        self._stepped_back: dict[int, _Flow[T]] = {}
        self._idle = True

    def __len__(self) -> int:
        if self._only is not None:
            return len(self._only.backlog)
        return sum(len(flow.backlog) for flow in self._flows.values())

    def __iter__(self) -> Iterator[T]:
        for flow in self._flows.values():
            yield from flow.backlog

    @property
    def customers(self) -> tuple[Customer, ...]:
        """Whose jobs wait."""
        return tuple(flow.customer for flow in self._flows.values())

    def jobs_of(self, customer: Customer) -> Iterator[T]:
        """Yield the waiting jobs of a customer."""
        flow = self._flows.get(id(customer))
        return iter(()) if flow is None else iter(flow.backlog)

    @property
    def in_turn(self) -> int:
        """Number of waiting jobs that have not stepped back."""
        return sum(flow.backlog.in_turn for flow in self._flows.values())

    def in_turn_of(self, customer: Customer) -> int:
        """Return how many jobs of a customer wait and have not stepped back."""
        flow = self._flows.get(id(customer))
        return 0 if flow is None else flow.backlog.in_turn

    def ahead_of(self, priority: int) -> int:
        """Return how many jobs wait that go before a new one of this priority."""
        return sum(len(flow.backlog) for flow in self._flows.values() if flow.customer.priority >= priority)

    # ------------------------------------------------------------------------------------------ jobs come

    def add(self, customer: Customer, job: T) -> None:
        """Add a job that was never called."""
        flow = self._only
        if flow is None or flow.customer is not customer:
            flow = self._flow_of(customer)
        flow.backlog.add(job)

    def put_back(self, customer: Customer, job: T, not_before: float, now: float, step_back: int = 0) -> None:
        """Put back a job that was called; the arguments are those of `Backlog.put_back`."""
        flow = self._flow_of(customer)
        flow.backlog.put_back(job, not_before, now, step_back)
        if step_back:
            self._stepped_back[id(customer)] = flow

    def _flow_of(self, customer: Customer) -> _Flow[T]:
        flow = self._flows.get(id(customer))
        if flow is None:
            if self._only is not None and not len(self._only.backlog):
                self._remove(self._only)
            flow = self._flows[id(customer)] = _Flow(customer)
            flow.backlog.idle = self._idle
            self._band_of(customer.priority).tenants.setdefault(customer.tenant, {})[id(customer)] = flow
            self._find_only()
        return flow

    def _band_of(self, priority: int) -> _Band[T]:
        for band in self._bands:
            if band.priority == priority:
                return band
        band = _Band[T](priority)
        self._bands.append(band)
        self._bands.sort(key=lambda band: -band.priority)
        return band

    # ------------------------------------------------------------------------------------------ jobs go

    def peek(self, now: float) -> T | None:
        """Return the next job that may start now, without removing it; None if no job may."""
        flow = self._next(now)
        return None if flow is None else flow.backlog.peek(now)

    def take(self, now: float) -> T | None:
        """Remove and return the next job that may start now; None if no job may."""
        flow = self._next(now)
        if flow is None:
            return None
        job = flow.backlog.take(now)
        if self._only is None:
            self._account(flow, now)
            self._drop_if_empty(flow)
        return job

    def ready_at(self, now: float) -> float:
        """Return when the next job may start: `now`, a later time, or infinity if an event must come first."""
        flow = self._only
        if flow is not None:
            return flow.backlog.ready_at(now) if flow.customer.may_start else math.inf
        times = (flow.backlog.ready_at(now) for flow in self._flows.values() if flow.customer.may_start)
        return min(times, default=math.inf)

    def discard(self, customer: Customer, job: T) -> None:
        """Remove a waiting job of a customer."""
        flow = self._flows.get(id(customer))
        if flow is not None:
            flow.backlog.discard(job)
            self._drop_if_empty(flow)

    def clear(self, customer: Customer | None = None) -> list[T]:
        """Remove and return the waiting jobs of a customer; None: of all customers."""
        flows = list(self._flows.values()) if customer is None else [self._flows.get(id(customer))]
        jobs: list[T] = []
        for flow in flows:
            if flow is not None:
                jobs.extend(flow.backlog.clear())
                self._drop_if_empty(flow)
        return jobs

    def _next(self, now: float) -> _Flow[T] | None:
        flow = self._only
        if flow is not None:
            return flow if flow.customer.may_start and flow.backlog.peek(now) is not None else None
        chosen: _Flow[T] | None = None
        for band in self._bands:
            if (chosen is None or band.credit >= 1.0) and (flow := band.next(now)) is not None:
                if band.credit >= 1.0:
                    return flow
                chosen = flow
        return chosen

    def _account(self, taken: _Flow[T], now: float) -> None:
        """Give credit to the lower priorities that wait, and take it from the one that started a call before its turn."""
        band = self._band_of(taken.customer.priority)
        band.take_turn(taken)
        waiting = [other for other in self._bands if other is not band and other.next(now) is not None]
        lower = [other for other in waiting if other is not self._bands[0]]
        if any(other.priority > band.priority for other in waiting):
            band.credit -= 1.0
        else:
            band.credit = 0.0
        for other in lower:
            other.credit = min(1.0, other.credit + min(LOWER_SHARE, _ALL_LOWER / len(lower)))

    # ------------------------------------------------------------------------------------------ calls of the lane

    def set_idle(self, *, idle: bool) -> None:
        """Record whether the lane has no call in flight."""
        self._idle = idle
        for flow in self._flows.values():
            flow.backlog.idle = idle

    def record_served(self) -> None:
        """Record that the lane has served a call: jobs that stepped back for it step forward."""
        for flow in self._stepped_back.values():
            flow.backlog.record_served()

    def record_closed(self) -> None:
        """Record that the lane has refused a call, as it did all others lately: the next ones come from the other end."""
        for flow in self._flows.values():
            flow.backlog.record_closed()

    # ------------------------------------------------------------------------------------------ customers

    def _drop_if_empty(self, flow: _Flow[T]) -> None:
        """Forget a customer without waiting jobs, unless it is the only one: its next job is likely to come soon."""
        if len(self._flows) > 1 and not len(flow.backlog):
            self._remove(flow)

    def _remove(self, flow: _Flow[T]) -> None:
        customer = flow.customer
        del self._flows[id(customer)]
        self._stepped_back.pop(id(customer), None)
        band = self._band_of(customer.priority)
        flows = band.tenants[customer.tenant]
        del flows[id(customer)]
        if not flows:
            del band.tenants[customer.tenant]
            if not band.tenants:
                self._bands.remove(band)
        self._find_only()

    def _find_only(self) -> None:
        self._only = next(iter(self._flows.values())) if len(self._flows) == 1 else None
