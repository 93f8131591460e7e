"""The pace of one lane: how many calls may be in flight, and at what rate may they start?

In flight = rate x latency (Little's law). So a limit on concurrency is met by steering the number of workers, one on the rate by
pacing, and each refusal is charged to what the evidence blames. This module hears every call's start and end, asks the parts,
and carries their answers from one to the other:

    evidence      which calls were admitted, and how many were in flight when each started
    handles       two paces, of requests and of tokens, and which of them is limited: a `handle` each, its `rate`, its
                  even `spacing`; and `unit`, which of the two the provider counts
    workers       how many may be in flight: a cap, and whether a refusal was for that
    knee          how many are of use, where nothing is refused
    attribution   what a refusal is charged to
    streaks       whether the provider has closed, or fallen ill
    closure       how long it is left alone then, and what it had been; `gate`: when anything may start at all
    recall        where to begin, if the quota was learned before
    telling       what was done, and why: the `history`

It is pure: `now` is an argument, in seconds of any clock that does not go back, and the same calls give the same answers.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

from ..fault import FaultKind, positive_number
from ..quota import amount
from .admissions import Admissions, Call, Outcome
from .attribution import Attribution
from .breaker import Breaker, Streaks
from .concurrency_cap import ConcurrencyCap
from .dimensions import Dimensions
from .history import PaceRecorder
from .knee import Knee
from .outage import Outage
from .signals import Abandoned, Faulted, PaceChange, PaceKnowledge, PaceStatistics, Served, Signal, Throttled
from .warm_start import recall

_CEILING = 4000.0  # workers: the engine has its own, lower one
_SPARE = 0.7  # of the pace, where the provider is ill
_FRESH_FAULT = 2.0  # times the age of evidence: a fault that took longer says nothing of now
_TICK, _LEAST_WAIT = 1e-3, 1e-4  # seconds
_PASSING = frozenset({FaultKind.OVERLOADED, FaultKind.TRANSIENT, FaultKind.TIMEOUT})  # other faults are the call's own
_IDLE = 1.0  # seconds without a call in flight
_REFUSED = Outcome.REFUSED


class PaceController:
    """The controller of one lane.

    Args:
        knowledge: what another controller of the same quota has learned; its `learned` on the clock of `now`.
    """

    def __init__(self, knowledge: PaceKnowledge | None = None) -> None:
        self._evidence = Admissions()
        self._handles = Dimensions(self._evidence)
        self._knee = Knee(_CEILING)
        self._workers = ConcurrencyCap(most=self._knee.bound)
        self._streaks = Streaks()
        self._gate = Breaker()
        self._telling = PaceRecorder(self._workers, self._handles, self._gate)
        parts = self._evidence, self._handles, self._workers, self._gate, self._telling
        self._attribution = Attribution(*parts)
        self._closure = Outage(*parts, self._streaks)
        self._knowledge = knowledge
        self._begun = False
        self._in_flight = 0
        self._idle_since = 0.0
        self._served = self._throttled = 0
        self._paced_until = self._full_at = self._learned_at = -math.inf
        self._full = False

    # ---------------------------------------------------------------------------------------- the port

    @property
    def limit(self) -> int:
        """Workers: how many calls may be in flight."""
        return int(self._workers.limit)

    @property
    def rate(self) -> float:
        """Calls a second; inf while no limit is known."""
        return self._handles.requests.limit

    @property
    def token_rate(self) -> float:
        """Tokens a second; inf while no limit is known."""
        return self._handles.tokens.limit

    @property
    def history(self) -> deque[PaceChange]:
        """The latest changes, explained."""
        return self._telling.history.changes

    def statistics(self) -> PaceStatistics:
        """Return a snapshot."""
        gate = self._gate
        return PaceStatistics(
            limit=self.limit,
            rate=self.rate,
            token_rate=self.token_rate,
            in_flight=self._in_flight,
            served=self._served,
            throttled=self._throttled,
            gate=gate.admit_at(self._evidence.age) if gate.closed else -math.inf,
        )

    def knowledge(self, now: float) -> PaceKnowledge | None:
        """Return what was learned; None before a call was answered."""
        if not self._served:
            return None if self._knowledge is None else attrs.evolve(self._knowledge, learned=now)
        return PaceKnowledge(
            limit=self.limit, rate=self.rate, token_rate=self.token_rate, latency=self._knee.latency, learned=now
        )

    def admit_at(self, now: float, cost: float) -> float:
        """Return when a call may start: `now`, a later time, or inf: not before one settles."""
        if not self._begun:
            self._begin(now, cost)
        if now != self._learned_at:
            self._learn(now)
        if self._gate.closed:
            return max(now, self._gate.admit_at(self._evidence.age))
        if self._in_flight >= int(self._workers.limit):
            self._full, self._full_at = True, now
            return max(now, self._evidence.verdict_at()) + _TICK
        wait = self._handles.wait(now, cost)
        if not wait:
            return now
        self._paced_until = now + wait + _IDLE
        return now + max(_LEAST_WAIT, wait)

    def started(self, now: float, cost: float) -> Call:
        """Count a call that starts now."""
        if not self._begun:
            self._begin(now, cost)
        if not self._in_flight:
            self._resume(now)
        self._in_flight += 1
        full = self._in_flight >= int(self._workers.limit) or (self._full and now - self._full_at < _IDLE)
        call = self._evidence.start(now, cost, paced=now <= self._paced_until, filled=full)
        self._paced_until, self._full = -math.inf, False
        if not self._knee.latency:
            self._knee.started(now, call.order)
        if self._gate.closed:
            self._gate.started(now)
            self._handles.restart_spacing(now)
        else:
            self._handles.spend(cost)
        self._handles.average(cost, self._evidence.started)
        return call

    def settled(self, ticket: Call, now: float, signal: Signal) -> None:
        """Count a call that ended, and learn from how."""
        self._in_flight -= 1
        self._idle_since = now
        match signal:
            case Served():
                self._answered(ticket, now, signal)
            case Throttled():
                self._refused(ticket, now, signal)
            case Faulted(kind) if kind in _PASSING:
                self._failed(ticket, now)
            case Faulted() | Abandoned():
                self._lost(ticket, now)
        self._telling.climbs(now)

    # ---------------------------------------------------------------------------------------- beginning

    def _begin(self, now: float, cost: float) -> None:
        self._begun = True
        self._idle_since = now
        self._closure.begin(now)
        self._handles.begin(now, cost)
        if self._knowledge is not None:
            recall(now, self._knowledge, self._handles, self._knee, self._workers)
        self._telling.start()

    def _resume(self, now: float) -> None:
        """Leave out a time without any call: nothing was learned of the limits then."""
        idle = now - max(self._idle_since, self._gate.opens)  # until the gate opened it was waited for
        if idle > _IDLE:
            self._closure.leave_out(idle)
            self._gate.leave_out(idle)
            self._evidence.forget_rate()

    # ---------------------------------------------------------------------------------------- what ends say

    def _answered(self, call: Call, now: float, signal: Served) -> None:
        knee, workers = self._knee, self._workers
        self._served += 1
        self._evidence.served(call)
        if signal.tokens is not None and (tokens := amount(signal.tokens)) is not None:
            self._handles.tokens.correct(tokens - call.tokens)
        if signal.quota is not None:
            self._handles.hear(now, signal.quota)
        self._streaks.served(call.started)
        self._gate.answer(now)
        if knee.completed(now, call.order, call.started):
            self._end_round(now)
        workers.most = knee.bound
        if self._full and knee.starting and self._is_alone:
            workers.limit = max(workers.limit, knee.bound)
        self._learn(now)
        if self._streaks.is_ill(call.started):
            self._streaks.spare(now)
            workers.shrink(_SPARE)
            knee.spare(now)
            self._handles.shrink(_SPARE)
            self._telling.all(now, "more than a fifth of the latest calls failed: spare the provider")

    @property
    def _is_alone(self) -> bool:
        """Whether the knee is the only limit that may be met: no cap is known, and no rate."""
        return self._workers.ceiling == math.inf and not self._handles.charged.known

    def _end_round(self, now: float) -> None:
        before, binding = self._workers.limit, now - self._full_at < self._knee.latency
        limit = self._knee.round(now, before, alone=self._is_alone, binding=binding)
        if limit != before:
            self._workers.limit = limit
            self._streaks.spare(now)
            self._telling.workers(now, "answers grow slow, and no more of them come: more calls only wait")

    def _refused(self, call: Call, now: float, signal: Throttled) -> None:
        self._throttled += 1
        evidence, handles, workers = self._evidence, self._handles, self._workers
        asked = signal.retry_after
        if signal.quota is not None:
            handles.hear(now, signal.quota)
            asked = asked if positive_number(asked) is not None else signal.quota.retry_after
        self._knee.lost(call.order)
        late = evidence.refused(call, now)
        handles.doubt(call.started + evidence.age)
        if late:
            handles.retract(call)
        if workers.limit > workers.cap:
            workers.probe_failed(workers.cap)
            self._telling.workers(now, f"a call above the cap was refused: back to {self.limit}")
        self._streaks.refused(call.order, call.started)
        self._learn(now)
        if late:
            self._attribution.charge(now, call, max(0, evidence.admitted - call.completed))
        if self._gate.closed:
            if self._gate.is_probe(call.started):
                self._closure.wait(now, asked)
            else:
                self._gate.asked(now, asked)
        elif self._streaks.has_closed(evidence.admitted):
            self._attribution.flood(now, self._streaks.refused_since)
            self._closure.close(now, self._streaks.refused_since, asked, by_faults=False)

    def _failed(self, call: Call, now: float) -> None:
        gate, streaks = self._gate, self._streaks
        self._knee.lost(call.order)
        self._evidence.failed(call)
        self._learn(now)
        streaks.failed(call.started, counts=not gate.closed)
        if gate.closed:
            if gate.is_probe(call.started):
                self._closure.wait(now, None)
        elif streaks.has_failed() and now - call.started < _FRESH_FAULT * self._evidence.age:
            streaks.spare(now)
            self._closure.close(now, streaks.failed_since, None, by_faults=True)

    def _lost(self, call: Call, now: float) -> None:
        self._knee.lost(call.order)
        self._evidence.failed(call)
        if self._gate.is_probe(call.started):
            self._gate.lost(now)
        elif now == call.started:  # no time has passed: the provider never heard of it
            self._handles.give_back(call)
        self._learn(now)

    # ---------------------------------------------------------------------------------------- evidence, in order

    def _learn(self, now: float) -> None:
        self._learned_at = now
        evidence = self._evidence
        while (call := evidence.next(now)) is not None:
            if call.outcome is _REFUSED:
                self._attribution.charge(now, call, evidence.in_flight(call))
            else:
                self._admitted(now, call, evidence.in_flight(call))

    def _admitted(self, now: float, call: Call, in_flight: int) -> None:
        if self._attribution.admitted(call):
            self._closure.refused_amid_admissions()
        self._streaks.admitted(call.started)
        self._handles.admitted(call)
        if self._gate.closed and call.started >= self._gate.since:
            self._closure.reopen(now, call)
        self._workers.admitted(in_flight, call.started)
        if call.paced:
            self._handles.grow(call)
        if call.filled:
            self._workers.grow(call.started, in_flight)
