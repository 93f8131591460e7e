"""Whatever fails or is cancelled, and whenever: what was paid for is in the journal or told as unsaved, and nothing is shown twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline import CallError, FaultKind, LLMCallStrategy, LLMWorkItem, ParallelBatchProcessor, WorkItemResult
from paceline.exceptions import JournalChangedError, JournalError

from .journals import MemoryJournal, is_pending
from .support import USAGE, FixedPace
from .test_random import BACKENDS

KEPT = WorkItemResult("", 0, "KEPT")


@attrs.frozen
class Night:
    """What a batch will meet."""

    prompts: tuple[int, ...]
    """Of its items; equal ones share a call."""
    acts: tuple[str, ...]
    """Of the calls, by prompt."""
    kept: frozenset[int]
    """Items that the journal has already."""
    delay: float
    recall_delay: float
    failing: frozenset[int]
    """Commits that fail."""
    fails_from: int
    """The first of those that all fail."""
    changed: int
    """The item that is not what it was."""
    cancelled_at: float
    drained_at: float
    added_at: float
    source: str
    pace: int


TIMES = st.one_of(st.just(1e6), st.integers(0, 60).map(lambda tenth: tenth / 10 + 0.003), st.integers(0, 6).map(float))
NIGHTS = st.builds(
    Night,
    st.lists(st.integers(0, 12), max_size=150).map(tuple),
    st.lists(
        st.sampled_from(["answer", "answer", "answer", "refused", "invalid", "denied", "long"]), min_size=13, max_size=13
    ).map(tuple),
    st.frozensets(st.integers(0, 20), max_size=5),
    st.sampled_from([0.0, 0.0, 0.5, 3.0]),
    st.sampled_from([0.0, 0.0, 0.3, 2.0]),
    st.one_of(st.just(frozenset[int]()), st.frozensets(st.integers(1, 6), max_size=2)),
    st.sampled_from([10**6, 10**6, 10**6, 1, 2, 5]),
    st.sampled_from([10**6, 10**6, 10**6, 0, 70]),
    TIMES, TIMES, TIMES,
    st.sampled_from(["list", "generator", "async", "queue"]),
    st.sampled_from([1, 5, 200]),
)  # fmt: skip


class Acts(LLMCallStrategy[str]):
    def __init__(self, night: Night) -> None:
        self.night, self.calls = night, 0
        self.answered: list[str] = []
        self.failed: list[str] = []

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        act = self.night.acts[int(prompt)]
        self.calls += 1  # of this item: the copy is its own
        await anyio.sleep(10 if act == "long" else 1)
        match act:
            case "refused" | "denied":
                self.failed.append(prompt)
                raise CallError(act, kind=FaultKind(act), usage=USAGE)
            case "invalid" if self.calls == 1:
                self.failed.append(prompt)
                raise CallError(act, kind=FaultKind.INVALID, usage=USAGE)
        self.answered.append(prompt)
        return "answer", USAGE


@attrs.define
class Morning:
    """What it came to."""

    shown: list[WorkItemResult[Any]] = attrs.field(factory=list)
    unsaved: tuple[WorkItemResult[Any], ...] = ()
    error: JournalError | None = None
    added: int = 0


def journal_of(night: Night) -> MemoryJournal:
    def failing(number: int) -> JournalError | None:
        return JournalError("no") if number in night.failing or number >= night.fails_from else None

    def recall_failing(ids: Any) -> JournalError | None:
        return JournalChangedError("run.db", ["changed"]) if str(night.changed) in ids else None

    return MemoryJournal(
        delay=night.delay,
        recall_delay=night.recall_delay,
        failing=failing,
        recall_failing=recall_failing,
        kept={str(i): attrs.evolve(KEPT, item_id=str(i)) for i in night.kept},
    )


async def spend(night: Night, strategy: Acts, journal: MemoryJournal) -> Morning:  # noqa: C901 - every way to run a batch
    morning = Morning()
    items = [LLMWorkItem(str(i), strategy, str(prompt)) for i, prompt in enumerate(night.prompts)]

    async def source_async() -> Any:
        for item in items:
            yield item
            await anyio.sleep(0.02)

    async def run() -> None:
        try:
            if night.source == "queue":
                for item in items:
                    await processor.add_work(item)
                await processor.process_all()
            else:
                sources = {"list": lambda: items, "generator": lambda: iter(items), "async": source_async}
                async with processor.stream(sources[night.source]()) as results:
                    try:
                        async for result in results:
                            if not is_pending(result):
                                assert journal.kept[result.item_id].output == result.output, "shown before it was kept"
                            morning.shown.append(result)
                    finally:
                        streams.append(results)
        except JournalError as error:
            morning.error = error
            morning.unsaved = getattr(error, "unsaved", ())

    async def drain() -> None:
        await anyio.sleep(night.drained_at)
        processor.drain()

    async def add() -> None:
        await anyio.sleep(night.added_at)
        if processor._engine.running is not None and processor._engine.running.is_open:
            morning.added = 1
            with anyio.move_on_after(0.1):
                await processor.add_work(LLMWorkItem("added", strategy, "0"))

    streams: list[Any] = []
    async with (
        ParallelBatchProcessor(journal=journal, pace=lambda _: FixedPace(night.pace)) as processor,
        anyio.create_task_group() as nursery,
    ):
        nursery.start_soon(drain)
        nursery.start_soon(add)
        with anyio.move_on_after(night.cancelled_at):
            await run()
        nursery.cancel_scope.cancel()
    if night.source == "queue":
        morning.shown = list(processor.batch.results)
    for results in streams:
        morning.shown += results.undelivered
    return morning


@pytest.mark.parametrize("backend", BACKENDS)
@settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(night=NIGHTS)
def test_nothing_that_was_paid_for_is_lost_or_shown_twice(backend, night):
    strategy, journal = Acts(night), journal_of(night)

    async def main() -> Morning:
        with anyio.fail_after(10_000):
            return await spend(night, strategy, journal)

    morning = anyio.run(main, backend=backend, backend_options=BACKENDS[backend]())
    shown = Counter(result.item_id for result in morning.shown)
    unsaved = Counter(result.item_id for result in morning.unsaved)
    accepted = {str(i) for i in range(len(night.prompts))} | ({"added"} if morning.added else set())
    assert max([*(shown + unsaved).values(), 0]) <= 1, "each once, and never shown and unsaved"
    assert set(shown | unsaved) <= accepted
    cancelled = night.cancelled_at < 1e6 and morning.error is None
    failed_in_the_end = journal.tries > len(journal.commits)
    if night.source in {"list", "queue"} and not (cancelled and failed_in_the_end):
        assert set(shown | unsaved) == accepted, "none is lost"
    for result in morning.shown:
        if not is_pending(result):
            assert journal.kept[result.item_id].output == result.output, "it is kept"
            assert journal.kept[result.item_id].error == result.error
    for result in morning.unsaved:
        assert result.attempts or not is_pending(result)
        assert result.item_id not in journal.kept or result.item_id in {str(i) for i in night.kept}
    committed = {name for _, ids in journal.commits for name in ids}
    assert committed <= set(shown), "what was committed is shown"
    paid = Counter(journal.paid) + Counter(result.item_id for result in morning.unsaved for _ in result.attempts)
    if not (cancelled and failed_in_the_end):
        answered, failed = len(strategy.answered), len(strategy.failed)
        assert answered <= paid.total() <= answered + failed, "every answer is kept, or told as unsaved, once"
        assert cancelled or paid.total() == answered + failed  # a fault that comes with a cancellation is dropped
