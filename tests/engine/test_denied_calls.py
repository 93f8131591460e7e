"""Denied calls (401): a denial ends the calls of one strategy for a while; no other's, and no batch."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from paceline import FaultKind, open_pool
from paceline.exceptions import Busy

from .journals import MemoryJournal
from .support import Echo, FixedPace, Scripted, Status

pytestmark = pytest.mark.anyio


class WithKey(Echo):
    """A strategy whose key is valid or not; all have the same quota."""

    def __init__(self, *, is_valid: bool, seconds: float = 1.0) -> None:
        super().__init__(seconds, "shared")
        self.is_valid = is_valid

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        answer = await super().execute(prompt, attempt, timeout)
        if not self.is_valid:
            raise Status(401)
        return answer


def messages(caplog: Any) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "paceline"]


async def test_a_denied_strategy_is_not_called_for_a_while():
    denied = Scripted({"a": [Status(401)], "b": [Status(401)]}, quota="denied")
    async with open_pool() as pool:
        assert (await pool.call(denied, "a")).error.kind is FaultKind.DENIED
        at = anyio.current_time()
        with pytest.raises(Busy, match="the last call was denied: Status: status 401") as refused:
            await pool.call(denied, "x")
        assert anyio.current_time() == at
        assert 5.0 <= refused.value.retry_after <= 9.0
        assert (await pool.call(Echo(), "other")).success
        await anyio.sleep(20)
        assert (await pool.call(denied, "y")).success
        assert (await pool.call(denied, "z")).success
        assert denied.board.calls["x"] == 0


@pytest.mark.parametrize("same", [False, True], ids=["another key", "the same key"])
async def test_a_denied_call_leaves_the_batches_of_its_lane_alone(same):
    good, bad = WithKey(is_valid=True), WithKey(is_valid=False)
    batches: list[Any] = []

    async def batch() -> None:
        batches.append(await pool.process_prompts(good, [str(number) for number in range(30)]))

    async with open_pool(pace=lambda _: FixedPace(3)) as pool:
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(batch)
            await anyio.sleep(2.5)
            good.is_valid = not same  # each call has a copy of its strategy, so that only the next ones see it
            denied = await pool.call(good if same else bad, "bad")
            good.is_valid = True
            assert denied.error.kind is FaultKind.DENIED
    if same:
        assert batches[0].failures.keys() <= {FaultKind.DENIED, FaultKind.PENDING}  # its own calls were denied too
    else:
        assert batches[0].succeeded == 30


async def test_a_denied_call_leaves_calls_by_another_key_alone():
    good, bad, ends = WithKey(is_valid=True), WithKey(is_valid=False), {}

    async def call(name: str, strategy: WithKey) -> None:
        result = await pool.call(strategy, name)
        ends[name] = "answer" if result.success else result.error.kind

    async with open_pool(pace=lambda _: FixedPace(1)) as pool, anyio.create_task_group() as nursery:
        for number in range(4):
            nursery.start_soon(call, f"bad {number}", bad)
            await anyio.sleep(0.01)
            nursery.start_soon(call, f"good {number}", good)
            await anyio.sleep(0.01)
    assert {ends[f"good {number}"] for number in range(4)} == {"answer"}
    assert sorted(ends[f"bad {number}"] for number in range(4)) == [FaultKind.DENIED] + [FaultKind.PENDING] * 3
    assert bad.board.calls.total() == 1


async def test_calls_that_wait_when_their_key_is_denied_know_when_it_is_tried_again():
    bad, waits = WithKey(is_valid=False), []

    async def call(number: int) -> None:
        result = await pool.call(bad, str(number))
        waits.append((result.error.kind, result.error.retry_after))

    async with open_pool(pace=lambda _: FixedPace(1)) as pool, anyio.create_task_group() as nursery:
        for number in range(3):
            nursery.start_soon(call, number)
    assert sorted(waits, key=str) == [(FaultKind.DENIED, None)] + [(FaultKind.PENDING, 5.0)] * 2


async def test_a_denied_batch_leaves_the_calls_of_its_lane_alone():
    good, bad, answered = WithKey(is_valid=True), WithKey(is_valid=False), []
    async with open_pool(pace=lambda _: FixedPace(1)) as pool:
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(pool.process_prompts, bad, ["x"] * 50)

            async def call(number: int) -> None:
                answered.append((await pool.call(good, str(number))).success)

            for number in range(5):
                nursery.start_soon(call, number)
        assert answered == [True] * 5
    assert bad.board.calls.total() <= 2


async def test_a_key_that_is_valid_again_serves_calls_again(caplog):
    strategy = WithKey(is_valid=False, seconds=0.1)
    async with open_pool() as pool:
        for _ in range(3):
            await pool.call(strategy, "a")
            await anyio.sleep(30)
        warnings = messages(caplog)
        assert len(warnings) == 1
        assert "calls of WithKey are refused" in warnings[0]
        assert "status 401" in warnings[0]
        assert strategy.board.calls["a"] == 3
        strategy.is_valid = True
        assert (await pool.call(strategy, "a")).success
        assert (await pool.call(strategy, "a")).success
        assert messages(caplog)[1:] == ["calls of WithKey are answered again"]
        strategy.is_valid = False
        await pool.call(strategy, "a")
        strategy.is_valid = True
        await anyio.sleep(5)
        assert (await pool.call(strategy, "a")).success


async def outcome_of(call: Any) -> str:
    try:
        result = await call
    except Busy:
        return "busy"
    return "answer" if result.success else str(result.error.kind)


@pytest.mark.parametrize("tries", [1, 4])
async def test_reopening_a_pool_calls_a_denied_strategy_at_once(tries):
    strategy = WithKey(is_valid=False, seconds=0.1)
    async with open_pool() as pool:
        pool.reopen()
        for _ in range(tries):
            await anyio.sleep(60)
            assert await outcome_of(pool.call(strategy, "a")) == "denied"
        assert await outcome_of(pool.call(strategy, "a")) == "busy"
        pool.reopen()
        assert await outcome_of(pool.call(strategy, "a")) == "denied"
        assert await outcome_of(pool.call(strategy, "a")) == "busy"
        strategy.is_valid = True
        pool.reopen()
        assert await outcome_of(pool.call(strategy, "a")) == "answer"


async def test_a_new_strategy_and_a_batch_are_called_while_a_strategy_is_denied():
    strategy = WithKey(is_valid=False, seconds=0.1)
    async with open_pool() as pool:
        assert await outcome_of(pool.call(strategy, "a")) == "denied"
        strategy.is_valid = True
        assert await outcome_of(pool.call(strategy, "a")) == "busy"
        assert await outcome_of(pool.call(WithKey(is_valid=True), "a")) == "answer"
        assert (await pool.process_prompts(strategy, ["a", "b"])).succeeded == 2


async def test_what_the_journal_has_is_answered_while_its_strategy_is_denied():
    strategy, journal = WithKey(is_valid=True, seconds=0.1), MemoryJournal()
    async with open_pool(journal=journal) as pool:
        assert await outcome_of(pool.call(strategy, "a", item_id="a")) == "answer"
        strategy.is_valid = False
        assert await outcome_of(pool.call(strategy, "b", item_id="b")) == "denied"
        assert await outcome_of(pool.call(strategy, "a", item_id="a")) == "answer"
        assert await outcome_of(pool.call(strategy, "c", item_id="c")) == "busy"
        strategy.is_valid = True
        pool.reopen()
        assert await outcome_of(pool.call(strategy, "c", item_id="c")) == "answer"
        assert pool.statistics().waiting == pool.statistics().in_flight == 0


class Spent(Echo):
    """The credit of its account is used up until it is paid for."""

    is_paid = False

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        answer = await super().execute(prompt, attempt, timeout)
        if not self.is_paid:
            error = Status(429)
            error.args = ("insufficient_quota: You exceeded your current quota",)
            error.body = {"error": {"code": "insufficient_quota", "message": "quota"}}
            raise error
        return answer


async def test_calls_of_an_exhausted_lane_are_refused_at_once_until_it_is_tried_again_or_reopened(caplog):
    strategy = Spent(0.1)
    async with open_pool() as pool:
        assert await outcome_of(pool.call(strategy, "a")) == "exhausted"
        at = anyio.current_time()
        with pytest.raises(Busy, match="quota") as refused:
            await pool.call(strategy, "b")
        assert anyio.current_time() == at
        assert 4.9 <= refused.value.retry_after <= 9.0
        await anyio.sleep(refused.value.retry_after)
        assert await outcome_of(pool.call(strategy, "b")) == "exhausted"
        assert await outcome_of(pool.call(strategy, "b")) == "busy"
        strategy.is_paid = True
        pool.reopen()
        assert await outcome_of(pool.call(strategy, "b")) == "answer"
        assert await outcome_of(pool.call(strategy, "b")) == "answer"
    warnings = messages(caplog)
    assert len(warnings) == 2
    assert "calls of echo are refused until it is tried again" in warnings[0]
    assert warnings[1] == "echo answers calls again"


async def test_the_statistics_say_in_how_many_seconds_a_lane_opens():
    strategy = Spent(0.1)
    async with open_pool() as pool:
        assert (await pool.call(Echo(0.1, "other"), "a")).success
        await pool.call(strategy, "a")
        await anyio.sleep(2)
        lanes = pool.statistics().lanes
        assert lanes["echo"].opens_in == pytest.approx(3.0, abs=0.01)
        assert lanes["other"].opens_in == 0.0
    async with (
        open_pool(pace=lambda _: FixedPace(1, gate=anyio.current_time() + 50)) as pool,
        anyio.create_task_group() as group,
    ):
        group.start_soon(pool.call, strategy, "a")
        await anyio.sleep(20)
        assert pool.statistics().lanes["echo"].opens_in == pytest.approx(30.0)
        group.cancel_scope.cancel()
