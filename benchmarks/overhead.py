"""Overhead: CPU per item of a call that does nothing, with 100 workers.

Rules owned here:

1. The contenders take turns, round after round, so that other load on the machine affects them all.
2. The ratio is taken within each round, for the same reason. Ratios hold on other machines, microseconds do not.
3. The median is compared with the target.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import attrs

from .contenders.task import SECONDS, WORKERS
from .processes import Answer, Contender, ContenderError, ask
from .table import table, verdict

_TARGET = 40.0  # microseconds an item
_NAME = "async-batch-llm 0.28.0"
_PEER = "async-batch-llm==0.28.0"
_YARDSTICK = Contender("asyncio: Semaphore, gather, wait_for", "by_hand", "gather-wait_for")
_OURS = (
    Contender("**paceline** `process_prompts`, trio", "by_paceline", "process_prompts-trio"),
    Contender("**paceline** `process_prompts`, asyncio", "by_paceline", "process_prompts-asyncio"),
    Contender("**paceline** `open_stream`, trio", "by_paceline", "open_stream-trio"),
    Contender("**paceline** `open_stream`, asyncio", "by_paceline", "open_stream-asyncio"),
)
_THEIRS = (
    Contender("trio: nursery of workers, `fail_after`", "by_hand", "nursery"),
    Contender("asyncio: TaskGroup of workers, `timeout`", "by_hand", "task-group"),
    Contender("asyncio: Semaphore, gather, no deadline", "by_hand", "gather"),
    _YARDSTICK,
    Contender(f"{_NAME} `process_prompts`", "by_async_batch_llm", "process_prompts", _PEER),
    Contender(f"{_NAME} `process_stream`", "by_async_batch_llm", "process_stream", _PEER),
)
_QUESTIONS = {"cpu": "the call lets other tasks run once", "cpu-at-once": "the call returns at once"}


@attrs.frozen
class Figures:
    """A contender's answers to one question, over the rounds."""

    values: tuple[float, ...]
    """Microseconds of CPU an item."""
    ratios: tuple[float, ...]
    """Values over those of the yardstick in the same round."""
    complete: bool
    """Whether each run gave every item's output, once."""

    @property
    def median(self) -> float:
        """The median value."""
        return statistics.median(self.values)


def overhead(rounds: int, items: int, peer_items: int, report: Callable[[str], None]) -> str:
    """Measure, and return the section of the page.

    Args:
        rounds: Number of runs of each contender.
        items: Number of items in each run.
        peer_items: The same for contenders that cost much more.
        report: Function that receives progress messages.
    """
    introduction = (
        f"CPU (user and system, the process's own) per item, {WORKERS} workers, no observers, a deadline of {SECONDS:g} s "
        f"for each call unless it says otherwise. Rounds: {rounds}, of {items:,} items ({peer_items:,} for async-batch-llm), "
        "the contenders taking turns, each run in a fresh process. The ratio is to the yardstick's run in the same round, "
        "its median. Gather makes a task for every item before the first call, so with fewer items it costs less for each."
    )
    paragraphs = [introduction]
    for question, title in _QUESTIONS.items():
        measured = _measure(question, rounds, items, peer_items, report)
        paragraphs += [f"No-op call: {title}.", _rows(measured)]
        if question == "cpu":
            medians = [figures.median for ours in _OURS if (figures := measured[ours]) is not None]
            worst = max(medians) if len(medians) == len(_OURS) else None
            paragraphs.append(verdict(f"at most {_TARGET:g} us an item on both backends", worst, _TARGET, "us"))
    return "\n\n".join(paragraphs)


def _measure(
    question: str, rounds: int, items: int, peer_items: int, report: Callable[[str], None]
) -> dict[Contender, Figures | None]:
    """Return each contender's figures; None if it could not be run."""
    contenders = (*_OURS, *_THEIRS)
    answers: dict[Contender, list[Answer]] = {contender: [] for contender in contenders}
    failed: set[Contender] = set()
    for number in range(rounds):
        report(f"overhead, {question}: round {number + 1} of {rounds}")
        for contender in contenders:
            if contender in failed:
                continue
            try:
                answers[contender].append(ask(contender, question, peer_items if contender.requirement else items))
            except ContenderError as error:
                failed.add(contender)
                report(f"{contender.label}: {error}")
    yardstick = [answer.value for answer in answers[_YARDSTICK]]
    return {
        contender: None if contender in failed else _figures(answers[contender], yardstick) for contender in contenders
    }


def _figures(answers: list[Answer], yardstick: list[float]) -> Figures:
    values = tuple(answer.value for answer in answers)
    ratios = tuple(value / unit for value, unit in zip(values, yardstick, strict=False))
    return Figures(values, ratios, all(answer.complete for answer in answers))


def _rows(measured: dict[Contender, Figures | None]) -> str:
    rows = [(contender.label, *_cells(figures)) for contender, figures in measured.items()]
    return table(("", "least, us", "median, us", "ratio", "every item"), rows)


def _cells(figures: Figures | None) -> tuple[str, ...]:
    if figures is None:
        return "", "", "", "not run"
    return (
        f"{min(figures.values):.1f}",
        f"{figures.median:.1f}",
        f"{statistics.median(figures.ratios):.2f}" if figures.ratios else "",
        "yes" if figures.complete else "**NO**",
    )
