"""A simulated world: a provider, clients and their controllers, in virtual time, without an event loop.

Rules owned here:

1. A client obeys its controller as the engine does: it asks before each call, asks again at the answered time or when a call
   settles, whichever is sooner, and repeats a refused call before a new one. It has work at all times, except while `works`
   returns False.
2. Same seed, same history.
3. Amounts are recorded by the second, in units: `admitted`, `served`, `refused` and `busy` (seconds of calls in service).

One event is one entry of a heap: about two for each call.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections import deque
from random import Random

from paceline._core.pace import Faulted, Throttled
from paceline._core.pace.controller import PaceController

from .limits import Cap
from .tally import Tally

MOST = 4_000  # calls that a client may have in flight
FAULT_LATENCY = 0.3  # seconds
SPIN = 1_000  # questions in a row to which a controller may answer "later" while nothing else happens


class Client:
    """One caller with one controller."""

    def __init__(self, world, controller, *, start, most, cost, works, late=0.0):  # noqa: PLR0913 - the parts of a client
        self.world, self.controller = world, controller
        self.most, self.cost, self.works, self.late = most, cost, works, late
        self.admitted, self.served, self.refused = Tally(), Tally(), Tally()
        self.served_at, self.refused_at, self.started_at = array("d"), array("d"), array("d")
        self.faulted = self.asked = self.in_flight = self.peak = 0
        self.watch = None
        """Function to call with the time after each event; None: there is no watcher."""
        self._refused = deque()
        self._turns = 0
        self._next = None
        self._wake = math.inf
        world.at(start, self._work, start)

    def _work(self, _):
        self.pump(self.world.now)

    def wake_up(self, at):
        """Ask again at the time that the controller had answered."""
        if at == self._wake:
            self._wake = math.inf
            self.pump(at)

    def pump(self, now):
        """Start the calls that may start."""
        controller, world = self.controller, self.world
        while self.in_flight < self.most and (self.works is None or self.works(now, self)):
            if self._next is None:
                self._next = self._refused.popleft() if self._refused else self.cost(world.chance)
            self.asked += 1
            at = controller.admit_at(now, self._next)
            if at > now:
                self._turns += 1
                if self.late:
                    at += world.chance.uniform(0, self.late)
                assert self._turns < SPIN, f"asked {SPIN} times in a row at {now}, it answers {at} and admits nothing"
                if at < self._wake:
                    self._wake = at
                    world.at(at, self.wake_up, at)
                return
            self._turns = 0
            cost, self._next = self._next, None
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            self.started_at.append(now)
            ticket = controller.started(now, cost)
            if self.late:
                world.at(now + world.chance.uniform(0, self.late), self.send, (ticket, cost))
            else:
                world.call(self, ticket, now, cost)
            if self.watch:
                self.watch(now)

    def send(self, call):
        """Let a call reach the provider, on a busy machine later than the client started it."""
        ticket, cost = call
        self.world.call(self, ticket, self.world.now, cost)

    def settle(self, call):
        """End a call."""
        ticket, cost, signal = call
        now = self.world.now
        self._turns = 0
        self.in_flight -= 1
        match signal:
            case Throttled():
                self.refused.add(now, 1)
                self.refused_at.append(now)
                self._refused.append(cost)
            case Faulted():
                self.faulted += 1
                self._refused.append(cost)
            case _:
                self.served.add(now, self.world.units(cost))
                self.served_at.append(now)
        self.controller.settled(ticket, now, signal)
        if self.watch:
            self.watch(now)
        self.pump(now)


def of_one(chance):
    """Return the cost of a call where all cost the same."""
    return 1.0


def heavy_tailed(chance):
    """Return the tokens of a call: a thousand on average, some of them twenty times that."""
    return min(20_000.0, chance.lognormvariate(math.log(487), 1.2))


class World:
    """A provider that changes at times, and its clients.

    Args:
        service: The provider at first.
        steps: Times, and the provider from then on.
        seed: Seed of all random draws.
        tokens: Whether amounts are counted in tokens instead of calls.
        begin: Time at which the world starts, in seconds.
    """

    def __init__(self, service, steps=(), *, seed=0, tokens=False, begin=0.0):
        self.now = begin
        self.chance = Random(seed)
        self.clients = []
        self.tokens = tokens
        self.busy = Tally()
        self.in_service = 0
        self._heap = []
        self._count = 0
        self._sharing = _Sharing(self)
        self._become(service)
        for at, changed in steps:
            self.at(at, self._become, changed)

    def client(self, controller=None, *, start=None, most=MOST, cost=of_one, works=None, late=0.0):  # noqa: PLR0913 - as above
        """Add a client that starts at `start`, or now, and wakes and sends its calls up to `late` seconds late."""
        controller = PaceController() if controller is None else controller
        start = self.now if start is None else start
        client = Client(self, controller, start=start, most=most, cost=cost, works=works, late=late)
        self.clients.append(client)
        return client

    def at(self, time, act, argument):
        """Do something at a time."""
        self._count += 1
        heapq.heappush(self._heap, (time, self._count, act, argument))

    def run(self, until):
        """Let time pass until then."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= until:
            self.now, _, act, argument = pop(heap)
            act(argument)
        self.now = until
        return self

    def use(self, start, end):
        """Return the share of the limit that binds, of those in force now, that was used between two times."""
        seconds = end - start
        shares = [self._total("served", start, end) * self.service.latency / (self.service.knee * seconds)]
        for limit in self.service.limits:
            if isinstance(limit, Cap):
                shares.append(self.busy.between(start, end) / (max(1, limit.calls) * seconds))
            else:
                shares.append(self._total("admitted", start, end) / (limit.rate * seconds))
        return max(shares)

    def _total(self, amounts, start, end):
        return sum(getattr(client, amounts).between(start, end) for client in self.clients)

    @property
    def only(self):
        """The one client."""
        (client,) = self.clients
        return client

    def units(self, cost):
        """Return the units that a call counts."""
        return cost if self.tokens else 1.0

    def call(self, client, ticket, now, cost):
        """Admit, refuse or fail a call."""
        service, chance = self.service, self.chance
        if service.faults and chance.random() < service.faults:
            self.at(now + FAULT_LATENCY, client.settle, (ticket, cost, Faulted(service.kind)))
            return
        wait = 0.0
        for limit in service.limits:
            wait = max(wait, limit.wait(now, cost, self.in_service))
        if wait:
            for limit in service.limits:
                limit.refuse(now, cost)
            refusal = service.refuse(wait, chance)
            self.at(now + chance.uniform(*service.refusal_latency), client.settle, (ticket, cost, refusal))
            return
        for limit in service.limits:
            limit.admit(now, cost)
        client.admitted.add(now, self.units(cost))
        self.in_service += 1
        spread = service.spread
        work = service.latency * math.exp(chance.gauss(-spread * spread / 2, spread))
        if service.knee < math.inf:
            self._sharing.begin(work, (client, ticket, now, cost))
        else:
            self.at(now + work, self._serve, (client, ticket, now, cost))

    def _serve(self, call):
        client, ticket, started, cost = call
        self.in_service -= 1
        self._keep_busy(started, self.now)
        client.settle((ticket, cost, self.service.serve(self.chance)))

    def _keep_busy(self, started, ended):
        second = int(started)
        while second + 1 < ended:
            self.busy.add(second, second + 1 - max(started, second))
            second += 1
        self.busy.add(second, ended - max(started, second))

    def _become(self, service):
        self._sharing.advance()
        self.service = service
        self._sharing.knee = service.knee
        self._sharing.look_again()


class _Sharing:
    """Processor sharing: `knee` calls run at full speed; more of them share it.

    Virtual time is the service that each call has received; it runs slower the more calls share.
    """

    def __init__(self, world):
        self._world = world
        self._served = 0.0
        self._at = world.now
        self._calls = []
        self._count = 0
        self._version = 0
        self.knee = math.inf

    def begin(self, work, call):
        self.advance()
        self._count += 1
        heapq.heappush(self._calls, (self._served + work, self._count, call))
        self.look_again()

    def advance(self):
        now = self._world.now
        self._served += (now - self._at) * self._speed()
        self._at = now

    def look_again(self):
        self._version += 1
        if self._calls:
            seconds = max(0.0, self._calls[0][0] - self._served) / self._speed()
            self._world.at(self._world.now + seconds, self._end, self._version)

    def _speed(self):
        return min(1.0, self.knee / len(self._calls)) if self._calls else 1.0

    def _end(self, version):
        if version != self._version:
            return
        self.advance()
        ended = []
        while self._calls and self._calls[0][0] <= self._served + 1e-9:
            ended.append(heapq.heappop(self._calls)[2])
        self.look_again()
        for call in ended:
            self._world._serve(call)
