"""Progress of a batch in a program: what a callback receives, when, and what an error in it does; in virtual time, on trio and asyncio."""

from __future__ import annotations

import functools
import logging
import math

import anyio
import pytest

import paceline
from paceline import CallableStrategy, LLMWorkItem, ParallelBatchProcessor, open_pool, open_stream, process_prompts
from paceline.exceptions import ConfigurationError

from ..engine.support import Echo, FixedPace

pytestmark = pytest.mark.anyio
TEXTS = [f"text {number}" for number in range(10)]
SLOW = {"pace": lambda _: FixedPace(2)}


async def test_there_is_a_snapshot_at_the_start_one_a_second_and_a_last_one():
    seen = []
    batch = await process_prompts(Echo(1.0), TEXTS, progress=seen.append, **SLOW)
    assert batch.succeeded == 10
    assert [one.total for one in seen] == [10] * len(seen)
    assert seen[0].done == 0
    assert seen[0].seconds == 0.0
    assert [one.is_finished for one in seen] == [False] * (len(seen) - 1) + [True]
    assert 5 <= len(seen) <= 8  # five seconds
    assert (seen[-1].done, seen[-1].failed, seen[-1].pending) == (10, 0, 0)
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    assert max(one.in_flight for one in seen) == 2
    assert all(one.time > 0 for one in seen)


async def test_a_callback_that_raises_is_logged_once_and_has_no_other_effect(caplog):
    seen = []

    def broken(progress):
        seen.append(progress)
        raise ValueError("no screen")

    with caplog.at_level(logging.WARNING, logger="paceline"):
        batch = await process_prompts(Echo(1.0), TEXTS, progress=broken, **SLOW)
    assert batch.succeeded == 10
    assert len(seen) == 1
    assert [record.getMessage() for record in caplog.records if "progress" in record.getMessage()] == [
        "the callback of the progress raised, and is not called any more: ValueError: no screen"
    ]


@pytest.mark.parametrize("entry", ["process_prompts", "open_stream", "pool", "processor"])
@pytest.mark.parametrize("wrong", ["yes", 1, "async"])
async def test_a_wrong_progress_is_refused_before_any_call(entry, wrong):
    async def late(_):
        raise AssertionError

    echo, progress = Echo(), late if wrong == "async" else wrong
    async with open_pool() as pool, ParallelBatchProcessor() as processor:
        calls = {
            "process_prompts": functools.partial(process_prompts, echo, TEXTS),
            "open_stream": functools.partial(open_stream, echo, TEXTS),
            "pool": functools.partial(pool.process_prompts, echo, TEXTS),
            "processor": processor.process_all,
        }
        with pytest.raises(ConfigurationError, match="progress must be True or a function that is not async"):
            await calls[entry](progress=progress)
    assert not echo.board.calls


async def test_a_batch_of_a_pool_counts_its_own_items_only():
    mine, others, streamed, mixed = [], [], [], []
    async with open_pool() as pool, anyio.create_task_group() as nursery:
        start = functools.partial(pool.process_prompts, Echo(1.0))
        nursery.start_soon(functools.partial(start, TEXTS, progress=mine.append, name="a"))
        nursery.start_soon(functools.partial(start, TEXTS[:3], progress=others.append, name="b"))
        async with pool.stream(Echo(1.0), TEXTS[:4], progress=streamed.append) as results:
            assert len([result async for result in results]) == 4
        items = [LLMWorkItem(f"i{number}", Echo(1.0), "x") for number in range(5)]
        await pool.process(items, progress=mixed.append)
        async with pool.stream_items(iter(items), progress=mixed.append) as results:
            assert len([result async for result in results]) == 5
    assert [(one[-1].done, one[-1].total) for one in (mine, others, streamed)] == [(10, 10), (3, 3), (4, 4)]
    ended = [(one.done, one.total) for one in mixed if one.is_finished]
    assert ended == [(5, 5), (5, None)]


async def test_a_processor_reports_each_batch_by_itself():
    first, second = [], []
    async with ParallelBatchProcessor() as processor:
        for name in "ab":
            await processor.add_work(LLMWorkItem(name, Echo(1.0), name))
        await processor.process_all(progress=first.append)
        items = [LLMWorkItem(name, Echo(1.0), name) for name in "cde"]
        async with processor.stream(items, progress=second.append) as results:
            assert len([result async for result in results]) == 3
    assert (first[-1].done, second[-1].done) == (2, 3)


async def test_the_last_snapshot_comes_also_when_a_stream_is_left_early_or_a_batch_is_cancelled():
    left, cancelled = [], []
    async with open_stream(Echo(1.0), TEXTS, progress=left.append, **SLOW) as results:
        async for _ in results:
            break
    with anyio.move_on_after(1.5):
        await process_prompts(Echo(1.0), TEXTS, progress=cancelled.append, **SLOW)
    for seen in (left, cancelled):
        assert [one.is_finished for one in seen].count(True) == 1
        assert seen[-1].is_finished
        assert (seen[-1].failed, seen[-1].total) == (0, 10)
        assert seen[-1].pending == 10 - seen[-1].done > 0


async def test_the_budget_is_shown_as_spent_of_its_cap():
    async def answer(text):
        return text, paceline.TokenUsage(1_000_000, 0)

    strategy = CallableStrategy(answer)
    strategy.price = paceline.Price(1, 1)
    seen = []
    await process_prompts(strategy, TEXTS, progress=seen.append, budget=paceline.Budget(usd=100, tokens=10**9))
    assert (seen[-1].spent, seen[-1].max_cost) == (pytest.approx(10.0), 100)
    assert (seen[-1].spent_tokens, seen[-1].max_tokens) == (10_000_000, 10**9)
    plain = []
    await process_prompts(strategy, TEXTS, progress=plain.append)
    assert (plain[-1].spent, plain[-1].max_cost, plain[-1].max_tokens) == (None, None, None)
    assert math.isclose(plain[-1].cost, 10.0)


async def test_without_a_terminal_true_prints_lines_and_the_last_figures(capsys):
    batch = await process_prompts(Echo(1.0), TEXTS * 3, progress=True, **SLOW)
    assert batch.succeeded == 30
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert "of 30 done" in lines[0]
    assert any(line.startswith("paceline: 30 of 30 done (100 %)") for line in lines)
    assert max(map(len, lines)) <= 80


async def test_false_and_none_show_nothing(capsys):
    for progress in (False, None):
        await process_prompts(Echo(1.0), TEXTS, progress=progress)
    assert capsys.readouterr() == ("", "")
