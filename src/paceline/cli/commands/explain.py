"""The command `explain`: the decisions of the controllers as a story with times, or each change as CSV."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from ..._core.fault import redact
from ..._core.printable import printable
from ...files.tables import safe_cell
from ...journal.figures import PaceEntry
from ...report.story import StoryLine, tell
from ...runs.journal_report import PaceReader, pace_of
from ..console import print_output
from ..exit_codes import OK

_WIDTH = 80  # columns
_AT_ONCE = 500  # lines that are printed at once
_COLUMNS = ("run", "time", "at", "lane", "handle", "old", "new", "reason")
_NAME = 60  # characters of a lane's name


def explain(journal: str, *, as_csv: bool) -> int:
    """Print the decisions of the controllers; return the exit code.

    Args:
        journal: Path of the journal, or of its output.
        as_csv: Whether each change is printed as a row of CSV.

    Raises:
        JournalError: The file is not a journal, or is damaged.
    """
    with pace_of(journal) as pace:
        lines = csv_lines(pace) if as_csv else story_lines(pace)
        while some := list(islice(lines, _AT_ONCE)):
            print_output("\n".join(some))
    return OK


def story_lines(pace: PaceReader) -> Iterator[str]:
    """Yield the story in lines of at most 80 columns, lane by lane."""
    lane = run = day = None
    for line in tell(pace.entries(by_lane=True)):
        entry = line.entry
        if entry.quota != lane:
            yield from ([] if lane is None else [""])
            yield _one_line(f"lane {entry.quota}")
            lane, run, day = entry.quota, None, None
        time = _local(pace.started(entry.run), entry.at)
        if entry.run != run:
            run, day = entry.run, None
            if time is None:
                yield f"run {run}, at an unknown time"
        if time is not None and (today := f"{time:%Y-%m-%d}") != day:
            day = today
            yield f"run {run}, {day}"
        yield from _wrapped(_clock(time, entry.at), line)
    if lane is None:
        yield "the pace was not changed yet"


def csv_lines(pace: PaceReader) -> Iterator[str]:
    """Yield every change as a line of CSV, after one with the names of the columns."""
    yield ",".join(_COLUMNS)
    for entry in pace.entries(by_lane=False):
        buffer = io.StringIO(newline="")
        csv.writer(buffer, lineterminator="").writerow(_row(entry, pace))
        yield buffer.getvalue()


def _row(entry: PaceEntry, pace: PaceReader) -> tuple[object, ...]:
    time = _utc(pace.started(entry.run), entry.at)
    texts = (safe_cell(printable(redact(text), keep="")) for text in (entry.quota, entry.handle, entry.reason))
    quota, handle, reason = texts
    return (entry.run, "" if time is None else time, round(entry.at, 3), quota, handle, entry.old, entry.new, reason)


def _wrapped(clock: str, line: StoryLine) -> Iterator[str]:
    indent = " " * (len(clock) + 4)
    text = " ".join(printable(redact(line.text), keep="").split())
    yield from textwrap.wrap(
        text, _WIDTH, initial_indent=f"  {clock}  ", subsequent_indent=indent, break_on_hyphens=False
    )


def _one_line(text: str) -> str:
    clean = printable(redact(text), keep="")
    return clean if len(clean) <= _NAME else f"{clean[: _NAME - 1]}…"


def _local(started: datetime | None, at: float) -> datetime | None:
    """Return a time of a run in this place; None if it is not known."""
    try:
        return None if started is None else (started + timedelta(seconds=at)).astimezone()
    except (OverflowError, ValueError, OSError):
        return None


def _utc(started: datetime | None, at: float) -> str | None:
    try:
        return None if started is None else (started + timedelta(seconds=at)).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError):
        return None


def _clock(time: datetime | None, at: float) -> str:
    return f"{at:.5g} s" if time is None else f"{time:%H:%M:%S}"
