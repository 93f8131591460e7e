"""The pace of one lane: how many calls may be in flight, and at what rate may they start?

In flight = rate x latency (Little's law). So a limit on concurrency is met by steering the number of workers, one on the rate by
pacing, and each refusal is charged to the handle that the evidence blames. This module hears every call's start and end, asks
the parts, and carries their answers from one to the other:

    evidence   which calls were admitted, and how many were in flight when each started
    handle     one pace, of requests or of tokens: its `rate`, its even `spacing`
    unit       which of the two the provider counts
    workers    how many may be in flight: a cap, and whether a refusal was for that
    knee       how many are of use, where nothing is refused
    streaks    whether the provider has closed, or fallen ill
    gate       when anything may start at all, after it has closed
    history    what was done, and why

It is pure: `now` is an argument, in seconds of any clock that does not go back, and the same calls give the same answers.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

from ..fault import FaultKind, hint
from ..quota import QuotaHint, Unit, amount
from .evidence import Call, Evidence, Outcome
from .gate import Gate
from .handle import Handle
from .history import CALLS, GATE, TOKENS, WORKERS, History
from .knee import Knee
from .rate import LEAST
from .signals import Abandoned, Faulted, PaceChange, PaceKnowledge, PaceStatistics, Served, Signal, Throttled
from .streaks import Streaks
from .unit import UnitTest
from .workers import Workers

_CEILING = 4000.0  # workers: the engine has its own, lower one
_BRIEF_GAPS, _BRIEF_AGES = 8.0, 4.0  # a closure shorter than that is an exhaustion like others
_YOUNG = 20  # admissions
_TELLING = 8  # calls: a closure after fewer tells nothing of a window
_SLOW_START_JUDGED, _SLOW_START_REFUSED = 8, 2  # of the latest so many calls: fewer refusals do not end the slow start
_SPARE = 0.7  # of the pace, where the provider is ill
_TICK = 1e-3  # seconds
_PASSING = frozenset({FaultKind.OVERLOADED, FaultKind.TRANSIENT, FaultKind.TIMEOUT})  # other faults are the call's own
_IDLE = 1.0  # seconds without a call in flight
_HALF_LIFE = 12 * 3600.0  # seconds, of what was learned before


class PaceController:
    """The controller of one lane.

    Args:
        knowledge: what another controller of the same quota has learned; its `learned` on the clock of `now`.
    """

    def __init__(self, knowledge: PaceKnowledge | None = None) -> None:
        self._evidence = Evidence()
        self._requests = Handle(_one, self._evidence.rate)
        self._tokens = Handle(_tokens_of, self._evidence.token_rate)
        self._charged = self._requests
        self._unit = UnitTest()
        self._knee = Knee(_CEILING)
        self._workers = Workers(most=self._knee.bound)
        self._streaks = Streaks()
        self._gate = Gate()
        self._history = History()
        self._knowledge = knowledge
        self._begun = False
        self._in_flight = 0
        self._idle_since = 0.0
        self._served = self._throttled = 0
        self._last_tokens = 0.0  # of the call admitted last
        self._row = 0  # refusals since then
        self._judged: deque[bool] = deque(maxlen=_SLOW_START_JUDGED)
        self._paced_until = self._full_at = -math.inf
        self._full = False
        self._opened = 0.0
        self._admitted_at_opening = (0.0, 0.0)
        self._refused_while_open = False

    # ---------------------------------------------------------------------------------------- the port

    @property
    def limit(self) -> int:
        """Workers: how many calls may be in flight."""
        return int(self._workers.limit)

    @property
    def rate(self) -> float:
        """Calls a second; inf while no limit is known."""
        return self._requests.limit

    @property
    def token_rate(self) -> float:
        """Tokens a second; inf while no limit is known."""
        return self._tokens.limit

    @property
    def history(self) -> deque[PaceChange]:
        """The latest changes, explained."""
        return self._history.changes

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
            limit=self.limit,
            rate=self.rate,
            token_rate=self.token_rate,
            latency=self._knee.latency,
            learned=now,
        )

    def admit_at(self, now: float, cost: float) -> float:
        """Return when a call may start: `now`, a later time, or inf: not before one settles."""
        if not self._begun:
            self._begin(now, cost)
        self._learn(now)
        if self._gate.closed:
            return max(now, self._gate.admit_at(self._evidence.age))
        if self._in_flight >= int(self._workers.limit):
            self._full, self._full_at = True, now
            return max(now, self._evidence.verdict_at()) + _TICK
        wait = self._requests.wait(now, 1.0)
        if self._tokens.holds:
            wait = max(wait, self._tokens.wait(now, cost))
        if not wait:
            return now
        self._paced_until = now + wait + _IDLE
        return now + max(wait, _TICK / 10)

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
            self._restart_spacing(now)
        else:
            self._requests.spacing.spend(1.0)
            self._tokens.spacing.spend(cost)
        mean = self._tokens.rate
        mean.mean += (cost - mean.mean) * max(0.01, 1.0 / self._evidence.started)
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
        self._tell_climbs(now)

    # ---------------------------------------------------------------------------------------- beginning

    def _begin(self, now: float, cost: float) -> None:
        self._begun = True
        self._opened = self._idle_since = now
        self._tokens.rate.mean = cost
        for handle, first in ((self._requests, 1.0), (self._tokens, cost)):
            handle.rate.anchor(now)
            handle.spacing.restart(now, first)
        if self._knowledge is not None:
            self._recall(now, self._knowledge)
        self._history.start(WORKERS, self.limit)
        self._history.start(CALLS, self.rate)
        self._history.start(TOKENS, self.token_rate)
        self._history.start(GATE, 0.0)

    def _recall(self, now: float, known: PaceKnowledge) -> None:
        """Begin near what was learned before: the older it is, the further below."""
        trust = max(0.25, math.pow(0.5, max(0.0, now - known.learned) / _HALF_LIFE))
        for handle, value in ((self._requests, known.rate), (self._tokens, known.token_rate)):
            if 0 < value < math.inf:
                handle.recall(now, max(value * trust, handle.rate.mean * LEAST))
                if handle is self._tokens:
                    self._unit.tokens, self._charged = True, handle
        if known.latency > 0:
            self._knee.recall(known.latency, known.limit)
            self._workers.most = self._knee.bound
            limit = max(1.0, min(self._workers.most, float(known.limit)))
            rate = min(known.rate, known.token_rate / self._tokens.rate.mean)
            if known.limit > rate * known.latency:
                self._workers.limit = limit
            else:  # the workers had been what held the calls back, not the rate (Little's law)
                self._workers.recall(limit)
                self._requests.start = max(self._requests.start, 0.5 * limit / known.latency)

    def _resume(self, now: float) -> None:
        """Leave out a time without any call: nothing was learned of the limits then."""
        idle = now - self._idle_since
        if idle > _IDLE and not self._gate.closed:
            self._opened += idle
            self._evidence.forget_rate()

    # ---------------------------------------------------------------------------------------- what ends say

    def _answered(self, call: Call, now: float, signal: Served) -> None:
        knee, workers = self._knee, self._workers
        self._served += 1
        self._evidence.served(call)
        if (tokens := amount(signal.tokens)) is not None:
            self._tokens.correct(tokens - call.tokens)
        if signal.quota is not None:
            self._hear(now, signal.quota)
        self._streaks.served(call.started)
        self._gate.answer(now)
        if knee.completed(now, call.order, call.started):
            self._end_round(now)
        workers.most = knee.bound
        if knee.starting and workers.ceiling == math.inf and self._full and not self._charged.known:
            workers.limit = max(workers.limit, knee.bound)
        self._learn(now)
        if self._streaks.is_ill(call.started):
            self._spare(now)

    def _end_round(self, now: float) -> None:
        knee, workers = self._knee, self._workers
        alone = workers.ceiling == math.inf and not self._charged.known
        limit = knee.round(now, workers.limit, alone=alone, binding=now - self._full_at < knee.latency)
        if limit != workers.limit:
            workers.limit = limit
            self._streaks.spare(now)
            self._history.add(
                now, WORKERS, self.limit, "answers grow slow, and no more of them come: more calls only wait"
            )

    def _spare(self, now: float) -> None:
        self._streaks.spare(now)
        self._workers.shrink(_SPARE)
        for handle in (self._requests, self._tokens):
            handle.rate.shrink(_SPARE)
        self._tell_all(now, "more than a fifth of the latest calls failed: spare the provider")

    def _refused(self, call: Call, now: float, signal: Throttled) -> None:
        self._throttled += 1
        evidence, gate, workers = self._evidence, self._gate, self._workers
        asked = signal.retry_after
        if signal.quota is not None:
            self._hear(now, signal.quota)
            asked = asked if hint(asked) is not None else signal.quota.retry_after
        self._knee.lost(call.order)
        late = evidence.refused(call, now)
        self._requests.doubt(call.started + evidence.age)
        self._tokens.doubt(call.started + evidence.age)
        if late:
            self._requests.rate.admitted -= 1.0
            self._tokens.rate.admitted -= call.tokens
        if workers.limit > workers.cap:
            workers.probe_failed(workers.cap)
            self._history.add(now, WORKERS, self.limit, f"a call above the cap was refused: back to {self.limit}")
        self._streaks.refused(call.order, call.started)
        self._learn(now)
        if late:
            self._charge(now, call, max(0, evidence.admitted - call.completed))
        if gate.closed:
            if gate.is_probe(call.started):
                self._wait(now, asked)
            else:
                gate.asked(now, asked)
        elif self._streaks.has_closed(evidence.admitted):
            self._close(now, self._streaks.refused_since, asked, by_faults=False)

    def _failed(self, call: Call, now: float) -> None:
        gate = self._gate
        self._knee.lost(call.order)
        self._evidence.failed(call)
        self._learn(now)
        self._streaks.failed(call.started, counts=not gate.closed)
        if gate.closed:
            if gate.is_probe(call.started):
                self._wait(now, None)
        elif self._streaks.has_failed() and now - call.started < 2 * self._evidence.age:
            self._streaks.spare(now)
            self._close(now, self._streaks.failed_since, None, by_faults=True)

    def _lost(self, call: Call, now: float) -> None:
        self._knee.lost(call.order)
        self._evidence.failed(call)
        if self._gate.closed and self._gate.is_probe(call.started):
            self._gate.lost(now)
        elif now == call.started:  # no time has passed: the provider never heard of it
            self._requests.spacing.correct(-1.0)
            self._tokens.spacing.correct(-call.tokens)
        self._learn(now)

    def _hear(self, now: float, quota: QuotaHint) -> None:
        """Hear what the provider says of its limits."""
        for limit in quota.limits:
            tokens = limit.unit is Unit.TOKENS
            if limit.exceeded:
                self._unit.tell(tokens=tokens)
            (self._tokens if tokens else self._requests).claim(now, limit)

    # ---------------------------------------------------------------------------------------- evidence, in order

    def _learn(self, now: float) -> None:
        evidence = self._evidence
        while (call := evidence.next(now)) is not None:
            if call.outcome is Outcome.REFUSED:
                self._charge(now, call, evidence.in_flight(call))
            else:
                self._admitted(now, call, evidence.in_flight(call))

    def _admitted(self, now: float, call: Call, in_flight: int) -> None:
        requests, tokens, gate = self._requests.rate, self._tokens.rate, self._gate
        self._judged.append(False)
        if self._row:
            self._row = 0
            if not gate.closed:
                self._refused_while_open = True
        self._streaks.admitted(call.started)
        requests.admitted += 1.0
        tokens.admitted += call.tokens
        self._last_tokens = call.tokens
        if gate.closed and call.started >= gate.since:
            self._reopen(now, call)
        self._workers.admitted(in_flight, call.started)
        if call.paced:
            if requests.value < math.inf:
                requests.grow(1.0)
            if tokens.value < math.inf:
                tokens.grow(call.tokens)
        if call.filled:
            self._workers.grow(call.started, in_flight)

    def _charge(self, now: float, call: Call, in_flight: int) -> None:
        """Charge a refusal to the handle that is to blame."""
        self._row += 1
        self._judged.append(True)
        self._requests.rate.refused += 1.0
        self._tokens.rate.refused += call.tokens
        workers, gate = self._workers, self._gate
        if workers.at_probe(in_flight):
            if workers.limit > in_flight:
                workers.probe_failed(max(1.0, float(in_flight)))
                self._history.add(now, WORKERS, self.limit, f"refused with {in_flight} in flight, at the known cap")
            return
        if gate.closed and call.started > gate.since:
            return  # says nothing new
        handle = self._blame(call)
        young = self._evidence.admitted < _SLOW_START_JUDGED
        if not handle.known and not young and sum(self._judged) < _SLOW_START_REFUSED:
            return  # where others share the limit, a newcomer is refused now and then long before it has its share
        rate = handle.rate
        refund = workers.refused(in_flight, call.started, rate.value)
        if refund is not None:
            rate.refund(refund)
            gate.open()
            self._tell_all(
                now, f"refused only with {self.limit} or more in flight, never with fewer: a cap on concurrency"
            )
            return
        self._cut(now, handle, call, in_flight)

    def _blame(self, call: Call) -> Handle:
        unit = self._unit
        unit.refused(call.tokens, self._last_tokens)
        handle = self._tokens if unit.tokens else self._requests
        if handle is not self._charged:
            if not unit.told:
                self._charged.rate.refund(math.inf)  # it was not for these
            self._charged = handle
        return handle

    def _cut(self, now: float, handle: Handle, call: Call, in_flight: int) -> None:
        handle.rate.cut(now, call.started, handle.cost(call), self._row, handle.recent())
        handle.forget_claim()
        reason = f"refused with {in_flight} in flight, where more were admitted before: a limit on the rate"
        if not self._workers.belief:
            reason = f"refused with {in_flight} in flight: taken for a limit on the rate"
        self._history.add(now, self._name(handle), handle.rate.value, reason)

    # ---------------------------------------------------------------------------------------- closed

    def _close(self, now: float, since: float, asked: float | None, *, by_faults: bool) -> None:
        handle = self._charged
        if not by_faults and not handle.known and self._evidence.admitted >= _SLOW_START_JUDGED:
            handle.rate.cut(now, since, handle.rate.mean, self._row, handle.recent())
            handle.forget_claim()
            self._history.add(
                now, self._name(handle), handle.rate.value, "refused over and over: what was admitted till now"
            )
        self._gate.close(since, by_faults=by_faults, asked=asked)
        self._wait(now, asked)

    def _wait(self, now: float, asked: float | None) -> None:
        rate, evidence, gate = self._charged.rate, self._evidence, self._gate
        pace = rate.value if rate.value < math.inf else max(self._charged.recent(), rate.mean)
        used = rate.admitted - self._admitted_at_opening[self._charged is self._tokens]
        average = used / max(1e-3, now - self._opened)
        young, gap = evidence.admitted < _YOUNG, rate.mean / pace
        if young:
            gap = min(gap, 10 * evidence.round_trip)
        gaps = rate.mean / max(1e-9, min(pace, average))
        gate.wait(now, asked, round_trip=evidence.round_trip, gap=gap, gaps=gaps, young=young)
        why = "fault" if gate.by_faults else "refusal"
        self._history.add(now, GATE, gate.opens - now, f"closed since {now - gate.since:.3g} s, {why} upon {why}")

    def _reopen(self, now: float, call: Call) -> None:
        rate, gate, workers = self._charged.rate, self._gate, self._workers
        closed, by_faults = call.started - gate.since, gate.by_faults
        gate.open()
        self._streaks.restart()
        self._restart_spacing(now)
        self._history.add(now, GATE, 0.0, "a call was admitted again")
        if by_faults:
            self._streaks.spare(now)
            self._opened += closed
            self._exhausted(now, call.started)
            return
        pace = rate.value if rate.value < math.inf else max(self._charged.recent(), 1e-9)
        if closed < max(_BRIEF_GAPS * rate.mean / pace, _BRIEF_AGES * self._evidence.age):
            self._refused_while_open = True
            return
        own = self._charged.cost(call)
        if not self._refused_while_open and workers.ceiling == math.inf:
            used = rate.admitted - own - self._admitted_at_opening[self._charged is self._tokens]
            if used < _TELLING * rate.mean and not rate.best:
                self._evidence.forget_rate()
                self._charged.begin_again(now, max(1e-3, closed))
            else:
                rate.learn_window(max(own, used), max(1e-3, call.started - self._opened), max(1e-3, closed))
            workers.test = None
            self._history.add(
                now, self._name(self._charged), rate.value, f"closed for {closed:.3g} s: a window was spent"
            )
        self._opened, self._refused_while_open = call.started, False
        self._admitted_at_opening = (self._requests.rate.admitted - 1.0, self._tokens.rate.admitted - call.tokens)
        self._exhausted(now, call.started)
        rate.begin_cycle()

    def _exhausted(self, now: float, time: float) -> None:
        """Measure from here on: the limit was exhausted until now."""
        for handle in (self._requests, self._tokens):
            handle.rate.anchor(time)
            handle.rate.last_cut = now

    def _restart_spacing(self, now: float) -> None:
        self._requests.spacing.restart(now)
        self._tokens.spacing.restart(now)

    # ---------------------------------------------------------------------------------------- telling

    def _name(self, handle: Handle) -> str:
        return TOKENS if handle is self._tokens else CALLS

    def _tell_all(self, now: float, reason: str) -> None:
        history = self._history
        history.add(now, WORKERS, self.limit, reason)
        history.add(now, CALLS, self.rate, reason)
        history.add(now, TOKENS, self.token_rate, reason)
        history.add(now, GATE, max(0.0, self._gate.opens - now) if self._gate.closed else 0.0, reason)

    def _tell_climbs(self, now: float) -> None:
        history = self._history
        history.climb(now, WORKERS, self.limit, "all workers are busy, and none is refused")
        history.climb(now, CALLS, self._requests.rate.value, "calls are held back, and none is refused")
        history.climb(now, TOKENS, self._tokens.rate.value, "calls are held back, and none is refused")


def _one(_: Call) -> float:
    return 1.0


def _tokens_of(call: Call) -> float:
    return call.tokens
