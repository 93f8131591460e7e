"""Hypothesis strategies for simulated services and their hints."""

from __future__ import annotations

import math

from hypothesis import Phase, settings
from hypothesis import strategies as st

from paceline._core.pace import Served, Throttled
from paceline._core.quota import QuotaHint, QuotaLimit

from ..search import examples
from .limits import Bucket, Cap, Service, Window, says_nothing, says_the_truth

in_worlds = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=examples(6, at_most=10),
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
)
"""The same worlds in each run, because these laws are about measured shares. A world of ten thousand calls is not a small example,
and shrinking it would take minutes: a failure is reported as it was drawn."""


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
    """Draw a service with a concurrency cap."""
    return Service(limits=(Cap(int(draw(logarithmic(8, 120)))),), latency=draw(logarithmic(1, 4)))


@st.composite
def knees(draw):
    """Draw a service that refuses nothing and grows slow."""
    return Service(knee=int(draw(logarithmic(20, 120))), latency=draw(logarithmic(1, 4)))


def says(hint):
    """Refuse with the same wait each time, true or not."""
    return lambda wait, chance: Throttled(retry_after=hint)


def says_anything(wait, chance):
    """Refuse with a random hint each time."""
    return Throttled(retry_after=chance.choice([None, -1.0, 0.0, math.nan, math.inf, 1e9, 1e-9, 3_600.0, 1.0, 60.0]))


liars = st.sampled_from([-1.0, 0.0, math.nan, math.inf, -math.inf, 1e308, 1e9, 3_600.0, 60.0, 1.0, 1e-9]).map(says)


def quota_hint(limit, *, remaining, reset=60.0, exceeded=False):
    """Return the hint of a provider with a limit per minute."""
    stated = QuotaLimit(limit=limit, period=60.0, remaining=remaining, reset=reset, exceeded=exceeded)
    return QuotaHint(limits=(stated,))


def with_hints(service, answer, refusal):
    """Return the service with a quota hint in each answer, and another in each refusal."""
    return Service(
        limits=service.limits,
        latency=service.latency,
        serve=lambda chance: Served(quota=answer),
        refuse=lambda wait, chance: Throttled(quota=refusal),
    )
