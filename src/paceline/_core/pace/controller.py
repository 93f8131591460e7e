"""Controller: the pace of one lane, that is how many calls may be in flight and at what rate they may start.

Calls in flight = rate x latency (Little's law). So a limit on concurrency is met by adjusting the number of calls in flight, a limit
on the rate by pacing their starts, and each refusal is charged to whichever the evidence blames. This module receives the start and
the end of every call, and passes them to its parts:

    admissions       which calls were admitted, and how many were in flight when each started
    dimensions       two pacers, of requests and of tokens, and which of them is limited; a `pacer` each, with its `rate` and its
                     token bucket
    concurrency_cap  how many calls may be in flight, and whether a refusal was for that
    knee             how many calls in flight are useful, where nothing is refused
    attribution      what a refusal is charged to
    shedding         whether refusals depend on the pace at all, or a share of all calls is refused by chance
    breaker          when nothing starts because everything is refused or fails; `Streaks`: whether it does
    outage           how long the breaker stays open, and what that time was
    warm_start       where to start, if the quota was learned before
    recorder         what changed, and why: the `history`

It is pure: `now` is an argument, in seconds of any monotonic clock, and equal calls give equal results.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

from ..fault import FaultKind
from ..limitation import Limitation, LimitBasis, LimitReason
from ..quota import positive_number
from .admissions import Admissions, Call, Outcome
from .attribution import Attribution
from .breaker import TICK, TRUST, Breaker, Streaks
from .concurrency_cap import ConcurrencyCap
from .dimensions import Dimensions
from .knee import Knee
from .outage import Outage
from .recorder import PaceRecorder
from .signals import Abandoned, Excused, Faulted, PaceChange, PaceKnowledge, PaceStatistics, Served, Signal, Throttled
from .warm_start import warm_start

_CEILING = 4000.0  # calls in flight: the engine has its own, lower limit
_SLOWDOWN = 0.7  # of the pace, for a degraded provider
_FRESH_FAULT = 2.0  # confirmation ages: a fault that took longer says nothing about now
_MIN_WAIT = 1e-4  # seconds
_PROVIDER_FAULTS = frozenset({FaultKind.OVERLOADED, FaultKind.TRANSIENT, FaultKind.TIMEOUT})
_CALLER_FAULTS = frozenset({FaultKind.BUG, FaultKind.CANCELLED})
_FIRST_ANSWERS = 16  # calls that show how long a call takes
_IDLE = 1.0  # seconds without a call in flight
_LIVELY = 5.0  # seconds since the latest answer: the provider is at work
_ADMITTED, _REFUSED, _USELESS = Outcome.ADMITTED, Outcome.REFUSED, Served(accepted=False)


class PaceController:
    """The pace controller of one lane.

    Args:
        knowledge: What an earlier controller of the same quota has learned, its `learned` in seconds of the clock of `now`; None: a
            cold start.
    """

    def __init__(self, knowledge: PaceKnowledge | None = None) -> None:
        self._admissions = Admissions()
        self._dimensions = Dimensions(self._admissions)
        self._knee = Knee(_CEILING)
        self._cap = ConcurrencyCap(maximum=self._knee.bound)
        self._streaks = Streaks()
        self._breaker = Breaker()
        self._recorder = PaceRecorder(self._cap, self._dimensions, self._breaker)
        parts = self._admissions, self._dimensions, self._cap, self._breaker, self._recorder
        self._attribution = Attribution(*parts)
        self._outage = Outage(*parts, self._streaks)
        self._knowledge = knowledge
        self._has_started = False
        self._probe: Call | None = None
        self._in_flight = 0
        self._idle_since = 0.0
        self._busy_since = 0, 0.0  # calls admitted before the latest idle time, and when that ended
        self._served = self._throttled = 0
        self._slowest = 0.0  # seconds that the slowest of the first calls took
        self._paced_until = self._full_at = self._judged_at = -math.inf
        self._full = False  # whether the limit delayed the next call

    # ---------------------------------------------------------------------------------------- the port

    @property
    def limit(self) -> int:
        """Number of calls that may be in flight."""
        return int(self._cap.limit)

    @property
    def rate(self) -> float:
        """Calls per second that may start; inf while no limit is known."""
        return self._dimensions.requests.limit

    @property
    def token_rate(self) -> float:
        """Tokens per second that may start; inf while no limit is known."""
        return self._dimensions.tokens.limit

    @property
    def history(self) -> deque[PaceChange]:
        """The latest changes with their reasons, the oldest first."""
        return self._recorder.history.changes

    def statistics(self) -> PaceStatistics:
        """Return a snapshot."""
        breaker = self._breaker
        return PaceStatistics(
            limit=self.limit,
            rate=self.rate,
            token_rate=self.token_rate,
            in_flight=self._in_flight,
            served=self._served,
            throttled=self._throttled,
            gate=breaker.admit_at(self._admissions.confirmation_age) if breaker.is_open else -math.inf,
            limitation=self._limitation(),
        )

    def _limitation(self) -> Limitation:
        """Return what keeps a call from starting that waits, as of when a caller asked last."""
        if self._breaker.is_open:
            return Limitation(reason=LimitReason.OUTAGE)
        if not self._has_started:
            return Limitation(reason=LimitReason.STARTING)
        if self._in_flight < self.limit:
            return self._dimensions.limitation(self._judged_at)
        if self._cap.probed < math.inf:
            basis = LimitBasis.LEARNED if self._cap.proven < math.inf else None
            return Limitation(reason=LimitReason.CONCURRENCY, basis=basis, value=self.limit)
        return Limitation(reason=LimitReason.STARTING if self._knee.starting else LimitReason.SPEED, value=self.limit)

    def knowledge(self, now: float) -> PaceKnowledge | None:
        """Return what was learned; before a call was answered what the controller started with, None after a cold start."""
        if not self._served:
            return None if self._knowledge is None else attrs.evolve(self._knowledge, learned=now)
        requests, tokens = self._dimensions.requests, self._dimensions.tokens
        return PaceKnowledge(
            limit=self.limit,
            rate=requests.learned,
            token_rate=tokens.learned,
            latency=self._knee.latency,
            learned=now,
        )

    def allow_bursts(self) -> None:
        """Let a few calls start at once until one is refused: for callers who wait for each answer, not for the first of many items."""
        if not self._throttled:
            self._dimensions.requests.allow_bursts()

    def admit_at(self, now: float, cost: float) -> float:
        """Return when a call of `cost` tokens may start: `now`, a later time to ask again at, or inf: ask when a call ends."""
        if not self._has_started:
            self._start(now, cost)
        if now != self._judged_at:
            self._judge(now)
        if self._breaker.is_open:
            at = self._breaker.admit_at(self._admissions.confirmation_age)
            if at > now or self._probe is None or not self._breaker.is_outlived(now):
                return max(now, at)
            self._outage.end(now, self._probe)
        if self._in_flight >= int(self._cap.limit):
            self._full, self._full_at = True, now
            return max(now, self._admissions.verdict_at()) + TICK
        wait = self._dimensions.wait(now, cost)
        if not wait:
            return now
        self._paced_until = now + wait + _IDLE
        return now + max(_MIN_WAIT, wait)

    def started(self, now: float, cost: float) -> Call:
        """Record a call of `cost` tokens that starts now; return the ticket to settle it with."""
        if not self._has_started:
            self._start(now, cost)
        if not self._in_flight:
            self._exclude_idle_time(now)
        self._in_flight += 1
        admissions, dimensions = self._admissions, self._dimensions
        cost = dimensions.paced_cost(now, cost)
        full = self._in_flight >= int(self._cap.limit) or (self._full and now - self._full_at < _IDLE)
        call = admissions.record_start(now, cost, paced=now <= self._paced_until, filled=full)
        self._paced_until, self._full = -math.inf, False
        if self._knee.is_measuring:
            self._knee.record_start(now, call.order)
        if self._breaker.is_open:
            self._breaker.start_probe(now)
            self._probe = call
            dimensions.empty_buckets(now)
        elif dimensions.burst and dimensions.take_from_burst(now):
            call.spare = call.in_burst = True
        elif dimensions.requests.on_reserve:
            call.spare = True
            dimensions.spend_reserve(cost)
        else:
            dimensions.spend(cost)
        dimensions.update_mean(cost, admissions.started)
        return call

    def settled(self, ticket: Call, now: float, signal: Signal) -> None:
        """Record the end of a call, and learn from it."""
        self._in_flight -= 1
        self._idle_since = now
        match signal:
            case Served():
                self._served += 1
                self._record_answer(ticket, now, signal)
            case Throttled():
                self._record_refusal(ticket, now, signal)
            case Faulted(kind, overdue) if kind in _PROVIDER_FAULTS:
                self._record_fault(ticket, now, overdue=overdue)
            case Faulted(kind) if kind in _CALLER_FAULTS and now > ticket.started and not self._breaker.is_open:
                self._record_answer(ticket, now, _USELESS)  # presumably the caller's code failed over the answer
            case Excused(earlier):
                self._record_no_evidence(ticket, now, excused=True)
                for call in earlier:
                    self._admissions.excuse(call)
                    self._attribution.excuse(now, call)
            case Faulted() | Abandoned():
                self._record_no_evidence(ticket, now)
        self._recorder.record_growth(now)

    # ---------------------------------------------------------------------------------------- starting

    def _start(self, now: float, cost: float) -> None:
        self._has_started = True
        self._idle_since = now
        self._outage.start(now)
        self._dimensions.start(now, cost)
        self._busy_since = 0, now
        if self._knowledge is not None:
            warm_start(now, self._knowledge, self._dimensions, self._knee, self._cap)
        self._recorder.start()

    def _exclude_idle_time(self, now: float) -> None:
        """Exclude a time without any call from the measures: nothing was learned about limits."""
        idle = now - max(self._idle_since, self._breaker.probe_at)  # until then the breaker kept calls from starting
        if idle > _IDLE:
            self._outage.exclude(idle)
            self._breaker.exclude(idle)
            self._admissions.restart_rate()
            admissions, (admitted, began) = self._admissions, self._busy_since
            calls, seconds = admissions.admitted - admitted, admissions.latest_start - began
            self._dimensions.requests.rest(now, self._idle_since, calls, seconds)
            self._busy_since = admissions.admitted, now

    # ---------------------------------------------------------------------------------------- ends of calls

    def _record_answer(self, call: Call, now: float, signal: Served) -> None:
        knee, cap = self._knee, self._cap
        self._admissions.record_answer(call, now)
        breaker = self._breaker
        if signal.tokens is not None and (tokens := positive_number(signal.tokens, zero=True)) is not None:
            self._dimensions.tokens.correct(tokens - call.tokens)
        if signal.quota is not None:
            self._dimensions.apply_hint(now, signal.quota)
        self._streaks.record_answer(call.started, now)
        if breaker.is_open:
            breaker.record_answer(now)
            if breaker.by_faults and call.judged and call.started >= breaker.since:
                self._outage.end(now, call)
        if knee.record_answer(now, call.order, call.started, accepted=signal.accepted):
            self._end_round(now)
        cap.maximum = knee.bound
        if signal.accepted and self._served <= _FIRST_ANSWERS and self._knowledge is None and not self._throttled:
            self._slowest = max(self._slowest, now - call.started)
            self._dimensions.requests.start_one_by_one(self._slowest)
        if self._full and cap.limit < knee.bound and knee.starting and self._is_alone:
            cap.limit = knee.bound
        self._judge(now)
        if self._streaks.latest_faults and self._streaks.is_degraded(call.started):
            self._streaks.restart_share(now)
            cap.shrink(_SLOWDOWN)
            knee.end_start_up(now)
            self._dimensions.shrink(_SLOWDOWN)
            self._recorder.record_all(
                now, "more than a fifth of the latest calls failed: less load, so that the provider can recover"
            )

    @property
    def _is_alone(self) -> bool:
        """Whether only the knee limits the calls: no concurrency cap is known, and no rate."""
        return self._cap.probed == math.inf and not self._dimensions.charged.is_known

    def _end_round(self, now: float) -> None:
        before, binding = self._cap.limit, now - self._full_at < self._knee.latency
        limit = self._knee.end_round(now, before, alone=self._is_alone, binding=binding)
        if limit != before:
            self._cap.limit = limit
            self._streaks.restart_share(now)
            self._recorder.record_limit(
                now, "answers take longer, and no more of them come: more calls would only wait"
            )

    def _record_refusal(self, call: Call, now: float, signal: Throttled) -> None:
        if not self._throttled and self._knowledge is None:
            self._dimensions.requests.start_slowly()
        self._throttled += 1
        self._dimensions.requests.end_bursts()
        admissions, dimensions, cap = self._admissions, self._dimensions, self._cap
        asked = signal.retry_after
        if signal.quota is not None:
            dimensions.apply_hint(now, signal.quota)
            asked = asked if positive_number(asked) is not None else signal.quota.retry_after
        self._knee.drop(call.order)
        late = admissions.record_refusal(call, now)
        if not self._attribution.is_shed:
            dimensions.hold(call.started, admissions.confirmation_age)
        if late:
            dimensions.retract_admission(call)
        if cap.limit > cap.cap:
            cap.fail_probe(cap.cap)
            self._recorder.record_limit(now, f"a call above the cap was refused: back to {self.limit}")
        self._streaks.record_refusal(call.order, call.started)
        self._judge(now)
        if late:
            self._attribution.charge(now, call, admissions.in_flight_before(call), late=True)
        if self._breaker.is_open:
            if self._breaker.is_probe(call.started):
                self._outage.schedule_probe(now, asked)
        elif self._streaks.is_refusing(admissions.admitted):
            self._attribution.charge_series(now, self._streaks.refused_since, call)
            self._outage.begin(now, self._streaks.refused_since, asked, by_faults=False)

    def _record_fault(self, call: Call, now: float, *, overdue: bool) -> None:
        breaker, streaks = self._breaker, self._streaks
        self._knee.drop(call.order)
        self._admissions.record_no_evidence(call)
        self._judge(now)
        streaks.record_fault(call.started, counts=not breaker.is_open, overdue=overdue)
        if breaker.is_open:
            if breaker.is_probe(call.started):
                breaker.fault_seconds = min(TRUST, now - call.started)
                self._outage.schedule_probe(now, None)
        elif streaks.is_failing() and (
            now - call.started < _FRESH_FAULT * self._admissions.confirmation_age or streaks.is_silent()
        ):
            breaker.fault_seconds = min(TRUST, now - call.started)
            streaks.restart_share(now)
            self._outage.begin(now, streaks.failed_since, None, by_faults=True)

    def _record_no_evidence(self, call: Call, now: float, *, excused: bool = False) -> None:
        self._knee.drop(call.order)
        if now - call.started >= self._admissions.refusal_latency and now - self._streaks.answered_at < _LIVELY:
            excused = True  # it was let in: a refusal would have come by then, and others are answered
        self._admissions.record_no_evidence(call, excused=excused)
        if self._breaker.is_probe(call.started):
            self._breaker.lose_probe(now)
        elif now == call.started:  # no time has passed: the call never reached the provider
            self._dimensions.give_back(call)
        self._judge(now)

    # ---------------------------------------------------------------------------------------- evidence, in order

    def _judge(self, now: float) -> None:
        """Judge the calls that can be judged by now, in the order of their starts, and learn from each."""
        self._judged_at = now
        admissions = self._admissions
        while (call := admissions.next_judged(now)) is not None:
            if call.outcome is _REFUSED:
                self._attribution.charge(now, call, admissions.in_flight(call))
            else:
                self._record_admission(now, call)

    def _record_admission(self, now: float, call: Call) -> None:
        cap, breaker, admissions = self._cap, self._breaker, self._admissions
        if self._attribution.record_admission(now, call):
            self._outage.record_refused_amid()
        self._streaks.record_admission(call.started)
        self._dimensions.record_admission(call)
        if breaker.is_open and call.started >= breaker.since and (call.outcome is _ADMITTED or not breaker.by_faults):
            self._outage.end(now, call)
        if cap.test is not None:
            cap.record_admission(admissions.in_flight(call), call.started)
        if call.paced:
            self._dimensions.grow(call)
        if call.filled:
            cap.grow(call.started, admissions.in_flight(call))
