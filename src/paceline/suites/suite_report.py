"""Suite report: `report`, what some results of one suite say, side by side, and `write_report`, the same as a page.

Rules owned here:

1. The first result is the one that the others are compared with.
2. What is read of a transcript does not grow with its length, except for an item's scores: texts are kept of the items that are shown.
   Shown are those on which results differ, then those that are wrong somewhere, then others.
3. Of a long text the beginning and the end are kept: a question stands at the end of its prompt, and an answer often at its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import attrs

from .._core.exceptions import ConfigurationError, JournalError
from ..files.output import Output, atomic_file, check_output
from ..report.figures import JournalReport
from ..runs.journal_report import report as journal_report
from .comparison import comparison
from .report_figures import MOST_ITEMS, MOST_SHOWN, Answer, ReportedItem, ReportedResult, SuiteReport
from .report_page import render
from .results import JOURNAL, SUMMARY, TRANSCRIPT, labels_of, read_result, read_scores, read_transcript
from .scorers import text_of

_SAMPLES: Final = 5  # answers of an item that are shown, of each result
_CHARACTERS: Final = 1_500  # of a prompt or an answer
_SHORT: Final = 300  # characters of an explanation or a right answer
_DIGITS: Final = re.compile(r"(\d{1,18})")


def report(*folders: str | PathLike[str], with_text: bool = True) -> SuiteReport:
    """Return what some results of one suite say. Blocks.

    Args:
        folders: Folders of results; the others are compared with the first.
        with_text: Whether prompts, right answers and answers are included.

    Raises:
        ConfigurationError: No folder is given, a result cannot be read, or they are of different suites.
    """
    if not folders:
        raise ConfigurationError("name the folder of a finished `paceline suite run`")
    paths = [Path(folder) for folder in folders]
    results = [read_result(path) for path in paths]
    other = next((one for one in zip(results, paths, strict=True) if one[0].suite != results[0].suite), None)
    if other is not None:
        raise ConfigurationError(
            f"{paths[0]} is of the suite {results[0].suite}, and {other[1]} of {other[0].suite}; "
            "make a report on results of one suite"
        )
    names = labels_of(results, paths)
    scores = [read_scores(path) for path in paths]
    items = _items(paths, scores)
    return SuiteReport(
        suite=results[0].suite,
        made=datetime.now(UTC),
        results=tuple(
            ReportedResult(name=name, folder=path.resolve().name, result=result, calls=_calls(path))
            for name, path, result in zip(names, paths, results, strict=True)
        ),
        comparisons=tuple(
            comparison((result, results[0]), (scores[at], scores[0]), (names[at], names[0]))
            for at, result in enumerate(results)
            if at and scores[at].keys() & scores[0].keys()
        ),
        items=tuple(_with_answers(paths, items) if with_text else items[:MOST_ITEMS]),
        item_count=len(items),
    )


def write_report(
    *folders: str | PathLike[str], output: str, overwrite: bool = False, with_text: bool = True
) -> SuiteReport:
    """Write a report as one page of HTML; return its figures. Blocks; the file is complete or not there at all.

    Args:
        folders: Folders of results; the others are compared with the first.
        output: Path of the page; `-` is stdout.
        overwrite: Whether a file with content is replaced.
        with_text: Whether prompts, right answers and answers are included.

    Raises:
        ConfigurationError: A result cannot be read, they are of different suites, or the output cannot be used.
        OSError: The output could not be written; BrokenPipeError: its reader has closed it.
    """
    keep = {
        f"the {name} of {folder}": f"{Path(folder, name)}"
        for folder in folders
        for name in (SUMMARY, TRANSCRIPT, JOURNAL)
    }
    check_output(output, keep=keep, overwrite=overwrite)
    found = report(*folders, with_text=with_text)
    page = render(found).encode("utf-8", "backslashreplace")
    with atomic_file(output, overwrite=overwrite, keep=keep) as descriptor:
        Output(output, descriptor).write(page)
    return found


def _calls(folder: Path) -> JournalReport | None:
    try:
        return journal_report(folder / JOURNAL)
    except JournalError:
        return None  # the result says what it came to; a folder may have been copied without its journal


def _items(paths: Sequence[Path], scores: Sequence[Mapping[str, Sequence[float]]]) -> list[ReportedItem]:
    """Return all items with their scores: those that differ first, then those that are wrong somewhere."""
    ids = dict.fromkeys(row["item"] for path in paths for row in read_transcript(path))
    items = [
        ReportedItem(id=name, scores=tuple(fmean(one[name]) if one.get(name) else None for one in scores))
        for name in ids
    ]
    return sorted(items, key=lambda item: (not item.differs, item.scores.count(1.0) == len(item.scores), _order(item)))


def _order(item: ReportedItem) -> tuple[Any, ...]:
    """Return a key that sorts ids as people do: `q2` before `q10`."""
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in _DIGITS.split(item.id))


def _with_answers(paths: Sequence[Path], items: Sequence[ReportedItem]) -> Iterator[ReportedItem]:
    """Yield the items that are listed, in the order of their ids; the first of `items` with their answers."""
    shown = {item.id for item in items[:MOST_SHOWN]}
    prompts: dict[str, Mapping[str, Any]] = {}
    answers: dict[str, list[list[Answer]]] = {name: [[] for _ in paths] for name in shown}
    for at, path in enumerate(paths):
        for row in read_transcript(path):
            if row["item"] in shown:
                prompts.setdefault(row["item"], row)
                kept = sorted([*answers[row["item"]][at], _answer(row)], key=lambda one: (one.score or 0.0, one.sample))
                answers[row["item"]][at] = kept[:_SAMPLES]
    for item in sorted(items[:MOST_ITEMS], key=_order):
        if item.id not in shown:
            yield item
            continue
        row = prompts[item.id]
        yield attrs.evolve(
            item,
            prompt=shortened(str(row.get("prompt") or ""), _CHARACTERS),
            target=shortened(_targets(row.get("target")), _SHORT),
            answers=tuple(map(tuple, answers[item.id])),
        )


def _answer(row: Mapping[str, Any]) -> Answer:
    error = row.get("error")
    output = row.get("output")
    if isinstance(error, dict):
        output = error.get("answer")
    return Answer(
        sample=row["sample"],
        score=row["score"],
        explanation=shortened(_said(row), _SHORT),
        text="" if output is None else shortened(output if isinstance(output, str) else text_of(output), _CHARACTERS),
    )


def _said(row: Mapping[str, Any]) -> str:
    error = row.get("error")
    if row.get("explanation"):
        return str(row["explanation"])
    return f"{error.get('kind')}: {error.get('message')}" if isinstance(error, dict) else ""


def _targets(target: Any) -> str:
    if target is None:
        return ""
    if isinstance(target, list):
        return " or ".join(map(_targets, target))
    return target if isinstance(target, str) else text_of(target)


def shortened(text: str, longest: int) -> str:
    """Return a text of at most so many characters: its beginning and its end."""
    if len(text) <= longest:
        return text
    half = (longest - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"
