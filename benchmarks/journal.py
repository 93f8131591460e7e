"""Journal: CPU and bytes per record, beside a peer's.

Rules owned here:

1. The contenders take turns, each in a fresh process; a figure is the least of the rounds, as other load only adds to it.
2. Every call is a no-op with a short output, so that the record is measured and not its content.
3. Files are measured after they were closed, when no write-ahead log is left beside them.
"""

from __future__ import annotations

from collections.abc import Callable

from .contenders.task import WORKERS
from .processes import Answer, Contender, ContenderError, ask
from .table import table, verdict

_TARGET = 500.0  # bytes a record
_CPU_TARGET = 60.0  # microseconds an item, the journal and the engine together
_NAME = "async-batch-llm 0.28.0"
_PEER = "async-batch-llm==0.28.0"
_YARDSTICK = Contender("asyncio: Semaphore, gather, wait_for", "by_hand", "gather-wait_for")
_PLAIN = (
    _YARDSTICK,
    Contender("paceline `process_prompts`, trio", "by_paceline", "process_prompts-trio"),
    Contender("paceline `open_stream`, trio", "by_paceline", "open_stream-trio"),
    Contender(f"{_NAME} `process_stream`", "by_async_batch_llm", "process_stream-bounded", _PEER),
)
_JOURNALLED = (
    Contender("**paceline** `process_prompts(journal=...)`, trio", "by_paceline", "process_prompts-journal-trio"),
    Contender("**paceline** `process_prompts(journal=...)`, asyncio", "by_paceline", "process_prompts-journal-asyncio"),
    Contender("**paceline** `open_stream(journal=...)`, trio", "by_paceline", "journal-trio"),
    Contender("**paceline** `open_stream(journal=...)`, asyncio", "by_paceline", "journal-asyncio"),
    Contender(f"{_NAME} `process_stream`, SqliteArtifactStore", "by_async_batch_llm", "journal", _PEER),
)


def journal(rounds: int, items: int, *, report: Callable[[str], None]) -> str:
    """Measure, and return the section of the page.

    Args:
        rounds: Number of runs of each contender.
        items: Number of items in each run.
        report: Function that receives progress messages.
    """
    cpu: dict[Contender, list[Answer]] = {contender: [] for contender in (*_PLAIN, *_JOURNALLED)}
    for number in range(rounds):
        for contender in cpu:
            report(f"journal: round {number + 1} of {rounds}, {contender.label}")
            cpu[contender] += _answers(contender, "cpu", items, report)
    size = {contender: _answers(contender, "size", items, report) for contender in _JOURNALLED}
    introduction = (
        f"{items:,} no-op calls, {WORKERS} workers, the journal in a temporary directory. Rounds: {rounds}. CPU is user and "
        "system of the whole process, the journal's thread included. The output of a record is 1 to 5 bytes long."
    )
    rows = [
        (
            contender.label,
            _cpu(cpu[contender]),
            _ratio(cpu[contender], cpu[_YARDSTICK]),
            _bytes(size.get(contender, [])),
            _complete(cpu[contender]),
        )
        for contender in cpu
    ]
    ours = [size[contender][0].value for contender in _JOURNALLED[:4] if size[contender]]
    costs = [_least(cpu[contender]) for contender in _JOURNALLED[:2] if cpu[contender]]
    cheap = verdict(
        "`process_prompts` with a journal costs at most 60 us of CPU an item, the engine included",
        max(costs, default=None),
        _CPU_TARGET,
        "us",
    )
    met = verdict("at most 500 bytes a record beside its output", max(ours, default=None), _TARGET, "bytes")
    head = ("", "CPU, us an item", "ratio", "bytes a record", "every item")
    return "\n\n".join((introduction, table(head, rows), cheap, met))


def _answers(contender: Contender, question: str, items: int, report: Callable[[str], None]) -> list[Answer]:
    try:
        return [ask(contender, question, items)]
    except ContenderError as error:
        report(f"{contender.label}: {error}")
        return []


def _cpu(answers: list[Answer]) -> str:
    return f"{_least(answers):.1f}" if answers else "not run"


def _least(answers: list[Answer]) -> float:
    return min(answer.value for answer in answers)


def _ratio(answers: list[Answer], yardstick: list[Answer]) -> str:
    return f"{_least(answers) / _least(yardstick):.2f}" if answers and yardstick else ""


def _bytes(answers: list[Answer]) -> str:
    return f"{answers[0].value:,.0f}" if answers else ""


def _complete(answers: list[Answer]) -> str:
    return "yes" if answers and all(answer.complete for answer in answers) else "**NO**" if answers else ""
