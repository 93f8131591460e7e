"""Overhead: CPU per item of a call that does nothing, beside the usual few lines of asyncio with as many calls at once.

Rules owned here:

1. The contenders take turns, round after round, so that other load on the machine affects them all. A figure is the least of the rounds:
   other load only adds to it.
2. The ratio is to the yardstick with as many workers, in the same run. Ratios hold on other machines, microseconds do not.
3. A cold batch begins without any knowledge of its pace, a warm one is the second in its pool. Both are measured from the first item to the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from .contenders.task import SECONDS
from .processes import Answer, Contender, ContenderError, ask
from .table import table, verdict

_NAME = "async-batch-llm 0.28.0"
_PEER = "async-batch-llm==0.28.0"
_WALL = 1.0  # seconds: the target of a cold start of 20,000 calls
_ITEMS = 20_000
BACKENDS = ("trio", "asyncio")


@attrs.frozen
class Case:
    """A contender in one situation."""

    contender: Contender
    workers: int = 100
    bound: float | None = None
    """Target: the highest ratio to the yardstick; None: any ratio is good."""
    question: str = "cpu"
    """What the call does: see `contenders.task`."""

    @property
    def yardstick(self) -> Case:
        """The case that this one is compared with."""
        return Case(_YARDSTICK, self.workers, question=self.question)


_YARDSTICK = Contender("asyncio: Semaphore, gather, wait_for", "by_hand", "gather-wait_for")


def _ours(what: str, entry: str, workers: int, bound: float | None, **options: str) -> list[Case]:
    return [
        Case(
            Contender(f"**paceline** {what}, {backend}", "by_paceline", f"{entry}-{backend}"), workers, bound, **options
        )
        for backend in BACKENDS
    ]


OURS = (
    *_ours("`process_prompts`", "process_prompts", 100, 1.0),
    *_ours("`process_prompts`", "process_prompts", 1_000, 1.0),
    *_ours("`process_prompts`", "process_prompts", 10_000, 1.3),
    *_ours("`process_prompts`, warm", "warm", 100, 1.0),
    *_ours("`process_prompts`, warm", "warm", 1_000, 1.0),
    *_ours("`open_stream`", "open_stream", 100, None),
    *_ours("an observer of all events", "observed", 100, 1.4),
    *_ours("2,000 lanes", "lanes", 100, 1.3),
    *_ours("a call that returns at once", "process_prompts", 100, None, question="cpu-at-once"),
)
"""The cases of paceline."""
_PEERS = (
    Case(_YARDSTICK, 100),
    Case(_YARDSTICK, 1_000),
    Case(_YARDSTICK, 10_000),
    Case(attrs.evolve(_YARDSTICK, label=f"{_YARDSTICK.label}; returns at once"), 100, question="cpu-at-once"),
    Case(Contender("asyncio: Semaphore, gather, no deadline", "by_hand", "gather")),
    Case(Contender("asyncio: TaskGroup of workers, `timeout`", "by_hand", "task-group")),
    Case(Contender("trio: nursery of workers, `fail_after`", "by_hand", "nursery")),
    Case(Contender(f"{_NAME} `process_prompts`", "by_async_batch_llm", "process_prompts", _PEER)),
    Case(Contender(f"{_NAME} `process_stream`", "by_async_batch_llm", "process_stream", _PEER)),
)

Answers = Mapping[Case, Sequence[Answer]]
"""The answers of each case, one for each round; none if it could not be run."""


def overhead(rounds: int, items: int, peer_items: int, report: Callable[[str], None]) -> str:
    """Measure, and return the section of the page.

    Args:
        rounds: Number of runs of each contender.
        items: Number of items in each run.
        peer_items: The same for contenders that cost much more.
        report: Function that receives progress messages.
    """
    answers = ask_all((*OURS, *_PEERS), rounds, items, report, peer_items=peer_items)
    introduction = (
        f"CPU (user and system, the process's own) per item of a no-op call, which lets other tasks run once; a deadline of {SECONDS:g} s for "
        f"each call unless it says otherwise. Rounds: {rounds}, of {items:,} items ({peer_items:,} for async-batch-llm), the contenders taking "
        "turns, each run in a fresh process; a figure is the least of the rounds. Batches are cold, with the start from an unknown pace, unless "
        f"it says warm. The ratio is to `{_YARDSTICK.label}` with as many workers, in the same run. Gather makes a task for every item before "
        "the first call, so with fewer items it costs less for each."
    )
    head = ("", "workers", "least, us", "ratio", "target", "wall, s", "every item")
    rows = [_row(case, answers) for case in (*OURS, *_PEERS)]
    return "\n\n".join((introduction, table(head, rows), *_verdicts(answers, items)))


def ask_all(
    cases: Iterable[Case], rounds: int, items: int, report: Callable[[str], None], *, peer_items: int = _ITEMS
) -> dict[Case, list[Answer]]:
    """Run each case once in each round; report the ones that cannot be run, and leave them out."""
    answers: dict[Case, list[Answer]] = {case: [] for case in cases}
    failed: set[Case] = set()
    for number in range(rounds):
        report(f"overhead: round {number + 1} of {rounds}")
        for case, found in answers.items():
            if case in failed:
                continue
            count = peer_items if case.contender.requirement else items
            try:
                found.append(ask(case.contender, case.question, count, workers=case.workers))
            except ContenderError as error:
                failed.add(case)
                report(f"{case.contender.label}: {error}")
    return answers


def least(answers: Sequence[Answer]) -> float | None:
    """Return the least value of some answers; None without answers."""
    return min((answer.value for answer in answers), default=None)


def ratio(case: Case, answers: Answers) -> float | None:
    """Return the ratio of a case to its yardstick; None if one of them was not measured."""
    ours, unit = least(answers[case]), least(_of_yardstick(case, answers))
    return None if ours is None or unit is None else ours / unit


def _of_yardstick(case: Case, answers: Answers) -> Sequence[Answer]:
    wanted = case.yardstick
    return next(
        (
            found
            for other, found in answers.items()
            if (other.contender.entry, other.workers, other.question)
            == (wanted.contender.entry, wanted.workers, wanted.question)
        ),
        (),
    )


def _row(case: Case, answers: Answers) -> tuple[str, ...]:
    found, value = answers[case], ratio(case, answers)
    if not found or value is None:
        return case.contender.label, f"{case.workers:,}", "", "", "", "", "not run"
    return (
        case.contender.label,
        f"{case.workers:,}",
        f"{least(found):.1f}",
        f"{value:.2f}",
        "" if case.bound is None else f"{case.bound:.1f}",
        f"{min(answer.wall for answer in found):.2f}",
        "yes" if all(answer.complete for answer in found) else "**NO**",
    )


def _verdicts(answers: Answers, items: int) -> list[str]:
    lines = []
    situations = dict.fromkeys((_situation(case), case.bound) for case in OURS if case.bound is not None)
    for situation, bound in situations:
        cases = [case for case in OURS if (_situation(case), case.bound) == (situation, bound)]
        ratios = [value for case in cases if (value := ratio(case, answers)) is not None]
        worst = max(ratios) if len(ratios) == len(cases) else None
        lines.append(verdict(f"{situation}: at most {bound:.1f} times the yardstick", worst, bound, "times"))
    if items == _ITEMS:
        cold = [answer for case in OURS[:2] for answer in answers[case]]
        slowest = max((min(a.wall for a in answers[case]) for case in OURS[:2] if answers[case]), default=None)
        target = f"the cold start of {items:,} calls takes at most {_WALL:g} s"
        lines.append(verdict(target, slowest if cold else None, _WALL, "s"))
    return lines


def _situation(case: Case) -> str:
    if case.contender.entry.startswith("process_prompts"):
        return f"{case.workers:,} workers"
    name = case.contender.label.removeprefix("**paceline** ").rpartition(", ")[0].replace("`process_prompts`, ", "")
    return f"{name}, {case.workers:,} workers"
