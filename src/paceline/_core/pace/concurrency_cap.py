"""Concurrency cap: how many calls may be in flight, and whether a refusal was for their number or for their rate.

Rules owned here:

1. While no cap is known the limit grows by one with each admission that it had delayed.
2. The first refusal opens a test at the number that was in flight. Under a cap all refusals have that number or more in flight,
   and all admissions fewer; a later admission at that number or above refutes a cap there, and the rate is to blame. Under a
   limit on the rate, `r` refusals lie above `a` admissions only by chance, once in (r + a choose r). When these odds are long enough
   they prove a cap (a rank test), and what the rate was charged meanwhile is refunded. Refusals at ever lower numbers, as when
   the calls in flight only drain, restart the test: a cap is one number.
3. A known cap is probed by one more call in flight after a number of admissions, or after a time where those are slow to come.
   A probe that fills and is not refused is repeated in doubling steps. A refusal above the cap takes it back at once, and the
   next probe waits longer; so does the first one after the limit went down for a degraded provider.
"""

from __future__ import annotations

import math

import attrs

_START = 20.0  # calls in flight
_PROOF, _DOUBT = 500.0, 5.0  # odds that prove a cap; factor on them for each earlier test that refuted one
_MIN_REFUSALS = 3
_RACING, _REFUTING = 1, 2  # a place is free at the provider before its answer is here: one call more may get in, once
_MAX_BELIEF = 4
_PROBE_EVERY, _MAX_FAILURES = 60.0, 3.0  # admissions at the cap; factor on them after failed probes
_MIN_ADMISSIONS, _LONG_ENOUGH = 24.0, 30.0  # admissions and seconds: so a small cap is not left unprobed for minutes
_SLOWED_FOR = 180.0  # admissions, however slow to come: a degraded provider is not probed soon
_MAX_STEP = 0.2  # of the limit


@attrs.define(eq=False)
class CapTest:
    """A rank test of whether a cap or a rate causes the refusals."""

    lowest: int
    """Lowest number in flight at which a call was refused."""
    refused: int
    """Refusals that count."""
    admitted: int
    """Admissions with fewer calls in flight."""
    last: float
    """When the last refused call had started, in seconds."""
    rate: float
    """Highest rate before it was charged, in its own unit per second."""
    since: float
    """When the first refused call had started, in seconds: only what was charged from then on is refunded."""
    above: int = 0
    """Admissions with as many in flight, or more."""
    between: bool = False
    """Whether a call was admitted since the last refusal that counts."""

    def record_refusal(self, in_flight: int, started: float, rate: float) -> None:
        """Record another refusal."""
        if in_flight < self.lowest - _RACING:
            self.refused, self.admitted, self.between = 1, 0, False
        elif self.between:
            self.refused, self.between = self.refused + 1, False
        self.lowest, self.last, self.rate = min(self.lowest, in_flight), started, max(self.rate, rate)

    @property
    def odds(self) -> float:
        """How much likelier a cap than a rate is to have all refusals above all admissions; 0 after too few refusals."""
        if self.refused < _MIN_REFUSALS:
            return 0.0
        return float(math.comb(self.refused + self.admitted, self.refused))


@attrs.define(eq=False)
class ConcurrencyCap:
    """The limit on calls in flight."""

    maximum: float = math.inf
    """Bound of `limit`: the useful number of calls in flight, and the ceiling."""
    limit: float = _START
    """Calls that may be in flight."""
    probed: float = math.inf
    """Highest limit that was tried since a cap is known; inf: no cap is known."""
    cap: float = math.inf
    """The cap, as far as it is proven; inf: none is known."""
    test: CapTest | None = None
    belief: int = 0
    """How often a test ended for a rate, less how often for a cap; bounded."""
    _step: float = 1.0  # calls: how far the next probe goes
    _waited: float = 0.0  # admissions since the last probe, and when the first of them started
    _waited_since: float = math.inf
    _wait: float = math.inf  # admissions until the next probe; the fewer that are enough after a long time
    _short_wait: float = _MIN_ADMISSIONS
    _failures: float = 1.0  # factor on the wait

    def grow(self, now: float, in_flight: int) -> None:
        """Grow for an admission that the limit had delayed."""
        if self.limit >= self.maximum:
            return
        if self.probed == math.inf:
            self.limit = min(self.maximum, self.limit + 1)
            return
        self._waited += 1
        self._waited_since = min(self._waited_since, now)
        if in_flight + 1 >= int(self.limit) and self._is_probe_due(now):
            self.cap = max(self.cap, self.limit)
            self.limit = self.probed = min(self.maximum, self.limit + self._step)
            self._step = min(max(1.0, int(_MAX_STEP * self.limit)), self._step * 2)
            self._wait_for(max(4.0, self._step))

    def _is_probe_due(self, now: float) -> bool:
        waited = self._waited
        return waited >= self._wait or (waited >= self._short_wait and now - self._waited_since >= _LONG_ENOUGH)

    def _wait_for(self, admissions: float, *, short: float = _MIN_ADMISSIONS) -> None:
        self._waited, self._waited_since, self._wait, self._short_wait = 0.0, math.inf, admissions, short

    def record_admission(self, in_flight: int, started: float) -> None:
        """Record an admission as evidence for the test in progress, if there is one."""
        test = self.test
        if test is None or started <= test.last:
            return
        if in_flight >= test.lowest:
            test.above += 1
        if test.above >= _REFUTING or in_flight > test.lowest + _RACING:
            self.test = None
            self.belief = min(_MAX_BELIEF, self.belief + 1)
            if in_flight >= self.probed:
                self.probed = math.inf
            return
        test.admitted += 1
        test.between = True

    def is_reached(self, in_flight: int) -> bool:
        """Whether a cap is known and a call with that many in flight was at it or above."""
        return self.probed < math.inf and in_flight >= int(self.cap)

    def record_refusal(self, in_flight: int, started: float, rate: float) -> CapTest | None:
        """Record a refusal; return the test if the refusal proves a cap, so that the rate gets back what it was charged, else None."""
        test = self.test
        if test is None:
            self.test = CapTest(in_flight, 1, 0, started, rate, started)
            self.limit = max(self.limit, min(self.maximum, in_flight + 2.0))
            return None
        test.record_refusal(in_flight, started, rate)
        if test.lowest < 1 or test.odds < _PROOF * _DOUBT**self.belief:
            return None
        self.limit = self.probed = self.cap = float(test.lowest)
        self.test = None
        self.belief = max(0, self.belief - 1)
        self._step, self._failures = 1.0, 1.0
        self._wait_for(_PROBE_EVERY)
        return test

    def fail_probe(self, cap: float) -> None:
        """Go back to the cap after a refusal above it, and probe later."""
        self.limit = self.probed = self.cap = cap
        self._step, self._failures = 1.0, min(_MAX_FAILURES, 2 * self._failures)
        self._wait_for(_PROBE_EVERY * self._failures)

    def warm_start(self, cap: float) -> None:
        """Start at a cap learned earlier, and probe above it soon."""
        self.limit = self.probed = self.cap = max(1.0, cap)
        self._wait_for(max(4.0, cap / 2))

    def shrink(self, factor: float) -> None:
        """Lower the limit by a factor, and treat it as the cap until probing shows otherwise."""
        self.limit = self.probed = self.cap = max(1.0, self.limit * factor)
        self._step = 1.0
        self._wait_for(_SLOWED_FOR, short=math.inf)
