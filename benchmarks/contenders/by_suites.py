"""A suite, and the same items as a batch of a pool: the difference is what scores and bookkeeping cost."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from paceline import LLMWorkItem, ProcessorConfig, open_pool
from paceline.journal import SqliteJournal
from paceline.suites import Question, Score, Suite, evaluate, numeric

from .by_paceline import _start, _strategy
from .task import WORKERS, Entry, Take, bytes_in, main

_CONFIG = partial(ProcessorConfig, max_workers=WORKERS)


async def _pool(backend: str, prompts: Iterable[str], take: Take, *, pauses: bool, journal: str | None = None) -> None:
    strategy = _strategy(backend, pauses=pauses)
    items = (LLMWorkItem(f"question-{prompt}", strategy, prompt) for prompt in prompts)
    kept = None if journal is None else SqliteJournal(journal, dedupe=False)
    async with open_pool(_CONFIG(), journal=kept) as pool, pool.stream_items(items) as results:
        async for result in results:
            take(result.output or "")


async def _pool_with_journal(backend: str, prompts: Iterable[str], take: Take, *, pauses: bool) -> int:
    with TemporaryDirectory() as folder:
        await _pool(backend, prompts, take, pauses=pauses, journal=f"{folder}/run.journal")
        return bytes_in(folder)


async def _suite(backend: str, prompts: Iterable[str], take: Take, *, pauses: bool, folder: str | None = None) -> None:
    known = [*prompts]  # a suite's questions are read twice: they are counted first

    def score(item: Question, output: Any) -> Score:
        take(output)
        return numeric(item, output)

    def questions() -> Iterable[Question]:
        return (Question(f"question-{prompt}", {"question": prompt}, prompt) for prompt in known)

    suite = Suite("benchmark", questions, "{question}", score)
    result = await evaluate(suite, _strategy(backend, pauses=pauses), folder=folder, config=_CONFIG())
    if result.accuracy != 1 or result.scored != len(known):
        raise RuntimeError(f"the suite has lost answers: {result}")


async def _suite_with_folder(backend: str, prompts: Iterable[str], take: Take, *, pauses: bool) -> int:
    with TemporaryDirectory() as folder:
        await _suite(backend, prompts, take, pauses=pauses, folder=folder)
        return bytes_in(folder)


_ENTRY_POINTS = {
    "pool": _pool,
    "suite": _suite,
    "pool-journal": _pool_with_journal,
    "suite-folder": _suite_with_folder,
}
ENTRIES = {
    f"{name}-{backend}": Entry(partial(entry_point, backend), partial(_start, backend))
    for name, entry_point in _ENTRY_POINTS.items()
    for backend in ("trio", "asyncio")
}

if __name__ == "__main__":
    main(ENTRIES)
