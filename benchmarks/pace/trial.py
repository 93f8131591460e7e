"""Trials: a provider with its limits, how it is called, and what an oracle would achieve; and the fields that many of them share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

from paceline.testing import Service

SPREAD = 0.6
"""Of all latencies, unless a trial says otherwise: the sigma of a lognormal distribution."""
MEAN = math.exp(SPREAD**2 / 2)
"""The mean latency over the median."""


@attrs.frozen
class Totals:
    """The totals of a run, in the unit that the trial counts: calls or tokens."""

    served: float
    """Served by the end."""
    admitted: float
    """Admitted by the end."""
    busy: float
    """Seconds in flight, summed over the calls that were admitted."""
    ended: float
    """When the last call was served, or the trial's end."""


@attrs.frozen(kw_only=True)
class Target:
    """Bounds of a trial's figures; None: any value will do."""

    good: float | None = None
    """Least goodput."""
    refusals: float | None = None
    """Most refusals per call served."""
    jain: float | None = None
    """Least index of fairness."""
    load: float | None = None
    """Most calls in flight per slot."""
    t90: float | None = None
    """Most seconds until 90 % of the capacity is served."""
    lost: float | None = None
    """Most items lost, per item served."""

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds that there are, by figure."""
        return {figure: bound for figure, bound in attrs.asdict(self).items() if bound is not None}


AT_LEAST = frozenset({"good", "jain"})
"""Figures whose bound is the least, not the most."""


@attrs.frozen(kw_only=True)
class Trial:
    """One provider, called for a time."""

    name: str
    seed: int
    about: str
    """Description for tables and plots."""
    service: Service
    seconds: float
    """Length, in seconds."""
    goodput: Callable[[Totals], float]
    """Function that returns the goodput relative to an oracle's."""
    capacity: Callable[[float], float]
    """Function that returns the units per second of an oracle at a time, for plots and for the time to 90 %."""
    steps: tuple[tuple[float, Service], ...] = ()
    starts: tuple[float, ...] = (0.0,)
    """When each client starts, in seconds."""
    items: int | None = None
    """Number of items; None: more than can be called."""
    tokens: bool = False
    """Whether limits count tokens, and prompts have heavy-tailed sizes."""
    timeout: float = 600.0
    """Seconds after which a client cancels a call."""
    horizon: float = 10.0
    """Seconds over which the time to 90 % is judged."""
    changes: tuple[float, ...] = ()
    """When the limit changes, if the time to 90 % is measured after each change."""
    cap: int | None = None
    """The cap, if it is constant and the share of its places in use is measured."""
    fair_from: float | None = None
    """Time from which on the clients' shares are compared; None: they are not."""
    slots: int | None = None
    """Calls that keep the server busy, if the calls in flight are compared with them."""
    late_starts: float = 0.0
    """Seconds, at most, from the moment at which a client lets a call start until it reaches the provider."""
    late_timers: float = 0.0
    """Seconds, at most, by which a busy client machine wakes up late: then everything that is due happens at once."""


def service(*limits: Any, **fields: Any) -> Service:
    """Return a service with the defaults of all trials, and the given fields."""
    return Service(limits=limits, **({"latency": 4.0, "sigma": SPREAD, "output_tokens": 0} | fields))


def served_over(total: float) -> Callable[[Totals], float]:
    """Return the goodput of a trial whose oracle is served `total` units."""
    return lambda totals: totals.served / total


def steady(rate: float, seconds: float, *, lag: float = 4.0 * MEAN, extra: float = 0.0) -> dict[str, Any]:
    """Return the fields of a trial whose oracle is served at one rate until `lag` seconds before the end.

    Args:
        rate: Units per second.
        seconds: Length of the trial.
        lag: Mean latency, in seconds: what starts later is not served before the end.
        extra: Units beyond the rate, such as the burst of a bucket.
    """
    return {
        "seconds": seconds,
        "goodput": served_over(rate * (seconds - lag) + extra),
        "capacity": lambda _: rate,
    }
