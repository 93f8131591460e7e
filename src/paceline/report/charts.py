"""Charts: the plots of a report, each with the sentence that describes it and the table of what it shows.

Time on their axes is that of the runs, laid end to end; a vertical line stands where a run begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from .._core.durations import format_clock, format_duration
from .._core.pace.history import GATE
from .._core.quantity import quantity
from ..journal.figures import PaceEntry
from .collect import interval
from .figures import JournalReport, Moment
from .story import in_order_of_time
from .svg import Axis, Plot, Point, number, strip

_LABELS: Final = 4  # of an axis, about
_MARKS: Final = 60  # decisions that are drawn: the latest
_LONG: Final = 1000.0  # seconds: from here on minutes are easier to read
_BATCH: Final = "the batch"
_LINES: Final = ("a", "b", "c", "d", "e", "f")
"""Classes of the lines of lanes."""


@attrs.frozen
class Chart:
    """One plot with its table."""

    title: str
    """What it shows, in a few words."""
    svg: str
    """The drawing."""
    legend: tuple[tuple[str, str], ...]
    """Classes of its lines and areas, with what they are."""
    columns: tuple[str, ...]
    """Heads of the table."""
    rows: tuple[tuple[str, ...], ...]
    """Its rows."""


class Charts:
    """The charts of a report.

    Args:
        report: The figures.
    """

    def __init__(self, report: JournalReport) -> None:
        self._report = report
        self._offsets: dict[int, float] = {}
        offset = 0.0
        for run in report.runs:
            self._offsets[run.run] = offset
            offset += run.seconds
        self._end = offset

    def over_time(self) -> Iterator[Chart]:
        """Yield the charts of the batch over time; none if no call counted."""
        moments = self._report.moments
        if not any(moment.started or moment.refusals for moment in moments):
            return
        yield self._rates(moments)
        yield self._in_flight(moments)
        if any(moment.refusals or moment.failed for moment in moments):
            yield self._troubles(moments)
        if any(moment.cost for moment in moments):
            yield self._money(moments)

    def limits(self) -> Iterator[tuple[str, str]]:
        """Yield the strips of what limited the batch over time, and where it is derived, each lane."""
        report = self._report
        names = {
            span.is_recorded or span.quota: _BATCH if span.is_recorded else span.quota or ""
            for span in report.limit_spans
        }
        for key, name in names.items():
            spans = [span for span in report.limit_spans if (span.is_recorded or span.quota) == key]
            bands = [
                (
                    self._at(span.run, span.start),
                    self._at(span.run, span.end),
                    span.kind,
                    f"{span.limit}, for {format_duration(span.end - span.start)}",
                )
                for span in spans
            ]
            sums: dict[str, float] = {}
            for span in spans:
                sums[span.limit] = sums.get(span.limit, 0.0) + span.end - span.start
            limit, seconds = max(sums.items(), key=lambda one: one[1])
            description = f"For {format_duration(seconds)}: {limit}."
            yield name, strip(self._end, bands, f"What limited {name} over time", description)

    def distribution(self) -> Chart | None:
        """Return the distribution of latencies; None if no call counted."""
        latency = self._report.latency
        if latency is None:
            return None
        axis = Axis.up_to(max(calls for _, _, calls in latency.bars))
        plot = Plot(len(latency.bars), axis)
        labels = []
        for index, (start, end, calls) in enumerate(latency.bars):
            plot.bar(
                index, index + 1, calls, "calls", f"{_seconds(start)} to {_seconds(end)}: {quantity(calls, 'call')}"
            )
            if index % max(1, len(latency.bars) // _LABELS) == 0:
                labels.append((float(index), _seconds(start)))
        description = (
            f"Of {quantity(latency.calls, 'call')} half took {_seconds(latency.p50)} at most, 90 % {_seconds(latency.p90)}, "
            f"99 % {_seconds(latency.p99)}, the longest {_seconds(latency.most)}."
        )
        return Chart(
            "How long calls took (calls)",
            plot.svg("How long calls took (calls)", description, labels),
            (),
            ("from", "to", "calls"),
            tuple((_seconds(start), _seconds(end), f"{calls:,}") for start, end, calls in latency.bars),
        )

    # ------------------------------------------------------------------------------------------ over time

    def _rates(self, moments: Sequence[Moment]) -> Chart:
        lanes = self._report.lanes
        accepted = [moment.accepted / moment.seconds for moment in moments]
        started = [moment.started / moment.seconds for moment in moments]
        limits = [
            [value for value in (one.calls_per_second for one in lane.moments) if value is not None] for lane in lanes
        ]
        highest = max([*accepted, *started])
        shown = [value for lane in limits for value in lane if value <= 3 * highest]
        plot = self._plot(max([highest, *shown]))
        plot.area(self._points(moments, accepted), "accepted")
        plot.line(self._points(moments, started), "started")
        legend = [("accepted", "answers accepted a second"), ("started", "calls started a second")]
        for lane, name in zip(lanes, _LINES, strict=False):
            values = [one.calls_per_second for one in lane.moments]
            if self._steps(plot, moments, values, f"limit {name}"):
                legend.append((f"limit {name}", f"limit of {lane.quota}"))
        self._draw_decisions(plot)
        total = sum(moment.accepted for moment in moments)
        mean = total / self._end if self._end else 0.0
        description = f"On average {number(mean)} answers were accepted a second, {number(max(accepted))} at most."
        rows = tuple(
            (*self._when(moment), number(good), number(begun), *self._limits_of(index))
            for index, (moment, good, begun) in enumerate(zip(moments, accepted, started, strict=True))
        )
        columns = ("run", "time", "accepted/s", "started/s", *(f"limit of {lane.quota}" for lane in lanes))
        return self._chart("Goodput and pace (calls a second)", plot, description, legend, columns, rows)

    def _in_flight(self, moments: Sequence[Moment]) -> Chart:
        lanes = self._report.lanes
        values = [moment.in_flight for moment in moments]
        highest = max(values)
        limits = [one.workers for lane in lanes for one in lane.moments if one.workers is not None]
        plot = self._plot(max([highest, *(limit for limit in limits if limit <= 3 * highest + 10)]))
        plot.area(self._points(moments, values), "flight")
        legend = [("flight", "calls in flight")]
        for lane, name in zip(lanes, _LINES, strict=False):
            if self._steps(plot, moments, [one.workers for one in lane.moments], f"limit {name}"):
                legend.append((f"limit {name}", f"workers of {lane.quota}"))
        self._draw_decisions(plot)
        description = (
            f"The most calls in flight, on average over {format_duration(moments[0].seconds)}: {number(highest)}."
        )
        rows = tuple(
            (
                *self._when(moment),
                number(value),
                *("" if (one := lane.moments[index].workers) is None else number(one) for lane in lanes),
            )
            for index, (moment, value) in enumerate(zip(moments, values, strict=True))
        )
        columns = ("run", "time", "in flight", *(f"workers of {lane.quota}" for lane in lanes))
        return self._chart("Calls in flight and workers", plot, description, legend, columns, rows)

    def _troubles(self, moments: Sequence[Moment]) -> Chart:
        plot = self._plot(max(moment.refusals + moment.failed for moment in moments))
        for moment in moments:
            start, end = self._at(moment.run, moment.at), self._at(moment.run, moment.at + moment.seconds)
            if moment.refusals:
                plot.bar(start, end, moment.refusals + moment.failed, "refused", f"{moment.refusals:,} throttled")
            if moment.failed:
                plot.bar(start, end, moment.failed, "failed", f"{moment.failed:,} failed")
        refused, failed = sum(one.refusals for one in moments), sum(one.failed for one in moments)
        description = f"Throttled: {quantity(refused, 'call')}, failed: {failed:,}. A throttled call is shown when its item was settled."
        rows = tuple(
            (*self._when(one), f"{one.refusals:,}", f"{one.failed:,}") for one in moments if one.refusals or one.failed
        )
        legend = [("refused", "throttled calls"), ("failed", "failed calls")]
        return self._chart(
            "Refusals and failures (calls)", plot, description, legend, ("run", "time", "throttled", "failed"), rows
        )

    def _money(self, moments: Sequence[Moment]) -> Chart:
        sums, total = [], 0.0
        for moment in moments:
            total += moment.cost
            sums.append(total)
        plot = self._plot(total)
        plot.area(self._points(moments, sums, at_end=True), "cost")
        rows = tuple(
            (*self._when(one), f"{one.cost:.4g}", f"{value:.4g}") for one, value in zip(moments, sums, strict=True)
        )
        description = f"In all {total:,.4g} USD, as far as prices are known."
        return self._chart(
            "Cost (USD)", plot, description, [("cost", "USD so far")], ("run", "time", "USD", "USD so far"), rows
        )

    def _plot(self, largest: float) -> Plot:
        plot = Plot(self._end, Axis.up_to(largest))
        for run in self._report.runs[1:]:
            plot.rule(self._offsets[run.run], f"run {run.run}")
        return plot

    def _chart(  # noqa: PLR0913, PLR0917 - the parts of a chart
        self,
        title: str,
        plot: Plot,
        description: str,
        legend: Sequence[tuple[str, str]],
        columns: tuple[str, ...],
        rows: tuple[tuple[str, ...], ...],
    ) -> Chart:
        step = interval(self._end / _LABELS, parts=1)
        labels = [(step * index, format_clock(step * index)) for index in range(int(self._end / step) + 1)]
        return Chart(title, plot.svg(title, description, labels), tuple(legend), columns, rows)

    def _points(self, moments: Sequence[Moment], values: Sequence[float], *, at_end: bool = False) -> list[Point]:
        points = []
        for moment, value in zip(moments, values, strict=True):
            middle = moment.at + moment.seconds * (1.0 if at_end else 0.5)
            points.append(Point(self._at(moment.run, middle), value))
        return points

    def _steps(self, plot: Plot, moments: Sequence[Moment], values: Sequence[float | None], name: str) -> bool:
        """Draw a limit where it is known; return whether it is anywhere."""
        part: list[Point] = []
        found = False
        for moment, value in zip(moments, values, strict=True):
            if value is None:
                plot.steps(part, name)
                part = []
                continue
            found = True
            part += [Point(self._at(moment.run, moment.at + at), value) for at in (0.0, moment.seconds)]
        plot.steps(part, name)
        return found

    def _draw_decisions(self, plot: Plot) -> None:
        shown = [entry for entry in self._report.pace if entry.run in self._offsets]
        for line in in_order_of_time(shown)[-_MARKS:]:
            entry = line.entry
            clock = format_clock(max(0.0, entry.at))
            plot.mark(self._at(entry.run, entry.at), direction(line.changes[-1]), f"{clock} {line.text}")

    def _limits_of(self, index: int) -> Iterator[str]:
        for lane in self._report.lanes:
            value = lane.moments[index].calls_per_second
            yield "" if value is None else number(value)

    def _at(self, run: int, at: float) -> float:
        return self._offsets.get(run, 0.0) + at

    @staticmethod
    def _when(moment: Moment) -> tuple[str, str]:
        return str(moment.run), format_clock(moment.at)


def direction(entry: PaceEntry) -> str:
    """Return the class of a decision: `stop`, `down` or `up`."""
    if entry.handle == GATE:
        return "stop" if entry.new else "up"
    old, new = (float("inf") if value is None else value for value in (entry.old, entry.new))
    return "down" if new < old else "up"


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < _LONG else format_duration(seconds)
