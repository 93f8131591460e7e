"""What a provider admits: three kinds of limits, and the meters that keep their books.

1. A limit is a frozen record that says what is allowed; its meter counts what was. Meters are pure: `now` is an argument,
   in seconds of any clock that does not go back.
2. A call costs 1, or its tokens where the limit is per tokens; never more than the limit holds when it is full. So no
   call is impossible.
3. `wait` answers and changes no decision; `charge` and `refuse` write down what was decided. Whoever waits exactly as long
   as `wait` says, while nothing else is admitted, is admitted.
4. When the service changes, what was used stays used: a bucket keeps its level, as far as the new one holds it; a window
   its count.

The bucket is the leaky bucket as a meter (Turner, "New Directions in Communications", 1986).
"""

from __future__ import annotations

import math
from typing import Literal, Protocol, TypeAlias

import attrs

from .._core.validators import Number, OneOf, WholeNumber

Measure: TypeAlias = Literal["requests", "tokens"]

_MEASURE = OneOf(("requests", "tokens"))
# What a clock's rounding may lack: of a call's cost, and of a window's length.
_COST_ROUNDING, _WINDOW_ROUNDING = 1e-6, 1e-9
_MINUTE = 60.0


@attrs.frozen
class TokenBucket:
    """A rate with a reserve: full at first, refilled at `rate`, each call takes its cost out.

    Raises:
        ConfigurationError: a field is out of its bounds.
    """

    rate: float = attrs.field(validator=Number(above=0))
    """Requests or tokens a second."""
    burst: float = attrs.field(validator=Number(at_least=1))
    """What it holds when full."""
    per: Measure = attrs.field(default="requests", kw_only=True, validator=_MEASURE)
    """What is counted."""
    refusal_cost: float = attrs.field(default=0.0, kw_only=True, validator=Number(at_least=0))
    """Share of its cost that a refused call takes all the same, whichever limit refused it; the level stays above -burst."""

    def __str__(self) -> str:
        return f"{self.rate:g} {self.per} a second, {self.burst:g} at once"

    def meter(self) -> BucketMeter:
        """Return the meter of a bucket that is full at time 0."""
        return BucketMeter(self, level=self.burst, at=0.0)


@attrs.frozen
class FixedWindow:
    """An amount for each window of time; what is left of it is lost when the next begins.

    Raises:
        ConfigurationError: a field is out of its bounds.
    """

    amount: float = attrs.field(validator=Number(at_least=1))
    """Requests or tokens in one window."""
    seconds: float = attrs.field(validator=Number(above=0))
    """Length of a window."""
    offset: float = attrs.field(default=0.0, kw_only=True, validator=Number(at_least=0))
    """Seconds of the first window that had passed at time 0."""
    per: Measure = attrs.field(default="requests", kw_only=True, validator=_MEASURE)
    """What is counted."""

    def __str__(self) -> str:
        return f"{self.amount:g} {self.per} in {self.seconds:g} s"

    def meter(self) -> WindowMeter:
        """Return a meter that has counted nothing."""
        return WindowMeter(self, index=0, used=0.0)


@attrs.frozen
class ConcurrencyCap:
    """A number of calls at once. 0 is an outage that answers 429.

    Raises:
        ConfigurationError: `calls` is negative or not whole.
    """

    calls: int = attrs.field(validator=WholeNumber(at_least=0))
    """Calls in flight."""

    def __str__(self) -> str:
        return f"{self.calls} calls in flight"

    def meter(self) -> CapMeter:
        """Return its meter."""
        return CapMeter(self)


@attrs.frozen(kw_only=True)
class Standing:
    """How a limit stands at one moment, as providers tell it."""

    per: Measure
    """What is counted."""
    amount: float
    """What is allowed in each period."""
    period: float
    """Seconds: a minute, or a window that is longer."""
    remaining: float
    """What is left now."""
    reset: float
    """Seconds until all of it is there again."""
    refused: bool = False
    """Whether it has just refused a call."""


Limit: TypeAlias = TokenBucket | FixedWindow | ConcurrencyCap


class Meter(Protocol):
    """The books of one limit."""

    @property
    def limit(self) -> Limit:
        """What is allowed."""
        ...

    def wait(self, now: float, tokens: int, in_flight: int) -> float:
        """Return the seconds until a call is admitted: 0 for at once, inf for not before another ends."""
        ...

    def charge(self, now: float, tokens: int) -> None:
        """Write down an admitted call."""
        ...

    def refuse(self, now: float, tokens: int) -> None:
        """Write down a refused call."""
        ...

    def carried_to(self, limit: Limit, now: float) -> Meter:
        """Return the meter of `limit`, which takes this one's place at `now`."""
        ...

    def standing(self, now: float) -> Standing | None:
        """Return how the limit stands; None for one that no provider tells."""
        ...


@attrs.define
class BucketMeter:
    """The level of a bucket."""

    limit: TokenBucket
    level: float
    """What was in it at time `at`; below 0 where refusals cost."""
    at: float

    def wait(self, now: float, tokens: int, in_flight: int) -> float:  # noqa: ARG002 - a Meter
        """Return the seconds until the call's whole cost is there."""
        self._refill(now)
        cost = self._cost(tokens)
        missing = cost - self.level
        return missing / self.limit.rate if missing > cost * _COST_ROUNDING else 0.0

    def charge(self, now: float, tokens: int) -> None:
        """Take the call's cost out."""
        self._refill(now)
        self.level -= self._cost(tokens)

    def refuse(self, now: float, tokens: int) -> None:
        """Take out what a refusal costs."""
        if self.limit.refusal_cost:
            self._refill(now)
            self.level = max(-self.limit.burst, self.level - self.limit.refusal_cost * self._cost(tokens))

    def carried_to(self, limit: Limit, now: float) -> Meter:
        """Hand the level on, as far as the other bucket holds it."""
        if not isinstance(limit, TokenBucket):
            return limit.meter()
        self._refill(now)
        return BucketMeter(limit, level=min(self.level, limit.burst), at=now)

    def standing(self, now: float) -> Standing:
        """Return the level, and the rate as so many a minute."""
        self._refill(now)
        limit = self.limit
        reset = (limit.burst - self.level) / limit.rate
        return Standing(
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
    """Which window it is, from 0 at `offset` seconds before time 0."""
    used: float

    def wait(self, now: float, tokens: int, in_flight: int) -> float:  # noqa: ARG002 - a Meter
        """Return the seconds until the window that admits the call."""
        self._turn(now)
        if self.used + self._cost(tokens) <= self.limit.amount:
            return 0.0
        return (self.index + 1) * self.limit.seconds - self.limit.offset - now

    def charge(self, now: float, tokens: int) -> None:
        """Count the call."""
        self._turn(now)
        self.used += self._cost(tokens)

    def refuse(self, now: float, tokens: int) -> None:
        """A refusal is not counted."""

    def carried_to(self, limit: Limit, now: float) -> Meter:  # noqa: ARG002 - a Meter
        """Hand the count on to a window of the same times; another begins anew."""
        if not isinstance(limit, FixedWindow) or (limit.seconds, limit.offset) != (
            self.limit.seconds,
            self.limit.offset,
        ):
            return limit.meter()
        return WindowMeter(limit, index=self.index, used=self.used)

    def standing(self, now: float) -> Standing:
        """Return what is left of the window; one of less than a minute as what a minute of them allows."""
        self._turn(now)
        limit = self.limit
        period = max(_MINUTE, limit.seconds)
        return Standing(
            per=limit.per,
            amount=limit.amount * period / limit.seconds,
            period=period,
            remaining=max(0.0, limit.amount - self.used),
            reset=(self.index + 1) * limit.seconds - limit.offset - now,
        )

    def _cost(self, tokens: int) -> float:
        return min(self.limit.amount, tokens if self.limit.per == "tokens" else 1.0)

    def _turn(self, now: float) -> None:
        index = math.floor((now + self.limit.offset) / self.limit.seconds + _WINDOW_ROUNDING)
        if index != self.index:
            self.index, self.used = index, 0.0


@attrs.frozen
class CapMeter:
    """A cap needs no books: the calls in flight are counted by who serves them."""

    limit: ConcurrencyCap

    def wait(self, now: float, tokens: int, in_flight: int) -> float:  # noqa: ARG002 - a Meter
        """Return 0 while a place is free, else inf."""
        return 0.0 if in_flight < self.limit.calls else math.inf

    def charge(self, now: float, tokens: int) -> None:
        """The caller counts."""

    def refuse(self, now: float, tokens: int) -> None:
        """A refusal takes no place."""

    def carried_to(self, limit: Limit, now: float) -> Meter:  # noqa: ARG002 - a Meter
        """Nothing to hand on."""
        return limit.meter()

    def standing(self, now: float) -> None:
        """No provider tells it."""
