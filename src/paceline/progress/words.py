"""Words: the figures of a batch as rows of text, the same for terminals, logs, notebooks and `paceline status`.

Rules owned here:

1. A row says one thing: what is done, how fast, what it costs, what fails, and what keeps the batch from being faster.
2. Nothing is cut: a text that is wider than its place goes on in the next line.
3. A figure that is not known is left out, or said to be unknown.
"""

from __future__ import annotations

import enum
import math
import textwrap
from collections.abc import Iterator, Sequence

import attrs

from .._core.budget import usd_text
from .._core.durations import format_clock, format_wait
from .._core.fault_groups import FaultGroup
from .._core.limitation import describe_limitation
from .._core.printable import printable
from .._core.progress import RunProgress
from .._core.quantity import quantity
from .._core.ranges import Range

WIDTH = 80
"""Columns of a line: those of a terminal by default."""
LABEL = 10
"""Columns of the first column."""
SHOWN_FAULTS = 2
"""Most frequent messages that are shown."""

_NO_DECIMALS_FROM = 100  # per second: above, decimals are noise
_SHORTEST_WAIT = 1.0  # seconds: shorter waits are over before they are read
_SURE = 1.1  # ratio of the bounds of a range: within it one number says the same
_VAGUE = 10.0  # ratio of the bounds of a range: beyond it, it says nothing
_OLD = 5.0  # seconds: figures of a run are stored once a second, so that these are late


class Tone(enum.Enum):
    """What a row is about, for its colour."""

    PLAIN = ""
    WAITING = "yellow"
    """Something waits."""
    FAILED = "red"
    """Something failed."""


@attrs.frozen
class Row:
    """One thing that is said about a batch."""

    label: str
    """What it is about, in one word; empty: the row belongs to the one above."""
    text: str
    """What is said."""
    tone: Tone = Tone.PLAIN


def rows(progress: RunProgress, *, max_workers: str = "your max_workers", age: float = 0.0) -> Iterator[Row]:
    """Yield what is said about a batch, except for `headline`.

    Args:
        progress: The figures.
        max_workers: What the bound on calls in flight is called where the reader sets it.
        age: Seconds since the figures were taken.
    """
    yield Row("rate", rate_text(progress))
    yield Row("workers", f"{progress.in_flight:,} in flight of {progress.workers:,}")
    yield Row("pace", pace_text(progress))
    yield Row("cost", cost_text(progress))
    yield Row("tokens", tokens_text(progress))
    yield Row("retries", f"{quantity(progress.retries, 'repeated call')}, {progress.refusals:,} throttled")
    yield from _failures(progress)
    if progress.is_finished:
        return
    if progress.wait >= _SHORTEST_WAIT:
        yield Row("breaker", breaker_text(progress), Tone.WAITING)
    if age >= _OLD:
        yield Row("news", f"none for {format_wait(age)}: the run may be stopped or its machine busy", Tone.WAITING)
    if progress.limitation is not None:
        yield Row("limit", limit_text(progress, max_workers=max_workers))


def headline(progress: RunProgress) -> str:
    """Return how far a batch is: 4,213 of 10,000 done (42 %) in 2:15, 3:04 left."""
    elapsed = f" in {format_clock(progress.seconds)}"
    if progress.total is None:
        return f"{progress.done:,} done{elapsed}"
    percent = f" ({percent_text(progress.done, progress.total)})" if progress.total else ""
    left = "" if progress.is_finished else f", {format_clock(progress.left)} left"
    return f"{progress.done:,} of {progress.total:,} done{percent}{elapsed}{left}"


def percent_text(done: int, total: int) -> str:
    """Return a share in whole percent, rounded down: 100 % only if all is done."""
    return f"{100 * done // total} %"


def rate_text(progress: RunProgress) -> str:
    """Return how fast a batch is: 31.4 items/s (32.0 calls/s)."""
    return f"{format_rate(progress.items_rate, 'items')} ({format_rate(progress.rate, 'calls')})"


def cost_text(progress: RunProgress) -> str:
    """Return what a run has cost so far: of what it will cost at its end, and of the cap."""
    if progress.cost is None:
        text = "unknown: no price is known"
    else:
        found = progress.cost_at_end
        is_known = found is not None and not progress.is_finished and found.high <= _VAGUE * found.low
        at_end = range_text(found) if found is not None and is_known else ""
        text = usd_text(progress.cost) + (f" of about {at_end}" if at_end else "")
    if progress.max_cost is None:
        return text
    spent = progress.spent or 0.0
    spent_text = "" if progress.cost is not None and math.isclose(spent, progress.cost) else f"{usd_text(spent)} of "
    return f"{text}; {spent_text}the cap of {usd_text(progress.max_cost)} ({spent / progress.max_cost:.0%})".replace(
        "%)", " %)"
    )


def range_text(found: Range) -> str:
    """Return an estimate in USD with its range: $4.10 ($3.60 to $4.70), or one number where the range is narrow."""
    if found.high <= found.low * _SURE:
        return usd_text(found.likely)
    return f"{usd_text(found.likely)} ({usd_text(found.low)} to {usd_text(found.high)})"


def tokens_text(progress: RunProgress) -> str:
    """Return the tokens of a run so far."""
    usage = progress.usage
    cached = f" ({usage.cached_input_tokens:,} cached)" if usage.cached_input_tokens else ""
    text = f"{usage.input_tokens:,} in{cached}, {usage.output_tokens:,} out"
    if progress.max_tokens is None:
        return text
    return f"{text}; {progress.spent_tokens or 0:,} of the cap of {quantity(progress.max_tokens, 'token')}"


def limit_text(progress: RunProgress, *, max_workers: str) -> str:
    """Return what keeps a batch from being faster now; empty if it is not known."""
    if progress.limitation is None:
        return ""
    return describe_limitation(progress.limitation, max_workers=max_workers)


def format_rate(rate: float, unit: str) -> str:
    """Return a rate per second in words: 29.1 calls/s, 1,667 tokens/s; below one, per minute: 12.5 calls/min."""
    if rate == math.inf:
        return "no limit"
    if rate < 1:
        return f"{60 * rate:.3g} {unit}/min"
    return f"{rate:,.1f} {unit}/s" if rate < _NO_DECIMALS_FROM else f"{rate:,.0f} {unit}/s"


def pace_text(progress: RunProgress) -> str:
    """Return the pace in words."""
    limits = ((progress.pace, "calls"), (progress.token_pace, "tokens"))
    limited = [format_rate(rate, unit) for rate, unit in limits if rate < math.inf]
    return ", ".join(limited) or ("not limited" if progress.refusals else "no limit met yet")


def breaker_text(progress: RunProgress) -> str:
    """Return in words whether calls may start, and if not, when."""
    return f"open; calls start in {format_wait(progress.wait)}" if progress.wait else "closed"


def unnamed(progress: RunProgress) -> tuple[FaultGroup, ...]:
    """Return the most frequent faults of calls that the messages of failed items do not name."""
    named = {(group.kind, group.message) for group in progress.messages}
    return tuple(group for group in progress.faults if (group.kind, group.message) not in named)


def _failures(progress: RunProgress) -> Iterator[Row]:
    kinds = sorted(progress.failures.items(), key=lambda kind: (-kind[1], kind[0]))
    by_kind = f": {', '.join(f'{kind} {count:,}' for kind, count in kinds)}" if kinds else ""
    pending = f", {progress.pending:,} pending" if progress.pending else ""
    tone = Tone.FAILED if progress.failed else Tone.WAITING if pending else Tone.PLAIN
    yield Row("failed", f"{progress.failed:,}{by_kind}{pending}", tone)
    shown = [group for group in progress.messages if group.message][:SHOWN_FAULTS]
    for group in shown:
        yield Row("", str(group), Tone.FAILED)
    for index, group in enumerate(unnamed(progress)[: SHOWN_FAULTS - len(shown)]):
        yield Row("" if index else "faults", str(group), Tone.WAITING)


def laid_out(label: str, text: str, width: int, *, indent: int = LABEL) -> list[str]:
    """Return a row as lines of at most `width` columns, the label in front of the first; nothing is cut.

    Args:
        label: What it is about.
        text: What is said; what a terminal could obey is replaced.
        width: Columns.
        indent: Columns of the label.
    """
    return wrapped(f"{label:{indent}}{printable(text, keep='')}", width, indent=indent)


def wrapped(line: str, width: int, *, indent: int) -> list[str]:
    """Return a line as lines of at most `width` columns, all but the first indented."""
    if len(line) <= width:
        return [line]
    return textwrap.wrap(
        line,
        max(width, 2 * indent),
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def lines(shown: Sequence[Row], width: int) -> Iterator[tuple[str, Tone]]:
    """Yield rows as lines of at most `width` columns, with their tones."""
    for row in shown:
        for line in laid_out(row.label, row.text, width):
            yield line, row.tone
