"""One quota and many processes that do not know of each other: what they are served, what it costs in refusals, how equal their shares are.

    python -m benchmarks shared-quota

Rules owned here:

1. Every process has a controller of its own, in a simulation of the provider without the engine (`benchmarks.pace.core`). The limit is a
   bucket of one second; calls take 1 second, with a lognormal spread; no item runs out.
2. They join one after the other within half a minute. The figures are those of the minute that begins one minute after the last has
   joined, and of the last minute of five.
3. Goodput is calls served over calls allowed. Refusals are for each call served. Shares are compared by Jain's index: 1 if all are equal,
   and 1 over their number if one has everything.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from paceline.testing import TokenBucket

from .pace.core import CoreWorld
from .pace.measures import jain
from .pace.trial import Trial, served_over, service
from .table import table

PROCESSES = (1, 2, 4, 8, 16, 64, 250, 1_000)
_SECONDS, _JOINING, _MINUTE = 300.0, 30.0, 60.0
_RATE, _LEAST_SHARE = 200.0, 2.0  # calls a second: of the limit, and of a process's share of it


@attrs.frozen
class Minute:
    """The figures of one minute."""

    goodput: float
    refusals: float
    """For each call served."""
    jain: float


def trial(processes: int, seed: int) -> Trial:
    """Return the trial of a number of processes."""
    rate = max(_RATE, _LEAST_SHARE * processes)
    return Trial(
        name=f"shared-quota-{processes}",
        seed=seed,
        about=f"{processes} processes share {rate:g}/s",
        service=service(TokenBucket(rate, rate), latency=1.0),
        seconds=_SECONDS,
        goodput=served_over(rate * _SECONDS),
        capacity=lambda _: rate,
        starts=tuple(_JOINING * number / processes for number in range(processes)),
    )


def minutes(trial: Trial) -> tuple[Minute, Minute]:
    """Run a trial; return the minute that begins one minute after the last process has joined, and the last one."""
    world = CoreWorld(trial)
    world.run()
    return _minute(world, trial, max(trial.starts) + _MINUTE), _minute(world, trial, trial.seconds - _MINUTE)


def _minute(world: CoreWorld, trial: Trial, start: float) -> Minute:
    shares = [sum(1 for at in client.log.served_at if start <= at < start + _MINUTE) for client in world.clients]
    refused = sum(1 for client in world.clients for at in client.log.refused_at if start <= at < start + _MINUTE)
    served = sum(shares)
    return Minute(served / (_MINUTE * trial.capacity(start)), refused / max(1, served), jain(shares))


def shared_quota(seed: int = 1, *, report: Callable[[str], None] = lambda _: None) -> str:
    """Measure all numbers of processes; return the table."""
    rows = []
    for processes in PROCESSES:
        report(f"shared-quota: {processes:,} processes")
        one = trial(processes, seed)
        cells = [f"{processes:,} processes share {one.capacity(0.0):,.0f}/s"]
        for minute in minutes(one):
            cells += [f"{minute.goodput:.3f}", f"{minute.refusals:.3f}", f"{minute.jain:.2f}"]
        rows.append(cells)
    head = ["", *(f"{name}, {when}" for when in ("2nd minute", "5th") for name in ("goodput", "refusals", "Jain"))]
    return table(head, rows)
