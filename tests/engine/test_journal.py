"""A batch with a journal: results are committed before they are shown, stored ones are not called for, and none is lost when it fails."""

from __future__ import annotations

import asyncio
import math

import anyio
import attrs
import pytest

from paceline import (
    CallError,
    FaultKind,
    LLMWorkItem,
    ParallelBatchProcessor,
    WorkItemResult,
    open_stream,
    process_prompts,
)
from paceline._core.fault import Fault
from paceline._core.pace import PaceChange, PaceKnowledge
from paceline.abc import BaseObserver, Middleware
from paceline.exceptions import ConfigurationError, JournalChangedError, JournalError, UnsavedError
from paceline.observers import ProcessingEvent

from .journals import MemoryJournal, at_commit, from_commit, is_pending
from .support import USAGE, Echo, FixedPace, Scripted, add_all
from .test_embedding import run_on_asyncio

pytestmark = pytest.mark.anyio

PROMPTS = [f"p{i}" for i in range(60)]


def wide(_known=None):
    return FixedPace(100)


def narrow(_known=None):
    return FixedPace(10)


async def slowly(prompts, gap=1.0, end=0.0):
    for prompt in prompts:
        yield prompt
        await anyio.sleep(gap)
    await anyio.sleep(end)


# ------------------------------------------------------------------------------------------------ commits before results


async def test_a_result_is_handed_over_only_once_it_is_committed():
    journal = MemoryJournal(delay=3)
    async with open_stream(Echo(), PROMPTS, journal=journal, pace=narrow) as results:
        async for result in results:
            assert journal.kept[result.item_id] == result
    assert len(journal.kept) == len(PROMPTS)


async def test_an_item_is_registered_in_the_journal_before_its_call():
    journal = MemoryJournal(recall_delay=1)

    class ChecksJournal(Echo):
        async def execute(self, prompt, attempt, timeout):
            assert len(journal.registered) > int(prompt)
            return await super().execute(prompt, attempt, timeout)

    assert (await process_prompts(ChecksJournal(), map(str, range(200)), journal=journal, pace=wide)).succeeded == 200


async def test_results_that_come_close_together_are_committed_together():
    journal = MemoryJournal()
    strategies = [Echo(seconds=1 + i / 10_000) for i in range(100)]  # ten per millisecond
    async with ParallelBatchProcessor(journal=journal, pace=wide) as processor:
        for i, strategy in enumerate(strategies):
            await processor.add_work(LLMWorkItem(str(i), strategy, str(i)))
        assert (await processor.process_all()).succeeded == 100
    assert len(journal.commits) <= 4


async def test_a_single_result_does_not_wait_for_others():
    journal, times, started_at = MemoryJournal(), {}, anyio.current_time()
    async with open_stream(Echo(), slowly("abc", 5), journal=journal, pace=wide) as results:
        async for result in results:
            times[result.item_id] = anyio.current_time() - started_at
    assert list(times.values()) == pytest.approx([1, 6, 11], abs=0.005)


async def test_two_results_in_a_row_wait_a_few_milliseconds_at_most():
    journal, delays, started_at = MemoryJournal(), [], anyio.current_time()
    strategies = [Echo(seconds=1 + i / 1_000) for i in range(50)]
    items = [LLMWorkItem(str(i), strategy, str(i)) for i, strategy in enumerate(strategies)]
    async with (
        ParallelBatchProcessor(journal=journal, pace=wide) as processor,
        processor.stream(items) as results,
    ):
        async for result in results:
            ended = result.attempts[-1].started + result.attempts[-1].seconds + started_at
            delays.append(anyio.current_time() - ended)
    assert max(delays) <= 0.0051


async def test_where_the_journal_is_slower_than_the_calls_a_bounded_number_of_results_waits_for_it():
    journal, most = MemoryJournal(delay=20), 0

    class Counts(Echo):
        async def execute(self, prompt, attempt, timeout):
            nonlocal most
            most = max(most, self.board.calls.total() - len(journal.kept))
            return await super().execute(prompt, attempt, timeout)

    strategy = Counts(0.05)
    batch = await process_prompts(strategy, map(str, range(4_000)), journal=journal, pace=wide)
    assert (batch.succeeded, strategy.board.calls.total(), len(journal.kept)) == (4_000, 4_000, 4_000)
    assert 1_024 <= most <= 1_024 + 100 + 100  # plus those in flight, and those being handed over
    assert len(journal.commits) < 12
    assert batch.seconds < 20 * 12, "calls continue as soon as there is room"


async def test_the_journal_is_opened_once_and_closed_however_the_processor_is_left():
    journal = MemoryJournal(delay=1)
    with anyio.move_on_after(1.5):
        await process_prompts(Echo(), PROMPTS, journal=journal, pace=wide)
    assert journal.life == ["open", "close"]


async def test_a_journal_that_cannot_be_opened_is_not_closed():
    class Broken(MemoryJournal):
        async def open(self, *, share=True):
            raise JournalError("it is in use")

    journal = Broken()
    with pytest.raises(JournalError, match="in use"):
        await process_prompts(Echo(), PROMPTS, journal=journal)
    assert journal.life == []


@pytest.mark.parametrize("journal", [3, object(), Echo()])
def test_a_value_that_is_not_a_journal_is_rejected(journal):
    with pytest.raises(ConfigurationError, match="journal must be a path"):
        ParallelBatchProcessor(journal=journal)


# ------------------------------------------------------------------------------------------------ recalled results


async def test_a_stored_result_needs_no_call():
    journal, strategy = MemoryJournal(), Echo()
    first = await process_prompts(strategy, PROMPTS, journal=journal, pace=wide)
    again = await process_prompts(strategy, PROMPTS, journal=journal, pace=wide)
    assert strategy.board.calls.total() == len(PROMPTS)
    assert {r.item_id: r.output for r in again.results} == {r.item_id: r.output for r in first.results}
    assert sorted(r.index for r in again.results) == list(range(len(PROMPTS)))
    assert (first.recalled, again.recalled) == (0, len(PROMPTS))
    assert len(journal.paid) == len(PROMPTS)


async def test_the_accounting_has_only_calls_that_were_made():
    kept = {"0": WorkItemResult("0", 7, "KEPT", usage=USAGE, refusals=3)}
    batch = await process_prompts(Echo(), ["a", "b"], journal=MemoryJournal(kept=kept), pace=wide)
    assert (batch.usage, batch.recalled, batch.succeeded) == (USAGE, 1, 2)
    assert [use.calls for use in batch.models] == [1]
    recalled = next(r for r in batch.results if r.item_id == "0")
    assert (recalled.output, recalled.usage, recalled.index) == ("KEPT", USAGE, 0)


async def test_a_recalled_item_has_the_context_of_the_current_run():
    async with ParallelBatchProcessor(
        journal=MemoryJournal(kept={"a": WorkItemResult("a", 0, "A", context="earlier")})
    ) as processor:
        await processor.add_work(LLMWorkItem("a", Echo(), "a", context="current"))
        assert (await processor.process_all()).results[0].context == "current"


async def test_observers_receive_recalled_items():
    recalled_events = []

    class Records(BaseObserver):
        async def on_event(self, event, data):
            if event is ProcessingEvent.ITEM_RECALLED:
                recalled_events.append((data["item_id"], data["kind"]))
            assert event is not ProcessingEvent.ITEM_STARTED

    kept = {
        "0": WorkItemResult("0", 0, "A"),
        "1": WorkItemResult("1", 0, None, Fault(FaultKind.REFUSED, "no")),
    }
    batch = await process_prompts(Echo(), ["a", "b"], journal=MemoryJournal(kept=kept), observers=[Records()])
    assert sorted(recalled_events) == [("0", None), ("1", FaultKind.REFUSED)]
    assert (batch.succeeded, batch.failures) == (1, {FaultKind.REFUSED: 1})


async def test_two_batches_of_one_processor_share_its_journal():
    journal, strategy = MemoryJournal(), Echo()
    async with ParallelBatchProcessor(journal=journal, pace=wide) as processor:
        await add_all(processor, strategy, list("ab"))
        await processor.process_all()
        await add_all(processor, strategy, list("abc"))
        batch = await processor.process_all()
        assert processor.statistics().recalled == 2
    assert (batch.recalled, batch.succeeded, strategy.board.calls.total()) == (2, 3, 3)
    assert journal.life == ["open", "close"]


async def test_the_journal_stores_the_attempts_of_a_pending_item_but_no_result():
    journal = MemoryJournal()
    strategy = Scripted({"a": [CallError("bad", kind=FaultKind.INVALID, usage=USAGE)]})
    async with ParallelBatchProcessor(journal=journal, pace=wide) as processor:
        await add_all(processor, strategy, list("ab"))
        with anyio.move_on_after(1.5):
            await processor.process_all()
        await add_all(processor, strategy, list("ab"))
        assert (await processor.process_all()).succeeded == 2
    assert sorted(journal.paid) == ["a", "a", "b"]
    assert all(journal.kept[name].success for name in "ab")


KNOWN = PaceKnowledge(limit=7, rate=5.0, token_rate=math.inf, latency=1.0, learned=0.0)


async def test_knowledge_of_the_pace_is_read_from_the_journal_and_written_to_it():
    journal, given = MemoryJournal(knowledge={"echo": KNOWN, "other": KNOWN}), []

    def pace(knowledge):
        given.append(knowledge.limit)
        return FixedPace(5)

    await process_prompts(Echo(), ["a"], journal=journal, pace=pace)
    assert given == [7]
    assert journal.knowledge["other"] == KNOWN


async def test_given_knowledge_takes_precedence_over_the_journals():
    given = []

    def pace(knowledge):
        given.append(knowledge.limit)
        return FixedPace(5)

    journal = MemoryJournal(knowledge={"echo": KNOWN})
    ours = {"echo": attrs.evolve(KNOWN, limit=9)}
    await process_prompts(Echo(), ["a"], journal=journal, pace=pace, knowledge=ours)
    assert given == [9]


async def test_changes_of_the_pace_are_recorded_once_in_seconds_since_the_batch_started():
    class Moves(FixedPace):
        @property
        def history(self):
            now = anyio.current_time()
            return [
                PaceChange(started_at + second, 1.0, 2.0, "more") for second in range(30) if started_at + second <= now
            ]

    await anyio.sleep(7)
    started_at = anyio.current_time()
    journal = MemoryJournal()
    await process_prompts(Echo(), slowly("abcde", 5), journal=journal, pace=lambda _: Moves(5))
    assert [change.time for _, change in journal.changes] == pytest.approx(list(range(26)))
    assert {quota for quota, _ in journal.changes} == {"echo"}


async def test_the_pace_is_recorded_every_ten_seconds_and_at_the_end():
    times = []

    class Counts(MemoryJournal):
        async def note(self, changes, knowledge):
            times.append(anyio.current_time() - started_at)

    started_at = anyio.current_time()
    await process_prompts(Echo(), slowly(map(str, range(45))), journal=Counts(), pace=wide)
    assert times == pytest.approx([10, 20, 30, 40, 45], abs=1.1)


async def test_knowledge_is_recorded_even_if_the_batch_was_cancelled():
    class Slow(MemoryJournal):
        async def note(self, changes, knowledge):
            await anyio.sleep(1)
            await super().note(changes, {"registered": KNOWN})

    journal = Slow()
    with anyio.move_on_after(0.5):
        await process_prompts(Echo(), ["a"], journal=journal)
    assert "registered" in journal.knowledge


async def test_a_failure_to_record_the_pace_harms_no_item():
    class Forgetful(MemoryJournal):
        async def note(self, changes, knowledge):
            raise JournalError("the disk is full")

    assert (await process_prompts(Echo(), ["a", "b"], journal=Forgetful())).succeeded == 2


# ------------------------------------------------------------------------------------------------ failures of the journal


def assert_accounted_for(error, ids):
    """Assert that each item is either in the batch or among the unsaved, exactly once."""
    shown = [result.item_id for result in error.batch.results]
    unsaved = [result.item_id for result in error.unsaved]
    assert sorted(shown + unsaved) == sorted(ids)


@pytest.mark.parametrize("delay", [0.0, 0.5, 7.0])
async def test_when_the_journal_fails_no_more_calls_start_and_every_item_is_accounted_for(delay):
    journal, strategy = MemoryJournal(delay=delay, failing=from_commit(3)), Echo()
    with pytest.raises(UnsavedError, match="the disk is full; ") as raised:
        await process_prompts(strategy, [str(i) for i in range(300)], journal=journal, pace=narrow)
    assert_accounted_for(raised.value, map(str, range(300)))
    assert strategy.board.calls.total() <= 40 + 30 * delay
    assert journal.tries == 4, "waiting results are tried once more"
    assert all(result.success for result in raised.value.unsaved)
    assert {r.item_id for r in raised.value.batch.results if r.success} == set(journal.kept)
    assert strategy.board.calls.total() == len(journal.kept) + len(raised.value.unsaved)


async def test_every_item_of_a_list_has_a_result_or_is_unsaved_when_the_journal_fails_late():
    journal, strategy = MemoryJournal(delay=30, failing=from_commit(1)), Echo(0.01)
    ids = [str(i) for i in range(3_000)]
    with pytest.raises(UnsavedError) as raised:
        await process_prompts(strategy, ids, journal=journal, pace=wide)
    assert_accounted_for(raised.value, ids)
    assert len(raised.value.unsaved) == strategy.board.calls.total() >= 1_024
    assert raised.value.batch.seconds < 2 * 30 + 5, "the rest is settled at once"


async def test_calls_in_flight_finish_when_the_journal_fails():
    journal = MemoryJournal(failing=from_commit(1))
    slow, quick = Echo(50, "slow"), Echo(1, "quick")
    async with ParallelBatchProcessor(journal=journal, pace=wide) as processor:
        await processor.add_work(LLMWorkItem("slow", slow, "slow"))
        await processor.add_work(LLMWorkItem("quick", quick, "quick"))
        with pytest.raises(UnsavedError) as raised:
            await processor.process_all()
    assert {result.output for result in raised.value.unsaved} == {"SLOW", "QUICK"}


async def test_a_journal_that_recovers_loses_nothing_but_the_batch_is_stopped():
    journal, strategy = MemoryJournal(failing=at_commit(2)), Echo()
    with pytest.raises(UnsavedError, match="a hiccup; 0 results could not be saved") as raised:
        await process_prompts(strategy, PROMPTS, journal=journal, pace=narrow)
    assert_accounted_for(raised.value, [str(i) for i in range(len(PROMPTS))])
    assert raised.value.unsaved == ()
    assert len(journal.kept) == strategy.board.calls.total() <= 30
    assert set(raised.value.batch.failures) == {FaultKind.PENDING}
    assert "a hiccup" in raised.value.batch.stopped.message


async def test_the_rest_of_a_list_is_settled_as_soon_as_the_journal_has_recovered():
    ids = [str(i) for i in range(3_000)]
    with pytest.raises(UnsavedError, match="0 results could not be saved") as raised:
        await process_prompts(Echo(), ids, journal=MemoryJournal(delay=7, failing=at_commit(1)), pace=wide)
    assert_accounted_for(raised.value, ids)
    assert raised.value.batch.succeeded > 512
    assert raised.value.batch.seconds < 30


async def test_any_exception_of_a_journal_is_a_failure_of_the_journal():
    journal = MemoryJournal(failing=lambda _: LookupError("what?"))
    with pytest.raises(UnsavedError, match="the journal failed: LookupError: what"):
        await process_prompts(Echo(), ["a", "b"], journal=journal)


@pytest.mark.parametrize("invalid", [[], [None], [1, 2], None, [None] * 3])
async def test_an_invalid_answer_of_recall_is_a_failure_of_the_journal(invalid):
    class Invalid(MemoryJournal):
        async def recall(self, items):
            return invalid

    strategy = Echo()
    with pytest.raises(UnsavedError, match="the journal failed: ") as raised:
        await process_prompts(strategy, ["a", "b"], journal=Invalid())
    assert raised.value.batch.failures == {FaultKind.PENDING: 2}
    assert strategy.board.calls.total() == 0


async def test_a_journal_that_cannot_recall_stops_the_batch():
    journal = MemoryJournal(recall_failing=lambda ids: JournalError("broken") if "100" in ids else None)
    strategy = Echo()
    with pytest.raises(UnsavedError, match="broken; 0 results") as raised:
        await process_prompts(strategy, map(str, range(300)), journal=journal, pace=wide)
    assert len(journal.kept) == raised.value.batch.succeeded == strategy.board.calls.total() <= 64


async def test_a_changed_item_stops_the_batch_and_results_of_earlier_calls_are_stored():
    def changed(ids):
        return JournalChangedError("run.db", ["the prompt of '100' has changed"]) if "100" in ids else None

    journal, strategy = MemoryJournal(recall_failing=changed), Echo()
    async with ParallelBatchProcessor(journal=journal, pace=wide) as processor:
        await add_all(processor, strategy, [str(i) for i in range(300)])
        with pytest.raises(JournalChangedError, match="the prompt of '100' has changed"):
            await processor.process_all()
        assert processor.batch.total_items == 300
    assert len(journal.kept) == processor.batch.succeeded == strategy.board.calls.total() <= 64


async def test_a_changed_item_is_reported_even_if_commits_fail_too():
    journal = MemoryJournal(
        recall_failing=lambda ids: JournalChangedError("run.db", ["changed"]) if "20" in ids else None,
        recall_delay=0.5,  # the first calls are in flight when the second recall fails
        failing=from_commit(1),
    )
    with pytest.raises(UnsavedError, match=r"changed; \d+ results could not be saved: '"):
        await process_prompts(Echo(), map(str, range(300)), journal=journal, pace=wide)


async def test_a_source_is_recalled_in_parts_that_grow_so_that_the_first_calls_need_not_wait():
    parts: list[int] = []
    journal = MemoryJournal(recall_failing=lambda ids: parts.append(len(ids)))
    batch = await process_prompts(Echo(), (str(i) for i in range(2_000)), journal=journal, pace=wide)
    assert batch.succeeded == 2_000
    assert parts[0] <= 16
    assert all(later <= sum(parts[:number]) for number, later in enumerate(parts) if number)
    assert max(parts) == 256


async def test_unsaved_results_come_at_the_end_of_a_stream():
    journal = MemoryJournal(failing=from_commit(2))
    shown = []

    async def consume():
        async with open_stream(Echo(), PROMPTS, journal=journal, pace=narrow) as results:
            async for result in results:
                shown.append(result.item_id)  # noqa: PERF401 - needed after it raises

    with pytest.raises(UnsavedError) as raised:
        await consume()
    unsaved = [result.item_id for result in raised.value.unsaved]
    assert sorted(shown + unsaved) == sorted(map(str, range(len(PROMPTS))))
    assert set(shown) >= set(journal.kept)
    assert not set(unsaved) & set(journal.kept)


async def test_unsaved_results_of_a_cancelled_batch_are_named_in_the_log(caplog):
    journal = MemoryJournal(delay=3, failing=from_commit(1))
    with anyio.move_on_after(1.5):
        await process_prompts(Echo(), slowly(["a", "b"], 0.1, 100), journal=journal, pace=narrow)
    assert "2 results could not be saved: '0', '1'" in caplog.text


# ------------------------------------------------------------------------------------------------ awkward moments


async def test_a_source_that_ends_after_the_last_result_ends_the_batch():
    assert (await process_prompts(Echo(), slowly("ab", 1, 50), journal=MemoryJournal(), pace=wide)).succeeded == 2


@pytest.mark.parametrize("source", [[], iter(()), slowly([])])
async def test_a_source_without_work_is_a_batch_without_results(source):
    assert (await process_prompts(Echo(), source, journal=MemoryJournal())).total_items == 0


async def test_a_drain_while_items_are_recalled_leaves_none_behind():
    journal, strategy = MemoryJournal(recall_delay=2), Echo()
    async with open_stream(strategy, (str(i) for i in range(500)), journal=journal, pace=wide) as results:
        await anyio.sleep(1)
        results.drain()
        assert {r.error.kind async for r in results} == {FaultKind.PENDING}
    assert strategy.board.calls.total() == 0


async def test_items_may_be_added_while_the_batch_runs():
    journal = MemoryJournal(recall_delay=0.5)
    async with ParallelBatchProcessor(journal=journal, pace=wide) as processor:

        class Adds(Echo):
            async def execute(self, prompt, attempt, timeout):
                if len(prompt) < 4:
                    await add_all(processor, self, [prompt + "x"])
                return await super().execute(prompt, attempt, timeout)

        await add_all(processor, Adds(), ["a"])
        assert (await processor.process_all()).succeeded == 4
    assert sorted(journal.kept) == ["a", "ax", "axx", "axxx"]


async def test_an_item_is_called_even_if_adding_it_was_cancelled():
    journal = MemoryJournal(recall_delay=0.5)
    async with ParallelBatchProcessor(journal=journal, pace=wide) as processor, anyio.create_task_group() as nursery:

        async def add():
            await anyio.sleep(1)
            with anyio.move_on_after(0.1):
                await add_all(processor, Echo(), ["b"])

        await add_all(processor, Echo(), ["a"])
        nursery.start_soon(add)
        assert (await processor.process_all()).succeeded == 2


@pytest.mark.parametrize("kept", [{}, {"b": WorkItemResult("b", 0, "B")}])
async def test_an_item_that_was_being_added_when_the_batch_was_cancelled_is_recalled_or_pending_and_may_be_added_again(
    kept,
):
    journal = MemoryJournal(recall_delay=0.5, kept=kept)
    async with ParallelBatchProcessor(journal=journal, pace=wide) as processor:
        async with anyio.create_task_group() as nursery:

            async def add():
                await anyio.sleep(1)
                await add_all(processor, Echo(), ["b"])

            await add_all(processor, Echo(), ["a"])
            nursery.start_soon(add)
            with anyio.move_on_after(1.2):
                await processor.process_all()
            assert processor.batch.failures == {FaultKind.PENDING: 2 - len(kept)}
        await add_all(processor, Echo(), ["b"])
        assert (await processor.process_all()).succeeded == 1


async def test_a_middleware_sees_a_result_before_the_journal_does():
    class Stamps(Middleware):
        async def after_process(self, result):
            return attrs.evolve(result, output=f"{result.output}!")

    journal = MemoryJournal()
    await process_prompts(Echo(), ["a"], journal=journal, middlewares=[Stamps()])
    assert journal.kept["0"].output == "A!"


def test_a_last_commit_that_asyncio_cancels_again_and_again_is_finished():
    async def main():
        async with ParallelBatchProcessor(journal=journal, pace=wide) as processor:
            await add_all(processor, Echo(1), ["a"])
            await add_all(processor, Echo(1.5), ["b"])
            await add_all(processor, Echo(5), ["c"])
            task = asyncio.create_task(processor.process_all())
            for seconds in (2, 10, 0.5):  # while `a` is committed, then twice while `b` is
                await asyncio.sleep(seconds)
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return processor.batch

    journal = MemoryJournal(delay=10)
    batch = run_on_asyncio(main)
    assert {result.item_id: result.output for result in batch.results} == {"a": "A", "b": "B", "c": None}
    assert list(journal.kept) == ["a", "b"]


# ------------------------------------------------------------------------------------------------ shared calls


async def test_items_with_the_same_prompt_share_one_call():
    journal, strategy = MemoryJournal(), Echo()
    batch = await process_prompts(strategy, ["same"] * 5 + ["other"], journal=journal, pace=wide)
    assert strategy.board.calls == {"same": 1, "other": 1}
    assert (batch.succeeded, batch.recalled, batch.usage) == (6, 4, USAGE + USAGE)
    assert len(journal.kept) == 6, "each result is stored"
    assert sorted(r.index for r in batch.results) == list(range(6))
    assert sum(len(r.attempts) for r in batch.results) == 2


async def test_items_with_the_same_prompt_have_calls_of_their_own_without_deduplication():
    strategy = Echo()
    batch = await process_prompts(strategy, ["same"] * 5, journal=MemoryJournal(dedupe=False), pace=wide)
    assert (strategy.board.calls.total(), batch.recalled) == (5, 0)


class FromContext(Middleware):
    """Makes the prompt from the item's context."""

    async def before_process(self, work_item):
        return attrs.evolve(work_item, prompt=f"{work_item.prompt} {work_item.context}")


async def test_items_whose_prompts_a_middleware_may_change_have_calls_of_their_own():
    strategy = Echo()
    async with ParallelBatchProcessor(journal=MemoryJournal(), middlewares=[FromContext()]) as processor:
        for word in ("one", "two"):
            await processor.add_work(LLMWorkItem(item_id=word, strategy=strategy, prompt="same", context=word))
        batch = await processor.process_all()
    assert {result.item_id: result.output for result in batch.results} == {"one": "SAME ONE", "two": "SAME TWO"}
    assert batch.recalled == 0


async def test_an_item_that_joins_a_call_in_flight_shares_it():
    strategy = Echo(5)
    batch = await process_prompts(strategy, slowly(["same"] * 3), journal=MemoryJournal(delay=5), pace=wide)
    assert (strategy.board.calls.total(), batch.succeeded, batch.recalled) == (1, 3, 2)


async def test_followers_are_committed_before_they_are_shown():
    journal = MemoryJournal(delay=2)
    async with open_stream(Echo(), ["same"] * 3, journal=journal, pace=wide) as results:
        async for result in results:
            assert result.item_id in journal.kept


async def test_a_failure_is_shared_like_a_result():
    strategy = Scripted({"same": [CallError("no", kind=FaultKind.REFUSED)]})
    journal = MemoryJournal()
    batch = await process_prompts(strategy, ["same"] * 3, journal=journal, pace=wide)
    assert (batch.failures, strategy.board.calls.total(), batch.recalled) == ({FaultKind.REFUSED: 3}, 1, 2)
    assert len(journal.kept) == 3


async def test_followers_of_an_unreached_leader_are_pending_and_not_recalled():
    strategy = Echo()
    async with open_stream(
        strategy, ["same"] * 3, journal=MemoryJournal(), pace=lambda _: FixedPace(1, 100)
    ) as results:
        await anyio.sleep(1)
        results.drain()
        assert [is_pending(r) async for r in results] == [True] * 3
        assert (results.batch.recalled, results.batch.failures) == (0, {FaultKind.PENDING: 3})
    assert strategy.board.calls.total() == 0


async def test_followers_of_a_call_in_flight_have_its_result_after_a_drain():
    journal = MemoryJournal()
    async with open_stream(Echo(5), ["same"] * 3, journal=journal, pace=wide) as results:
        await anyio.sleep(1)
        results.drain()
        assert [r.output async for r in results] == ["SAME"] * 3
    assert len(journal.kept) == 3


@pytest.mark.parametrize("delay", [0.0, 5.0])
async def test_followers_of_an_unsaved_leader_are_pending(delay):
    journal = MemoryJournal(delay=delay, failing=from_commit(1))
    with pytest.raises(UnsavedError) as raised:
        await process_prompts(Echo(), ["same"] * 3, journal=journal, pace=wide)
    assert [result.item_id for result in raised.value.unsaved] == ["0"]
    assert raised.value.batch.failures == {FaultKind.PENDING: 2}


async def test_a_follower_of_an_unsaved_leader_does_not_block_the_batch():
    journal = MemoryJournal(recall_delay=2, failing=from_commit(1))
    with pytest.raises(UnsavedError) as raised:
        await process_prompts(Echo(), slowly(["same"] * 2, 0.1), journal=journal, pace=wide)
    assert [result.item_id for result in raised.value.unsaved] == ["0"]
    assert raised.value.batch.failures == {FaultKind.PENDING: 1}


async def test_followers_are_stored_even_if_the_journal_has_failed_once():
    journal = MemoryJournal(failing=at_commit(1))
    with pytest.raises(UnsavedError, match="0 results") as raised:
        await process_prompts(Echo(), ["same"] * 3, journal=journal, pace=wide)
    assert raised.value.batch.succeeded == len(journal.kept) == 3


async def test_followers_of_a_cancelled_call_are_pending_with_it():
    async with ParallelBatchProcessor(journal=MemoryJournal(), pace=wide) as processor:
        for name in "abc":
            await processor.add_work(LLMWorkItem(name, Echo(5), "same"))
        with anyio.move_on_after(1):
            await processor.process_all()
    assert processor.batch.failures == {FaultKind.PENDING: 3}


async def test_a_leader_that_is_committed_while_the_batch_is_cancelled_is_shown():
    journal = MemoryJournal(delay=5)
    async with ParallelBatchProcessor(journal=journal, pace=wide) as processor:
        for name in "abc":
            await processor.add_work(LLMWorkItem(name, Echo(), "same"))
        with anyio.move_on_after(3):
            await processor.process_all()
    shown = {r.item_id: r.output for r in processor.batch.results}
    assert shown["a"] == "SAME" == journal.kept["a"].output
    assert all((output is not None) == (name in journal.kept) for name, output in shown.items())
