"""The fixed scenarios: twelve kinds of limits that providers have, three that were held out of the design, and those of `real_servers`.

Latency is lognormal with a median of 4 s and a sigma of 0.6, a refusal takes 0.15 s, unless a scenario says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from paceline import FaultKind
from paceline.testing import ConcurrencyCap, FixedWindow, TokenBucket

from . import real_servers
from .trial import MEAN, Trial, served_over, service, steady

LATENCY = 4.0 * MEAN
_S9_ITEMS, _S9_CAP = 50_000, 2_000
_Build = Callable[[], dict[str, Any]]


def _s1() -> dict[str, Any]:
    return steady(100, 300) | {
        "about": "a token bucket of 100/s, burst 2 s, hinted",
        "service": service(TokenBucket(100, 200), hint="ceil"),
    }


def _s2() -> dict[str, Any]:
    return steady(36_000 / (343 - LATENCY), 343) | {
        "about": "6,000 in each fixed minute, hinted",
        "service": service(FixedWindow(6_000, 60, offset=17), hint="exact"),
    }


def _s3() -> dict[str, Any]:
    bucket = TokenBucket(1e5, 5e5, per="tokens")
    return steady(1e5, 300, lag=4.0) | {
        "about": "100,000 tokens/s, burst 5 s, heavy-tailed sizes, hinted",
        "service": service(bucket, latency=1.0, seconds_per_token=0.003, sigma=0.17, hint="ceil"),
        "tokens": True,
    }


def _s4() -> dict[str, Any]:
    return steady(32 / LATENCY, 400) | {
        "about": "at most 32 in flight",
        "service": service(ConcurrencyCap(32)),
        "cap": 32,
    }


def _s5() -> dict[str, Any]:
    fast, slow = (service(TokenBucket(rate, rate)) for rate in (200, 50))
    return {
        "about": "200/s, 50/s from 150 s on, 200/s from 300 s on",
        "service": fast,
        "steps": ((150.0, slow), (300.0, fast)),
        "seconds": 450,
        "goodput": served_over(200 * 150 + 50 * 150 + 200 * (150 - LATENCY)),
        "capacity": lambda t: 50.0 if 150 <= t < 300 else 200.0,
        "changes": (0.0, 150.0, 300.0),
    }


def _s6() -> dict[str, Any]:
    return steady(40 / LATENCY, 400) | {
        "about": "a server that works on 40 calls at full speed and shares it among more; calls time out after 60 s",
        "service": service(knee=40),
        "timeout": 60.0,
        "slots": 40,
    }


def _s7() -> dict[str, Any]:
    return steady(100, 480) | {
        "about": "four clients share 100/s; they start at 0, 5, 60 and 120 s",
        "service": service(TokenBucket(100, 100)),
        "starts": (0.0, 5.0, 60.0, 120.0),
        "fair_from": 300.0,
    }


def _s8() -> dict[str, Any]:
    return steady(99, 300) | {
        "about": "100/s, burst 1 s, and 1 % of calls fail with 503",
        "service": service(TokenBucket(100, 100), faults={FaultKind.OVERLOADED: 0.01}),
    }


def _s9() -> dict[str, Any]:
    rate = _S9_CAP / LATENCY
    ideal = _S9_ITEMS / rate + LATENCY / 2
    return {
        "about": f"{_S9_ITEMS:,} calls, at most {_S9_CAP:,} in flight",
        "service": service(ConcurrencyCap(_S9_CAP)),
        "cap": _S9_CAP,
        "items": _S9_ITEMS,
        "seconds": 2_500,
        "goodput": lambda totals: totals.served / _S9_ITEMS * ideal / totals.ended,
        "capacity": lambda _: rate,
    }


def _s10() -> dict[str, Any]:
    return steady(100, 300) | {
        "about": "100/s, burst 1 s, and a refusal costs as much as a call",
        "service": service(TokenBucket(100, 100, refusal_cost=1.0)),
    }


def _s11() -> dict[str, Any]:
    return steady(1.0, 900, extra=10) | {
        "about": "60 a minute, 10 at once, hinted",
        "service": service(TokenBucket(1.0, 10), hint="ceil"),
        "horizon": 60.0,
    }


def _s12() -> dict[str, Any]:
    slow_from, times = 150.0, 3.0
    before, rate = service(ConcurrencyCap(300)), 300 / LATENCY
    return {
        "about": "at most 300 in flight; from 150 s on calls take three times as long",
        "service": before,
        "cap": 300,
        "steps": ((slow_from, attrs.evolve(before, latency=4.0 * times)),),
        "seconds": 450,
        "goodput": served_over(rate * (slow_from + (450 - LATENCY - slow_from) / times)),
        "capacity": lambda t: rate / (times if t >= slow_from else 1.0),
    }


def _h1() -> dict[str, Any]:
    return steady(30, 600, lag=LATENCY + 13) | {
        "about": "30/s, burst 0.2 s, median latency 15 s",
        "service": service(TokenBucket(30, 6), latency=15.0),
    }


def _h2() -> dict[str, Any]:
    high, low = service(ConcurrencyCap(200)), service(ConcurrencyCap(60))
    return {
        "about": "at most 200 in flight, 60 from 200 s on, 200 again from 400 s on",
        "service": high,
        "steps": ((200.0, low), (400.0, high)),
        "seconds": 600,
        "goodput": served_over((200 * 400 + 60 * 200) / LATENCY),
        "capacity": lambda t: (60 if 200 <= t < 400 else 200) / LATENCY,
    }


def _h3() -> dict[str, Any]:
    return steady(150 / (6 * MEAN), 500) | {
        "about": "a server with a knee at 150, median latency 6 s; calls time out after 60 s",
        "service": service(knee=150, latency=6.0),
        "timeout": 60.0,
        "slots": 150,
    }


_BUILDERS: dict[str, _Build] = {
    "S1": _s1, "S2": _s2, "S3": _s3, "S4": _s4, "S5": _s5, "S6": _s6, "S7": _s7, "S8": _s8, "S9": _s9, "S10": _s10,
    "S11": _s11, "S12": _s12, "H1": _h1, "H2": _h2, "H3": _h3,
} | real_servers.BUILDERS  # fmt: skip
SCENARIOS = tuple(_BUILDERS)


def scenario(name: str, seed: int) -> Trial:
    """Return a scenario; the seed affects only the random draws of single calls."""
    return Trial(name=name, seed=seed, **_BUILDERS[name]())
