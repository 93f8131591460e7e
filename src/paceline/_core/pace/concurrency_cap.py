"""Concurrency cap: how many calls may be in flight, and whether a refusal was for their number or for their rate.

Rules owned here:

1. While no cap is known the limit grows by one with each admission that it had delayed.
2. The first refusal opens a test at the number that was in flight. Under a limit on the rate any `r` of `r` + `a` calls are the refused ones
   with the same chance, 1 in (r + a choose r). Under a cap the chance depends on the number in flight, though not sharply, because calls
   arrive late and overtake each other. When the odds of the two are long enough they prove a cap, and what the rate was charged meanwhile is
   refunded; when they are short, they refute it. Refusals at ever lower numbers, as when the calls in flight only drain, restart the
   test: a cap is one number.
3. A known cap is probed by one more call in flight after a number of admissions, or after a time where those are slow to come.
   A probe that fills and is not refused is repeated in doubling steps. A refusal above the cap takes it back at once, and the
   next probe waits longer. A refusal with one call fewer than the cap in flight counts only if another one came shortly before.
"""

from __future__ import annotations

import math

import attrs

_START = 20.0  # calls in flight
_PROOF, _DOUBT = 200.0, 5.0  # odds that prove a cap; factor on them for each earlier test that refuted one
_REFUTED = 0.1  # odds
# Chances that a cap refuses a call, with one fewer in flight than the cap, as many, one more, and so on. The provider's count may differ
# from the one here: calls arrive late, and overtake each other; a place is free there before the answer is here.
_REFUSING = (0.02, 0.8, 0.9, 0.95, 0.99), (0.02, 0.2, 0.3, 0.5, 0.8)  # on a machine that is on time, and on a busy one
_WEIGHTS = 0.9, 0.1  # prior probabilities of the two
_DOUBTED_FOR = 24  # admissions
_RACING = 1  # calls: a refusal with that many fewer in flight than the known cap may be for the cap
_MOST = 3  # calls more than the lowest that are counted apart
_CERTAIN = 100.0  # logarithm of the odds
_MAX_BELIEF = 4
_PROBE_EVERY, _MAX_FAILURES = 60.0, 3.0  # admissions at the cap; factor on them after failed probes
_MIN_ADMISSIONS, _LONG_ENOUGH = 24.0, 30.0  # admissions and seconds: so a small cap is not left unprobed for minutes
_LATELY = 60.0  # seconds that an admission is remembered, for the reasons that are recorded
_MAX_STEP = 0.2  # of the limit


@attrs.define(eq=False)
class CapTest:
    """A test of whether a cap or a rate causes the refusals, by how many calls were in flight when each call started."""

    lowest: int
    """Lowest number in flight at which a call was refused."""
    last: float
    """When the last refused call had started, in seconds."""
    rate: float
    """Highest rate before it was charged, in its own unit per second."""
    since: float
    """When the first refused call had started, in seconds: only what was charged from then on is refunded."""
    refused: list[int] = attrs.field(factory=lambda: [1, 0, 0, 0])
    """Refusals that count, with so many more in flight than `lowest`; the last number: with as many or more."""
    admitted: list[int] = attrs.field(factory=lambda: [0, 0, 0, 0])
    """Admissions in the same way."""
    fewer: int = 0
    """Admissions with fewer in flight than `lowest`."""
    between: bool = False
    """Whether a call was admitted since the last refusal that counts."""

    def record_refusal(self, in_flight: int, started: float, rate: float) -> None:
        """Record another refusal."""
        above = in_flight - self.lowest
        if above < -1:
            self.refused, self.admitted, self.fewer, above = [0, 0, 0, 0], [0, 0, 0, 0], 0, 0
            self.between = True
        elif above < 0:
            for counts in (self.refused, self.admitted):
                counts[1:] = counts[0], counts[1], counts[2] + counts[3]
                counts[0] = 0
            above = 0
        if self.between:
            self.refused[min(above, _MOST)] += 1
            self.between = False
        self.lowest, self.last, self.rate = min(self.lowest, in_flight), started, max(self.rate, rate)

    def record_admission(self, in_flight: int) -> None:
        """Record an admission; one far above `lowest` counts several times."""
        self.between = True
        above = in_flight - self.lowest
        if above < 0:
            self.fewer += 1
        elif above < _MOST:
            self.admitted[above] += 1
        else:
            self.admitted[_MOST] += above // _MOST

    @property
    def odds(self) -> float:
        """How much likelier these refusals and admissions are under a cap than under a limit on the rate."""
        refused, admitted = sum(self.refused), self.fewer + sum(self.admitted)
        orders = math.log(math.comb(refused + admitted, refused))
        return math.fsum(
            weight * math.exp(min(_CERTAIN, orders + max(self._likelihood(refusing, below) for below in (0, 1))))
            for weight, refusing in zip(_WEIGHTS, _REFUSING, strict=False)
        )

    def _likelihood(self, refusing: tuple[float, ...], below: int) -> float:
        """Return the logarithm of the likelihood of these outcomes under a cap at `below` more than `lowest`."""
        chances = refusing[1 - below :]
        return math.fsum(
            refused * math.log(chance) + admitted * math.log(1 - chance)
            for refused, admitted, chance in zip(self.refused, self.admitted, chances, strict=False)
        )


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
    proven: float = math.inf
    """The cap as it was proven: probes went further."""
    test: CapTest | None = None
    admitted: tuple[int, float] = (0, -math.inf)
    """Most calls in flight, lately, at an admission that spoke against a cap as a call was refused with no more; and its start in seconds."""
    belief: int = 0
    """How often a test ended for a rate, less how often for a cap; bounded."""
    _step: float = 1.0  # calls: how far the next probe goes
    _waited: float = 0.0  # admissions since the last probe, and when the first of them started
    _waited_since: float = math.inf
    _wait: float = math.inf  # admissions until the next probe; the fewer that are enough after a long time
    _short_wait: float = _MIN_ADMISSIONS
    _failures: float = 1.0  # factor on the wait
    _doubted_for: int = 0  # admissions for which another refusal with one call fewer than the cap counts against it

    def grow(self, now: float, in_flight: int) -> None:
        """Grow for an admission that the limit had delayed."""
        if self.limit >= self.maximum:
            return
        if self.probed == math.inf:
            self.limit = min(self.maximum, self.limit + 1)
            return
        self._waited += 1
        self._doubted_for = max(0, self._doubted_for - 1)
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
        test.record_admission(in_flight)
        if in_flight < test.lowest:
            return
        if in_flight >= self.admitted[0] or started - self.admitted[1] > _LATELY:
            self.admitted = in_flight, started
        if test.odds < _REFUTED:
            self.test = None
            self.belief = min(_MAX_BELIEF, self.belief + 1)
            if in_flight >= self.probed:
                self.probed = math.inf

    @property
    def least(self) -> int:
        """Calls in flight at which a refusal lowers the cap: a little less than the cap if probes went further than was proven."""
        return int(max(min(self.cap, self.proven), self.cap - _MOST))

    def is_reached(self, in_flight: int, *, first: bool = True) -> bool:
        """Whether a refusal with that many calls in flight was for a known cap; `first`: the call before it was admitted.

        Where a call was overtaken by another one a single refusal with one fewer in flight than the cap says nothing new.
        """
        if self.probed == math.inf or in_flight >= self.least:
            return self.probed < math.inf
        is_near = first and in_flight >= max(1, int(self.cap) - _RACING) and not self._doubted_for
        if is_near:
            self._doubted_for = _DOUBTED_FOR
        return is_near

    def record_refusal(self, in_flight: int, started: float, rate: float) -> CapTest | None:
        """Record a refusal; return the test if the refusal proves a cap, so that the rate gets back what it was charged, else None."""
        test = self.test
        if test is None:
            self.test = CapTest(in_flight, started, rate, started)
            return None
        test.record_refusal(in_flight, started, rate)
        if test.lowest < 1 or test.odds < _PROOF * _DOUBT**self.belief:
            return None
        self.limit = self.probed = self.cap = self.proven = float(test.lowest)
        self.test = None
        self.belief = max(0, self.belief - 1)
        self._step, self._failures = 1.0, 1.0
        self._wait_for(_PROBE_EVERY)
        return test

    def fail_probe(self, cap: float) -> None:
        """Go back to the cap after a refusal above it, and probe later."""
        self.limit = self.probed = self.cap = cap
        self._step, self._failures = 1.0, min(_MAX_FAILURES, 2 * self._failures)
        self._wait_for(_PROBE_EVERY * self._failures, short=_MIN_ADMISSIONS * self._failures)

    def warm_start(self, cap: float) -> None:
        """Start at a cap learned earlier, and probe above it soon."""
        self.limit = self.probed = self.cap = max(1.0, cap)
        self._wait_for(max(4.0, cap / 2))

    def shrink(self, factor: float) -> None:
        """Lower the limit by a factor, and treat it as the cap until probing shows otherwise."""
        self.limit = self.probed = self.cap = max(1.0, self.limit * factor)
        self._step = 1.0
        self._wait_for(_PROBE_EVERY)
