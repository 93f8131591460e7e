"""How many calls a lane may have in flight: a controller that learns it from what the provider refuses and serves.

Additive increase, multiplicative decrease on the number of workers N (Chiu and Jain, "Analysis of the Increase and Decrease
Algorithms for Congestion Avoidance", 1989), as TCP does it:

1. N grows only while it binds, that is for calls during which N were in flight.
2. Until the first refusal N grows by one with each call served, so it doubles with each round trip.
3. After it, by a twentieth (at least one) with each N calls served.
4. A burst of refusals cuts N once: refusals of calls that were started before the last cut say nothing new.
5. After a refusal nothing starts before the gate: what the provider asked for, or a wait that doubles with each cut that
   follows without a call served, whichever is longer; for the first cut what it asked for counts. The gate is never more
   than a minute away, whatever the provider said.

It is pure: `now` is an argument, in seconds of any clock that does not go back.
"""

from __future__ import annotations

import math
from collections import deque

from .signals import Abandoned, Faulted, PaceChange, PaceKnowledge, PaceStatistics, Served, Signal, Throttled, Ticket

_START = 20  # workers: what any paid tier allows, and few enough to be forgiven where it is too much
_DECREASE = 0.85  # of what was in flight; gentler than TCP's half, as a refusal costs a round trip and no data
_INCREASE = 0.05  # of N in each round, at least one
_FIRST_GATE, _LONGEST_GATE = 0.25, 60.0  # seconds
_GROWTH = "all workers were busy and none was refused"


class AIMD:
    """The controller of one lane: additive increase, multiplicative decrease on the number of workers."""

    def __init__(self, knowledge: PaceKnowledge | None = None) -> None:  # noqa: ARG002 - it begins anew each time
        self._limit = float(_START)
        self._growing = True  # no refusal yet
        self._in_flight = 0
        self._started = 0
        self._filled = -1  # the order of the last call that brought N in flight
        self._cuts = 0
        self._fruitless = 0  # cuts since a call was served
        self._gate = -math.inf
        self._served = 0
        self._throttled = 0
        self.history: deque[PaceChange] = deque(maxlen=200)

    @property
    def limit(self) -> int:
        """Workers: how many calls may be in flight."""
        return int(self._limit)

    @property
    def rate(self) -> float:
        """Calls a second: no limit is put on them here."""
        return math.inf

    def admit_at(self, now: float, cost: float) -> float:  # noqa: ARG002 - every call costs one worker
        """Return when a call may start: `now`, a later time, or inf: not before one settles."""
        if self._in_flight >= int(self._limit):
            return math.inf
        return max(now, self._gate)

    def started(self, now: float, cost: float) -> Ticket:  # noqa: ARG002
        """Count a call that starts now."""
        ticket = Ticket(self._cuts, self._started)
        self._started += 1
        self._in_flight += 1
        if self._in_flight >= int(self._limit):
            self._filled = ticket.order
        return ticket

    def settled(self, ticket: Ticket, now: float, signal: Signal) -> None:
        """Count a call that ended, and learn from how."""
        in_flight = self._in_flight
        self._in_flight -= 1
        match signal:
            case Served():
                self._served += 1
                self._fruitless = 0
                if ticket.order <= self._filled:
                    self._grow(now)
            case Throttled():
                self._throttled += 1
                if ticket.cut == self._cuts:
                    self._cut(now, in_flight, signal.retry_after)
            case Faulted() | Abandoned():
                pass

    @property
    def token_rate(self) -> float:
        """Tokens a second: no limit is put on them here."""
        return math.inf

    def knowledge(self, now: float) -> PaceKnowledge | None:  # noqa: ARG002
        """Return nothing: this controller begins anew each time."""
        return None

    def statistics(self) -> PaceStatistics:
        """Return a snapshot."""
        return PaceStatistics(
            limit=self.limit,
            rate=self.rate,
            token_rate=math.inf,
            in_flight=self._in_flight,
            served=self._served,
            throttled=self._throttled,
            gate=self._gate,
        )

    def _grow(self, now: float) -> None:
        old = self.limit
        self._limit += 1.0 if self._growing else max(1.0, _INCREASE * self._limit) / self._limit
        if self.limit != old:
            if self.history and self.history[-1].reason == _GROWTH:  # one climb is one change
                old = int(self.history.pop().old)
            self.history.append(PaceChange(now, old, self.limit, _GROWTH))

    def _cut(self, now: float, in_flight: int, retry_after: float | None) -> None:
        old = self.limit
        self._cuts += 1
        self._growing = False
        self._limit = max(1.0, _DECREASE * min(self._limit, in_flight))
        asked = retry_after if retry_after is not None and 0 < retry_after < math.inf else 0.0
        doubled = _FIRST_GATE * 2.0 ** min(self._fruitless, 16)
        wait = min(_LONGEST_GATE, max(asked, doubled) if self._fruitless else asked or doubled)
        self._fruitless += 1
        self._gate = max(self._gate, now + wait)
        self.history.append(PaceChange(now, old, self.limit, f"refused with {in_flight} in flight; waits {wait:.3g} s"))
