"""Memory: how its peak grows with the number of items.

Rules owned here:

1. The source is an iterator that makes each prompt when it is read, so only the library's memory grows.
2. The figure is the smallest of the rounds for each number of items: noise only adds to a peak.
3. Contenders that cost much more CPU get fewer items; the bytes per item compare them.
"""

from __future__ import annotations

from collections.abc import Callable

from .contenders.task import WORKERS
from .processes import Contender, ContenderError, ask
from .table import table, verdict

_TARGET = 20.0  # MB of growth
_FEW = 2_000  # items
_NAME = "async-batch-llm 0.28.0"
_PEER = "async-batch-llm==0.28.0"
_OURS = (
    Contender("**paceline** `open_stream`, trio", "by_paceline", "open_stream-trio"),
    Contender("**paceline** `open_stream`, asyncio", "by_paceline", "open_stream-asyncio"),
    Contender("**paceline** `stream` of the user's own items, trio", "by_paceline", "stream-trio"),
    Contender("**paceline** `stream` of the user's own items, asyncio", "by_paceline", "stream-asyncio"),
)
_BESIDE = (
    Contender("**paceline** `process_prompts`, every result kept, trio", "by_paceline", "process_prompts-trio"),
    Contender("trio: nursery of workers, nothing kept", "by_hand", "nursery"),
    Contender("asyncio: Semaphore, gather, wait_for, outputs kept", "by_hand", "gather-wait_for"),
    Contender(f"{_NAME} `process_stream`, both queues bounded", "by_async_batch_llm", "process_stream-bounded", _PEER),
    Contender(f"{_NAME} `process_stream`, its defaults", "by_async_batch_llm", "process_stream", _PEER),
    Contender(f"{_NAME} `process_prompts`, every result kept", "by_async_batch_llm", "process_prompts", _PEER),
)


def memory(rounds: int, items: int, peer_items: int, report: Callable[[str], None]) -> str:
    """Measure, and return the section of the page.

    Args:
        rounds: Number of runs of each contender with each number of items.
        items: Number of items in the longer runs.
        peer_items: The same for contenders that cost much more.
        report: Function that receives progress messages.
    """
    rows: list[tuple[str, ...]] = []
    growths: list[float] = []
    for contender in (*_OURS, *_BESIDE):
        many = peer_items if contender.requirement else items
        report(f"memory: {contender.label}, {many:,} items")
        try:
            few_peak, few_complete = _peak(contender, _FEW, rounds)
            many_peak, many_complete = _peak(contender, many, rounds)
        except ContenderError as error:
            report(f"{contender.label}: {error}")
            rows.append((contender.label, f"{many:,}", "", "", "", "not run"))
            continue
        growth = many_peak - few_peak
        if contender in _OURS:
            growths.append(growth)
        each = f"{growth * 1e6 / (many - _FEW):,.0f}"
        every = "yes" if few_complete and many_complete else "**NO**"
        rows.append((contender.label, f"{many:,}", f"{many_peak:.1f}", f"{growth:.1f}", each, every))
    introduction = (
        f"Peak of resident memory, {WORKERS} workers, and its growth over a run of {_FEW:,} items; each run in a fresh "
        f"process. The least of the rounds ({rounds}). MB are 10^6 bytes."
    )
    head = ("", "items", "peak, MB", "growth, MB", "bytes an item", "every item")
    worst = max(growths) if len(growths) == len(_OURS) else None
    met = verdict(f"{items:,} streamed items grow by less than {_TARGET:g} MB", worst, _TARGET, "MB")
    return "\n\n".join((introduction, table(head, rows), met))


def _peak(contender: Contender, items: int, rounds: int) -> tuple[float, bool]:
    answers = [ask(contender, "memory", items) for _ in range(rounds)]
    return min(answer.value for answer in answers), all(answer.complete for answer in answers)
