"""Ten families of limits: their parameters are drawn for each seed, from `random.Random(f"{family}-{seed}")`.

The order of the draws is part of the definition: it makes seeds comparable with the simulation that the controller was
designed in.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import attrs

from paceline import FaultKind
from paceline.testing import ConcurrencyCap, FixedWindow, TokenBucket

from .trial import MEAN, Totals, Trial, service

_TEN_MINUTES = 600.0


class _Draw:
    """Random draws of the parameters."""

    def __init__(self, family: str, seed: int) -> None:
        chance = random.Random(f"{family}-{seed}")
        chance.random()  # this draw seeded the provider in that simulation
        self.uniform, self.choice, self.randint = chance.uniform, chance.choice, chance.randint

    def log(self, low: float, high: float) -> float:
        """Draw a number whose logarithm is uniform."""
        return math.exp(self.uniform(math.log(low), math.log(high)))


def _admitted_over(total: float) -> Callable[[Totals], float]:
    return lambda totals: min(1.0, totals.admitted / total)


def _hint(choice: str | None) -> str:
    return choice or "none"


def _bucket(rate: float, burst: float, seconds: float, **fields: Any) -> dict[str, Any]:
    return {
        "service": service(TokenBucket(rate, burst), **fields),
        "seconds": seconds,
        "goodput": _admitted_over(burst + rate * seconds),
        "capacity": lambda _: rate,
    }


def _windows(draw: _Draw) -> dict[str, Any]:
    amount, length = int(draw.log(100, 5_000)), draw.uniform(20, 90)
    offset, hint, latency = draw.uniform(0, length), _hint(draw.choice([None, "exact", "one"])), draw.log(1, 8)
    return {
        "about": f"{amount} in each window of {length:.0f} s, hint {hint}, latency {latency:.1f} s",
        "service": service(FixedWindow(amount, length, offset=offset), latency=latency, hint=hint),
        "seconds": length * 10,
        "goodput": _admitted_over(amount * 10),
        "capacity": lambda _: amount / length,
    }


def _outages(draw: _Draw) -> dict[str, Any]:
    rate = draw.log(3, 150)
    burst, latency = max(1.0, rate * draw.log(0.3, 3)), draw.log(1, 10)
    begin, length = draw.uniform(100, 250), draw.uniform(30, 200)
    kind, hint = draw.choice(["429", "503"]), _hint(draw.choice([None, "one"]))
    usual = service(TokenBucket(rate, burst), latency=latency, hint=hint)
    if kind == "429":
        down = attrs.evolve(usual, limits=(TokenBucket(rate, burst), ConcurrencyCap(0)), hint="none")
    else:
        down = attrs.evolve(usual, faults={FaultKind.OVERLOADED: 1.0})
    return {
        "about": f"{rate:.0f}/s, {kind} for {length:.0f} s from {begin:.0f} s on, latency {latency:.1f} s",
        "service": usual,
        "steps": ((begin, down), (begin + length, usual)),
        "seconds": _TEN_MINUTES,
        "goodput": _admitted_over(burst + rate * (_TEN_MINUTES - length)),
        "capacity": lambda t: 0.0 if begin <= t < begin + length else rate,
    }


def _square_waves(draw: _Draw) -> dict[str, Any]:
    high, period, ratio = draw.log(10, 300), draw.uniform(30, 120), draw.uniform(2, 6)
    seconds_at_once, latency = draw.log(0.3, 2), draw.log(1, 8)
    waves = math.ceil(_TEN_MINUTES / (period / 2))
    rates = [high if wave % 2 == 0 else high / ratio for wave in range(waves)]
    services = [service(TokenBucket(rate, max(1.0, rate * seconds_at_once)), latency=latency) for rate in rates]
    total = high * seconds_at_once + sum(
        rate * min(period / 2, _TEN_MINUTES - wave * period / 2) for wave, rate in enumerate(rates)
    )
    return {
        "about": f"{high:.0f}/s and a {ratio:.1f}th of it in turns, period {period:.0f} s, burst {seconds_at_once:.1f} s, "
        f"latency {latency:.1f} s",
        "service": services[0],
        "steps": tuple((wave * period / 2, each) for wave, each in enumerate(services))[1:],
        "seconds": _TEN_MINUTES,
        "goodput": _admitted_over(total),
        "capacity": lambda t: rates[min(waves - 1, int(t / (period / 2)))],
    }


def _tight_buckets(draw: _Draw) -> dict[str, Any]:
    rate, seconds_at_once, latency = draw.log(5, 100), draw.log(0.1, 1), draw.log(1, 20)
    burst, hint = max(1.0, rate * seconds_at_once), _hint(draw.choice([None, None, "ceil"]))
    about = f"{rate:.0f}/s, {burst:.1f} at once, latency {latency:.1f} s, hint {hint}"
    return _bucket(rate, burst, _TEN_MINUTES, latency=latency, hint=hint) | {"about": about}


def _few_a_minute(draw: _Draw) -> dict[str, Any]:
    rate, burst, latency = draw.log(1, 20) / 60, float(draw.randint(1, 5)), draw.log(2, 20)
    hint = _hint(draw.choice([None, "ceil", "one"]))
    about = f"{rate * 60:.1f} a minute, {burst:.0f} at once, latency {latency:.1f} s, hint {hint}"
    return _bucket(rate, burst, max(900.0, 300 / rate), latency=latency, hint=hint) | {"about": about, "horizon": 300.0}


def _cap_steps(draw: _Draw) -> dict[str, Any]:
    first = int(draw.log(4, 800))
    second, third = max(2, int(first * draw.log(0.25, 1))), max(2, int(first * draw.log(0.3, 2)))
    at, then, latency = draw.uniform(150, 250), draw.uniform(350, 450), draw.log(1, 10)
    services = [service(ConcurrencyCap(cap), latency=latency) for cap in (first, second, third)]
    total = first * at + second * (then - at) + third * (_TEN_MINUTES - then)
    return {
        "about": f"at most {first} in flight, {second} from {at:.0f} s on, {third} from {then:.0f} s on, latency {latency:.1f} s",
        "service": services[0],
        "steps": ((at, services[1]), (then, services[2])),
        "seconds": _TEN_MINUTES,
        "goodput": lambda totals: min(1.0, totals.busy / total),
        "capacity": lambda t: (first if t < at else second if t < then else third) / (latency * MEAN),
    }


def _cap_and_rate(draw: _Draw) -> dict[str, Any]:
    latency = draw.log(1, 10)
    mean = latency * MEAN
    rate = draw.log(3, 150)
    cap = max(2, int(rate * mean * draw.log(0.6, 1.8)))
    burst = max(1.0, rate * draw.log(0.2, 2))
    best = min(rate, cap / mean)
    return {
        "about": f"{rate:.0f}/s and at most {cap} in flight: {cap / mean / rate:.2f} of it, latency {latency:.1f} s",
        "service": service(ConcurrencyCap(cap), TokenBucket(rate, burst), latency=latency),
        "seconds": _TEN_MINUTES,
        "goodput": _admitted_over(burst + best * _TEN_MINUTES),
        "capacity": lambda _: best,
    }


def _fast(draw: _Draw) -> dict[str, Any]:
    rate, latency = draw.log(200, 800), draw.log(0.1, 0.5)
    burst, hint = rate * draw.log(0.2, 2), _hint(draw.choice([None, "ceil"]))
    about = f"{rate:.0f}/s, {burst:.0f} at once, latency {latency:.2f} s, hint {hint}"
    return _bucket(rate, burst, 200.0, latency=latency, hint=hint) | {"about": about}


def _tokens(draw: _Draw) -> dict[str, Any]:
    rate = draw.log(5e3, 1.5e5)
    burst, latency = max(20_000.0, rate * draw.log(1, 10)), draw.log(1, 6)
    hint, seconds = _hint(draw.choice([None, "ceil"])), 500.0
    each = {"latency": 0.3 * latency, "seconds_per_token": 0.7e-3 * latency, "sigma": 0.17}
    return {
        "about": f"{rate:,.0f} tokens/s, {burst:,.0f} at once, latency {latency:.1f} s for 1,000, hint {hint}",
        "service": service(TokenBucket(rate, burst, per="tokens"), hint=hint, **each),
        "seconds": seconds,
        "goodput": _admitted_over(burst + rate * seconds),
        "capacity": lambda _: rate,
        "tokens": True,
    }


def _knees(draw: _Draw) -> dict[str, Any]:
    knee, latency, seconds = int(draw.log(10, 250)), draw.log(1, 8), 500.0
    mean = latency * MEAN
    return {
        "about": f"a knee at {knee}, latency {latency:.1f} s; calls time out after 60 s",
        "service": service(knee=knee, latency=latency),
        "seconds": seconds,
        "goodput": lambda totals: totals.served / (knee / mean * (seconds - mean)),
        "capacity": lambda _: knee / mean,
        "timeout": 60.0,
    }


_BUILDERS: dict[str, Callable[[_Draw], dict[str, Any]]] = {
    "win": _windows, "out": _outages, "sq": _square_waves, "tight": _tight_buckets, "low": _few_a_minute,
    "cap": _cap_steps, "caprate": _cap_and_rate, "fast": _fast, "tok": _tokens, "knee": _knees,
}  # fmt: skip
FAMILIES = {
    "win": "windows", "out": "outages", "sq": "square waves", "tight": "tight buckets", "low": "few a minute",
    "cap": "cap steps", "caprate": "cap and rate", "fast": "fast", "tok": "tokens", "knee": "knees",
}  # fmt: skip
"""Names in tables."""


def member(family: str, seed: int) -> Trial:
    """Return the family's member with this seed."""
    return Trial(name=family, seed=seed, **_BUILDERS[family](_Draw(family, seed)))
