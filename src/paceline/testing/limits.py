"""Limits of a provider: token buckets, fixed windows and concurrency caps, each with a meter that counts.

1. A limit is a frozen record of what is allowed; its meter counts what was used. Meters are pure: `now` is an argument, in seconds
   of any clock that does not go back.
2. A call costs 1, or its tokens where the limit is per tokens, and never more than the limit holds when it is full: no call is
   impossible.
3. `wait` answers and changes no decision; `charge` and `refuse` record a decision. A caller that waits exactly as long as `wait`
   returns, while no other call is admitted, is admitted.
4. When the service changes, what was used stays used: a bucket keeps its level, as far as the new bucket holds it, and a window
   its count.

The token bucket is the leaky bucket as a meter (Turner, "New Directions in Communications", 1986).
"""

from __future__ import annotations

import math
from typing import Literal, Protocol, TypeAlias

import attrs

from .._core.quantity import quantity
from .._core.validators import Number, OneOf, WholeNumber

Measure: TypeAlias = Literal["requests", "tokens"]

_MEASURE = OneOf(("requests", "tokens"))
# Tolerances for the rounding of a clock: as a share of a call's cost, and of a window's length.
_COST_ROUNDING, _WINDOW_ROUNDING = 1e-6, 1e-9
_MINUTE = 60.0


@attrs.frozen
class TokenBucket:
    """A rate with a reserve: full at first, refilled at `rate`; each call removes its cost.

    Raises:
        ConfigurationError: A field is out of its bounds.
    """

    rate: float = attrs.field(validator=Number(above=0))
    """Requests or tokens per second, above 0."""
    burst: float = attrs.field(validator=Number(at_least=1))
    """Requests or tokens that it holds when full, 1 or more."""
    per: Measure = attrs.field(default="requests", kw_only=True, validator=_MEASURE)
    """What is counted: requests or tokens."""
    refusal_cost: float = attrs.field(default=0.0, kw_only=True, validator=Number(at_least=0))
    """Share of its cost that a refused call removes, 0 or more, whichever limit refused it; the level stays above -burst."""
    shut_seconds: float = attrs.field(default=0.0, kw_only=True, validator=Number(at_least=0))
    """Seconds for which it admits no call after one that found it empty, 0 or more; it is refilled meanwhile."""

    def __str__(self) -> str:
        return f"{self.rate:g} {self.per} a second, {self.burst:g} at once"

    def meter(self) -> BucketMeter:
        """Return the meter of a bucket that is full at time 0."""
        return BucketMeter(self, level=self.burst, at=0.0)


@attrs.frozen
class FixedWindow:
    """An amount per window of time; what is left of it is lost when the next window begins.

    Raises:
        ConfigurationError: A field is out of its bounds.
    """

    amount: float = attrs.field(validator=Number(at_least=1))
    """Requests or tokens per window, 1 or more."""
    seconds: float = attrs.field(validator=Number(above=0))
    """Length of a window in seconds, above 0."""
    offset: float = attrs.field(default=0.0, kw_only=True, validator=Number(at_least=0))
    """Seconds of the first window that had passed at time 0, 0 or more."""
    per: Measure = attrs.field(default="requests", kw_only=True, validator=_MEASURE)
    """What is counted: requests or tokens."""

    def __str__(self) -> str:
        return f"{self.amount:g} {self.per} in {self.seconds:g} s"

    def meter(self) -> WindowMeter:
        """Return a meter whose count is 0."""
        return WindowMeter(self, index=0, used=0.0)


@attrs.frozen
class ConcurrencyCap:
    """A maximum of calls in flight; 0 is an outage that answers 429.

    Raises:
        ConfigurationError: `calls` is not a whole number, 0 or more.
    """

    calls: int = attrs.field(validator=WholeNumber(at_least=0))
    """Most calls in flight, 0 or more."""

    def __str__(self) -> str:
        return f"{quantity(self.calls, 'call')} in flight"

    def meter(self) -> CapMeter:
        """Return a meter of it."""
        return CapMeter(self)


@attrs.frozen(kw_only=True)
class LimitStatus:
    """The status of a limit at one moment, as providers report it."""

    per: Measure
    """What is counted: requests or tokens."""
    amount: float
    """Requests or tokens allowed per period."""
    period: float
    """Length of the period in seconds: a minute, or a window that is longer."""
    remaining: float
    """Requests or tokens left now."""
    reset: float
    """Seconds until the full amount is available again."""
    refused: bool = False
    """Whether it refused the call that is answered."""


Limit: TypeAlias = TokenBucket | FixedWindow | ConcurrencyCap
"""A limit of a simulated provider."""


class Meter(Protocol):
    """Counts what one limit has admitted."""

    @property
    def limit(self) -> Limit:
        """The limit."""
        ...

    def wait(self, now: float, tokens: int, in_flight: int) -> float:
        """Return the seconds until a call is admitted: 0 for now, inf if not before another call ends."""
        ...

    def charge(self, now: float, tokens: int) -> None:
        """Record an admitted call."""
        ...

    def refuse(self, now: float, tokens: int) -> None:
        """Record a refused call."""
        ...

    def replaced_by(self, limit: Limit, now: float) -> Meter:
        """Return a meter of the limit that replaces this one at `now`."""
        ...

    def status(self, now: float) -> LimitStatus | None:
        """Return the status of the limit; None if providers do not report it."""
        ...


@attrs.define
class BucketMeter:
    """The level of a bucket."""

    limit: TokenBucket
    level: float
    """Level at time `at`; it may be below 0 where refusals cost."""
    at: float
    shut_until: float = -math.inf

    def wait(self, now: float, tokens: int, in_flight: int) -> float:  # noqa: ARG002 - a Meter
        """Return the seconds until the bucket holds the cost of the call, and is not shut."""
        self._refill(now)
        cost = self._cost(tokens)
        missing = cost - self.level
        wait = missing / self.limit.rate if missing > cost * _COST_ROUNDING else 0.0
        return max(wait, self.shut_until - now) if now < self.shut_until else wait

    def charge(self, now: float, tokens: int) -> None:
        """Remove the cost of the call."""
        self._refill(now)
        self.level -= self._cost(tokens)

    def refuse(self, now: float, tokens: int) -> None:
        """Remove the cost of a refusal, and shut if the call found too little."""
        if self.limit.shut_seconds and now >= self.shut_until and self.wait(now, tokens, 0):
            self.shut_until = now + self.limit.shut_seconds
        if self.limit.refusal_cost:
            self._refill(now)
            self.level = max(-self.limit.burst, self.level - self.limit.refusal_cost * self._cost(tokens))

    def replaced_by(self, limit: Limit, now: float) -> Meter:
        """Return a bucket with this level, as far as it holds it; a full meter for a limit of another kind."""
        if not isinstance(limit, TokenBucket):
            return limit.meter()
        self._refill(now)
        shut_until = self.shut_until if limit.shut_seconds else -math.inf
        return BucketMeter(limit, level=min(self.level, limit.burst), at=now, shut_until=shut_until)

    def status(self, now: float) -> LimitStatus:
        """Return the level, and the rate per minute."""
        self._refill(now)
        limit = self.limit
        reset = (limit.burst - self.level) / limit.rate
        return LimitStatus(
            per=limit.per, amount=limit.rate * _MINUTE, period=_MINUTE, remaining=max(0.0, self.level), reset=reset
        )

    def _cost(self, tokens: int) -> float:
        return min(self.limit.burst, tokens if self.limit.per == "tokens" else 1.0)

    def _refill(self, now: float) -> None:
        self.level = min(self.limit.burst, self.level + (now - self.at) * self.limit.rate)
        self.at = now


@attrs.define
class WindowMeter:
    """What the current window has admitted."""

    limit: FixedWindow
    index: int
    """Number of the window; window 0 begins `offset` seconds before time 0."""
    used: float

    def wait(self, now: float, tokens: int, in_flight: int) -> float:  # noqa: ARG002 - a Meter
        """Return the seconds until the next window, 0 if this one admits the call."""
        self._advance(now)
        if self.used + self._cost(tokens) <= self.limit.amount:
            return 0.0
        return (self.index + 1) * self.limit.seconds - self.limit.offset - now

    def charge(self, now: float, tokens: int) -> None:
        """Count the call."""
        self._advance(now)
        self.used += self._cost(tokens)

    def refuse(self, now: float, tokens: int) -> None:
        """Do nothing: refusals are not counted."""

    def replaced_by(self, limit: Limit, now: float) -> Meter:  # noqa: ARG002 - a Meter
        """Return a window with this count if its times are the same; otherwise one that has counted nothing."""
        if not isinstance(limit, FixedWindow) or (limit.seconds, limit.offset) != (
            self.limit.seconds,
            self.limit.offset,
        ):
            return limit.meter()
        return WindowMeter(limit, index=self.index, used=self.used)

    def status(self, now: float) -> LimitStatus:
        """Return what is left of the window; a window below a minute is reported per minute, as providers do."""
        self._advance(now)
        limit = self.limit
        period = max(_MINUTE, limit.seconds)
        return LimitStatus(
            per=limit.per,
            amount=limit.amount * period / limit.seconds,
            period=period,
            remaining=max(0.0, limit.amount - self.used),
            reset=(self.index + 1) * limit.seconds - limit.offset - now,
        )

    def _cost(self, tokens: int) -> float:
        return min(self.limit.amount, tokens if self.limit.per == "tokens" else 1.0)

    def _advance(self, now: float) -> None:
        index = math.floor((now + self.limit.offset) / self.limit.seconds + _WINDOW_ROUNDING)
        if index != self.index:
            self.index, self.used = index, 0.0


@attrs.frozen
class CapMeter:
    """A cap counts nothing itself: the provider counts the calls in flight."""

    limit: ConcurrencyCap

    def wait(self, now: float, tokens: int, in_flight: int) -> float:  # noqa: ARG002 - a Meter
        """Return 0 while fewer calls are in flight than the cap allows, otherwise inf."""
        return 0.0 if in_flight < self.limit.calls else math.inf

    def charge(self, now: float, tokens: int) -> None:
        """Do nothing: the provider counts."""

    def refuse(self, now: float, tokens: int) -> None:
        """Do nothing: a refused call is not in flight."""

    def replaced_by(self, limit: Limit, now: float) -> Meter:  # noqa: ARG002 - a Meter
        """Return a new meter: there is no count to keep."""
        return limit.meter()

    def status(self, now: float) -> None:
        """Return None: providers do not report it."""
