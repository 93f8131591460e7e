"""The scenarios R: limits, refusals and machines as they were seen at real servers.

They were found with nginx, HAProxy, Envoy, LiteLLM's proxy, llmock and a model on the same machine (`benchmarks/live`).

    R1, R2, R3    limiters that answer 503, as nginx, HAProxy and Envoy do by default; R3: three clients
    R4, R5, R5b   a Retry-After that is far longer than the limit needs, or always a whole window
    R6, R7, R8    refusals by chance, which no pace avoids, before a server of finite size
    R9, R9b, R9c  a client machine that is busy: timers and starts are late
    R10, R10b     refusals that take as long as calls
    R11, R11b     small caps and long calls
    R12, R12b     a saturated server that refuses nothing: the fewest calls in flight that keep it busy
    R13, R13b     a fast service without a limit: the first second counts
    R14           one call in ten seconds
    R15           four processes of one account, soon after they have started

Five more were found when rules were switched off: each is the trouble that one of them is for.

    R16, R17      calls become slow, and the load is not the cause: at a limit on the rate, and at a server that is busy
    R18           a server that answers nothing for a minute
    R19           a server whose calls time out as soon as there are too many
    R20           two calls in five fail for a minute, whatever their number

Two more were reported:

    R21, R21b     everything is refused for 100 s, soon after the start or from it on
"""

from __future__ import annotations

import math
from typing import Any

import attrs

from paceline import FaultKind
from paceline.testing import ConcurrencyCap, FixedWindow, Service, TokenBucket

from .trial import MEAN, Target, served_over, service, steady

_FAST = 0.01  # seconds: what a refusal by a proxy takes


def _mean(latency: float, sigma: float) -> float:
    """Return the mean of a lognormal latency."""
    return latency * math.exp(sigma**2 / 2)


def _refusing_503(*limits: Any, **fields: Any) -> Service:
    return service(*limits, **({"refusal_status": 503, "refusal_seconds": _FAST} | fields))


def _r1() -> dict[str, Any]:
    return steady(50, 240, lag=MEAN) | {
        "about": "50/s, burst 1 s, answered with 503 beyond it",
        "service": _refusing_503(TokenBucket(50, 50), latency=1.0),
    }


def _r2() -> dict[str, Any]:
    latency = 0.5 * MEAN
    return steady(16 / latency, 240, lag=latency) | {
        "about": "at most 16 in flight, 503 beyond",
        "service": _refusing_503(ConcurrencyCap(16), latency=0.5),
        "cap": 16,
    }


def _r3() -> dict[str, Any]:
    return steady(60, 240, lag=MEAN) | {
        "about": "three clients share 60/s, burst 0.5 s, 503 beyond; they start at 0, 5 and 30 s",
        "service": _refusing_503(TokenBucket(60, 30), latency=1.0),
        "starts": (0.0, 5.0, 30.0),
        "fair_from": 120.0,
    }


def _r4() -> dict[str, Any]:
    return steady(25, 400, lag=MEAN) | {
        "about": "25/s, burst 1 s, shut for 1 s when empty; Retry-After is always 30",
        "service": service(TokenBucket(25, 25, shut_seconds=1.0), latency=1.0, refusal_seconds=_FAST, hint=30.0),
    }


def _r5() -> dict[str, Any]:
    # 31 windows: the run begins 3 s after the first one does, and ends with the last one.
    return steady(6_200 / (307 - MEAN), 307, lag=MEAN) | {
        "about": "200 in each fixed 10 s; Retry-After is always 10",
        "service": service(FixedWindow(200, 10, offset=3), latency=1.0, refusal_seconds=_FAST, hint=10.0),
    }


def _r5b() -> dict[str, Any]:
    # 11 windows: the run begins 17 s after the first one does, and ends with the last one.
    return steady(660 / (643 - MEAN), 643, lag=MEAN) | {
        "about": "60 in each fixed minute; Retry-After is always 60",
        "service": service(FixedWindow(60, 60, offset=17), latency=1.0, refusal_seconds=_FAST, hint=60.0),
        "horizon": 60.0,
    }


def _shed(share: float) -> dict[str, Any]:
    # The server works on 100 calls at full speed and refuses none; a refusal by chance takes nothing from it. So a pool that keeps 100
    # calls in it, however many are refused before, gets all that it serves.
    return steady(100 / MEAN, 300, lag=MEAN) | {
        "about": f"{share:.0%} of the calls are refused by chance; a server that works on 100 calls at full speed",
        "service": service(knee=100, latency=1.0, shed_share=share, refusal_seconds=_FAST),
        "timeout": 60.0,
        "slots": 100,
    }


def _r6() -> dict[str, Any]:
    return _shed(0.01)


def _r7() -> dict[str, Any]:
    return _shed(0.03)


def _r8() -> dict[str, Any]:
    return _shed(0.10)


def _r9() -> dict[str, Any]:
    return steady(100, 240, lag=MEAN) | {
        "about": "100/s, burst 1 s; the client machine wakes up to 20 ms late",
        "service": service(TokenBucket(100, 100), latency=1.0),
        "late_timers": 0.02,
    }


def _r9b() -> dict[str, Any]:
    return steady(100, 240, lag=MEAN) | {
        "about": "100/s, burst 0.1 s; each call reaches the provider up to 20 ms late",
        "service": service(TokenBucket(100, 10), latency=1.0),
        "late_starts": 0.02,
    }


def _r9c() -> dict[str, Any]:
    # The oracle starts a call the moment that a place is free. The client's calls are late, so it cannot quite fill the cap.
    latency = _mean(0.4, 0.3)
    return steady(16 / (latency + 0.01), 240, lag=latency) | {
        "about": "at most 16 in flight; each call reaches the provider up to 20 ms late",
        "service": service(ConcurrencyCap(16), latency=0.4, sigma=0.3, refusal_seconds=_FAST),
        "late_starts": 0.02,
        "cap": 16,
    }


def _r10() -> dict[str, Any]:
    return steady(50, 300, lag=2 * MEAN) | {
        "about": "50/s, burst 1 s; a refusal takes 1.5 to 3 s",
        "service": service(TokenBucket(50, 50), latency=2.0, refusal_seconds=(1.5, 3.0)),
    }


def _r10b() -> dict[str, Any]:
    return steady(24 / (2 * MEAN), 400, lag=2 * MEAN) | {
        "about": "at most 24 in flight; a refusal takes 1.3 to 5.4 s",
        "service": service(ConcurrencyCap(24), latency=2.0, refusal_seconds=(1.3, 5.4)),
        "cap": 24,
    }


def _r11() -> dict[str, Any]:
    latency = _mean(12.0, 0.4)
    return steady(3 / latency, 1_800, lag=latency) | {
        "about": "at most 3 in flight, calls of 12 s",
        "service": service(ConcurrencyCap(3), latency=12.0, sigma=0.4),
        "horizon": 120.0,
        "cap": 3,
    }


def _r11b() -> dict[str, Any]:
    latency = _mean(30.0, 0.4)
    return steady(64 / latency, 1_200, lag=latency) | {
        "about": "at most 64 in flight, calls of 30 s",
        "service": service(ConcurrencyCap(64), latency=30.0, sigma=0.4),
        "horizon": 60.0,
        "cap": 64,
    }


def _saturated(**fields: Any) -> dict[str, Any]:
    latency = _mean(0.6, 0.3)
    return steady(4 / latency, 400, lag=latency) | {
        "service": service(latency=0.6, sigma=0.3, **fields),
        "timeout": 60.0,
        "slots": 4,
    }


def _r12() -> dict[str, Any]:
    return _saturated(knee=4) | {"about": "a server that works on 4 calls at full speed and shares it among more"}


def _r12b() -> dict[str, Any]:
    return _saturated(slots=4) | {"about": "a server that works on 4 calls at once; the others wait in line"}


def _fast(latency: float) -> dict[str, Any]:
    # A fixed pool of 100, which keeps the server busy from the first moment on, is the oracle.
    items, rate = 20_000, 100 / _mean(latency, 0.3)
    ideal = items / rate + latency / 2
    return {
        "about": f"20,000 calls of {1e3 * latency:g} ms, no limit; a server that works on 100 calls at full speed",
        "service": service(knee=100, latency=latency, sigma=0.3),
        "items": items,
        "seconds": 60 * ideal,
        "goodput": lambda totals: totals.served / items * ideal / totals.ended,
        "capacity": lambda _: rate,
        "horizon": 0.5,
        "timeout": 60.0,
    }


def _r13() -> dict[str, Any]:
    return _fast(0.02)


def _r13b() -> dict[str, Any]:
    return _fast(0.05)


def _r14() -> dict[str, Any]:
    return steady(0.1, 3_600, lag=4 * MEAN, extra=1) | {
        "about": "one call in 10 s",
        "service": service(TokenBucket(0.1, 1)),
        "horizon": 300.0,
    }


def _r15() -> dict[str, Any]:
    return steady(100, 240, lag=MEAN) | {
        "about": "four clients share 100/s; they start at 0, 10, 20 and 30 s",
        "service": service(TokenBucket(100, 100), latency=1.0),
        "starts": (0.0, 10.0, 20.0, 30.0),
        "fair_from": 90.0,
    }


def _r16() -> dict[str, Any]:
    before, after = (service(TokenBucket(20, 20), latency=latency) for latency in (1.0, 10.0))
    return steady(20, 400, lag=10 * MEAN) | {
        "about": "20/s; from 150 s on calls take ten times as long",
        "service": before,
        "steps": ((150.0, after),),
    }


def _r17() -> dict[str, Any]:
    latency, before = 2 * MEAN, service(knee=40, latency=2.0)
    return {
        "about": "a server that works on 40 calls at full speed; from 200 s on calls take four times as long",
        "service": before,
        "steps": ((200.0, attrs.evolve(before, latency=8.0)),),
        "seconds": 500,
        "goodput": served_over(40 / latency * (200 + (300 - 4 * latency) / 4)),
        "capacity": lambda t: 40 / latency / (4 if t >= 200 else 1),
        "timeout": 120.0,
    }


def _for_a_minute(usual: Service, trouble: Service, rate: float, **fields: Any) -> dict[str, Any]:
    return {
        "service": usual,
        "steps": ((100.0, trouble), (160.0, usual)),
        "seconds": 300,
        "goodput": served_over(rate * (240 - usual.latency * MEAN)),
        "capacity": lambda t: 0.0 if 100 <= t < 160 else rate,
    } | fields


def _r18() -> dict[str, Any]:
    usual = service(TokenBucket(50, 50), latency=1.0)
    return _for_a_minute(usual, attrs.evolve(usual, faults={FaultKind.TIMEOUT: 1.0}), 50.0, timeout=20.0) | {
        "about": "50/s; from 100 to 160 s nothing is answered; calls time out after 20 s"
    }


def _r19() -> dict[str, Any]:
    return steady(10 / (4 * MEAN), 500) | {
        "about": "a server that works on 10 calls at full speed; calls time out after 15 s",
        "service": service(knee=10),
        "timeout": 15.0,
        "slots": 10,
    }


def _r20() -> dict[str, Any]:
    # The oracle calls as ever during the minute, and three calls in five are served.
    usual = service(ConcurrencyCap(30), latency=2.0)
    trouble = attrs.evolve(usual, faults={FaultKind.TRANSIENT: 0.4}, fault_seconds=3.0)
    return _for_a_minute(usual, trouble, 30 / (2 * MEAN)) | {
        "about": "at most 30 in flight; from 100 to 160 s two calls in five fail",
        "goodput": served_over(30 / (2 * MEAN) * (240 + 0.6 * 60 - 2 * MEAN)),
    }


def _refused_for_100_s(begin: float) -> dict[str, Any]:
    rate, end = 50.0, begin + 100.0
    usual = service(TokenBucket(rate, rate), latency=1.0)
    down = attrs.evolve(usual, limits=(ConcurrencyCap(0),))
    return {
        "service": usual if begin else down,
        "steps": ((begin, down), (end, usual)),
        "seconds": end + 200.0,
        "goodput": served_over(rate * (begin + 200.0 - MEAN)),
        "capacity": lambda t: 0.0 if begin <= t < end else rate,
        "changes": (end,),
    }


def _r21() -> dict[str, Any]:
    return _refused_for_100_s(0.0) | {"about": "50/s; everything is refused for the first 100 s"}


def _r21b() -> dict[str, Any]:
    return _refused_for_100_s(3.0) | {"about": "50/s; everything is refused from 3 to 103 s"}


BUILDERS = {
    "R1": _r1, "R2": _r2, "R3": _r3, "R4": _r4, "R5": _r5, "R5b": _r5b, "R6": _r6, "R7": _r7, "R8": _r8, "R9": _r9, "R9b": _r9b,
    "R9c": _r9c, "R10": _r10, "R10b": _r10b, "R11": _r11, "R11b": _r11b, "R12": _r12, "R12b": _r12b, "R13": _r13, "R13b": _r13b,
    "R14": _r14, "R15": _r15, "R16": _r16, "R17": _r17, "R18": _r18, "R19": _r19, "R20": _r20, "R21": _r21, "R21b": _r21b,
}  # fmt: skip

_LIMITER = Target(good=0.95, refusals=0.03, lost=0.0)
_HINTED = Target(good=0.93)
_LATE = Target(good=0.93)
_SLOW = Target(good=0.92, refusals=0.04)
_TINY = Target(refusals=0.04)
_FEW_SLOTS = Target(good=0.95, load=2.5)
_AT_ONCE = Target(good=1 / 1.15, t90=1.0)
TARGETS = {
    "R1": _LIMITER, "R2": _LIMITER, "R3": _LIMITER, "R4": _HINTED, "R5": _HINTED, "R5b": _HINTED, "R6": Target(good=0.97),
    "R7": Target(good=0.92), "R8": Target(good=0.80), "R9": _LATE, "R9b": _LATE, "R9c": _LATE, "R10": _SLOW, "R10b": _SLOW, "R11": _TINY,
    "R11b": _TINY, "R12": _FEW_SLOTS, "R12b": _FEW_SLOTS, "R13": _AT_ONCE, "R13b": Target(good=1 / 1.15), "R14": Target(good=0.93),
    "R15": Target(jain=0.97, refusals=0.015), "R16": Target(good=0.85), "R17": Target(good=0.95), "R18": Target(good=0.95),
    "R19": Target(good=0.85, lost=0.01), "R20": Target(good=0.6), "R21": Target(good=0.8), "R21b": Target(good=0.8),
}  # fmt: skip
"""What paceline is to reach, as the mean over the seeds; set before the first measurement, those of R16 to R21b after it."""
