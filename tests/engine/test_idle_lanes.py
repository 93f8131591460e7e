"""A pool that stays open for long drops lanes without work, and keeps what was learned about their quotas; in virtual time."""

from __future__ import annotations

import contextlib
from typing import Any

import anyio
import pytest

from paceline import ProcessorConfig, open_pool
from paceline._core.connections import Connections
from paceline._core.pace import PaceController
from paceline.exceptions import Busy

from .support import Echo, Status

pytestmark = pytest.mark.anyio


class Tenant(Echo):
    """A strategy of a tenant's own, which is prepared."""

    def __init__(self, quota: str, seconds: float = 1.0) -> None:
        super().__init__(seconds, quota)
        self.prepared = self.cleaned_up = 0

    async def prepare(self) -> None:
        self.prepared += 1

    async def cleanup(self) -> None:
        self.cleaned_up += 1


class Refused(Echo):
    """Its quota is exhausted for half a day."""

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        self.board.calls[prompt] += 1
        raise Status(429, {"retry-after": "40000"})


class Connected(Echo):
    """A strategy whose client has one connection."""

    def __init__(self, quota: str) -> None:
        super().__init__(1.0, quota)
        self.client = Connections(1)

    @property
    def connections(self) -> Connections:
        return self.client


def lanes_of(pool: Any) -> set[str]:
    return set(pool._pool._scheduler.lanes)


async def test_a_lane_without_work_is_dropped_with_its_strategy_after_ten_minutes():
    async with open_pool() as pool:
        tenants = [Tenant(f"tenant {number}") for number in range(20)]
        for tenant in tenants:
            assert (await pool.call(tenant, "q")).output == "Q"
        assert len(lanes_of(pool)) == 20
        await anyio.sleep(500)
        assert len(lanes_of(pool)) == 20
        await anyio.sleep(200)
        assert lanes_of(pool) == set()
        assert [tenant.cleaned_up for tenant in tenants] == [1] * 20
        assert (await pool.call(tenants[0], "again")).output == "AGAIN"
        assert (lanes_of(pool), tenants[0].prepared) == ({"tenant 0"}, 2)


async def test_a_lane_in_use_stays_whatever_the_time_between_its_calls():
    async with open_pool() as pool:
        regular, once = Tenant("regular"), Tenant("once")
        await pool.call(once, "q")
        for _ in range(10):
            await pool.call(regular, "q")
            await anyio.sleep(300)
        assert lanes_of(pool) == {"regular"}
        assert regular.prepared == 1


async def test_a_lane_whose_call_or_batch_runs_for_hours_is_not_dropped():
    async with open_pool(ProcessorConfig(timeout_per_item=100_000, max_workers=1)) as pool:
        slow, other = Tenant("slow", 5_000), Tenant("other", 1)
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(pool.call, slow, "q")
            await anyio.sleep(1)
            nursery.start_soon(pool.process_prompts, other, ["a", "b"])
            await anyio.sleep(2_000)
            assert lanes_of(pool) == {"slow", "other"}
        assert pool.statistics().succeeded == 3


async def test_what_was_learned_about_a_quota_outlives_its_lane():
    paces = []

    def pace(known):
        paces.append(PaceController(known))
        return paces[-1]

    async with open_pool(pace=pace) as pool:
        await pool.process_prompts(Echo(0.1, "learned"), ["q"] * 200)
        before = pool.knowledge()["learned"]
        await anyio.sleep(2_000)
        assert lanes_of(pool) == set()
        after = pool.knowledge()["learned"]
        assert (after.limit, after.rate, after.latency) == (before.limit, before.rate, before.latency)
        await pool.call(Echo(0.1, "learned"), "q")
        assert len(paces) == 1


async def test_what_is_kept_of_dropped_lanes_is_bounded_and_the_latest_stay():
    async with open_pool() as pool:
        for first in (0, 800):
            for number in range(first, first + 800):
                await pool.call(Echo(0.0, f"tenant {number}"), "q")
            await anyio.sleep(2_000)
        kept = pool.statistics().lanes
        assert list(kept) == [f"tenant {number}" for number in range(600, 1_600)]


async def test_an_exhausted_lane_is_remembered_until_it_reopens():
    async with open_pool() as pool:
        refused = Refused(quota="spent")
        first = await pool.call(refused, "q")
        assert first.error is not None
        await anyio.sleep(5_000)
        calls = refused.board.calls.total()
        with contextlib.suppress(Busy):
            assert (await pool.call(refused, "q")).error is not None
        assert refused.board.calls.total() == calls
        await anyio.sleep(50_000)
        assert lanes_of(pool) == set()


async def test_connections_of_clients_that_are_gone_are_not_kept():
    async with open_pool() as pool:
        for number in range(5):
            strategy = Connected(f"tenant {number}")
            async with anyio.create_task_group() as nursery:
                for _ in range(3):
                    nursery.start_soon(pool.call, strategy, "q")
            assert strategy.board.max_in_flight == 1
        del strategy
        assert len(pool._pool._scheduler._uses) <= 1  # that of the latest call
