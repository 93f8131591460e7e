"""The figures of a run: pure functions of its log."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from .world import Run

_ENOUGH = 0.9  # of the capacity
_FIRST_LOOK = 0.8  # of the horizon: before that a burst at the start may fill it
_BINS = 300  # for plots

Timed = tuple[float, float]
"""A time, and units."""


def measured(world: Run) -> dict[str, Any]:
    """Return every figure of a run, and its series, as JSON values."""
    trial, totals = world.trial, world.totals
    logs = [client.log for client in world.clients]
    calls = sum(len(log.served_at) for log in logs)
    refused, failed = sum(len(log.refused_at) for log in logs), sum(len(log.failed_at) for log in logs)
    served = sorted(
        (at - world.origin, units) for log in logs for at, units in zip(log.served_at, log.units, strict=True)
    )
    admitted = sorted(
        (at - world.origin, units)
        for log in logs
        for starts, costs in ((log.served_from, log.units), (log.cut, log.cut_units))
        for at, units in zip(starts, costs, strict=True)
    )
    figures: dict[str, Any] = {
        "good": trial.goodput(totals) / _part(world),
        "calls": calls,
        "refusals": refused / max(1, calls),
        "errors": failed / max(1, calls),
        "lost": sum(log.lost for log in logs) / max(1, calls),
        "t90": _or_none(time_to(served, 0.0, trial.seconds, trial.capacity(0.0), trial.horizon)),
        "refused_early": sum(1 for log in logs for at in log.refused_at if at - world.origin < 60) / max(1, refused),
    }
    if trial.changes:
        ends = (*trial.changes[1:], trial.seconds)
        figures["steps"] = [
            _or_none(time_to(admitted, start, end, trial.capacity(start), trial.horizon))
            for start, end in zip(trial.changes, ends, strict=True)
        ]
    if trial.fair_from is not None:
        since = world.origin + trial.fair_from
        shares = [sum(1 for at in log.served_at if at > since) for log in logs]
        figures |= {"jain": jain(shares), "shares": shares}
    if trial.items is not None:
        figures["makespan"] = totals.ended if calls >= trial.items else None
    if trial.cap is not None:
        figures["taken"] = totals.busy / (trial.cap * totals.ended)
    if trial.slots is not None:
        second_half = world.series.in_flight[len(world.series.in_flight) // 2 :]
        figures["load"] = fmean(second_half or [0]) / trial.slots
    if world.stopped_at is not None:
        figures["stopped_at"] = world.stopped_at
    refusals = ((at - world.origin, 1.0) for log in logs for at in log.refused_at)
    return figures | {"series": _series(world, totals.ended, served, admitted, refusals)}


def time_to(events: Iterable[Timed], start: float, end: float, rate: float, horizon: float) -> float:
    """Return the seconds from `start` until 90 % of `rate` was reached over the last `horizon` seconds; inf: never.

    Args:
        events: Times and units, in order of time.
        start: Time from which on events count, in seconds.
        end: Time until which they count.
        rate: Units per second.
        horizon: Seconds over which the rate is averaged.
    """
    recent: deque[Timed] = deque()
    total = 0.0
    for at, units in events:
        if not start <= at < end:
            continue
        recent.append((at, units))
        total += units
        while recent[0][0] < at - horizon:
            total -= recent.popleft()[1]
        if at - start >= _FIRST_LOOK * horizon and total >= _ENOUGH * rate * horizon:
            return at - start
    return math.inf


def jain(shares: Sequence[float]) -> float:
    """Return Jain's index of fairness: 1 for equal shares, 1/n if one has everything; 0 without any share."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


def _part(world: Run) -> float:
    """Return the share of its trial that a run has covered."""
    return 1.0 if not world.stopped_at else world.stopped_at / world.trial.seconds


def _or_none(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None


def _series(
    world: Run, ended: float, served: Iterable[Timed], admitted: Iterable[Timed], refusals: Iterable[Timed]
) -> dict[str, Any]:
    width = max(1.0, ended / _BINS)
    seen = world.series
    return {
        "width": width,
        "served": _binned(served, width, ended),
        "admitted": _binned(admitted, width, ended),
        "refused": _binned(refusals, width, ended),
        "times": _rounded(seen.times),
        "in_flight": seen.in_flight,
        "limit": _rounded(seen.limit),
        "rate": _rounded(seen.rate),
    }


def _binned(events: Iterable[Timed], width: float, ended: float) -> list[float]:
    """Return the units per second of each bin."""
    bins = [0.0] * math.ceil(ended / width)
    for at, units in events:
        index = int(at / width)
        if index < len(bins):
            bins[index] += units / width
    return [round(value, 3) for value in bins]


def _rounded(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None else round(value, 3) for value in values]
