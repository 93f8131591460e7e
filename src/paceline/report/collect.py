"""Collect: the figures of a journal, from sums that SQLite makes.

Rules owned here:

1. Time is that of the runs, laid end to end: the time between two runs is left out. It is cut into at most some `_INTERVALS` intervals; the
   last one of a run is half as long again, or half as long, where that is its rest.
2. The calls in flight of an interval are exact on average: those at its start, and of each call that starts or ends in it the rest of
   the interval.
3. A run that was killed lasts until the last thing that it recorded.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from .._core.fault import FaultKind
from .._core.fault_groups import FaultGroups
from .._core.pace.history import CALLS, GATE, TOKENS, WORKERS
from ..journal.aggregates import JournalAggregates, ModelTotals
from ..journal.figures import PaceEntry
from .figures import MOST_RUNS, Failure, LaneFigures, LaneMoment, Moment, RunSpan, TopAlone

_INTERVALS: Final = 200  # a plot is a few hundred pixels wide
_HOUR: Final = 3600.0  # seconds
_WIDTHS: Final = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
)  # seconds: what people count in
_FAILURES: Final = 20  # groups that are listed
_TOO_CLOSE: Final = 0.05  # determinant of the mixes of tokens over its largest value: two prices cannot be separated


def complete_spans(reader: JournalAggregates, spans: Sequence[RunSpan]) -> tuple[RunSpan, ...]:
    """Return the latest runs with what they have done; a run that was killed lasts until the last thing that it recorded."""
    totals = reader.run_totals()
    settled = reader.settled() if any(span.state == "killed" for span in spans) else {}
    found = []
    for span in spans[-MOST_RUNS:]:
        total, seconds = totals.get(span.run), span.seconds
        if span.state == "killed":
            began = span.started.timestamp() if span.started is not None else math.inf
            last = settled.get(span.run, 0.0) - began
            seconds = max(seconds, last, 0.0 if total is None else total.last)
        if total is not None:
            span = attrs.evolve(span, calls=total.calls, accepted=total.accepted, cost=total.cost)  # noqa: PLW2901
        found.append(attrs.evolve(span, seconds=seconds))
    return tuple(found)


def interval(seconds: float, parts: int = _INTERVALS) -> float:
    """Return the length of the intervals that a time is cut into, in seconds: one that people count in.

    Args:
        seconds: The time.
        parts: The most intervals.
    """
    least = seconds / parts
    return next((width for width in _WIDTHS if width >= least), math.ceil(least / _HOUR) * _HOUR)


@attrs.define
class _Sums:
    """What has happened in one lane in one interval."""

    started: int = 0
    starts: float = 0.0
    """Sum of the times of the starts."""
    ended: int = 0
    ends: float = 0.0
    accepted: int = 0
    tokens: int = 0
    cost: float = 0.0


_NOTHING: Final = _Sums()


class Timeline:
    """The batch over time, read from a journal.

    Args:
        reader: The journal.
        spans: The runs.
        quotas: The lanes that are kept apart; the others are summed.
    """

    def __init__(self, reader: JournalAggregates, spans: Sequence[RunSpan], quotas: Sequence[str]) -> None:
        self._spans = [span for span in spans if span.seconds > 0]
        self.width: float = interval(sum(span.seconds for span in self._spans))
        """Seconds of an interval."""
        self._counts = {span.run: max(1, round(span.seconds / self.width)) for span in self._spans}
        self._sums: defaultdict[tuple[int, str | None], dict[int, _Sums]] = defaultdict(dict)
        last = max(self._counts.values(), default=1) - 1
        for run, quota, index, started, starts in reader.starts(self.width, last, quotas):
            sums = self._at(run, quota, index)
            sums.started += started
            sums.starts += starts
        for run, quota, index, ended, ends, accepted, tokens, cost in reader.ends(self.width, last, quotas):
            sums = self._at(run, quota, index)
            sums.ended += ended
            sums.ends += ends
            sums.accepted, sums.tokens, sums.cost = sums.accepted + accepted, sums.tokens + tokens, sums.cost + cost
        self._refused: Counter[tuple[int, int]] = Counter()
        for run, index, refused in reader.refusals(self.width, last):
            self._refused[run, min(index, self._counts.get(run, 1) - 1)] += refused

    def _at(self, run: int, quota: str | None, index: int) -> _Sums:
        index = min(index, self._counts.get(run, 1) - 1)
        return self._sums[run, quota].setdefault(index, _Sums())

    def moments(self) -> tuple[Moment, ...]:
        """Return the batch over time, over all lanes."""
        quotas: defaultdict[int, list[str | None]] = defaultdict(list)
        for run, quota in self._sums:
            quotas[run].append(quota)
        found = []
        for span in self._spans:
            lanes = [self._sums[span.run, quota] for quota in quotas[span.run]]
            averages = [[*self._in_flight(span, lane)] for lane in lanes]
            for index, (start, seconds) in enumerate(self._intervals(span)):
                each = [lane.get(index, _NOTHING) for lane in lanes]
                accepted = sum(sums.accepted for sums in each)
                found.append(
                    Moment(
                        run=span.run,
                        at=start,
                        seconds=seconds,
                        started=sum(sums.started for sums in each),
                        accepted=accepted,
                        failed=sum(sums.ended for sums in each) - accepted,
                        refusals=self._refused[span.run, index],
                        tokens=sum(sums.tokens for sums in each),
                        cost=sum(sums.cost for sums in each),
                        in_flight=sum(lane[index] for lane in averages),
                    )
                )
        return tuple(found)

    def lanes(self, quotas: Sequence[str], pace: Iterable[PaceEntry]) -> tuple[LaneFigures, ...]:
        """Return some lanes over time, given all changes of the pace."""
        states = {
            (span.run, quota): _LaneState(self._counts[span.run], self.width)
            for span in self._spans
            for quota in quotas
        }
        for entry in pace:
            state = states.get((entry.run, entry.quota))
            if state is not None:
                state.record(entry)
        return tuple(
            LaneFigures(
                quota=quota,
                moments=tuple(
                    moment
                    for span in self._spans
                    for moment in self._lane_moments(span, quota, states[span.run, quota])
                ),
            )
            for quota in quotas
        )

    def _lane_moments(self, span: RunSpan, quota: str, state: _LaneState) -> Iterator[LaneMoment]:
        sums = self._sums.get((span.run, quota), {})
        limits = [*state.limits()]
        stopped = state.stopped(span.seconds)
        for index, in_flight in enumerate(self._in_flight(span, sums)):
            workers, calls, tokens = limits[index]
            yield LaneMoment(
                started=sums.get(index, _NOTHING).started,
                in_flight=in_flight,
                workers=workers,
                calls_per_second=calls,
                tokens_per_second=tokens,
                stopped=stopped[index],
            )

    def _intervals(self, span: RunSpan) -> Iterator[tuple[float, float]]:
        """Yield start and length of the intervals of a run."""
        for index in range(self._counts[span.run]):
            start = index * self.width
            yield start, span.seconds - start if index == self._counts[span.run] - 1 else self.width

    def _in_flight(self, span: RunSpan, lane: dict[int, _Sums]) -> Iterator[float]:
        """Yield the calls in flight of a lane, on average, for each interval of a run (rule 2)."""
        before = 0
        for index, (start, seconds) in enumerate(self._intervals(span)):
            sums = lane.get(index, _NOTHING)
            end = start + seconds
            rest = sums.started * end - sums.starts - sums.ended * end + sums.ends
            yield max(0.0, before + rest / seconds)
            before += sums.started - sums.ended


class _LaneState:
    """The limits of one lane in one run at the end of each interval, from the changes of its pace."""

    def __init__(self, intervals: int, width: float) -> None:
        self._width, self._last = width, intervals - 1
        self._changes: list[dict[str, float | None]] = [{} for _ in range(intervals)]
        self._first: dict[str, float | None] = {}
        self._stopped = [0.0] * intervals
        self._stopped_at: float | None = None

    def record(self, entry: PaceEntry) -> None:
        """Record a change, in the order of time."""
        if entry.handle == GATE:
            if not entry.new:
                self._add_stop(entry.at)
            elif self._stopped_at is None:
                self._stopped_at = entry.at
            return
        self._changes[self._index(entry.at)][entry.handle] = entry.new
        self._first.setdefault(entry.handle, entry.old)

    def limits(self) -> Iterator[tuple[float | None, float | None, float | None]]:
        """Yield the limits on calls in flight, calls a second and tokens a second, for each interval."""
        now = dict(self._first)
        for changes in self._changes:
            now.update(changes)
            yield now.get(WORKERS), now.get(CALLS), now.get(TOKENS)

    def stopped(self, seconds: float) -> list[float]:
        """Return the seconds of each interval for which no call started, in a run of a length."""
        self._add_stop(seconds)
        return self._stopped

    def _add_stop(self, end: float) -> None:
        start, self._stopped_at = self._stopped_at, None
        if start is None:
            return
        for index in range(self._index(start), self._index(end) + 1):
            begin = index * self._width
            until = end if index == self._last else min(end, begin + self._width)
            self._stopped[index] += max(0.0, until - max(start, begin))

    def _index(self, at: float) -> int:
        return max(0, min(self._last, int(max(-1e15, min(at / self._width, 1e15)))))


# ---------------------------------------------------------------------------------------------- money


def top_alone(reader: JournalAggregates, models: Sequence[ModelTotals], ladder: Sequence[str]) -> TopAlone | None:
    """Return what the accepted answers of a ladder would have cost if its top model had given all of them, with the same tokens.

    The prices are those that its own calls have cost. None: it was not called, or their cost is not known.

    Args:
        reader: The journal.
        models: Totals of the models.
        ladder: The models of the ladder, cheapest first.
    """
    found = {one.model: one for one in models if one.model in ladder}
    top = found.get(ladder[-1]) if len(ladder) > 1 else None
    if top is None or not top.priced or top.priced < top.calls:
        return None
    accepted = [one.accepted_usage for one in found.values()]
    sent, answered = sum(use.input_tokens for use in accepted), sum(use.output_tokens for use in accepted)
    prices = _prices(reader.mix(top.model))
    if prices is not None:
        return TopAlone(model=top.model, cost=sent * prices[0] + answered * prices[1], is_exact=True)
    tokens = top.usage.input_tokens + top.usage.output_tokens
    return TopAlone(model=top.model, cost=top.cost * (sent + answered) / tokens, is_exact=False) if tokens else None


def _prices(mix: tuple[float, float, float, float, float]) -> tuple[float, float] | None:
    """Return the prices of a token of input and of output, by least squares; None if they cannot be separated."""
    inputs, outputs, both, input_costs, output_costs = mix
    largest = inputs * outputs
    determinant = largest - both * both
    if determinant <= _TOO_CLOSE * largest or not largest:
        return None
    price = (input_costs * outputs - output_costs * both) / determinant
    price_of_output = (output_costs * inputs - input_costs * both) / determinant
    return (price, price_of_output) if price >= 0 and price_of_output >= 0 else None


# ---------------------------------------------------------------------------------------------- failures


def failures(reader: JournalAggregates, *, characters: int) -> tuple[Failure, ...]:
    """Return the items that failed, grouped by what their messages have in common.

    Args:
        reader: The journal.
        characters: Characters of an answer that was not accepted; 0: answers are left out.
    """
    groups = FaultGroups()
    for kind, message, count, _, item_id in reader.failures():
        groups.add(FaultKind(kind), message, count, item_id=item_id)
    return tuple(
        Failure(
            kind=str(group.kind),
            message=group.message,
            count=group.count,
            ids=group.ids,
            answer=reader.answer_of(group.ids[0], characters) if characters and group.ids else None,
        )
        for group in groups.representative(_FAILURES)
    )
