"""Random failures and cancellations with a journal: paid results are stored or reported as unsaved, and none is shown twice."""

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

from ..search import examples
from .journals import MemoryJournal, is_pending
from .support import USAGE, FixedPace
from .test_random import BACKENDS

KEPT = WorkItemResult("", 0, "KEPT")


@attrs.frozen
class Scenario:
    """The items of a batch, and everything that happens to it; times in seconds."""

    prompts: tuple[int, ...]
    """Prompts of the items; equal ones share a call."""
    acts: tuple[str, ...]
    """The outcome of a prompt's calls, by prompt."""
    kept: frozenset[int]
    """Items whose results the journal has from the beginning."""
    delay: float
    recall_delay: float
    failing: frozenset[int]
    """Numbers of commits that fail."""
    fails_from: int
    """Number of the commit from which on all fail."""
    changed: int
    """The item that has changed since the journal was written."""
    cancelled_at: float
    drained_at: float
    added_at: float
    source: str
    pace: int


TIMES = st.one_of(st.just(1e6), st.integers(0, 60).map(lambda tenth: tenth / 10 + 0.003), st.integers(0, 6).map(float))
SCENARIOS = st.builds(
    Scenario,
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
    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.calls = scenario, 0
        self.answered: list[str] = []
        self.failed: list[str] = []

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        act = self.scenario.acts[int(prompt)]
        self.calls += 1  # of this item: each has its own copy
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
class Outcome:
    """What the batch returned and raised."""

    shown: list[WorkItemResult[Any]] = attrs.field(factory=list)
    unsaved: tuple[WorkItemResult[Any], ...] = ()
    error: JournalError | None = None
    added: int = 0
    begun: bool = False


def journal_of(scenario: Scenario) -> MemoryJournal:
    def failing(number: int) -> JournalError | None:
        return JournalError("no") if number in scenario.failing or number >= scenario.fails_from else None

    def recall_failing(ids: Any) -> JournalError | None:
        return JournalChangedError("run.db", ["changed"]) if str(scenario.changed) in ids else None

    return MemoryJournal(
        delay=scenario.delay,
        recall_delay=scenario.recall_delay,
        failing=failing,
        recall_failing=recall_failing,
        kept={str(i): attrs.evolve(KEPT, item_id=str(i)) for i in scenario.kept},
    )


async def run_scenario(scenario: Scenario, strategy: Acts, journal: MemoryJournal) -> Outcome:  # noqa: C901 - all ways to run a batch
    outcome = Outcome()
    items = [LLMWorkItem(str(i), strategy, str(prompt)) for i, prompt in enumerate(scenario.prompts)]

    async def source_async() -> Any:
        for item in items:
            yield item
            await anyio.sleep(0.02)

    async def run() -> None:
        try:
            if scenario.source == "queue":
                for item in items:
                    await processor.add_work(item)
                outcome.begun = True
                await processor.process_all()
            else:
                sources = {"list": lambda: items, "generator": lambda: iter(items), "async": source_async}
                async with processor.stream(sources[scenario.source]()) as results:
                    outcome.begun = True
                    try:
                        async for result in results:
                            if not is_pending(result):
                                assert journal.kept[result.item_id].output == result.output, (
                                    "shown before it was stored"
                                )
                            outcome.shown.append(result)
                    finally:
                        streams.append(results)
        except JournalError as error:
            outcome.error = error
            outcome.unsaved = getattr(error, "unsaved", ())

    async def drain() -> None:
        await anyio.sleep(scenario.drained_at)
        processor.drain()

    async def add() -> None:
        await anyio.sleep(scenario.added_at)
        if processor._running is not None and processor._running.is_open:
            outcome.added = 1
            with anyio.move_on_after(0.1):
                await processor.add_work(LLMWorkItem("added", strategy, "0"))

    streams: list[Any] = []
    async with (
        ParallelBatchProcessor(journal=journal, pace=lambda _: FixedPace(scenario.pace)) as processor,
        anyio.create_task_group() as nursery,
    ):
        nursery.start_soon(drain)
        nursery.start_soon(add)
        with anyio.move_on_after(scenario.cancelled_at):
            await run()
        nursery.cancel_scope.cancel()
    if scenario.source == "queue":
        outcome.shown = list(processor.batch.results)
    for results in streams:
        outcome.shown += results.undelivered
    return outcome


@pytest.mark.parametrize("backend", BACKENDS)
@settings(
    deadline=None, max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(scenario=SCENARIOS)
def test_nothing_that_was_paid_for_is_lost_or_shown_twice(backend, scenario):
    strategy, journal = Acts(scenario), journal_of(scenario)

    async def main() -> Outcome:
        with anyio.fail_after(10_000):
            return await run_scenario(scenario, strategy, journal)

    outcome = anyio.run(main, backend=backend, backend_options=BACKENDS[backend]())
    shown = Counter(result.item_id for result in outcome.shown)
    unsaved = Counter(result.item_id for result in outcome.unsaved)
    accepted = {str(i) for i in range(len(scenario.prompts))} | ({"added"} if outcome.added else set())
    assert max([*(shown + unsaved).values(), 0]) <= 1, "each once, and never both shown and unsaved"
    assert set(shown | unsaved) <= accepted
    cancelled = scenario.cancelled_at < 1e6 and outcome.error is None
    failed_in_the_end = journal.tries > len(journal.commits)
    if outcome.begun and scenario.source in {"list", "queue"} and not (cancelled and failed_in_the_end):
        assert set(shown | unsaved) == accepted, "no item is lost"
    for result in outcome.shown:
        if not is_pending(result):
            assert journal.kept[result.item_id].output == result.output, "it is stored"
            assert journal.kept[result.item_id].error == result.error
    for result in outcome.unsaved:
        assert result.attempts or not is_pending(result)
        assert result.item_id not in journal.kept or result.item_id in {str(i) for i in scenario.kept}
    committed = {name for _, ids in journal.commits for name in ids}
    assert committed <= set(shown), "what was committed is shown"
    paid = Counter(journal.paid) + Counter(result.item_id for result in outcome.unsaved for _ in result.attempts)
    if not (cancelled and failed_in_the_end):
        answered, failed = len(strategy.answered), len(strategy.failed)
        assert answered <= paid.total() <= answered + failed, "every answer is stored, or reported as unsaved, once"
        assert cancelled or paid.total() == answered + failed  # a fault during a cancellation is dropped
