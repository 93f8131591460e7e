"""The journal of a pool, over restarts of its service."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest

from paceline import CallableStrategy, open_pool
from paceline.exceptions import ConfigurationError, JournalChangedError, JournalError
from paceline.journal import SqliteJournal
from paceline.journal.writer import JournalWriter

pytestmark = pytest.mark.anyio


async def test_calls_of_a_restarted_service_have_ids_of_their_own_in_its_journal(path):
    called = []

    async def answer(prompt: str) -> str:
        called.append(prompt)
        return prompt.upper()

    results = []
    for prompts in ("ab", "ca"):
        async with open_pool(journal=path) as pool:
            results += [await pool.call(CallableStrategy(answer), prompt) for prompt in prompts]
    assert [result.output for result in results] == ["A", "B", "C", "A"]
    assert len({result.item_id for result in results}) == 4
    assert called == ["a", "b", "c"], "an equal prompt is answered from the journal"


async def test_calls_that_come_together_are_looked_up_together(path):
    reads = []

    class Counting(SqliteJournal):
        async def recall(self, items):
            reads.append(len(items))
            return await super().recall(items)

    async def answer(prompt: str) -> str:
        return prompt.upper()

    async def call(prompt: str) -> None:
        outputs[prompt] = (await pool.call(strategy, prompt)).output

    outputs, strategy = {}, CallableStrategy(answer)
    async with open_pool(journal=Counting(path)) as pool, anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(call, f"p{number}")
    assert outputs == {f"p{number}": f"P{number}" for number in range(50)}
    assert sum(reads) == 50
    assert len(reads) <= 5


async def test_a_call_that_differs_from_the_journal_fails_alone_among_those_that_came_with_it(path):
    async def answer(prompt: str) -> str:
        return prompt.upper()

    async def call(item_id: str, prompt: str) -> None:
        try:
            ends[item_id] = (await pool.call(strategy, prompt, item_id=item_id)).output
        except JournalChangedError:
            ends[item_id] = "changed"

    ends, strategy = {}, CallableStrategy(answer)
    async with open_pool(journal=path) as pool:
        await call("3", "before")
    async with open_pool(journal=path) as pool, anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(call, str(number), f"p{number}")
    assert ends == {str(n): f"P{n}" if n != 3 else "changed" for n in range(6)}


async def test_a_caller_that_is_cancelled_while_the_journal_is_read_leaves_the_others_to_be_answered(path):
    async def answer(prompt: str) -> str:
        return prompt.upper()

    async def call(prompt: str, scope: anyio.CancelScope) -> None:
        with scope:
            outputs[prompt] = (await pool.call(strategy, prompt)).output

    outputs, strategy = {}, CallableStrategy(answer)
    scopes = [anyio.CancelScope() for _ in range(20)]
    async with open_pool(journal=path) as pool, anyio.create_task_group() as group:
        for number, scope in enumerate(scopes):
            group.start_soon(call, f"p{number}", scope)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        for scope in scopes[::2]:
            scope.cancel()
    assert {f"p{number}" for number in range(1, 20, 2)} <= set(outputs)


def test_a_native_cancellation_while_the_journal_is_read_for_others_too_leaves_them_to_be_answered(path):
    readers, reading = [], asyncio.Event()

    class Slow(SqliteJournal):
        async def recall(self, items):
            readers.append((asyncio.current_task(), len(items)))
            reading.set()
            await asyncio.sleep(0.05)
            return await super().recall(items)

    async def answer(prompt: str) -> str:
        return prompt.upper()

    async def main() -> list[object]:
        strategy = CallableStrategy(answer)
        async with open_pool(journal=Slow(path)) as pool:
            tasks = [asyncio.create_task(pool.call(strategy, f"p{number}")) for number in range(20)]
            await reading.wait()
            task, count = readers[0]
            assert count > 10
            task.cancel()
            return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)

    results = asyncio.run(main())
    assert sum(isinstance(result, asyncio.CancelledError) for result in results) == 1
    assert sum(getattr(result, "success", False) for result in results) == 19


async def test_two_batches_of_a_pool_with_the_same_ids_need_names_and_the_error_says_so(path):
    async def answer(prompt: str) -> str:
        return prompt.upper()

    strategy = CallableStrategy(answer)
    async with open_pool(journal=path) as pool:
        await pool.process_prompts(strategy, ["a", "b"])
        with pytest.raises(
            JournalChangedError, match=r"the prompt of '0' has changed; .*process_prompts\(\.\.\., name="
        ) as raised:
            await pool.process_prompts(strategy, ["c", "d"])
        assert "accept_changes" not in str(raised.value)
        assert (await pool.process_prompts(strategy, ["c", "d"], name="second")).succeeded == 2
    async with open_pool(journal=path) as pool:
        with pytest.raises(JournalChangedError, match="accept_changes=True"):
            await pool.process_prompts(strategy, ["e"])


@pytest.mark.parametrize("make", [SqliteJournal, lambda path: open_pool(journal=path)])
def test_an_empty_path_is_refused(make):
    with pytest.raises(ConfigurationError, match="journal is an empty path; give the path of a file"):
        make("")


def test_a_writer_refuses_an_empty_path_too():
    with pytest.raises(JournalError, match="journal is an empty path"):
        JournalWriter("")
