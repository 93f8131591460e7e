"""What a trial is: a provider with its limits, how it is called, and what an oracle would get out of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from paceline.testing import Service

SPREAD = 0.6
"""Of all latencies, unless a trial says otherwise: the sigma of a lognormal distribution."""
MEAN = math.exp(SPREAD**2 / 2)
"""The mean latency over the median."""


@attrs.frozen
class Totals:
    """What a run of a trial came to, in the unit that the trial counts: calls or tokens."""

    served: float
    """Served by the end."""
    admitted: float
    """Let past the limits by the end."""
    busy: float
    """Seconds in flight, summed over the calls that were admitted."""
    ended: float
    """When the last call was served, or the trial's end."""


@attrs.frozen(kw_only=True)
class Trial:
    """One provider, called for a time."""

    name: str
    seed: int
    about: str
    """What it is, for people."""
    service: Service
    seconds: float
    """When it ends."""
    goodput: Callable[[Totals], float]
    """What was got over what an oracle gets."""
    capacity: Callable[[float], float]
    """Units a second that an oracle gets at a time, for plots and for the time to 90 %."""
    steps: tuple[tuple[float, Service], ...] = ()
    starts: tuple[float, ...] = (0.0,)
    """When each of the clients begins."""
    items: int | None = None
    """How many there are; None: more than can be called."""
    tokens: bool = False
    """Whether limits count tokens, and prompts have heavy-tailed sizes."""
    timeout: float = 600.0
    """Seconds after which a client gives a call up."""
    horizon: float = 10.0
    """Seconds over which the time to 90 % is judged."""
    changes: tuple[float, ...] = ()
    """When the limit changes, where the time to 90 % is wanted after each."""
    cap: int | None = None
    """A number of places that holds throughout, where it is of interest how many of them were taken."""
    fair_from: float | None = None
    """From when on the clients' shares are compared."""
