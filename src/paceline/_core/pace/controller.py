"""The pace of one lane: how many calls may be in flight, and at what rate they may start.

In flight = rate x latency, so a limit on concurrency is met by steering the number of workers, one on the rate by pacing; each
refusal is charged to the handle that the evidence blames. This module hears every call's start and end, asks the parts, and
carries their answers from one to the other:

    evidence   which calls were admitted, and how many were in flight at each start
    rate       at what rate calls may start           spacing   ... evenly
    workers    how many may be in flight: a cap, and whether a refusal was for that
    knee       how many are of use, where nothing is refused
    gate       when anything may start at all
"""

from __future__ import annotations

import math
from collections import deque

from ..fault import FaultKind
from .evidence import Call, Evidence, Outcome
from .gate import Gate
from .knee import Knee
from .rate import Rate
from .signals import Abandoned, Faulted, PaceChange, PaceKnowledge, PaceStatistics, Served, Signal, Throttled
from .spacing import Spacing
from .unit import UnitTest
from ..quota import Unit
from .workers import Workers

_CEILING = 4000.0
_START_RATE = 5.0
_STREAK = 3
_SLOW_START_REFUSALS = 2
_STREAK_SHARE = 0.6
_FAULT_STREAK = 5
_FAULTS, _FAULTS_SHARE = 50, 0.2
_SHRINK = 0.7
_BRIEF = 8.0  # gaps: a closure shorter than that is no window


class PaceController:
    """The controller of one lane."""

    def __init__(self, knowledge: PaceKnowledge | None = None, *, ceiling: float = _CEILING) -> None:
        self._ceiling = ceiling
        self._evidence = Evidence()
        self._requests = self._charged = Rate()
        self._tokens = Rate()
        self._unit = UnitTest()
        self._last_tokens = 1.0
        self._spacing = Spacing()
        self._token_spacing = Spacing()
        self._knee = Knee(ceiling)
        self._workers = Workers(most=self._knee.bound)
        self._gate = Gate()
        self._in_flight = 0
        self._served = 0
        self._throttled = 0
        self._begun = False
        self._paced = self._full = False
        self._full_at = -math.inf
        # streaks
        self._row = 0
        self._judged: deque[int] = deque(maxlen=8)
        self._streak = 0
        self._streak_since = 0.0
        self._streak_first = self._streak_last = 0
        self._faults_row = 0
        self._faults_since = 0.0
        self._faults: deque[int] = deque(maxlen=_FAULTS)
        self._faults_cut = -math.inf
        # the period between openings
        self._opened = 0.0
        self._admitted_then = 0.0
        self._soft = False
        self.history: deque[PaceChange] = deque(maxlen=200)

    @property
    def limit(self) -> int:
        return int(self._workers.limit)

    @property
    def rate(self) -> float:
        return self._requests.value

    @property
    def token_rate(self) -> float:
        return self._tokens.value

    def knowledge(self, now: float) -> PaceKnowledge | None:
        return None

    def statistics(self) -> PaceStatistics:
        return PaceStatistics(
            limit=self.limit,
            rate=self.rate,
            token_rate=math.inf,
            in_flight=self._in_flight,
            served=self._served,
            throttled=self._throttled,
            gate=self._gate.opens,
        )

    # ------------------------------------------------------------ the port

    def admit_at(self, now: float, cost: float) -> float:
        if not self._begun:
            self._begin(now)
        self._learn(now)
        if self._gate.closed:
            return self._gate.admit_at(now, self._evidence.age)
        if self._in_flight >= int(self._workers.limit):
            self._full, self._full_at = True, now
            return self._evidence.verdict_at() + 1e-3
        value = self._current_rate()
        self._requests.pause(self._spacing.fill(now, value, 1.0)) if False else self._spacing.fill(now, value, 1.0)
        wait = self._spacing.wait(value, 1.0)
        tokens = self._tokens
        if tokens.value < math.inf:
            self._token_spacing.fill(now, tokens.value, max(cost, tokens.mean))
            wait = max(wait, self._token_spacing.wait(tokens.value, cost))
        if wait:
            self._paced = True
            return now + max(wait, 1e-4)
        return now

    def started(self, now: float, cost: float) -> Call:
        self._in_flight += 1
        full = self._full or self._in_flight > int(self._workers.limit) - 1
        call = self._evidence.start(now, cost, paced=self._paced, filled=full)
        if not self._knee.latency:
            self._knee.started(now, call.order)
        self._paced = self._full = False
        if self._gate.closed:
            self._gate.probe = now
            self._spacing.restart(now)
            self._token_spacing.restart(now)
        else:
            self._spacing.spend(1.0)
            self._token_spacing.spend(cost)
        tokens = self._tokens
        tokens.mean += (cost - tokens.mean) * max(0.01, 1 / self._evidence.started)
        return call

    def settled(self, ticket: Call, now: float, signal: Signal) -> None:
        self._in_flight -= 1
        match signal:
            case Served():
                self._serve(ticket, now)
            case Throttled():
                self._refuse(ticket, now, signal)
            case Faulted():
                self._fault(ticket, now)
            case Abandoned():
                self._evidence.failed(ticket)
                self._learn(now)

    # ------------------------------------------------------------

    def _begin(self, now):
        self._begun = True
        self._opened = now
        self._requests.anchor(now)
        self._spacing.restart(now, 1.0)

    def _current_rate(self):
        v = self._requests.value
        return v if v < math.inf else max(_START_RATE, 2 * self._evidence.rate())

    def _learn(self, now):
        evidence = self._evidence
        while (call := evidence.next(now)) is not None:
            in_flight = evidence.in_flight(call)
            if call.outcome is Outcome.REFUSED:
                self._charge(now, call, in_flight)
            else:
                self._admitted(now, call, in_flight)

    def _admitted(self, now, call, in_flight):
        requests, gate = self._requests, self._gate
        self._judged.append(0)
        if self._row:
            self._row = 0
            if not gate.closed:
                self._soft = True
        if self._streak and call.started >= self._streak_since:
            self._streak = 0
        requests.admitted += 1
        self._tokens.admitted += call.tokens
        self._last_tokens = call.tokens
        if gate.closed and call.started >= gate.since:
            self._reopen(now, call)
        self._workers.admitted(in_flight, call.started, requests.cycle)
        if call.paced:
            if requests.value < math.inf:
                requests._grow(1.0)
            if self._tokens.value < math.inf:
                self._tokens._grow(call.tokens)
        if call.filled:
            self._workers.grow(in_flight)

    def _charge(self, now, call, in_flight):
        self._row += 1
        self._judged.append(1)
        self._requests.refused += 1
        self._tokens.refused += call.tokens
        workers, gate, requests = self._workers, self._gate, self._requests
        if workers.at_probe(in_flight):
            if workers.limit > in_flight:
                workers.probe_failed(max(1.0, min(workers.limit, in_flight)))
            return
        if gate.closed and call.started > gate.since:
            return
        self._unit.refused(call.tokens, self._last_tokens)
        charged, cost, recent = self._requests, 1.0, self._evidence.rate
        if self._unit.tokens:
            charged, cost, recent = self._tokens, call.tokens, self._evidence.token_rate
        if charged is not self._charged:
            self._charged.value = math.inf
            charged.value = math.inf
            self._charged = charged
        refund = workers.refused(in_flight, call.started, charged.value)
        if refund is not None:
            charged.value = refund
            if refund < math.inf:
                charged.cycles = 0
            gate.open()
            return
        if charged.value == math.inf and self._evidence.admitted >= 8 and sum(self._judged) < _SLOW_START_REFUSALS:
            return
        charged.cut(now, call.started, cost, self._row, recent())

    def _serve(self, call, now):
        evidence, knee, workers = self._evidence, self._knee, self._workers
        self._served += 1
        evidence.served(call)
        if self._faults_row and call.started >= self._faults_since:
            self._faults_row = 0
        self._gate.completion(now)
        self._faults.append(0)
        if knee.completed(now, call.order, call.started):
            workers.limit = knee.round(
                now,
                workers.limit,
                alone=self._requests.value == math.inf and workers.ceiling == math.inf,
                binding=now - self._full_at < knee.latency,
            )
        workers.most = knee.bound
        if knee.starting and workers.ceiling == math.inf and self._charged.value == math.inf and self._full:
            workers.limit = max(workers.limit, knee.bound)
        self._learn(now)
        f = self._faults
        if len(f) >= 20 and sum(f) > _FAULTS_SHARE * len(f) and call.started > self._faults_cut:
            self._shrink(now)

    def _shrink(self, now):
        self._workers.shrink(_SHRINK)
        self._faults.clear()
        self._faults_cut = now
        r = self._charged
        if r.value < math.inf:
            r.value *= _SHRINK
            r.begin_cycle()

    def _refuse(self, call, now, signal):
        self._throttled += 1
        evidence, workers, gate = self._evidence, self._workers, self._gate
        hint = signal.retry_after
        late = evidence.refused(call, now)
        self._knee.lost(call.order)
        if workers.limit > workers.cap:
            workers.probe_failed(workers.cap)
        if late:
            self._requests.admitted -= 1
            self._tokens.admitted -= call.tokens
        if signal.quota is not None:
            for limit in signal.quota.limits:
                if limit.exceeded:
                    self._unit.told, self._unit.tokens = True, limit.unit is Unit.TOKENS
        if self._streak == 0:
            self._streak_since = call.started
            self._streak_first = self._streak_last = call.order
        self._streak += 1
        self._streak_first = min(self._streak_first, call.order)
        self._streak_last = max(self._streak_last, call.order)
        self._streak_since = min(self._streak_since, call.started)
        self._learn(now)
        if late:
            self._charge(now, call, max(0, evidence.admitted - call.completed))
        if gate.closed:
            if gate.probe is not None and call.started >= gate.probe:
                self._wait(now, hint)
            elif hint:
                gate.asked(now, hint)
        elif (self._streak >= _STREAK or evidence.admitted < 20) and self._streak >= _STREAK_SHARE * (self._streak_last - self._streak_first + 1):
            if self._charged.value == math.inf and evidence.admitted >= 8:
                self._charged.cut(now, self._streak_since, self._charged.mean, self._row, evidence.rate() if self._charged is self._requests else evidence.token_rate())
            gate.close(self._streak_since, by_faults=False, hinted=bool(hint))
            self._wait(now, hint)

    def _fault(self, call, now):
        self._evidence.failed(call)
        self._knee.lost(call.order)
        self._learn(now)
        if not self._faults_row:
            self._faults_since = call.started
        self._faults_row += 1
        gate = self._gate
        if call.started >= self._faults_cut and not gate.closed:
            self._faults.append(1)
        if gate.closed:
            if gate.probe is not None and call.started >= gate.probe:
                self._wait(now, None)
        elif self._faults_row >= _FAULT_STREAK and now - call.started < 2 * self._evidence.age:
            self._faults.clear()
            gate.close(self._faults_since, by_faults=True, hinted=False)
            self._wait(now, None)

    def _wait(self, now, hint):
        r = self._charged
        recent = self._evidence.rate() if r is self._requests else self._evidence.token_rate()
        rate = r.value if r.value < math.inf else max(recent, r.mean)
        average = (r.admitted - self._admitted_then) / max(1e-3, now - self._opened)
        rtt = self._evidence.round_trip
        gap = r.mean / rate
        if self._evidence.started < 20:
            gap = min(gap, 10 * rtt)
        self._gate.wait(now, hint, round_trip=rtt, gap=gap, gaps=r.mean / max(1e-9, min(rate, average)), part=1.5 if self._evidence.admitted < 20 else 0.6)

    def _reopen(self, now, call):
        r, gate, t = self._charged, self._gate, call.started
        dur = t - gate.since
        recent = self._evidence.rate() if r is self._requests else self._evidence.token_rate()
        rate = r.value if r.value < math.inf else max(recent, 1e-9)
        own = 1.0 if r is self._requests else call.tokens
        gate.open()
        self._streak = self._faults_row = 0
        self._spacing.restart(now)
        self._token_spacing.restart(now)
        if gate.by_faults:
            self._faults_cut = now
            self._faults.clear()
            self._opened += dur
            r.anchor(t)
            r.last_cut = now
            return
        if dur < max(_BRIEF * r.mean / rate, 4 * self._evidence.age):
            self._soft = True
            return
        if not self._soft and self._workers.ceiling == math.inf:
            r.reopened_window(r.admitted - own - self._admitted_then, t - self._opened, dur)
            self._workers.test = None
        self._opened, self._admitted_then, self._soft = t, r.admitted - own, False
        r.anchor(t)
        if r.value < math.inf:
            r.begin_cycle()
        r.last_cut = now
