"""How many calls may be in flight, if a provider allows so many at a time? And was a refusal for that, or for their rate?

Rules owned here:

1. Without a known cap the limit grows by one with each admission that it held back.
2. The first refusal opens a test, at the number that was in flight. One later admission at that number or above proves that
   there is no cap there: the rate is to blame. A cap has all refusals at that number or above, and all admissions below it;
   a limit on the rate has r refusals above a admissions by chance only, once in (r + a choose r). When such odds are long
   enough they prove a cap (a rank test), and what the rate was charged meanwhile is given back. Refusals at ever lower
   numbers, as when the calls in flight only drain, begin the test anew: a cap is one number.
3. A known cap is probed by one worker more, after a number of admissions, or sooner where those are slow to come. A probe that
   fills and is not refused is repeated in doubling steps; a refusal above the cap takes it back at once, and the next probe
   waits longer. So does the first one after the limit went down to spare the provider.
"""

from __future__ import annotations

import math

import attrs

_START = 20.0
_PROOF, _DOUBT = 500.0, 5.0  # odds that prove a cap; times that, for each time that it was not one
_LEAST_REFUSALS = 3
_RACING, _REFUTING = 1, 2  # a place is free at the provider before its answer is here: one more may get in, once
_MOST_BELIEF = 4
_PROBE_EVERY, _LONGEST_PROBE = 60.0, 3.0  # admissions at the cap; times that, after failures
_OFTEN_ENOUGH, _LONG_ENOUGH = 24.0, 30.0  # admissions and seconds: so a small cap is not left unprobed for minutes
_SPARED_FOR = 180.0  # admissions, however slow to come: who was ill is not asked for more at once
_STEP = 0.2  # of the limit, at most


@attrs.define(eq=False)
class CapTest:
    """Cap or rate?"""

    lowest: int
    """The least number in flight at which a call was refused."""
    refused: int
    admitted: int
    last: float
    """When the last refused call had started."""
    rate: float
    """What the rate was, before it was charged."""
    above: int = 0
    """Admissions with as many in flight, or more."""
    between: bool = False
    """Whether anything was admitted since the last refusal that counted."""

    def refuse(self, in_flight: int, started: float, rate: float) -> None:
        """Hear of another refusal."""
        if in_flight < self.lowest - _RACING:
            self.refused, self.admitted, self.between = 1, 0, False
        elif self.between:
            self.refused, self.between = self.refused + 1, False
        self.lowest, self.last, self.rate = min(self.lowest, in_flight), started, max(self.rate, rate)

    @property
    def odds(self) -> float:
        """How much sooner a cap than a rate has all these refusals above all these admissions."""
        if self.refused < _LEAST_REFUSALS:
            return 0.0
        return float(math.comb(self.refused + self.admitted, self.refused))


@attrs.define(eq=False)
class ConcurrencyCap:
    """The limit of calls in flight."""

    most: float = math.inf
    """Never more than this: the ceiling, and the knee."""
    limit: float = _START
    ceiling: float = math.inf
    """As far as probing has come; inf: no cap is known."""
    cap: float = math.inf
    """The cap, as far as it is proven."""
    test: CapTest | None = None
    belief: int = 0
    """How often a test has proven a rate."""
    _step: float = 1.0
    _waited: float = 0.0
    _waited_since: float = math.inf
    _wait: float = math.inf
    _often: float = _OFTEN_ENOUGH
    _failures: float = 1.0

    def grow(self, now: float, in_flight: int) -> None:
        """Grow for an admission that the limit held back."""
        if self.limit >= self.most:
            return
        if self.ceiling == math.inf:
            self.limit = min(self.most, self.limit + 1)
            return
        self._waited += 1
        self._waited_since = min(self._waited_since, now)
        if in_flight + 1 >= int(self.limit) and self._is_probe_due(now):
            self.cap = max(self.cap, self.limit)
            self.limit = self.ceiling = min(self.most, self.limit + self._step)
            self._step = min(max(1.0, int(_STEP * self.limit)), self._step * 2)
            self._wait_for(max(4.0, self._step))

    def _is_probe_due(self, now: float) -> bool:
        waited = self._waited
        return waited >= self._wait or (waited >= self._often and now - self._waited_since >= _LONG_ENOUGH)

    def _wait_for(self, admissions: float, *, often: float = _OFTEN_ENOUGH) -> None:
        self._waited, self._waited_since, self._wait, self._often = 0.0, math.inf, admissions, often

    def admitted(self, in_flight: int, started: float) -> None:
        """Hear of an admission: evidence for the test."""
        test = self.test
        if test is None or started <= test.last:
            return
        if in_flight >= test.lowest:
            test.above += 1
        if test.above >= _REFUTING or in_flight > test.lowest + _RACING:
            self.test = None
            self.belief = min(_MOST_BELIEF, self.belief + 1)
            if in_flight >= self.ceiling:
                self.ceiling = math.inf
            return
        test.admitted += 1
        test.between = True

    def at_probe(self, in_flight: int) -> bool:
        """Whether a refusal at this number is that of a probe above the known cap."""
        return self.ceiling < math.inf and in_flight >= int(self.cap)

    def refused(self, in_flight: int, started: float, rate: float) -> float | None:
        """Hear of a refusal; return what to give back to the rate, if that proves a cap."""
        test = self.test
        if test is None:
            self.test = CapTest(in_flight, 1, 0, started, rate)
            self.limit = max(self.limit, min(self.most, in_flight + 2.0))
            return None
        test.refuse(in_flight, started, rate)
        if test.lowest < 1 or test.odds < _PROOF * _DOUBT**self.belief:
            return None
        self.limit = self.ceiling = self.cap = float(test.lowest)
        self.test = None
        self.belief = max(0, self.belief - 1)
        self._step, self._failures = 1.0, 1.0
        self._wait_for(_PROBE_EVERY)
        return test.rate

    def probe_failed(self, cap: float) -> None:
        """Go back to the cap."""
        self.limit = self.ceiling = self.cap = cap
        self._step, self._failures = 1.0, min(_LONGEST_PROBE, 2 * self._failures)
        self._wait_for(_PROBE_EVERY * self._failures)

    def recall(self, cap: float) -> None:
        """Begin at what was in flight before, and probe above it soon."""
        self.limit = self.ceiling = self.cap = max(1.0, cap)
        self._wait_for(max(4.0, cap / 2))

    def shrink(self, factor: float) -> None:
        """Go down, and take that for the cap until probing shows otherwise."""
        self.limit = self.ceiling = self.cap = max(1.0, self.limit * factor)
        self._step = 1.0
        self._wait_for(_SPARED_FOR, often=math.inf)
