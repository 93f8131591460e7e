"""A pool without a batch in a service: overload, callers with short timeouts, and a provider that answers nothing; in virtual time."""

from __future__ import annotations

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import anyio
import attrs
import pytest

from paceline import LLMCallStrategy, open_pool
from paceline.exceptions import Busy
from paceline.testing import Service, SimulatedProvider, SimulatedStrategy, TokenBucket

from .support import USAGE, Echo, FixedPace, Scripted, Status

pytestmark = pytest.mark.anyio


@attrs.define
class Callers:
    """Callers that come evenly, each with a timeout, and what becomes of them."""

    pool: Any
    strategy: Any
    timeout: float
    tenant: str = ""
    outcomes: Counter[str] = attrs.field(factory=Counter)
    waits: list[float] = attrs.field(factory=list)
    """Seconds that answered calls waited for their turns."""
    refusals: list[tuple[float, float]] = attrs.field(factory=list)
    """When each refused call was refused, in seconds after it was asked for, and after how long it may come back."""

    async def call(self, number: int) -> None:
        asked = anyio.current_time()
        try:
            result = await self.pool.call(self.strategy, f"Question {number}", timeout=self.timeout, tenant=self.tenant)
        except Busy as busy:
            self.outcomes["busy"] += 1
            self.refusals.append((anyio.current_time() - asked, busy.retry_after))
            return
        self.outcomes["answered" if result.success else result.error.kind.value] += 1
        if result.success:
            self.waits.append(anyio.current_time() - asked - result.seconds)

    async def come(self, rate: float, seconds: float) -> None:
        async with anyio.create_task_group() as group:
            for number in range(int(rate * seconds)):
                group.start_soon(self.call, number)
                await anyio.sleep(1 / rate)

    @property
    def slow_wait(self) -> float:
        """The wait that 95 % of the answered calls do not exceed."""
        return sorted(self.waits)[int(0.95 * len(self.waits))]


def limited(latency: float = 0.3, sigma: float = 0.5, rate: float = 50) -> tuple[SimulatedProvider, SimulatedStrategy]:
    provider = SimulatedProvider(Service(latency=latency, sigma=sigma, limits=(TokenBucket(rate=rate, burst=rate),)))
    return provider, SimulatedStrategy(provider)


@pytest.mark.parametrize(("timeout", "share"), [(0.5, 0.75), (1.0, 0.93), (2.0, 0.97)])
async def test_callers_whose_own_timeouts_cut_them_off_lock_nobody_out_of_an_idle_provider(timeout, share):
    _, strategy = limited()
    async with open_pool() as pool:
        callers = Callers(pool, strategy, timeout)
        await callers.come(20, 10)
    assert callers.outcomes["answered"] >= share * 200, callers.outcomes


@pytest.mark.parametrize(("rate", "timeout", "batch"), [(60, 2, False), (100, 1, False), (100, 2, True)])
async def test_under_overload_what_the_provider_allows_is_served_and_the_others_are_refused_at_once(
    rate, timeout, batch
):
    provider, strategy = limited()
    async with open_pool() as pool, anyio.create_task_group() as group:
        if batch:
            group.start_soon(pool.process_prompts, strategy, [f"Text {number}" for number in range(2_000)])
            await anyio.sleep(15)
        else:
            await pool.process_prompts(strategy, [f"Text {number}" for number in range(500)])
        before, cut_off = pool.statistics().succeeded, provider.statistics().abandoned
        callers = Callers(pool, strategy, timeout)
        await callers.come(rate, 15)
        served, cut_off = pool.statistics().succeeded - before, provider.statistics().abandoned - cut_off
        pool.drain()
    assert served >= 0.9 * 50 * 15
    assert cut_off <= 0.03 * callers.outcomes.total()
    assert callers.outcomes["answered"] + callers.outcomes["busy"] >= 0.96 * callers.outcomes.total(), callers.outcomes
    assert max(seconds for seconds, _ in callers.refusals) == 0


@pytest.mark.parametrize(("timeout", "learned"), [(0.9, False)])
async def test_a_tenant_with_a_short_timeout_does_not_starve_another(timeout, learned):
    _, strategy = limited(latency=1.0)
    async with open_pool() as pool, anyio.create_task_group() as group:
        if learned:
            await pool.process_prompts(strategy, [f"Text {number}" for number in range(300)])
        patient = Callers(pool, strategy, 30, "patient")
        group.start_soon(Callers(pool, strategy, timeout, "hasty").come, 5, 30)
        await patient.come(5, 30)
    assert patient.outcomes == {"answered": 150}
    assert patient.slow_wait <= 1.0


class Changing(LLMCallStrategy[str]):
    """Answers as the function `behave` does, which the test replaces."""

    def __init__(self) -> None:
        self.behave: list[Callable[[], Any]] = [self.answer]
        self.calls: defaultdict[str, int] = defaultdict(int)

    async def answer(self) -> None:
        await anyio.sleep(0.3)

    async def hang(self) -> None:
        await anyio.sleep(1000)

    async def fail(self) -> None:
        await anyio.sleep(0.1)
        raise Status(503)

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        self.calls[self.behave[0].__name__] += 1
        await self.behave[0]()
        return prompt, USAGE


@pytest.mark.parametrize(("behaviour", "paid"), [("hang", 150), ("fail", 150)])
async def test_at_a_provider_that_answers_nothing_callers_are_refused_at_once_and_served_soon_after_it_recovers(
    behaviour, paid, caplog
):
    strategy = Changing()
    async with open_pool() as pool:
        callers = Callers(pool, strategy, 2.0)
        await callers.come(20, 10)
        strategy.behave[0] = getattr(strategy, behaviour)
        down = Callers(pool, strategy, 2.0)
        with caplog.at_level(logging.WARNING, "paceline"):
            await down.come(20, 60)
        strategy.behave[0] = strategy.answer
        await anyio.sleep(75)
        after = Callers(pool, strategy, 2.0)
        await after.come(20, 10)
    assert callers.outcomes["answered"] >= 0.97 * 200
    assert down.outcomes["busy"] >= 0.8 * 1200, down.outcomes
    assert strategy.calls[behaviour] <= paid
    assert max(retry_after for _, retry_after in down.refusals) >= 5
    assert after.outcomes["answered"] >= 0.9 * 200, after.outcomes
    said = [record.getMessage() for record in caplog.records if " is shut until " in record.getMessage()]
    assert len(said) == 1, said
    assert math.isfinite(down.refusals[0][1])


async def test_callers_that_wait_when_a_lane_shuts_for_longer_than_they_can_are_refused_at_once():
    pace, outcomes = FixedPace(1), {}

    async def call(name: str, timeout: float) -> None:
        asked = anyio.current_time()
        try:
            outcomes[name] = (await pool.call(Echo(quota="lane"), name, timeout=timeout)).success
        except Busy as busy:
            outcomes[name] = anyio.current_time() - asked, busy.retry_after >= 60

    async with open_pool(pace=lambda _: pace) as pool, anyio.create_task_group() as group:
        group.start_soon(pool.call, Scripted({"first": [Status(503)]}, 2.0, quota="lane"), "first")
        await anyio.sleep(0.5)
        group.start_soon(call, "hasty", 10)
        group.start_soon(call, "patient", 200)
        await anyio.sleep(0.5)
        pace.gate = anyio.current_time() + 61.0
        await anyio.sleep(1.5)
        with pytest.raises(Busy, match="no call starts for about 59"):
            await pool.call(Echo(quota="lane"), "late", timeout=10)
    assert outcomes == {"hasty": (pytest.approx(1.5), True), "patient": True}


async def test_a_call_that_would_be_repeated_only_after_its_timeout_ends_at_once():
    pace = FixedPace(1)
    async with open_pool(pace=lambda _: pace) as pool, anyio.create_task_group() as group:
        strategy = Scripted({"first": [Status(503)]}, 2.0)
        asked = anyio.current_time()

        async def shut() -> None:
            await anyio.sleep(1.0)
            pace.gate = anyio.current_time() + 60.0

        group.start_soon(shut)
        result = await pool.call(strategy, "first", timeout=20)
        assert result.error.kind.value == "timeout"
        assert "not repeated" in result.error.message
        assert anyio.current_time() - asked < 5
