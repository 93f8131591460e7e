"""Report page: the report on a suite as one file of HTML, in the form of the run's report.

It begins with the answer: which model gets how much right, what that cost, how long it took, and whether the models differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from .._core.durations import format_duration
from .._core.quantity import quantity
from ..report.charts import Charts
from ..report.figures import ModelFigures
from ..report.intervals import Estimate, differences_chart, shares_chart
from ..report.markup import NAMES, chart_html, page, table, time_text, usd
from ..report.page import latency, money, over_time
from ..report.svg import escape, number
from .report_figures import Answer, ReportedItem, ReportedResult, SuiteReport
from .results import SuiteResult

_EXAMPLES: Final = 10  # wrong answers of each result
_TEXT: Final = 1_600  # characters of a prompt or an answer
_SHORT: Final = 100.0  # seconds: below, tenths matter


def render(report: SuiteReport) -> str:
    """Return a report as a page of HTML."""
    title = f"Suite {escape(report.suite, NAMES)}"
    return page(
        title, f"As of {time_text(report.made)}.", "\n".join(_sections(report)), "from the results of the suite"
    )


def _sections(report: SuiteReport) -> Iterator[str]:
    yield _outcome(report)
    yield _side_by_side(report)
    yield _comparisons(report)
    for at, one in enumerate(report.results):
        yield _wrong(report, at, one)
    yield _items(report)
    yield _calls(report)


def _outcome(report: SuiteReport) -> str:
    sentences = [_sentence(one) for one in report.results]
    tiles = ""
    if len(report.results) == 1:
        cells = "".join(
            f"<li><b>{escape(value)}</b>{escape(name)}</li>" for name, value in _tiles(report.results[0].result)
        )
        tiles = f'<ul class="tiles">{cells}</ul>'
    lead = "".join(f'<p class="lead">{escape(sentence, 600)}</p>' for sentence in sentences)
    return f"{lead}{tiles}"


def _sentence(one: ReportedResult) -> str:
    result = one.result
    lost = sum(result.unanswered.values()) + result.unscored
    left = f" {quantity(lost, 'sample')} without a score." if lost else ""
    stopped = f" Its latest run ended early: {result.stopped}." if result.stopped and lost else ""
    if math.isnan(result.accuracy):
        return f"{one.name} has no score.{left}{stopped}"
    return (
        f"{one.name} gets {result.accuracy:.1%} right (95 %: {_interval(result)}), "
        f"for {usd(result.cost) if result.cost is not None else 'an unknown cost'}, in {_time(result.total_seconds)}."
        f"{left}{stopped}"
    )


def _tiles(result: SuiteResult) -> Iterator[tuple[str, str]]:
    yield "accuracy", _percent(result.accuracy)
    yield "95 %", _interval(result)
    for k, value in result.pass_at.items():
        if result.samples > 1:
            yield f"pass@{k}", _percent(value)
    yield "items", f"{result.items:,}"
    yield "cost", usd(result.cost)
    yield "time of all runs", _time(result.total_seconds)
    yield "tokens in", number(result.input_tokens)
    yield "tokens out", number(result.output_tokens)


_COLUMNS: Final = (
    "result",
    "strategy",
    "accuracy",
    "95 %",
    "pass@k",
    "cost",
    "per right answer",
    "time",
    "tokens",
    "no score",
)


def _side_by_side(report: SuiteReport) -> str:
    rows = [_row(one) for one in report.results]
    found = table("Results of the suite", _COLUMNS, rows, numbers=range(2, len(_COLUMNS)))
    estimates = [
        Estimate(
            name=one.name,
            value=one.result.accuracy,
            low=one.result.interval.low,
            high=one.result.interval.high,
            words=_words(one.result),
        )
        for one in report.results
        if not math.isnan(one.result.accuracy)
    ]
    if not estimates:
        return f"<h2>Side by side</h2>{found}"
    description = "; ".join(f"{one.name}: {one.words}, {one.low:.1%} to {one.high:.1%}" for one in estimates)
    charts = [chart_html(shares_chart("Accuracy and its interval", description, estimates))]
    differences = [
        Estimate(
            name=f"{one.first_name} less {one.second_name}",
            value=one.difference,
            low=one.interval.low,
            high=one.interval.high,
            words=one.short,
        )
        for one in report.comparisons
    ]
    if differences:
        said = "; ".join(f"{one.name}: {one.words}" for one in differences)
        charts.append(chart_html(differences_chart("Difference and its interval", said, differences)))
    return f'<h2>Side by side</h2>{found}<div class="grid2">{"".join(charts)}</div>'


def _row(one: ReportedResult) -> tuple[str, ...]:
    result = one.result
    right = 0.0 if math.isnan(result.accuracy) else result.accuracy * result.items * result.samples
    chances = ", ".join(f"{value:.1%} ({k})" for k, value in result.pass_at.items()) if result.samples > 1 else ""
    lost = sum(result.unanswered.values()) + result.unscored
    return (
        one.name if one.name == result.model else f"{one.name}: {result.model}",
        result.strategy,
        _percent(result.accuracy),
        _interval(result),
        chances,
        usd(result.cost),
        usd(result.cost / right) if result.cost is not None and right else "",
        _time(result.total_seconds),
        number(result.input_tokens + result.output_tokens),
        f"{lost:,}",
    )


def _comparisons(report: SuiteReport) -> str:
    if not report.comparisons:
        return ""
    sentences = "".join(f"<p>{escape(str(one), 600)}</p>" for one in report.comparisons)
    rows = [
        (
            f"{one.first_name} and {one.second_name}",
            f"{one.items:,}",
            f"{one.only_first:,}",
            f"{one.only_second:,}",
            f"{one.difference * 100:+.1f} points",
            f"{one.interval.low * 100:+.1f} to {one.interval.high * 100:+.1f}",
            f"{one.p_value:.2g}",
            "" if one.needed is None else f"{one.needed:,}",
        )
        for one in report.comparisons
    ]
    columns = ("results", "items of both", "first better", "second better", "difference", "95 %", "p", "items needed")
    found = table("Each result and the first, item by item", columns, rows, numbers=range(1, len(columns)))
    return f"<h2>Do they differ?</h2>{sentences}{found}"


def _wrong(report: SuiteReport, at: int, one: ReportedResult) -> str:
    wrong = [item for item in report.items if item.is_shown and any(_is_wrong(each) for each in item.answers[at])]
    if not wrong:
        return ""
    step = max(1, len(wrong) // _EXAMPLES)
    shown = "".join(_example(item, next(filter(_is_wrong, item.answers[at]))) for item in wrong[::step][:_EXAMPLES])
    return f"<h2>Wrong answers of {escape(one.name, NAMES)}</h2>{shown}"


def _is_wrong(answer: Answer) -> bool:
    return answer.score is not None and answer.score < 1


def _example(item: ReportedItem, answer: Answer) -> str:
    return (
        f"<details><summary>{escape(item.id, NAMES)}: {escape(answer.explanation)}</summary>"
        f"{_asked(item)}{_answered(answer, 'Answer')}</details>"
    )


def _items(report: SuiteReport) -> str:
    if not report.items:
        return "<h2>Items</h2><p>The suite has no items.</p>"
    rows = [(item.id, *map(_score, item.scores), "differ" if item.differs else "") for item in report.items]
    names = [one.name for one in report.results]
    columns = ("item", *names, *(("results",) if len(names) > 1 else ()))
    numbers = range(1, len(names) + 1)
    more = f" of {report.item_count:,}" if report.item_count > len(rows) else ""
    caption = f"Mean score of {quantity(len(rows), 'item')}{more}"
    found = table(caption, columns, [row[: len(columns)] for row in rows], numbers=numbers)
    shown = [item for item in report.items if item.is_shown]
    transcripts = "".join(_transcript(item, names) for item in shown)
    some = f"{len(shown):,} of {quantity(report.item_count, 'item')}" if len(shown) < report.item_count else "Each item"
    note = f'<h3>Transcript</h3><p class="soft">{some}, with what was asked and answered.</p>' if shown else ""
    return f"<h2>Items</h2><details><summary>Scores of all items</summary>{found}</details>{note}{transcripts}"


def _transcript(item: ReportedItem, names: Sequence[str]) -> str:
    scores = ", ".join(_score(score) for score in item.scores)
    answers = "".join(
        _answered(answer, f"{name}{f', sample {answer.sample + 1}' if len(answers) > 1 else ''}")
        for name, answers in zip(names, item.answers, strict=True)
        for answer in answers
    )
    return f"<details><summary>{escape(item.id, NAMES)}: {escape(scores)}</summary>{_asked(item)}{answers}</details>"


def _asked(item: ReportedItem) -> str:
    target = f"<p>Right: {escape(item.target)}</p>" if item.target else ""
    return f"<pre>{escape(item.prompt, _TEXT)}</pre>{target}"


def _answered(answer: Answer, name: str) -> str:
    why = f": {escape(answer.explanation)}" if answer.explanation else ""
    return (
        f"<p><b>{escape(name, NAMES)}</b>, score {_score(answer.score)}{why}</p>"
        f"<pre>{escape(answer.text, _TEXT) or '(no answer)'}</pre>"
    )


def _calls(report: SuiteReport) -> str:
    """Return what the calls of the results took: of one result the sections of its run's report, of several a table."""
    if len(report.results) == 1:
        found = report.results[0].calls
        if found is None:
            return ""
        charts = Charts(found)
        return f"{money(found)}{over_time(found, charts)}{latency(found, charts)}"
    rows = [
        (one.name, *_call_row(model)) for one in report.results if one.calls is not None for model in one.calls.models
    ]
    columns = (
        "result",
        "model",
        "calls",
        "accepted",
        "tokens in",
        "tokens out",
        "cost",
        "half took, s",
        "90 %, s",
        "99 %, s",
    )
    found_table = table("Each model of each result, over all runs", columns, rows, numbers=range(2, len(columns)))
    return f"<h2>Calls</h2>{found_table}" if rows else ""


def _call_row(model: ModelFigures) -> tuple[str, ...]:
    took = ("", "", "")
    if model.latency is not None:
        took = (f"{model.latency.p50:,.3g}", f"{model.latency.p90:,.3g}", f"{model.latency.p99:,.3g}")
    use = model.usage
    return (
        model.model,
        f"{model.calls:,}",
        f"{model.accepted:,}",
        f"{use.input_tokens:,}",
        f"{use.output_tokens:,}",
        usd(model.cost),
        *took,
    )


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < _SHORT else format_duration(seconds)


def _score(score: float | None) -> str:
    return "none" if score is None else f"{score:.3g}"


def _words(result: SuiteResult) -> str:
    cost = "" if result.cost is None else f", {usd(result.cost)}"
    return f"{result.accuracy:.1%}{cost}, {_time(result.total_seconds)}"


def _percent(share: float) -> str:
    return "none" if math.isnan(share) else f"{share:.1%}"


def _interval(result: SuiteResult) -> str:
    return f"{result.interval.low:.1%} to {result.interval.high:.1%}"
