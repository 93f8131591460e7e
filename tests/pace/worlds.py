"""Which services there are to be tried, and what they say: Hypothesis strategies."""

from __future__ import annotations

import math

from hypothesis import Phase, settings
from hypothesis import strategies as st

from paceline._core.pace import Served, Throttled
from paceline._core.quota import QuotaHint, QuotaLimit

from .limits import Bucket, Cap, Service, Window, says_nothing, says_the_truth

in_worlds = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=10,
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
)
"""The same worlds each time, as a law there is about a measured share. A world of ten thousand calls is no small example, and
shrinking it would be minutes: what fails is told as it was drawn."""


def logarithmic(low, high):
    """Draw a number whose logarithm is uniform."""
    return st.floats(math.log(low), math.log(high)).map(math.exp)


manners = st.sampled_from([says_nothing, says_the_truth])
seeds = st.integers(0, 10**6)


@st.composite
def buckets(draw, slowest=4.0, fastest=60.0):
    """Draw a token bucket's service."""
    rate = draw(logarithmic(slowest, fastest))
    burst = max(1.0, rate * draw(logarithmic(0.2, 3)))
    return Service(limits=(Bucket(rate, burst),), latency=draw(logarithmic(0.5, 6)), refuse=draw(manners))


@st.composite
def windows(draw):
    """Draw the service of a fixed window."""
    length = draw(st.floats(20, 90))
    calls = int(draw(logarithmic(4, 40)) * length)
    window = Window(calls, length, draw(st.floats(0, length)))
    return Service(limits=(window,), latency=draw(logarithmic(0.5, 4)), refuse=draw(manners))


@st.composite
def caps(draw):
    """Draw the service of a cap."""
    return Service(limits=(Cap(int(draw(logarithmic(8, 120)))),), latency=draw(logarithmic(1, 4)))


@st.composite
def knees(draw):
    """Draw a service that shares itself out, and refuses nothing."""
    return Service(knee=int(draw(logarithmic(20, 120))), latency=draw(logarithmic(1, 4)))


def says(hint):
    """Refuse with a hint that has nothing to do with the truth."""
    return lambda wait, chance: Throttled(retry_after=hint)


def says_anything(wait, chance):
    """Refuse with another hint each time."""
    return Throttled(retry_after=chance.choice([None, -1.0, 0.0, math.nan, math.inf, 1e9, 1e-9, 3_600.0, 1.0, 60.0]))


liars = st.sampled_from([-1.0, 0.0, math.nan, math.inf, -math.inf, 1e308, 1e9, 3_600.0, 60.0, 1.0, 1e-9]).map(says)


def told(limit, *, remaining, reset=60.0, exceeded=False):
    """Return what a provider with a limit per minute says of it."""
    said = QuotaLimit(limit=limit, period=60.0, remaining=remaining, reset=reset, exceeded=exceeded)
    return QuotaHint(limits=(said,))


def telling(service, answer, refusal):
    """Return the service with what it says of its quotas."""
    return Service(
        limits=service.limits,
        latency=service.latency,
        serve=lambda chance: Served(quota=answer),
        refuse=lambda wait, chance: Throttled(quota=refusal),
    )
