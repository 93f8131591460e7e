"""Single calls of a pool: their timeouts, cancellations, contexts, faults and journal; on both backends, in virtual time."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import anyio
import attrs
import pytest

from paceline import CallError, FaultKind, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, RetryPolicy, open_pool
from paceline.abc import Middleware
from paceline.exceptions import (
    Busy,
    ConfigurationError,
    InvalidWorkItemError,
    JournalChangedError,
    JournalError,
    MisuseError,
    UnsavedError,
)
from paceline.testing import run_in_virtual_time
from paceline.typing import Backoff

from .journals import MemoryJournal, at_commit, from_commit
from .support import Echo, FixedPace, Scripted, Status

pytestmark = pytest.mark.anyio

NAME: ContextVar[str] = ContextVar("NAME", default="none")


def wide(_known):
    return FixedPace(1_000)


def narrow(_known):
    return FixedPace(1)


class Prepared(Echo):
    """Takes a while to prepare, and fails to as often as its script says."""

    def __init__(self, prepare_seconds: float = 1.0, failures: tuple[BaseException, ...] = ()) -> None:
        super().__init__()
        self.prepare_seconds, self.failures = prepare_seconds, list(failures)
        self.log: list[str] = []

    async def prepare(self) -> None:
        self.log.append("prepare")
        await anyio.sleep(self.prepare_seconds)
        if self.failures:
            raise self.failures.pop(0)

    async def cleanup(self) -> None:
        self.log.append("cleanup")


async def timed(call: Any) -> tuple[Any, float]:
    start = anyio.current_time()
    result = await call
    return result, anyio.current_time() - start


def is_quiet(pool: Any) -> bool:
    """Whether nothing of a pool waits or is in flight."""
    figures = pool.statistics()
    return figures.waiting == figures.in_flight == 0 and all(lane.in_flight == 0 for lane in figures.lanes.values())


# ---------------------------------------------------------------------------------------------- timeouts


async def test_a_timeout_counts_from_submission_wherever_the_call_is():
    retry = RetryPolicy(max_attempts=99, backoff=Backoff(base=2.0, longest=2.0))
    async with open_pool(ProcessorConfig(retry=retry), pace=lambda _: FixedPace(1)) as pool:
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(pool.call, Echo(50.0), "first")
            await anyio.sleep(1)
            for act in (
                pool.call(Echo(), "waits for its turn", timeout=5),
                pool.call(Echo(50.0, "slow"), "is in flight", timeout=5),
                pool.call(Prepared(60.0), "is prepared", timeout=5),
                pool.call(Scripted({"x": [Status(503)] * 99}, 0.1, "again"), "x", timeout=5),
            ):
                result, seconds = await timed(act)
                assert result.error.kind is FaultKind.TIMEOUT
                assert seconds == pytest.approx(5.0, abs=0.01) or "again" in str(result)
                assert seconds <= 5.01
        assert is_quiet(pool)


async def test_a_timeout_passes_while_a_middleware_holds_the_call():
    class Slow(Middleware):
        async def before_process(self, work_item):
            await anyio.sleep(8.0)

    async with open_pool(middlewares=[Slow()]) as pool:
        strategy = Echo()
        result, seconds = await timed(pool.call(strategy, "a", timeout=5))
        assert result.error.kind is FaultKind.TIMEOUT
        assert seconds == pytest.approx(8.0)
        assert not strategy.board.calls


async def test_a_call_shares_the_answer_of_an_equal_one_but_not_its_timeout():
    strategy, results = Echo(30.0), {}

    async def call(timeout: float | None) -> None:
        results[timeout] = await timed(pool.call(strategy, "same", timeout=timeout))

    async with open_pool(journal=MemoryJournal()) as pool:
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(call, 5)
            await anyio.sleep(0.1)
            nursery.start_soon(call, None)
            await anyio.sleep(0.1)
            nursery.start_soon(call, 10)
        assert is_quiet(pool)
    kinds = {timeout: result.error and result.error.kind for timeout, (result, _) in results.items()}
    assert kinds == {5: FaultKind.TIMEOUT, 10: FaultKind.TIMEOUT, None: None}
    assert results[5][1] == pytest.approx(5.0, abs=0.1)
    assert results[10][1] == pytest.approx(10.0, abs=0.1)
    assert strategy.board.calls["same"] == 2  # the first was cancelled at its timeout


@pytest.mark.parametrize("timeout", [0, 0.0, -1, float("nan"), "5"])
async def test_a_timeout_is_a_number_of_seconds(timeout):
    async with open_pool() as pool:
        with pytest.raises(ConfigurationError, match="timeout must be a number of seconds above 0, or None, not"):
            await pool.call(Echo(), "a", timeout=timeout)


# ---------------------------------------------------------------------------------------------- cancellation


class SlowHooks(Middleware):
    async def before_process(self, work_item):
        await anyio.sleep(1.0)

    async def after_process(self, result):
        await anyio.sleep(1.0)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize("at", [x / 4 + 0.1 for x in range(30)])
def test_a_cancelled_call_leaves_nothing_behind_wherever_it_is(native, hooked, at):
    journal = MemoryJournal(delay=0.5, recall_delay=0.5)
    strategy = Prepared(1.0)

    async def main():
        hooks = [SlowHooks()] if hooked else []
        async with open_pool(journal=journal, middlewares=hooks, pace=narrow) as pool:
            async with anyio.create_task_group() as nursery:
                nursery.start_soon(pool.call, strategy, "first")
                await anyio.sleep(0.01)
                if native:
                    task = asyncio.create_task(pool.call(strategy, "second"))
                    await asyncio.sleep(at)
                    task.cancel()
                    await asyncio.wait([task])
                else:
                    with anyio.move_on_after(at):
                        await pool.call(strategy, "second")
                with anyio.fail_after(1_000):
                    assert (await pool.call(strategy, "third")).output == "THIRD"
            assert is_quiet(pool)
        assert strategy.log == ["prepare", "cleanup"]

    backends = ["asyncio"] if native else ["trio", "asyncio"]
    for backend in backends:
        journal.__init__(delay=0.5, recall_delay=0.5)
        strategy.__init__(1.0)
        run_in_virtual_time(main, backend=backend)
        assert strategy.board.in_flight == 0


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize("at", [x / 4 + 0.1 for x in range(16)])
def test_a_call_whose_task_asyncio_cancels_is_cancelled_and_nothing_of_it_is_stored(hooked, at):
    journal, strategy = MemoryJournal(delay=0.5, recall_delay=0.5), Echo(1.5)

    async def main() -> None:
        async with open_pool(journal=journal, middlewares=[SlowHooks()] if hooked else []) as pool:
            task = asyncio.create_task(pool.call(strategy, "a", item_id="one"))
            await asyncio.sleep(at)
            is_done = task.done()
            task.cancel()
            await asyncio.wait([task])
            is_decided = hooked and at > 2.5  # its answer was paid, and is handed over after its hook
            assert task.cancelled() or is_done or is_decided
            if not (is_done or task.cancelled()):
                assert task.result().output == "A"
            await anyio.sleep(5)
            assert [str(result.error) for result in journal.kept.values()] in ([], ["None"])
            assert is_quiet(pool)
            assert (await pool.call(strategy, "a", item_id="one")).output == "A"

    run_in_virtual_time(main, backend="asyncio")


def test_a_timeout_of_asyncio_around_a_call_raises_as_around_anything():
    async def main() -> None:
        async with open_pool() as pool:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await pool.call(Echo(5.0), "a")
            assert is_quiet(pool)

    run_in_virtual_time(main, backend="asyncio")


async def test_a_result_whose_task_was_cancelled_before_its_commit_is_stored_all_the_same():
    journal = MemoryJournal(delay=2.0)
    async with open_pool(journal=journal, middlewares=[SlowHooks()]) as pool:
        with anyio.move_on_after(2.5):  # it is answered after 2 s, and its hook ends after 3 s
            await pool.call(Echo(), "a", item_id="one")
        with anyio.move_on_after(3.5):  # and this one waits for its commit
            await pool.call(Echo(), "b", item_id="two")
    assert {item_id: result.output for item_id, result in journal.kept.items()} == {"one": "A", "two": "B"}


async def test_a_call_that_is_cancelled_while_a_shared_result_is_committed_is_settled_once():
    journal = MemoryJournal(delay=1.0)
    async with open_pool(journal=journal) as pool:
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(lambda: pool.call(Echo(), "same", item_id="leads"))
            await anyio.sleep(0.5)
            with anyio.move_on_after(
                2.0
            ):  # the answer comes after 1 s, and is committed after 2 s; then the commit of this one begins
                await pool.call(Echo(), "same", item_id="follows")
        assert (await pool.call(Echo(), "other")).success
        assert is_quiet(pool)
    assert {"leads", "follows"} <= set(journal.kept)


async def test_a_cancelled_call_hands_its_lead_to_the_next_with_the_same_prompt():
    strategy, results = Echo(5.0), []

    async def call() -> None:
        results.append((await pool.call(strategy, "same")).output)

    async with open_pool(journal=MemoryJournal()) as pool:
        async with anyio.create_task_group() as followers:
            with anyio.move_on_after(1.0):
                async with anyio.create_task_group() as leader:
                    leader.start_soon(call)
                    await anyio.sleep(0.5)
                    followers.start_soon(call)
                    followers.start_soon(call)
                    await anyio.sleep(9)
        assert is_quiet(pool)
    assert results == ["SAME", "SAME"]


async def test_many_cancelled_calls_leave_the_queue():
    async with open_pool(pace=lambda _: FixedPace(1, gate=100.0)) as pool:
        strategy = Echo()
        async with anyio.create_task_group() as nursery:
            for index in range(500):
                nursery.start_soon(pool.call, strategy, str(index))
            await anyio.sleep(1)
            assert pool.statistics().waiting == 500
            nursery.cancel_scope.cancel()
        assert is_quiet(pool)
        result, seconds = await timed(pool.call(strategy, "last", timeout=120))
        assert result.success
        assert seconds == pytest.approx(100.0)


# ---------------------------------------------------------------------------------------------- contexts


async def test_a_call_has_the_context_of_its_caller_also_in_hooks_and_when_it_is_repeated():
    seen: list[tuple[str, str, str]] = []

    class Notes(Middleware):
        async def before_process(self, work_item):
            seen.append((work_item.prompt, "before", NAME.get()))

        async def after_process(self, result):
            seen.append((result.context, "after", NAME.get()))

        async def on_retry(self, work_item, attempt, error):
            seen.append((work_item.prompt, "retry", NAME.get()))

    class Named(Scripted):
        async def execute(self, prompt, attempt, timeout):
            seen.append((prompt, f"call {attempt}", NAME.get()))
            return await super().execute(prompt, attempt, timeout)

    strategy = Named({prompt: [Status(503), Status(429)] for prompt in "abc"})

    async def call(name: str) -> None:
        NAME.set(name)
        assert (await pool.call(strategy, name, context=name)).success

    async with open_pool(middlewares=[Notes()]) as pool:
        NAME.set("pool")
        async with anyio.create_task_group() as nursery:
            for name in "abc":
                nursery.start_soon(call, name)
    assert len(seen) == 3 * 6
    assert all(prompt == name for prompt, _, name in seen)


async def test_a_batch_has_the_context_of_the_task_that_started_it():
    seen = []

    class Named(Echo):
        async def execute(self, prompt, attempt, timeout):
            seen.append(NAME.get())
            return await super().execute(prompt, attempt, timeout)

    async with open_pool() as pool:

        async def batch(name: str) -> None:
            NAME.set(name)
            await pool.process_prompts(Named(), [name, name])

        async with anyio.create_task_group() as nursery:
            nursery.start_soon(batch, "a")
            nursery.start_soon(batch, "b")
    assert sorted(seen) == ["a", "a", "b", "b"]


# ---------------------------------------------------------------------------------------------- faults


async def test_while_a_lane_is_probed_only_one_call_is_in_flight_there():
    strategy = Scripted({"a": [CallError("used up", kind=FaultKind.EXHAUSTED)]}, quota="exhausted")
    async with open_pool(pace=wide) as pool:
        await pool.call(strategy, "a")
        await anyio.sleep(20)
        async with anyio.create_task_group() as nursery:
            for prompt in "bcdef":
                nursery.start_soon(pool.call, strategy, prompt)
            await anyio.sleep(0.5)
            assert strategy.board.in_flight == 1
            await anyio.sleep(1.0)
            assert strategy.board.in_flight == 4


@pytest.mark.parametrize("headers", [{}, {"retry-after": "40"}], ids=["unknown", "known"])
async def test_an_exhausted_lane_reopens(headers):
    class Exhausted(Echo):
        until = 40.0

        async def execute(self, prompt, attempt, timeout):
            await anyio.sleep(0.1)
            if anyio.current_time() < self.until:
                error = Status(429, headers)
                error.args = ("insufficient_quota: You exceeded your current quota",)
                error.body = {"error": {"code": "insufficient_quota", "message": "quota"}}
                raise error
            return await super().execute(prompt, attempt, timeout)

    strategy, answered = Exhausted(), []
    async with open_pool() as pool:
        while not answered and anyio.current_time() < 2_000:
            try:
                result = await pool.call(strategy, "a", timeout=60)
            except Busy as busy:
                await anyio.sleep(busy.retry_after)
            else:
                answered += [anyio.current_time()] if result.success else []
    assert answered
    assert answered[0] < 40.0 + 120.0


async def test_a_failed_prepare_is_tried_again_after_a_while():
    strategy = Prepared(0.5, failures=(Status(400), Status(400)))
    async with open_pool() as pool:
        assert not (await pool.call(strategy, "a")).success
        at_once, seconds = await timed(pool.call(strategy, "b"))
        assert not at_once.success
        assert seconds == 0.0
        await anyio.sleep(10)
        assert not (await pool.call(strategy, "c")).success
        await anyio.sleep(10)
        assert (await pool.call(strategy, "d")).success
    assert strategy.log.count("prepare") == 3


async def test_a_bug_of_a_call_disturbs_neither_another_call_nor_a_batch():
    class Buggy(Echo):
        async def execute(self, prompt, attempt, timeout):
            if prompt == "bug":
                raise LookupError("boo")
            return await super().execute(prompt, attempt, timeout)

    strategy = Buggy()
    async with open_pool(pace=lambda _: FixedPace(3)) as pool:
        batches = []

        async def batch() -> None:
            batches.append(await pool.process_prompts(strategy, [str(i) for i in range(30)]))

        async with anyio.create_task_group() as nursery:
            nursery.start_soon(batch)
            await anyio.sleep(0.5)
            assert (await pool.call(strategy, "bug")).error.kind is FaultKind.BUG
            assert (await pool.call(strategy, "fine")).success
    assert batches[0].succeeded == 30


async def test_a_cancelled_batch_does_not_disturb_calls():
    async with open_pool(pace=lambda _: FixedPace(2)) as pool:
        strategy, outputs = Echo(), []

        async def call(prompt: str) -> None:
            outputs.append((await pool.call(strategy, prompt)).output)

        async with anyio.create_task_group() as nursery:
            with anyio.move_on_after(1.5):
                nursery.start_soon(call, "a")
                nursery.start_soon(call, "b")
                await pool.process_prompts(strategy, [str(i) for i in range(30)])
            nursery.start_soon(call, "c")
        assert sorted(outputs) == ["A", "B", "C"]
        assert is_quiet(pool)


# ---------------------------------------------------------------------------------------------- closing


async def test_a_call_of_a_closed_pool_is_misuse():
    pool = open_pool()
    with pytest.raises(MisuseError, match="not open"):
        await pool.call(Echo(), "a")
    async with pool:
        with pytest.raises(InvalidWorkItemError):
            await pool.call("no strategy", "a")
        with pytest.raises(InvalidWorkItemError):
            await pool.call(Echo(), 5)
    with pytest.raises(MisuseError, match="not open"):
        await pool.call(Echo(), "a")


# ---------------------------------------------------------------------------------------------- the journal


async def test_calls_with_equal_prompts_share_one():
    journal, strategy, outputs = MemoryJournal(), Echo(), []

    async def call() -> None:
        outputs.append((await pool.call(strategy, "same")).output)

    async with open_pool(journal=journal) as pool, anyio.create_task_group() as nursery:
        for _ in range(5):
            nursery.start_soon(call)
    assert outputs == ["SAME"] * 5
    assert strategy.board.calls["same"] == 1
    assert len(journal.kept) == 5


@pytest.mark.parametrize("reopened", [False, True])
async def test_a_call_with_the_id_of_a_stored_result_recalls_it(reopened):
    journal, strategy = MemoryJournal(), Echo()
    async with open_pool(journal=journal) as pool:
        first = await pool.call(strategy, "a", item_id="one")
        if not reopened:
            again, seconds = await timed(pool.call(strategy, "a", item_id="one", context=5))
    if reopened:
        async with open_pool(journal=journal) as pool:
            again, seconds = await timed(pool.call(strategy, "a", item_id="one", context=5))
    assert (first.output, again.output, again.context) == ("A", "A", 5)
    assert seconds < 1.0
    assert strategy.board.calls["a"] == 1


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_the_id_of_a_stored_result_with_another_prompt_is_an_error_before_anything_is_paid(tmp_path, backend):
    strategy = Echo(0.0)

    async def main() -> None:
        async with open_pool(journal=tmp_path / "calls.db") as pool:
            await pool.call(strategy, "a", item_id="one")
            with pytest.raises(JournalChangedError, match="one"):
                await pool.call(strategy, "b", item_id="one")
            assert (await pool.call(strategy, "b", item_id="two")).success

    anyio.run(main, backend=backend)
    assert strategy.board.calls == {"a": 1, "b": 1}


@pytest.mark.parametrize("prompt", ["same", "other"])
async def test_of_two_calls_at_once_with_one_id_in_a_journal_the_second_is_misuse(prompt):
    journal, strategy = MemoryJournal(delay=0.5), Echo()
    async with open_pool(journal=journal) as pool:
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(lambda: pool.call(strategy, "same", item_id="one"))
            await anyio.sleep(0.5)
            with pytest.raises(MisuseError, match="a call with the item_id 'one' is in progress"):
                await pool.call(strategy, prompt, item_id="one")
        assert strategy.board.calls == {"same": 1}
        with anyio.move_on_after(0.5):
            await pool.call(strategy, "cancelled", item_id="two")
        assert (await pool.call(strategy, "cancelled", item_id="two")).success
        assert is_quiet(pool)


async def test_an_id_whose_result_is_still_to_be_stored_after_its_call_was_cancelled_is_in_use():
    journal, strategy = MemoryJournal(delay=2.0), Echo()
    async with open_pool(journal=journal) as pool:
        with anyio.move_on_after(2.0):
            await pool.call(strategy, "a", item_id="one")
        with pytest.raises(MisuseError, match="'one'"):
            await pool.call(strategy, "a", item_id="one")
        await anyio.sleep(3.0)
        assert (await pool.call(strategy, "a", item_id="one")).output == "A"
    assert strategy.board.calls["a"] == 1


async def test_without_a_journal_an_id_is_only_a_name():
    results: list[Any] = []

    async def call(prompt: str) -> None:
        results.append(await pool.call(Echo(), prompt, item_id="one"))

    async with open_pool() as pool, anyio.create_task_group() as nursery:
        nursery.start_soon(call, "a")
        nursery.start_soon(call, "b")
    assert sorted(result.output for result in results) == ["A", "B"]


async def test_what_a_call_hears_of_a_failed_journal_says_nothing_of_a_batch():
    journal = MemoryJournal(failing=from_commit(1), delay=0.5)
    texts: list[str] = []

    async def call(prompt: str) -> None:
        try:
            texts.append(str((await pool.call(Echo(), prompt)).error))
        except JournalError as error:
            texts.append(str(error))

    async with open_pool(journal=journal, pace=narrow) as pool, anyio.create_task_group() as nursery:
        for prompt in ("a", "b", "same", "same"):
            nursery.start_soon(call, prompt)
        await anyio.sleep(1.8)
        nursery.start_soon(call, "late")
    assert len(texts) == 5
    assert not [text for text in texts if "batch" in text]
    assert [text for text in texts if text.startswith("pending: not called, because the journal failed: ")]


async def test_a_commit_that_fails_raises_with_the_result_and_later_calls_are_stored():
    journal = MemoryJournal(failing=at_commit(2, 3))
    async with open_pool(journal=journal) as pool:
        assert (await pool.call(Echo(), "a")).success
        with pytest.raises(UnsavedError) as caught:
            await pool.call(Echo(), "b")
        assert [result.output for result in caught.value.unsaved] == ["B"]
        for prompt in "cd":
            assert (await pool.call(Echo(), prompt)).success
        assert is_quiet(pool)
    assert sorted(result.output for result in journal.kept.values()) == ["A", "C", "D"]


async def test_no_paid_result_is_lost_when_the_journal_fails_under_many_calls():
    journal, strategy = MemoryJournal(failing=from_commit(1), delay=0.5), Echo()
    ends: list[str] = []

    async def call(prompt: str) -> None:
        try:
            result = await pool.call(strategy, prompt)
            ends.append("pending" if result.error else "answer")
        except UnsavedError as error:
            ends.extend(result.output.lower() for result in error.unsaved)
        except JournalError:
            ends.append("refused")

    async with open_pool(journal=journal, pace=lambda _: FixedPace(4)) as pool:
        async with anyio.create_task_group() as nursery:
            for prompt in "abcdefgh":
                nursery.start_soon(call, prompt)
            await anyio.sleep(1.6)
            nursery.start_soon(call, "late")
        assert is_quiet(pool)
    assert len(ends) == 9
    assert set(strategy.board.calls) == {end for end in ends if len(end) == 1}


async def test_a_recall_that_fails_concerns_its_call_only():
    failing = ["bad"]
    journal = MemoryJournal(recall_failing=lambda ids: JournalError("unreadable") if ids == failing else None)
    async with open_pool(journal=journal) as pool:
        outputs = []

        async def call() -> None:
            outputs.append((await pool.call(Echo(5.0), "good")).output)

        async with anyio.create_task_group() as nursery:
            nursery.start_soon(call)
            await anyio.sleep(1)
            with pytest.raises(JournalError, match="unreadable"):
                await pool.call(Echo(), "x", item_id="bad")
        assert outputs == ["GOOD"]
        assert is_quiet(pool)


# ---------------------------------------------------------------------------------------------- use of strategies


async def test_an_idle_strategy_is_cleaned_up_and_prepared_again_when_it_is_used():
    strategy = Prepared(0.5)
    async with open_pool() as pool:
        await pool.call(strategy, "a")
        await anyio.sleep(2_000)
        assert strategy.log == ["prepare", "cleanup"]
        assert (await pool.call(strategy, "b")).success
    assert strategy.log == ["prepare", "cleanup"] * 2


async def test_a_processor_keeps_what_it_has_prepared():
    strategy = Prepared(0.5)
    async with ParallelBatchProcessor() as processor:
        for name in "ab":
            await processor.add_work(LLMWorkItem(name, strategy, name))
            assert (await processor.process_all()).succeeded == 1
            await anyio.sleep(2_000)
    assert strategy.log == ["prepare", "cleanup"]


async def test_a_middleware_may_replace_a_single_call_and_its_result():
    class Changes(Middleware):
        async def before_process(self, work_item):
            return attrs.evolve(work_item, prompt=work_item.prompt * 2)

        async def after_process(self, result):
            return attrs.evolve(result, output=f"{result.output}!")

    async with open_pool(middlewares=[Changes()]) as pool:
        assert (await pool.call(Echo(), "ab")).output == "ABAB!"
