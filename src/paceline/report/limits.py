"""Limits: what limited a batch, and for how long, derived from the changes of its pace and from what its calls did.

It is derived interval by interval for each lane, by the first rule that applies:

1. While all calls were refused or failed, no call started: the lane was *stopped*.
2. Where nearly as many calls were in flight as were allowed, that number was the limit. Whose it was, the reason of its latest
   change says: the service's own cap, its speed, or the upper bound that the user gave.
3. Where calls started nearly as fast as the known rate allows, the rate was the limit.
4. Before anything was learned the pace was still rising.
5. Otherwise nothing that a provider does: the input was read, or results were stored, slower than calls were answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from .._core.pace.history import WORKERS
from ..journal.figures import PaceEntry
from .figures import LaneFigures, LaneMoment, LimitShare, LimitSpan, Moment

_FULL: Final = 0.85  # of the calls that may be in flight, on average: places are empty for moments between two calls
_PACED: Final = 0.7  # of the known rate: the pace stays below it while the rate is measured
_YOUNG: Final = 3  # intervals at the start of a run, in which nothing is known yet

_WORDS: Final = {
    "stopped": "the provider: all calls were refused or failed, so none was started",
    "rate": "the provider's limit on requests, learned from its refusals",
    "tokens": "the provider's limit on tokens, learned from its refusals",
    "cap": "the provider's limit on calls at the same time, learned from its refusals",
    "speed": "the provider's speed: more calls at the same time would only have waited",
    "workers": "your upper bound on workers",
    "start": "the start: the pace was still rising",
    "caller": "nothing of the provider's: the input, your code or the disk was slower",
    "other": "other",
}
"""What limited a lane, in words, by key."""


@attrs.frozen
class _Interval:
    """What is known of one interval of a lane."""

    moment: Moment
    lane: LaneMoment
    workers_reason: str
    """Reason of the latest change of the limit on calls in flight; empty: it has not changed."""
    is_first: bool
    """Whether it is one of the first of its run."""


def derive(
    moments: Sequence[Moment], lanes: Sequence[LaneFigures], pace: Iterable[PaceEntry], *, most_workers: int | None
) -> tuple[LimitSpan, ...]:
    """Return what limited each lane, in the order of time.

    Args:
        moments: The batch over time.
        lanes: Its lanes over the same time.
        pace: Changes of the limit on calls in flight, the oldest first.
        most_workers: Upper bound on calls in flight that the user gave; None: not known.
    """
    reasons: dict[tuple[int, str], list[tuple[float, str]]] = {}
    for entry in pace:
        if entry.handle == WORKERS:
            reasons.setdefault((entry.run, entry.quota), []).append((entry.at, entry.reason))
    return tuple(
        span
        for lane in lanes
        for span in _merged(lane.quota, _kinds(moments, lane, reasons, most_workers=most_workers))
    )


def _kinds(
    moments: Sequence[Moment],
    lane: LaneFigures,
    reasons: dict[tuple[int, str], list[tuple[float, str]]],
    *,
    most_workers: int | None,
) -> Iterator[tuple[Moment, str]]:
    run, reason, count = 0, "", 0
    changes: list[tuple[float, str]] = []
    for moment, of_lane in zip(moments, lane.moments, strict=True):
        if moment.run != run:
            run, reason, count = moment.run, "", 0
            changes = reasons.get((run, lane.quota), [])[::-1]
        while changes and changes[-1][0] <= moment.at + moment.seconds:
            reason = changes.pop()[1]
        if of_lane.started or of_lane.in_flight > 0 or of_lane.stopped > 0:
            count += 1
            yield moment, limit_of(_Interval(moment, of_lane, reason, count <= _YOUNG), most_workers=most_workers)


def limit_of(interval: _Interval, *, most_workers: int | None) -> str:
    """Return the key of what limited a lane in an interval."""
    moment, lane = interval.moment, interval.lane
    if lane.stopped > moment.seconds / 2:
        return "stopped"
    if lane.workers and lane.in_flight >= _FULL * lane.workers:
        return _of_workers(lane, interval.workers_reason, most_workers=most_workers)
    started = lane.started / moment.seconds
    if lane.calls_per_second is not None and started >= _PACED * lane.calls_per_second:
        return "rate"
    if lane.tokens_per_second is not None and lane.calls_per_second is None:
        return "tokens"
    if interval.is_first:
        return "start"
    return "caller"


def _of_workers(lane: LaneMoment, reason: str, *, most_workers: int | None) -> str:
    if most_workers is not None and (lane.workers or 0) >= most_workers:
        return "workers"
    if "cap" in reason:
        return "cap"
    if "answers take longer" in reason or "more than a fifth" in reason:
        return "speed"
    return "start"


def _merged(quota: str, kinds: Iterable[tuple[Moment, str]]) -> Iterator[LimitSpan]:
    """Yield neighbouring intervals with one limit as one span."""
    span: LimitSpan | None = None
    for moment, kind in kinds:
        if (
            span is not None
            and span.run == moment.run
            and span.kind == kind
            and span.end >= moment.at - moment.seconds / 2
        ):
            span = attrs.evolve(span, end=moment.at + moment.seconds)
            continue
        if span is not None:
            yield span
        span = LimitSpan(
            quota=quota,
            run=moment.run,
            start=moment.at,
            end=moment.at + moment.seconds,
            limit=_WORDS[kind],
            kind=kind,
        )
    if span is not None:
        yield span


def shares(spans: Iterable[LimitSpan], seconds: float) -> tuple[LimitShare, ...]:
    """Return for how long each thing limited each lane, the longest first.

    Args:
        spans: What limited the lanes over time.
        seconds: Time of all runs.
    """
    sums: dict[tuple[str, str, str], float] = {}
    for span in spans:
        key = (span.quota, span.limit, span.kind)
        sums[key] = sums.get(key, 0.0) + span.end - span.start
    return tuple(
        LimitShare(
            quota=quota, limit=limit, kind=kind, seconds=length, share=min(1.0, length / seconds) if seconds else 0.0
        )
        for (quota, limit, kind), length in sorted(sums.items(), key=lambda one: -one[1])
    )
