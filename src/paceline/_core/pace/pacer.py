"""Pacer: when the next call may start, for one dimension that a provider may limit: requests or tokens.

Rules owned here:

1. Calls start at an even rate, from a token bucket that is filled at the rate and emptied by each call. It is shallow, one call and
   a few milliseconds deep: a deep one would let a burst through that a strict provider refuses. A call waits until the bucket
   holds its whole cost.
2. Slow start: while the rate is unknown, the pace is twice the rate of recent admissions, and at least a few calls a second. While a
   refusal waits for its verdict, the pace is half the rate of recent admissions: at the double, the calls until then would be refused too.
   Calls may start as fast as one caller could make them, one after the other, which is no haste.
3. If the caller asks for it, a few calls may start at once before the first refusal, as one page of a service makes them: a *reserve*
   beside the bucket. It is full at the start, and fills while calls start as they come. After an idle time it is as large as what was
   admitted within seconds in the last minutes, and the pace is at least the best rate of admission of these minutes. Calls from the reserve
   are not in the rate of admission: they came faster than what was admitted for long.
4. A call that costs more than a minute of the pace would keep all others waiting. It could not be within the limit at any time, or its
   cost is misjudged; so it waits and pays as a call of mean cost, and the provider decides.
5. A claim (what the provider says about its limit, or what was learned long ago) can speed the start up or hold it back. It is not a
   measurement, so it doubles periodically until a limit is met, and a false one does no harm for long.

"Units" are requests or LLM tokens, whichever the pacer counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..limitation import Limitation, LimitBasis, LimitReason
from ..quota import QuotaLimit
from .admissions import Call
from .rate import AIM, MIN_RATE, Rate

MAX_WAIT = 600.0  # seconds: no call waits longer for its turn, whatever it costs
# Seconds of the pace: what a call may cost to be paced by its cost, and all may owe that cost more than expected. Limits are for a minute at
# most, but a few.
_LARGEST = 60.0
_SLACK = 0.005  # seconds of the rate: what timers and event loops are late by
_LATE, _LATENESS_WEIGHT = 2.0, 0.05  # times the mean lateness of a busy machine; weight of each in that moving average
_FILL_EVERY = 1e-3  # seconds: a bucket that holds enough is not filled more often, which delays no call
_LATEST = 0.1  # seconds: a caller that asks later had nothing to start


class Bucket:
    """A token bucket of units."""

    def __init__(self) -> None:
        self._level = 0.0  # units; negative: a debt
        self._time = 0.0  # when it was last filled

    def restart(self, now: float, level: float = 0.0) -> None:
        """Set the level, in units, at time `now`."""
        self._time, self._level = now, level

    def fill(self, now: float, rate: float, largest: float, slack: float = _SLACK) -> float:
        """Fill the bucket at `rate` units per second since it was last filled; return the seconds for which it was full.

        Args:
            now: Time in seconds.
            rate: Units per second, above 0.
            largest: Cost, in units, that the bucket has room for.
            slack: Seconds of the rate that fit besides, because calls start late.
        """
        depth = largest + slack * rate
        level = self._level
        if level < 0:
            level = max(level, -_LARGEST * rate)
        if MAX_WAIT * rate < largest:
            level = max(level, largest - MAX_WAIT * rate)
        level += (now - self._time) * rate
        self._time = now
        if level <= depth:
            self._level = level
            return 0.0
        overflow = level - max(depth, self._level)
        self._level = depth
        return max(0.0, overflow) / rate

    def has(self, cost: float, now: float) -> bool:
        """Whether it holds the cost of a call, and was filled just now."""
        return self._level >= cost and now - self._time < _FILL_EVERY

    def wait(self, rate: float, cost: float) -> float:
        """Return the seconds until a call of `cost` units may start; 0: now."""
        missing = cost - self._level
        return missing / rate if missing > 1e-9 * cost else 0.0

    def spend(self, cost: float) -> None:
        """Spend the cost of a started call, in units; one that starts out of turn incurs no more than its own cost."""
        self._level = self._level - cost if self._level > 0 else -cost

    def correct(self, excess: float) -> None:
        """Charge the units that a call cost beyond expectation; a negative number is given back."""
        self._level -= excess


START = 5.0  # calls a second, before anything is known
RESERVE = 4.0  # calls that may start at once beside the one in the bucket
_BURST = 2.0  # seconds: calls that were admitted within these may start at once after an idle time
_REMEMBERED = 300.0  # seconds
_SLOW_START, _HELD = 2.0, 0.5  # times the rate of admission; while a refusal waits for its verdict
_CAPPED = (
    8.0  # times the rate of admission, under a known cap: places become free in bursts, and are to be taken at once
)
_CLAIM_DOUBLES = 15.0  # seconds
_SOON_DOUBLES = 4.0  # seconds, after an outage
_MIN_USED = 5.0  # units used: fewer give no rate, because the remaining ones are rounded
_PLAUSIBLE = 1000.0  # calls of mean cost: no single call costs more than that beyond expectation
_DAY = 86_400.0  # seconds


class Pacer:
    """The pace of one dimension.

    Args:
        cost: Function that returns a call's cost in units.
        recent_rate: Function that returns the units admitted per second lately.
    """

    def __init__(self, cost: Callable[[Call], float], recent_rate: Callable[[], float]) -> None:
        self.rate = Rate()
        self.bucket = Bucket()
        self.cost = cost
        self.recent_rate = recent_rate
        self.start_rate = START
        """Calls per second that may start before anything is known."""
        self.claimed = math.inf
        """Units per second that the provider states, or that were learned long ago; inf: none."""
        self.reserve = 0.0
        """Calls that may start at once, beside what is in the bucket."""
        self.on_reserve = False
        """Whether the next call would start from the reserve."""
        self._has_reserve = False
        self._burst = 0.0
        """The most calls that were admitted within seconds, lately, and until when that is remembered."""
        self._burst_until = -math.inf
        self._best = 0.0
        """The best rate of admission, lately, and until when it is remembered."""
        self._best_until = -math.inf
        self._claimed_at = -math.inf
        self._basis: LimitBasis | None = None
        """Where the claim is from; None: an outage suggested it."""
        self._doubles = _CLAIM_DOUBLES
        self._held_until = -math.inf
        self._gain = _SLOW_START
        self._due = math.inf  # when the call that waits may start
        self._lateness = 0.0  # seconds by which the caller asks again too late, a moving average

    @property
    def is_known(self) -> bool:
        """Whether a limit was measured."""
        return self.rate.value < math.inf

    @property
    def has_limit(self) -> bool:
        """Whether a limit was measured or claimed."""
        return self.rate.value < math.inf or self.claimed < math.inf

    @property
    def limit(self) -> float:
        """Limit that was measured or else claimed, in units per second; inf: none."""
        return self.rate.value if self.is_known else self.claimed

    @property
    def learned(self) -> float:
        """Rate for the next controller to start with: the limit that was measured, or else what was claimed or admitted; inf: none.

        A claim is no measurement: where more was admitted, that is the better start. A run that met no limit does not lower the claim.
        """
        if self.is_known or self.claimed == math.inf:
            return self.rate.value
        return max(self.claimed / AIM, self.recent_rate())

    def pace(self, now: float) -> float:
        """Return the units per second that may start now."""
        if self.is_known:
            return self.rate.value
        recent = self.recent_rate()
        slow = self._slow_start(now, recent)
        if self._has_reserve:
            if recent > self._best or now > self._best_until:
                self._best, self._best_until = recent, now + _REMEMBERED
            elif self._best > slow:
                slow = self._best
        return min(slow, self._claim(now))

    def _slow_start(self, now: float, recent: float) -> float:
        """Return the pace while nothing is known, given the rate of admission lately; without a reserve."""
        growth = self._gain if now >= self._held_until else _HELD
        return max(self.start_rate * self.rate.mean, growth * recent)

    def _claim(self, now: float) -> float:
        """Return the claim as it has doubled by `now`; inf: none."""
        if self.claimed == math.inf:
            return math.inf
        doublings = max(0.0, now - self._claimed_at) / self._doubles
        return self.claimed * math.pow(2.0, min(60.0, doublings))

    def wait(self, now: float, cost: float) -> float:
        """Return the seconds until a call of `cost` units may start; 0: now."""
        rate, bucket = self.rate, self.bucket
        if self._due == math.inf and not self.on_reserve and bucket.has(cost, now):
            return 0.0
        if now >= self._due:
            self._learn_lateness(now - self._due)
        slack = max(_SLACK, _LATE * self._lateness)
        if (pace := rate.value) < math.inf:
            if unused := bucket.fill(now, pace, max(cost, rate.mean), slack):
                rate.exclude(unused)
            wait = bucket.wait(pace, cost)
            self._due = now + wait if wait else math.inf
            return wait
        pace = self.pace(now)
        unused = bucket.fill(now, pace, max(cost, rate.mean), slack)
        wait = bucket.wait(pace, cost)
        self._due = now + wait if wait else math.inf
        if self._has_reserve and pace >= START:
            if unused and self.reserve < RESERVE:
                self.reserve = min(RESERVE, self.reserve + unused * START)
            self.on_reserve = wait > 0 and self.reserve >= 1.0
            if self.on_reserve:
                return 0.0
        return wait if self.claimed == math.inf else min(wait, self._doubles)  # and ask again: it has doubled by then

    def waits_for(self, now: float, cost: float) -> float:
        """Return the seconds for which a call of `cost` units had to wait when a caller asked last; nothing changes."""
        pace = self.rate.value if self.is_known else min(self._slow_start(now, self.recent_rate()), self._claim(now))
        return self.bucket.wait(pace, cost)

    def limitation(self, now: float, reason: LimitReason) -> Limitation:
        """Return what keeps a call from starting that waits for this pacer: its limit, or that it still starts."""
        if self.is_known:
            return Limitation(reason=reason, basis=LimitBasis.LEARNED, value=self.rate.value)
        claim = self._claim(now)
        if self._basis is None or self._slow_start(now, self.recent_rate()) < claim:
            return Limitation(reason=LimitReason.STARTING)
        return Limitation(reason=reason, basis=self._basis, value=claim)

    def _learn_lateness(self, seconds: float) -> None:
        """Learn from the time between the moment at which a call was due and that at which the caller asked again."""
        if seconds <= _LATEST:
            self._lateness += _LATENESS_WEIGHT * (seconds - self._lateness)

    def paced_cost(self, now: float, cost: float) -> float:
        """Return the units that a call of `cost` units waits for and pays (rule 4)."""
        if not self.has_limit or cost <= self.rate.mean:
            return cost
        return cost if cost <= _LARGEST * self.pace(now) else self.rate.mean

    def correct(self, excess: float) -> None:
        """Charge the units that a call cost beyond expectation; a negative number is given back."""
        excess = min(excess, _PLAUSIBLE * self.rate.mean)
        self.bucket.correct(excess)
        self.rate.admitted += excess

    def start_one_by_one(self, latency: float) -> None:
        """Start as fast as one caller would, whose calls take `latency` seconds."""
        if latency > 0:
            self.start_rate = max(START, 1.0 / latency)

    def start_slowly(self) -> None:
        """Start as before anything was known: a call was refused."""
        self.start_rate = min(self.start_rate, START)

    def allow_bursts(self) -> None:
        """Let a few calls start at once, from now on until a call is refused."""
        self._has_reserve, self.reserve = True, RESERVE

    def end_bursts(self) -> None:
        """Let calls start evenly from now on: one was refused."""
        self._has_reserve = self.on_reserve = False

    def rest(self, now: float, ended: float, calls: float, seconds: float) -> None:
        """Fill the reserve after an idle time.

        Args:
            now: Current time.
            ended: When the last call had ended.
            calls: Calls that were admitted between the idle time before and this one.
            seconds: Time within which they started.
        """
        burst = calls if seconds <= _BURST else calls * _BURST / seconds
        if burst >= self._burst or now > self._burst_until:
            self._burst, self._burst_until = burst, ended + _REMEMBERED
        self.reserve = max(RESERVE, self._burst if now <= self._burst_until else 0.0)

    def yield_to_cap(self) -> None:
        """Delay hardly any call while no limit is known here: a concurrency cap limits them."""
        self._gain = _CAPPED

    def hold_until(self, until: float) -> None:
        """Hold the slow start back until a refusal is judged, at time `until`."""
        self._held_until = max(self._held_until, until)

    def claim(self, now: float, limit: QuotaLimit) -> None:
        """Take what the provider says about its limit as a claim, unless a limit is known or claimed already."""
        rate = _rate_of(limit)
        if rate is not None and rate > 0 and self.rate.value == math.inf and self.claimed == math.inf:
            self.claimed, self._claimed_at, self._doubles = (
                max(AIM * rate, MIN_RATE * self.rate.mean),
                now,
                _CLAIM_DOUBLES,
            )
            self._basis = LimitBasis.STATED

    def warm_start(self, now: float, rate: float) -> None:
        """Start at a rate learned earlier, in units per second, as a claim."""
        rate = max(rate, MIN_RATE * self.rate.mean)
        self.claimed, self._claimed_at, self._doubles = AIM * rate, now, _CLAIM_DOUBLES
        self._basis = LimitBasis.EARLIER
        self.start_rate = max(self.start_rate, self.claimed / self.rate.mean)

    def restart(self, now: float, rate: float) -> None:
        """Restart the slow start after an outage that may have been a window of `rate` units per second; inf: an outage for certain.

        The pace starts there, and doubles periodically.
        """
        self.rate.restore(math.inf)
        self.claimed, self._claimed_at = max(MIN_RATE * self.rate.mean, rate), now
        self._basis = None
        self._doubles = _SOON_DOUBLES

    def drop_claim(self) -> None:
        """Drop the claim: the limit was met, and is measured from here on."""
        self.claimed = math.inf


def _rate_of(limit: QuotaLimit) -> float | None:
    """Return a limit in units per second; None if it says too little, or is for a day, which no caller spreads evenly."""
    if limit.limit is None or limit.limit <= 0:
        return None
    if limit.period is not None:
        return limit.limit / limit.period if 0 < limit.period < _DAY else None
    if limit.remaining is None or not limit.reset or limit.reset >= _DAY:
        return None
    used = limit.limit - limit.remaining
    return used / limit.reset if used >= _MIN_USED else None
