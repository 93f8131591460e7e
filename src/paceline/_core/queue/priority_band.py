"""Priority band: the customers of one priority in a lane, whose turn it is among them, and how many jobs go before a new one.

Rules owned here:

1. Tenants take turns, and so do the customers of one tenant, whatever the number of their jobs.
2. A customer that may not start a call keeps its turn while others go.
3. While a higher priority waits, each lower one that waits gets `LOWER_SHARE` of the calls. All of them together get at most half, so
   that they do not displace the highest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

import attrs

from .backlog import Backlog

T = TypeVar("T")

LOWER_SHARE = 0.05
"""Share of a lane's calls that each lower priority gets while a higher one waits."""
_ALL_LOWER = 0.5  # the most that all lower priorities get together
_LOOKED_AT = 16  # tenants, or customers of one, that are counted; others are estimated from these: a count for each call must be cheap


class Customer(Protocol):
    """The owner of jobs that wait together, compared by identity. Its priority and tenant never change."""

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
class Flow(Generic[T]):
    """The waiting jobs of one customer."""

    customer: Customer
    band: Band[T]
    backlog: Backlog[T] = attrs.field(factory=Backlog)

    @property
    def startable(self) -> int:
        """Number of its jobs that wait for nothing but their turn."""
        return self.backlog.ready if self.customer.may_start else 0


@attrs.define(eq=False)
class Band(Generic[T]):
    """The customers of one priority that do not sleep, by tenant; the first tenant's first customer is next in turn."""

    priority: int
    tenants: OrderedDict[str, OrderedDict[Flow[T], None]] = attrs.field(factory=OrderedDict)
    credit: float = 0.0
    """Calls that it may start before higher priorities."""
    size: int = 0
    """Number of its customers, also of those that sleep."""

    def __iter__(self) -> Iterator[Flow[T]]:
        for flows in self.tenants.values():
            yield from flows

    def next_at(self, now: float) -> tuple[Flow[T] | None, list[tuple[float, Flow[T]]]]:
        """Return the flow that goes next, None if no job may start now; and those before it whose jobs all wait, with the time of each."""
        waiting: list[tuple[float, Flow[T]]] = []
        for flow in self:
            if flow.customer.may_start:
                at = flow.backlog.ready_at(now)
                if at <= now:
                    return flow, waiting
                waiting.append((at, flow))
        return None, waiting

    def held_back(self, now: float) -> Iterator[Customer]:
        """Yield the customers whose jobs would go next, if these customers might start calls."""
        for flow in self:
            if not flow.customer.may_start:
                yield flow.customer
            elif flow.backlog.ready_at(now) <= now:
                return

    def append(self, flow: Flow[T]) -> None:
        """Let a flow take its turn after all others."""
        tenant = flow.customer.tenant
        flows = self.tenants.get(tenant)
        if flows is None:
            flows = self.tenants[tenant] = OrderedDict()
        flows[flow] = None

    def remove(self, flow: Flow[T]) -> None:
        """Take a flow out of the turns, if it is there."""
        tenant = flow.customer.tenant
        flows = self.tenants.get(tenant)
        if flows is not None and flow in flows:
            del flows[flow]
            if not flows:
                del self.tenants[tenant]

    def end_turn(self, flow: Flow[T]) -> None:
        """Let all others go before a flow."""
        tenant = flow.customer.tenant
        self.tenants[tenant].move_to_end(flow)
        self.tenants.move_to_end(tenant)

    def ahead_of(self, customer: Customer, own: Flow[T] | None) -> int:
        """Return how many of its jobs start before a new one of a customer; `own`: the customer's flow."""
        waiting = 0 if own is None else own.backlog.ready
        flows = self.tenants.get(customer.tenant, OrderedDict())
        flows_in_turn = ((flow is own, flow.startable) for flow in flows)
        of_tenant = waiting + _of_others(flows_in_turn, len(flows) - (own in flows), waiting)
        tenants = ((tenant == customer.tenant, _startable(flows)) for tenant, flows in self.tenants.items())
        return of_tenant + _of_others(tenants, len(self.tenants) - (customer.tenant in self.tenants), of_tenant)

    @property
    def startable(self) -> int:
        """Number of its jobs that wait for nothing but their turn; an estimate if it has many tenants."""
        of_tenants = [_startable(flows) for flows in islice(self.tenants.values(), _LOOKED_AT)]
        return _scaled(sum(of_tenants), len(of_tenants), len(self.tenants))


def _startable(flows: OrderedDict[Flow[T], None]) -> int:
    """Return how many jobs of a tenant wait for nothing but their turn; an estimate if it has many customers."""
    of_flows = [flow.startable for flow in islice(flows, _LOOKED_AT)]
    return _scaled(sum(of_flows), len(of_flows), len(flows))


def _of_others(in_turn: Iterable[tuple[bool, int]], number: int, own: int) -> int:
    """Return how many jobs of others start before a customer's or a tenant's job after its `own` earlier ones, if all take turns.

    Args:
        in_turn: Of each that takes turns, in their order: whether it is that one, and its number of jobs.
        number: How many others there are; if they are many, the result is an estimate from the first of them.
        own: Number of jobs of that one.
    """
    total, others, is_before = 0, 0, 1
    for is_own, jobs in islice(in_turn, _LOOKED_AT):
        if is_own:
            is_before = 0
        else:
            others += 1
            total += min(jobs, own + is_before)
    return _scaled(total, others, number)


def _scaled(total: int, number: int, of: int) -> int:
    """Return the sum over all, from that over a number of them."""
    return total if number >= of else round(total * of / number)


def first_of(turns: Sequence[Flow[T]]) -> Flow[T]:
    """Return the flow that goes first: a lower priority's if it has the credit for it."""
    for flow in turns[1:]:
        if flow.band.credit >= 1.0:
            return flow
    return turns[0]


def share_out(turns: Sequence[Flow[T]], taken: Band[T]) -> None:
    """Give the lower priorities that wait their share of a call; take it from the one that was chosen."""
    share = min(LOWER_SHARE, _ALL_LOWER / (len(turns) - 1))
    for flow in turns[1:]:
        flow.band.credit += share
        if flow.band is taken:
            taken.credit -= 1.0
