"""Page: a report as one file of HTML, without scripts, that loads nothing.

Rules owned here:

1. Each plot has a table with what it shows. What only colours say is said in words too.
2. The page begins with the answer: what became of the batch, what it cost, how long it took, what limited it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from .._core.durations import format_clock, format_duration
from .._core.quantity import quantity, verb
from ..journal.aggregates import ItemTotals
from .charts import Charts
from .figures import MOST_DECISIONS, JournalReport, Latency, LimitSpan, ModelFigures, RunSpan
from .markup import NAMES, Html, chart_html, page, table, time_text, usd
from .story import in_order_of_time
from .svg import escape, number

_MINUTE = 60.0  # seconds
_SHOWN_SPANS = 12  # of time; more are folded up


def render(report: JournalReport) -> str:
    """Return a report as a page of HTML."""
    title = f"Report on {escape(Path(report.journal).name, NAMES)}"
    return page(title, _made(report), "\n".join(_sections(report, Charts(report))), "from the journal of the batch")


def _made(report: JournalReport) -> str:
    state = "" if report.writer is None else f", while process {report.writer} was writing the journal"
    return f"As of {time_text(report.made)}{state}."


def _sections(report: JournalReport, charts: Charts) -> Iterator[str]:
    yield _outcome(report)
    yield _limits(report, charts)
    yield over_time(report, charts)
    yield money(report)
    yield latency(report, charts)
    yield _failures(report)
    yield _items("Slowest items", report.slowest)
    yield _items("Dearest items", report.dearest)
    yield _decisions(report)
    yield _runs(report)
    yield _settings(report)


# ---------------------------------------------------------------------------------------------- sections


def _outcome(report: JournalReport) -> str:
    counts = report.counts
    failed = sum(counts.failures.values())
    left = f", {counts.pending:,} pending" if counts.pending else ""
    sentence = f"{counts.succeeded:,} of {quantity(counts.total, 'item')} succeeded, {failed:,} failed{left}."
    if report.limits:
        longest = report.limits[0]
        sentence += f" What limited it for {longest.share:.0%} of the time: {longest.limit}."
    stopped = (
        f"<p><b>The latest run ended early:</b> {escape(report.stopped, 600)}</p>"
        if report.stopped and counts.pending
        else ""
    )
    calls = sum(model.calls for model in report.models) + report.other_calls
    usage = report.usage
    per_second = counts.succeeded / report.seconds if report.seconds else 0.0
    tiles = [
        ("succeeded", f"{counts.succeeded:,}"),
        ("failed", f"{failed:,}"),
        ("pending", f"{counts.pending:,}"),
        ("cost", usd(report.cost)),
        ("time of all runs", format_duration(report.seconds)),
        ("items a second", number(per_second)),
        ("calls", f"{calls:,}"),
        ("throttled calls", f"{counts.refusals:,}"),
        ("tokens in", number(usage.input_tokens)),
        ("tokens out", number(usage.output_tokens)),
    ]
    cells = "".join(f"<li><b>{escape(value)}</b>{name}</li>" for name, value in tiles)
    return f'<p class="lead">{escape(sentence, 600)}</p>\n{stopped}<ul class="tiles">{cells}</ul>'


def over_time(report: JournalReport, charts: Charts) -> str:
    """Return the section of the batch over time."""
    found = [chart_html(chart) for chart in charts.over_time()]
    if not found:
        return "<h2>Over time</h2><p>No call has counted yet.</p>"
    note = "Triangles are decisions of the controller: red lowers a limit, green raises one, black stops the lane."
    if len(report.runs) > 1:
        note += " The runs are laid end to end."
    return f'<h2>Over time</h2><p class="soft">{note}</p><div class="grid2">{"".join(found)}</div>'


def _limits(report: JournalReport, charts: Charts) -> str:
    if not report.limits:
        return ""
    recorded = {span.is_recorded for span in report.limit_spans}
    source = "Recorded by the runs, second by second."
    if recorded != {True}:
        some = "Of runs that did not record it: derived" if True in recorded else "Derived"
        source = f"{some} for each lane from the changes of its pace and from what its calls did."
    rows = [
        (
            Html(
                f'<svg class="key" viewBox="0 0 14 12" aria-hidden="true"><rect class="band {share.kind}" width="14" height="12"/></svg>{escape(share.limit)}'
            ),
            share.quota or "",
            format_duration(share.seconds),
            f"{share.share:.0%}",
        )
        for share in report.limits
    ]
    strips = "".join(
        f'<div class="chart"><p class="lane">{escape(quota, NAMES)}</p>{drawing}</div>'
        for quota, drawing in charts.limits()
    )
    found = table(
        "What limited the batch, and for how long",
        ("what limited it", "lane", "for", "of the time"),
        rows,
        numbers=(2, 3),
    )
    when = table(
        "What limited the batch, and when",
        ("run", "from", "to", "what limited it", "the limit"),
        [_span_row(span) for span in report.limit_spans],
        numbers=(1, 2),
    )
    state = " open" if len(report.limit_spans) <= _SHOWN_SPANS else ""
    times = f"<details{state}><summary>When each of them limited it</summary>{when}</details>"
    return f'<h2>What limited the batch</h2><p class="soft">{source}</p>{strips}{found}{times}'


def _span_row(span: LimitSpan) -> tuple[str, ...]:
    value = "" if span.value is None else _limit_text(span.kind, span.value)
    return (str(span.run), format_clock(span.start), format_clock(span.end), span.limit, value)


def _limit_text(kind: str, value: float) -> str:
    """Return a limit in the unit in which providers state it."""
    if kind == "requests":
        return f"about {quantity(round(_MINUTE * value), 'request')} a minute"
    if kind == "tokens":
        return f"about {quantity(round(_MINUTE * value), 'token')} a minute"
    return f"{quantity(round(value), 'call')} at once"


def money(report: JournalReport) -> str:
    """Return the section of cost and tokens; empty if no model was called."""
    has_tiers = any(model.tier is not None for model in report.models)
    rows = [_model_row(model, has_tiers=has_tiers) for model in report.models]
    if not rows:
        return ""
    tier = ("tier",) if has_tiers else ()
    columns = ("model", *tier, "calls", "accepted", "tokens in", "cached", "written to cache", "tokens out", "cost")
    first = 1
    found = table("Each model over all runs", columns, rows, numbers=range(first, len(columns)))
    sentences = []
    if report.cost is None:
        sentences.append("The cost of some calls is not known.")
    else:
        sentences.append(f"All calls together cost {usd(report.cost)}, failed and repeated ones included.")
    if report.other_calls:
        sentences.append(
            f"{quantity(report.other_calls, 'call')} of other models {verb(report.other_calls)} not listed."
        )
    top = report.top_alone
    if top is not None:
        how = "" if top.is_exact else ", at the mean price of its tokens"
        sentences.append(f"{top.model} alone would have cost about {usd(top.cost)}{how} (estimate).")
    return f"<h2>Cost and tokens</h2><p>{escape(' '.join(sentences), 800)}</p>{found}"


def _model_row(model: ModelFigures, *, has_tiers: bool) -> tuple[str, ...]:
    usage = model.usage
    tier = ("" if model.tier is None else str(model.tier),) if has_tiers else ()
    return (
        model.model,
        *tier,
        f"{model.calls:,}",
        f"{model.accepted:,}",
        f"{usage.input_tokens:,}",
        f"{usage.cached_input_tokens:,}",
        f"{usage.cache_written_tokens:,}",
        f"{usage.output_tokens:,}",
        usd(model.cost),
    )


def latency(report: JournalReport, charts: Charts) -> str:
    """Return the section of latencies; empty if no call counted."""
    chart = charts.distribution()
    if chart is None or report.latency is None:
        return ""
    rows = [(model.model, *_percentiles(model.latency)) for model in report.models if model.latency is not None]
    if len(rows) != 1:
        rows.append(("all", *_percentiles(report.latency)))
    found = table("Seconds that a call took", ("model", "half", "90 %", "99 %", "longest"), rows, numbers=(1, 2, 3, 4))
    return f'<h2>Latency</h2><div class="grid2">{chart_html(chart)}<div class="chart">{found}</div></div>'


def _percentiles(latency: Latency) -> tuple[str, ...]:
    return tuple(f"{value:,.3g}" for value in (latency.p50, latency.p90, latency.p99, latency.most))


def _failures(report: JournalReport) -> str:
    if not report.failures:
        return "<h2>Failures</h2><p>No item failed.</p>"
    kinds = sorted(report.counts.failures.items(), key=lambda one: (-one[1], one[0]))
    found = table(
        "Items that failed, by kind", ("kind", "items"), [(kind, f"{count:,}") for kind, count in kinds], numbers=(1,)
    )
    groups = [
        (
            failure.kind,
            f"{failure.count:,}",
            failure.message or "(no message)",
            Html("<br>".join(escape(name, NAMES) for name in failure.ids)),
        )
        for failure in report.failures
    ]
    messages = table(
        "The most frequent messages, numbers and ids aside",
        ("kind", "items", "message", "for example"),
        groups,
        numbers=(1,),
    )
    answers = "".join(
        f"<h3>{escape(failure.kind)}: {escape(failure.ids[0] if failure.ids else '', NAMES)}</h3><pre>{escape(failure.answer, 600)}</pre>"
        for failure in report.failures
        if failure.answer
    )
    details = f"<details><summary>Answers that were not accepted</summary>{answers}</details>" if answers else ""
    return f"<h2>Failures</h2>{found}{messages}{details}"


def _items(title: str, items: Sequence[ItemTotals]) -> str:
    if not items:
        return ""
    rows = [
        (
            item.id,
            f"{item.seconds:,.3g}",
            usd(item.cost),
            f"{item.attempts:,}",
            f"{item.refusals:,}",
            f"{item.tokens:,}",
            item.model or "",
            item.kind or "succeeded",
        )
        for item in items
    ]
    columns = ("item", "seconds", "cost", "calls", "throttled", "tokens", "model", "outcome")
    found = table(title, columns, rows, numbers=range(1, 6))
    outputs = "".join(
        f"<h3>{escape(item.id, NAMES)}</h3><pre>{escape(item.output, 600)}</pre>" for item in items if item.output
    )
    details = f"<details><summary>Their outputs</summary>{outputs}</details>" if outputs else ""
    return f"<h2>{title}</h2>{found}{details}"


def _decisions(report: JournalReport) -> str:
    if not report.pace:
        return ""
    rows = [
        (str(line.entry.run), format_clock(max(0.0, line.entry.at)), line.entry.quota, line.text)
        for line in in_order_of_time(report.pace)
    ]
    which = "the latest" if len(report.pace) == MOST_DECISIONS else "all"
    found = table(
        "Time is counted from the start of the run",
        ("run", "time", "lane", "what was observed, and what followed"),
        rows,
    )
    return f"<h2>Decisions of the controller</h2><details><summary>Show {which}</summary>{found}</details>"


def _runs(report: JournalReport) -> str:
    if not report.runs:
        return ""
    rows = [_run_row(run) for run in report.runs]
    more = f'<p class="soft">The latest of {report.run_count:,} runs.</p>' if report.run_count > len(rows) else ""
    columns = ("run", "started", "state", "lasted", "calls", "accepted", "cost", "paceline")
    return f"<h2>Runs</h2>{more}{table('Each start of the batch', columns, rows, numbers=(3, 4, 5, 6))}"


def _run_row(run: RunSpan) -> tuple[str, ...]:
    return (
        str(run.run),
        time_text(run.started),
        run.state,
        format_duration(run.seconds),
        f"{run.calls:,}",
        f"{run.accepted:,}",
        usd(run.cost),
        run.version,
    )


def _settings(report: JournalReport) -> str:
    rows = [*report.settings.items()]
    return f"<h2>Settings</h2>{table('What the batch was run with', ('option', 'value'), rows)}" if rows else ""
