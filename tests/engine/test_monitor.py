"""Monitor: a real run says what limits it, and a journal that wants to know gets each change once; on both backends, in virtual time."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from typing import Any

import anyio
import pytest

from paceline import Budget, ProcessorConfig, RetryPolicy, model, open_pool, open_stream, process_prompts
from paceline._core.budget import Spent
from paceline._core.limitation import Limitation, LimitBasis, LimitReason
from paceline.abc import Middleware
from paceline.typing import PaceKnowledge

from .journals import MemoryJournal
from .support import Echo, FixedPace, Scripted, Status

pytestmark = pytest.mark.anyio


class Watched(MemoryJournal):
    """A journal in memory that wants to know what limits its run."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.limits: list[tuple[float, Limitation]] = []
        self.figures: list[Any] = []
        self.asked: list[tuple[int, Any, Any]] = []
        self.answers: list[tuple[int, str]] = []

    async def spent(self) -> Spent:
        return Spent()

    async def record_limits(self, limits: Any) -> None:
        self.limits += limits

    async def record_progress(self, progress: Any) -> None:
        self.figures.append(progress)

    async def requests(self) -> Any:
        asked, self.asked = self.asked, []
        return asked

    async def answer_requests(self, answers: Any) -> None:
        self.answers += answers


class Slow(Middleware):
    """A middleware that takes a while before each item."""

    async def before_process(self, item: Any) -> Any:
        await anyio.sleep(20.0)
        return item


class Prepared(Echo):
    async def prepare(self) -> None:
        await anyio.sleep(5.0)


async def longest(strategy: Any, prompts: Any, **options: Any) -> Limitation:
    """Run a batch; return what limited it for the longest time."""
    journal = Watched(**options.pop("journal_options", {}))
    await process_prompts(strategy, prompts, journal=journal, **options)
    spans = [(until - at, limit) for (at, limit), (until, _) in pairwise(journal.limits)]
    return max(spans, key=lambda span: span[0])[1]


def texts(number: int) -> list[str]:
    return [f"p{index}" for index in range(number)]


async def test_a_rate_of_requests_that_was_learned():
    found = await longest(model("sim:rate=20,latency=0.5"), texts(600))
    assert (found.reason, found.basis) == (LimitReason.REQUESTS, LimitBasis.LEARNED)
    assert found.quota == "sim:rate=20,latency=0.5"
    assert found.value > 0


async def test_a_budget_that_calls_wait_for():
    found = await longest(Echo(5.0), texts(40), config=ProcessorConfig(budget=Budget(tokens=30_000)))
    assert found.reason is LimitReason.BUDGET


async def test_a_rate_that_an_earlier_run_learned():
    known = PaceKnowledge(limit=100, rate=10.0, token_rate=math.inf, latency=1.0, learned=time.time())
    slow = model("sim:rate=none,latency=1")
    journal = Watched()
    await process_prompts(slow, texts(60), knowledge={slow.quota: known}, journal=journal)
    assert (LimitReason.REQUESTS, LimitBasis.EARLIER) in {(limit.reason, limit.basis) for _, limit in journal.limits}


async def test_a_concurrency_cap_that_was_learned():
    found = await longest(model("sim:rate=none,latency=1,cap=8"), texts(500))
    assert (found.reason, found.basis) == (LimitReason.CONCURRENCY, LimitBasis.LEARNED)


async def test_a_server_that_becomes_slow():
    found = await longest(model("sim:rate=none,latency=1,knee=15"), texts(900))
    assert found.reason is LimitReason.SPEED


async def test_a_bound_of_the_caller():
    found = await longest(Echo(), texts(100), config=ProcessorConfig(max_workers=4))
    assert (found.reason, found.value) == (LimitReason.MAX_WORKERS, 4)


async def test_a_controller_that_does_not_say_it():
    found = await longest(Echo(), texts(100), pace=lambda _: FixedPace(5))
    assert (found.reason, found.basis, found.value) == (LimitReason.CONCURRENCY, None, 5)


async def test_a_service_that_is_down():
    class Down(Echo):
        async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
            await super().execute(prompt, attempt, timeout)
            if 1 < anyio.current_time() - started < 100:
                raise Status(429)
            return prompt, None

    started = anyio.current_time()
    journal, config = Watched(), ProcessorConfig(retry=RetryPolicy(patience=3600.0))
    await process_prompts(Down(0.1), texts(200), journal=journal, config=config)
    spans = {limit.reason: until - at for (at, limit), (until, _) in pairwise(journal.limits)}
    assert spans[LimitReason.OUTAGE] > 90.0


async def test_items_that_wait_for_their_next_try():
    scripts = {text: [Status(503, {"retry-after": "30"})] for text in texts(40)[-2:]}
    found = await longest(Scripted(scripts, 0.1), texts(40))
    assert found.reason is LimitReason.RETRIES


async def test_a_disk_that_is_slow():
    found = await longest(Echo(0.01), texts(6000), journal_options={"delay": 30.0}, pace=lambda _: FixedPace(500))
    assert found.reason is LimitReason.DISK


async def test_a_reader_that_is_slow():
    journal = Watched()
    async with open_stream(Echo(0.01), texts(1500), journal=journal, pace=lambda _: FixedPace(50)) as results:
        async for _ in results:
            await anyio.sleep(0.1)
    spans = [(until - at, limit.reason) for (at, limit), (until, _) in pairwise(journal.limits)]
    assert max(spans)[1] is LimitReason.READER


async def test_middlewares_that_are_slow():
    found = await longest(Echo(0.01), texts(640), middlewares=[Slow()])
    assert found.reason is LimitReason.HOOKS


async def test_code_that_keeps_the_event_loop_busy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "thread_time", anyio.current_time)  # as if the thread had computed all the time
    found = await longest(Echo(1.0), texts(100), pace=lambda _: FixedPace(10))
    assert found.reason is LimitReason.PROCESSOR


async def test_an_input_that_is_slow():
    async def source() -> Any:
        for text in texts(20):
            await anyio.sleep(2.0)
            yield text

    found = await longest(Echo(0.5), source())
    assert found.reason is LimitReason.INPUT


async def test_the_last_calls():
    found = await longest(Echo(30.0), texts(10), pace=lambda _: FixedPace(50))
    assert found.reason is LimitReason.LAST_CALLS


async def test_a_strategy_that_is_being_prepared():
    found = await longest(Prepared(0.1), texts(3), pace=lambda _: FixedPace(50))
    assert found.reason is LimitReason.STARTING


async def test_each_change_is_recorded_once_and_the_end():
    journal = Watched()
    await process_prompts(model("sim:rate=20,latency=0.5"), texts(400), journal=journal)
    limits = [limit for _, limit in journal.limits]
    times = [at for at, _ in journal.limits]
    assert all(one != other for one, other in pairwise(limits))
    assert times == sorted(times)
    assert limits[0].reason is LimitReason.STARTING
    assert [limit.reason for limit in limits].count(LimitReason.ENDED) == 1
    assert limits[-1].reason is LimitReason.ENDED


async def test_each_batch_of_a_pool_has_its_own_story():
    journal = Watched()
    async with open_pool(journal=journal) as pool:
        for name in "ab":
            await pool.process_prompts(Echo(3.0), texts(1), name=name)
            await anyio.sleep(5.0)
    reasons = [limit.reason for _, limit in journal.limits]
    assert reasons == [LimitReason.LAST_CALLS, LimitReason.ENDED] * 2


async def test_a_journal_that_cannot_store_it_harms_no_result():
    class Broken(Watched):
        async def record_limits(self, limits: Any) -> None:
            raise OSError("no space")

    batch = await process_prompts(Echo(3.0), texts(20), journal=Broken())
    assert batch.succeeded == 20


async def test_a_journal_that_does_not_want_to_know_is_not_asked():
    batch = await process_prompts(Echo(3.0), texts(20), journal=MemoryJournal())
    assert batch.succeeded == 20
