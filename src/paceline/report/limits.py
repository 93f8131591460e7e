"""Limits: what limited a batch, and for how long.

Rules owned here:

1. What a run has recorded counts: each entry holds until the next one of its run, or the end of the run. Its time is exact; the spans over
   time have the reason that held longest in each interval.
2. For a run without entries, of an earlier version, it is derived interval by interval for each lane, by the first of these that applies.
   Where no call started because all were refused or failed: an outage. Where nearly as many calls were in flight as were allowed, that
   number; whose it was, the reason of its latest change says: the provider's cap, its speed, or the bound that the user gave.
   Where calls started nearly as fast as the known rate allows: the rate. Before anything was learned: the start. Otherwise nothing that a
   provider does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from statistics import fmean
from typing import Final

import attrs

from .._core.limitation import Limitation, LimitBasis, LimitReason, describe_limitation
from .._core.pace.history import WORKERS
from ..journal.figures import LimitEntry, PaceEntry
from .figures import LaneFigures, LaneMoment, LimitShare, LimitSpan, Moment, RunSpan

OTHER: Final = "other"
"""Key of what no reason names, and of the reasons of later versions."""
MOST_SHARES: Final = 40
"""Limits that are listed, those that held longest."""
_FULL: Final = 0.85  # of the calls that may be in flight, on average: places are empty for moments between two calls
_PACED: Final = 0.7  # of the known rate: the pace stays below it while the rate is measured
_YOUNG: Final = 3  # intervals at the start of a run, in which nothing is known yet
_NOT_THE_PROVIDER: Final = "nothing of the provider's: the input, your code or the disk was slower"
_NEAR: Final = 1.3  # factor: the pace of one limit moves by less than that
_LASTS: Final = 3  # intervals, after which another value is another limit
_KINDS: Final = frozenset(map(str, LimitReason))
_OF_PROVIDER: Final = frozenset({LimitReason.REQUESTS, LimitReason.TOKENS, LimitReason.CONCURRENCY})


@attrs.frozen
class Limit:
    """What limited a batch or a lane."""

    kind: str
    """A value of `LimitReason`, or `other`."""
    words: str
    """The same for people."""
    quota: str | None
    """The lane; None: it is not a lane's."""


# ---------------------------------------------------------------------------------------------- recorded


class Recorded:
    """What the runs recorded, read once.

    Args:
        entries: The entries, in the order of runs and times.
        runs: The runs that are listed.
        moments: The batch over time.
    """

    def __init__(self, entries: Iterable[LimitEntry], runs: Sequence[RunSpan], moments: Sequence[Moment]) -> None:
        self._ends = {run.run: run.seconds for run in runs}
        self._moments: dict[int, list[Moment]] = {}
        for moment in moments:
            self._moments.setdefault(moment.run, []).append(moment)
        self._in_moments: dict[int, list[dict[Limit, float]]] = {}
        self.seconds: defaultdict[Limit, float] = defaultdict(float)
        """For how long each limit held."""
        self._limits: dict[tuple[str, str | None, str | None], Limit] = {}
        latest: LimitEntry | None = None
        for entry in entries:
            if entry.run not in self._ends:
                continue
            if latest is not None:
                self._add(latest, entry.at if entry.run == latest.run else self._ends[latest.run])
            latest = entry
        if latest is not None:
            self._add(latest, self._ends[latest.run])

    @property
    def runs(self) -> frozenset[int]:
        """Runs with entries."""
        return frozenset(self._in_moments)

    def spans(self) -> Iterator[LimitSpan]:
        """Yield what limited the batch over time: of each interval what held longest in it."""
        for run, sums in self._in_moments.items():
            found = (
                (moment, max(each, key=lambda limit: each[limit]))
                for moment, each in zip(self._moments.get(run, ()), sums, strict=True)
                if each
            )
            yield from _merged(found, is_recorded=True)

    def _add(self, entry: LimitEntry, end: float) -> None:
        moments = self._moments.get(entry.run, [])
        sums = self._in_moments.setdefault(entry.run, [{} for _ in moments])
        start, end = max(0.0, entry.at), min(end, self._ends[entry.run])
        if entry.reason == LimitReason.ENDED or start >= end:
            return
        limit = self._limit(entry)
        self.seconds[limit] += end - start
        width = moments[0].seconds if moments else 1.0
        first, last = (min(len(moments) - 1, int(at / width)) for at in (start, end))
        for index in range(max(0, first), last + 1):
            moment = moments[index]
            shared = min(end, moment.at + moment.seconds) - max(start, moment.at)
            if shared > 0:
                sums[index][limit] = sums[index].get(limit, 0.0) + shared

    def _limit(self, entry: LimitEntry) -> Limit:
        key = (entry.reason, entry.quota, entry.basis)
        found = self._limits.get(key)
        if found is None:
            basis = None
            with suppress(ValueError):
                basis = None if entry.basis is None else LimitBasis(entry.basis)
            found = self._limits[key] = limit_of(entry.reason, entry.quota, basis)
        return found


def limit_of(reason: str, quota: str | None, basis: LimitBasis | None) -> Limit:
    """Return a limit with its words, also for a reason of a later version."""
    if reason not in _KINDS:
        return Limit(OTHER, reason, quota)
    words = describe_limitation(
        Limitation(reason=LimitReason(reason), quota=quota, basis=basis), max_workers="your bound on workers"
    )
    return Limit(reason, words, quota)


# ---------------------------------------------------------------------------------------------- derived


def derive(
    moments: Sequence[Moment], lanes: Sequence[LaneFigures], pace: Iterable[PaceEntry], *, most_workers: int | None
) -> tuple[LimitSpan, ...]:
    """Return what limited each lane, in the order of time, from the changes of the pace (rule 2).

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
        for span in _merged(_derived(moments, lane, reasons, most_workers=most_workers), is_recorded=False)
    )


def _derived(
    moments: Sequence[Moment],
    lane: LaneFigures,
    reasons: Mapping[tuple[int, str], Sequence[tuple[float, str]]],
    *,
    most_workers: int | None,
) -> Iterator[tuple[Moment, Limit]]:
    run, reason, count = 0, "", 0
    changes: list[tuple[float, str]] = []
    for moment, of_lane in zip(moments, lane.moments, strict=True):
        if moment.run != run:
            run, reason, count = moment.run, "", 0
            changes = list(reasons.get((run, lane.quota), ()))[::-1]
        while changes and changes[-1][0] <= moment.at + moment.seconds:
            reason = changes.pop()[1]
        if of_lane.started or of_lane.in_flight > 0 or of_lane.stopped > 0:
            count += 1
            found = _first_that_applies(moment, of_lane, reason, most_workers=most_workers)
            if found is None:
                found = LimitReason.STARTING if count <= _YOUNG else None
            if found is None:
                yield moment, Limit(OTHER, _NOT_THE_PROVIDER, lane.quota)
            else:
                yield moment, limit_of(found, lane.quota, LimitBasis.LEARNED if found in _OF_PROVIDER else None)


def _first_that_applies(
    moment: Moment, lane: LaneMoment, reason: str, *, most_workers: int | None
) -> LimitReason | None:
    """Return what limited a lane in an interval; None if nothing of the provider's did, as far as is known."""
    if lane.stopped > moment.seconds / 2:
        return LimitReason.OUTAGE
    if lane.workers and lane.in_flight >= _FULL * lane.workers:
        return _of_workers(lane, reason, most_workers=most_workers)
    if lane.calls_per_second is not None and lane.started / moment.seconds >= _PACED * lane.calls_per_second:
        return LimitReason.REQUESTS
    if lane.tokens_per_second is not None and lane.calls_per_second is None:
        return LimitReason.TOKENS
    return None


def _of_workers(lane: LaneMoment, reason: str, *, most_workers: int | None) -> LimitReason:
    if most_workers is not None and (lane.workers or 0) >= most_workers:
        return LimitReason.MAX_WORKERS
    if "cap" in reason:
        return LimitReason.CONCURRENCY
    if "answers take longer" in reason or "more than a fifth" in reason:
        return LimitReason.SPEED
    return LimitReason.STARTING


# ---------------------------------------------------------------------------------------------- values


def with_values(
    spans: Iterable[LimitSpan], moments: Sequence[Moment], lanes: Sequence[LaneFigures]
) -> Iterator[LimitSpan]:
    """Yield spans with the limits that their lanes had, each divided where its limit became another one.

    Args:
        spans: What limited the batch or the lanes over time.
        moments: The batch over time.
        lanes: Its lanes over the same time.
    """
    of_lane = {lane.quota: lane.moments for lane in lanes}
    indices: dict[int, list[int]] = {}
    for index, moment in enumerate(moments):
        indices.setdefault(moment.run, []).append(index)
    for span in spans:
        figures = of_lane.get(span.quota or "")
        inside = [index for index in indices.get(span.run, ()) if span.start <= moments[index].at < span.end]
        values = [] if figures is None else [(index, _value(span.kind, figures[index])) for index in inside]
        if not any(value for _, value in values):
            yield span
            continue
        parts = list(_levels(values))
        starts = [span.start, *(moments[part[0][0]].at for part in parts[1:])]
        for part, start, end in zip(parts, starts, [*starts[1:], span.end], strict=True):
            known = [value for _, value in part if value is not None]
            yield attrs.evolve(span, start=start, end=end, value=fmean(known) if known else None)


def _value(kind: str, lane: LaneMoment) -> float | None:
    """Return the limit of a kind that a lane had in an interval."""
    match kind:
        case LimitReason.REQUESTS:
            return lane.calls_per_second
        case LimitReason.TOKENS:
            return lane.tokens_per_second
        case LimitReason.CONCURRENCY | LimitReason.SPEED:
            return lane.workers
        case _:
            return None


def _levels(values: Iterable[tuple[int, float | None]]) -> Iterator[list[tuple[int, float | None]]]:
    """Yield neighbouring values that are about the same; a value that is not known belongs to those before it.

    A change counts if it lasts: one value that differs, as while a new limit is sought, belongs to those before it too.
    """
    part: list[tuple[int, float | None]] = []
    other: list[tuple[int, float | None]] = []
    for index, value in values:
        known = [each for _, each in part if each]
        if value is None or not known or _is_near(value, fmean(known)):
            part += [*other, (index, value)]
            other = []
            continue
        other.append((index, value))
        first = other[0][1]
        if len(other) >= _LASTS and first is not None:
            yield part
            part, other = other, []
    yield part + other


def _is_near(value: float, mean: float) -> bool:
    return mean / _NEAR <= value <= mean * _NEAR


# ---------------------------------------------------------------------------------------------- sums


def _merged(found: Iterable[tuple[Moment, Limit]], *, is_recorded: bool) -> Iterator[LimitSpan]:
    """Yield neighbouring intervals with one limit as one span."""
    span: LimitSpan | None = None
    latest: Limit | None = None
    for moment, limit in found:
        follows = span is not None and span.run == moment.run and span.end >= moment.at - moment.seconds / 2
        if span is not None and follows and limit == latest:
            span = attrs.evolve(span, end=moment.at + moment.seconds)
            continue
        if span is not None:
            yield span
        latest = limit
        span = LimitSpan(
            quota=limit.quota,
            run=moment.run,
            start=moment.at,
            end=moment.at + moment.seconds,
            limit=limit.words,
            kind=limit.kind,
            is_recorded=is_recorded,
        )
    if span is not None:
        yield span


def shares(recorded: Mapping[Limit, float], derived: Iterable[LimitSpan], seconds: float) -> tuple[LimitShare, ...]:
    """Return for how long each thing limited the batch or a lane, the longest first.

    Args:
        recorded: For how long each limit held in the runs that recorded it.
        derived: What limited the lanes in the other runs.
        seconds: Time of all runs.
    """
    sums: defaultdict[Limit, float] = defaultdict(float, recorded)
    for span in derived:
        sums[Limit(span.kind, span.limit, span.quota)] += span.end - span.start
    return tuple(
        LimitShare(
            quota=limit.quota,
            limit=limit.words,
            kind=limit.kind,
            seconds=length,
            share=min(1.0, length / seconds) if seconds else 0.0,
        )
        for limit, length in sorted(sums.items(), key=lambda one: -one[1])[:MOST_SHARES]
    )
