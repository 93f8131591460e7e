"""Limits and services of the simulated world: what a provider admits, and how it answers.

Rules owned here:

1. A meter tracks one limit; `now` is an argument. `wait` returns the seconds until a call would be admitted: 0 for now, inf for
   not before something else happens.
2. A call costs 1, or its tokens where the limit counts those; never more than the limit holds when it is full.
3. A service has meters and manners: how long calls take, how long refusals take, which hints come with them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from random import Random

import attrs

from paceline._core.fault import FaultKind
from paceline._core.pace import SERVED, Served, Throttled


class Meter:
    """The usage of one limit."""

    def __repr__(self):
        fields = ", ".join(f"{name}={value:.6g}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({fields})"


class Bucket(Meter):
    """A rate with a reserve; full at first."""

    def __init__(self, rate, burst=None, *, tokens=False, refusals_cost=0.0):
        self.rate = rate
        self.burst = max(1.0, rate) if burst is None else burst
        self.tokens = tokens
        self.refusals_cost = refusals_cost
        self._level = self.burst
        self._at = 0.0

    def wait(self, now, cost, in_flight):
        """Return the seconds until the whole cost is there."""
        self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        missing = self._cost(cost) - self._level
        return missing / self.rate if missing > 1e-9 else 0.0

    def admit(self, now, cost):
        """Take the cost out."""
        self._level -= self._cost(cost)

    def refuse(self, now, cost):
        """Take out what a refusal costs."""
        self._level = max(-self.burst, self._level - self.refusals_cost * self._cost(cost))

    def _cost(self, cost):
        return min(self.burst, cost if self.tokens else 1.0)


class Window(Meter):
    """A number of calls in each window of time."""

    def __init__(self, calls, seconds, offset=0.0):
        self.calls = calls
        self.seconds = seconds
        self.offset = offset
        self.rate = calls / seconds
        self._index = -1
        self._used = 0

    def wait(self, now, cost, in_flight):
        """Return the seconds until a window that admits the call."""
        index = math.floor((now + self.offset) / self.seconds + 1e-9)
        if index != self._index:
            self._index, self._used = index, 0
        return 0.0 if self._used < self.calls else (index + 1) * self.seconds - self.offset - now

    def admit(self, now, cost):
        """Count the call."""
        self._used += 1

    def refuse(self, now, cost):
        """A refusal is not counted."""


class Rolling(Meter):
    """A number of calls in any time of a given length (a rolling window)."""

    def __init__(self, calls, seconds):
        self.calls = calls
        self.seconds = seconds
        self.rate = calls / seconds
        self._admitted = deque()

    def wait(self, now, cost, in_flight):
        """Return the seconds until the oldest call that counts expires."""
        admitted = self._admitted
        while admitted and admitted[0] <= now - self.seconds:
            admitted.popleft()
        return 0.0 if len(admitted) < self.calls else admitted[0] + self.seconds - now

    def admit(self, now, cost):
        """Count the call."""
        self._admitted.append(now)

    def refuse(self, now, cost):
        """A refusal is not counted."""


class Cap(Meter):
    """A number of calls at the same time."""

    def __init__(self, calls):
        self.calls = calls

    def wait(self, now, cost, in_flight):
        """Return 0 while a place is free."""
        return 0.0 if in_flight < self.calls else math.inf

    def admit(self, now, cost):
        """Do nothing: the world counts calls in service."""

    def refuse(self, now, cost):
        """A refusal takes no place."""


class Shed(Meter):
    """A share of all calls is refused by chance, whatever their pace."""

    rate = math.inf

    def __init__(self, share, seed=0):
        self.share = share
        self._chance = Random(seed)

    def wait(self, now, cost, in_flight):
        """Draw."""
        return 0.01 if self._chance.random() < self.share else 0.0

    def admit(self, now, cost):
        """Do nothing: nothing is used up."""

    def refuse(self, now, cost):
        """Do nothing."""


class Outage(Cap):
    """Everything is refused."""

    def __init__(self):
        super().__init__(0)


def says_nothing(wait: float, chance: Random) -> Throttled:
    """Refuse without a hint."""
    return Throttled()


def says_the_truth(wait: float, chance: Random) -> Throttled:
    """Refuse with the exact wait, where there is one."""
    return Throttled(retry_after=wait if wait < math.inf else None)


def serves(chance: Random) -> Served:
    """Answer without a hint."""
    return SERVED


@attrs.frozen(kw_only=True)
class Service:
    """A provider's limits and manners for a time."""

    limits: tuple = ()
    latency: float = 2.0
    """Seconds that a call takes, on average."""
    spread: float = 0.4
    """Sigma of its logarithm."""
    refusal_latency: tuple[float, float] = (0.1, 0.2)
    """Seconds that a refusal takes: from, to."""
    faults: float = 0.0
    """Share of calls that fail with a 5xx, at once."""
    kind: FaultKind = FaultKind.TRANSIENT
    """How they fail."""
    knee: float = math.inf
    """Calls that are served at full speed; more share it."""
    refuse: Callable[[float, Random], Throttled] = says_nothing
    """Make the refusal of a call, given the seconds after which it would have been admitted."""
    serve: Callable[[Random], Served] = serves
    """Make the answer."""
