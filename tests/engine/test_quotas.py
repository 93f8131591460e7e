"""Quotas on their way through the engine: what providers report, what is learned, and what is exhausted."""

from __future__ import annotations

import logging
import math
import time

import anyio
import attrs
import pytest

from paceline import (
    CallableStrategy,
    CallError,
    FaultKind,
    LLMWorkItem,
    ParallelBatchProcessor,
    ProcessorConfig,
    RateLimitError,
    TokenUsage,
    open_stream,
    process_prompts,
)
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies import QuotaHint, QuotaLimit
from paceline.testing import FixedWindow, Service, SimulatedProvider, SimulatedStrategy, TokenBucket
from paceline.typing import PaceKnowledge

from .support import USAGE, Echo, FixedPace, Scripted, add_all

pytestmark = pytest.mark.anyio

HINT = QuotaHint(limits=(QuotaLimit(limit=60, period=60, remaining=5),))
SPENT = QuotaHint(limits=(QuotaLimit(limit=50, period=86_400, exceeded=True),), reopens_in=18_720)
KNOWN = PaceKnowledge(limit=40, rate=9.5, token_rate=math.inf, latency=4.0, learned=1.7e9)


class RecordingPace(FixedPace):
    """Records the token estimates that it receives."""

    def __init__(self, limit=1):
        super().__init__(limit)
        self.costs, self.admission_costs = [], []

    def admit_at(self, now, cost):
        self.admission_costs.append(cost)
        return super().admit_at(now, cost)

    def started(self, now, cost):
        self.costs.append(cost)
        return super().started(now, cost)


class Hinting(Scripted):
    """Sets the next quota hint, then follows its script."""

    def __init__(self, scripts, hints):
        super().__init__(scripts)
        self.hints = hints

    async def execute(self, prompt, attempt, timeout):
        if self.hints:
            self.quota_hint = self.hints.pop(0)
        return await super().execute(prompt, attempt, timeout)


async def signals_of(strategy, prompts="a", **options):
    """Run the prompts one after the other; return the signals that the controller received."""
    pace = RecordingPace()
    await process_prompts(strategy, list(prompts), pace=lambda _: pace, **options)
    return pace.signals


async def test_the_controller_receives_the_hint_and_the_tokens_of_a_reply():
    (signal,) = await signals_of(Hinting({}, [HINT]))
    assert (signal.tokens, signal.quota) == (15.0, HINT)


async def test_a_hint_is_not_reported_again_with_the_next_reply():
    signals = await signals_of(Hinting({"a": [CallError("again", kind=FaultKind.INVALID, usage=USAGE)]}, [HINT]))
    assert [(signal.tokens, signal.quota) for signal in signals] == [(15.0, HINT), (15.0, None)]


async def test_a_reply_of_unknown_tokens_gives_a_signal_without_tokens():
    async def answer(prompt):
        await anyio.sleep(1)
        return prompt

    (signal,) = await signals_of(CallableStrategy(answer))
    assert (signal.tokens, signal.quota) == (None, None)


async def test_the_hint_of_a_refusal_takes_precedence_over_the_strategys():
    other = QuotaHint(retry_after=2.0)
    strategy = Hinting({"a": [RateLimitError(quota=HINT), RateLimitError()]}, [other, other])
    first, second, _ = await signals_of(strategy)
    assert (first.quota, first.retry_after) == (HINT, None)
    assert (second.quota, second.retry_after) == (other, None)


async def test_the_hint_of_a_call_that_timed_out_is_discarded():
    class Slow(Echo):
        async def execute(self, prompt, attempt, timeout):
            if attempt == 1:
                self.quota_hint = HINT
                await anyio.sleep_forever()
            return await super().execute(prompt, attempt, timeout)

    config = ProcessorConfig(timeout_per_item=5.0)
    assert [getattr(signal, "quota", None) for signal in await signals_of(Slow(), config=config)] == [None, None]


async def test_items_of_one_strategy_do_not_share_hints():
    class Own(Echo):
        async def execute(self, prompt, attempt, timeout):
            await anyio.sleep(float(prompt))
            self.quota_hint = QuotaHint(retry_after=float(prompt))
            await anyio.sleep(10 - float(prompt))
            return prompt, USAGE

    pace = FixedPace(10)
    batch = await process_prompts(Own(), ["3", "1", "2"], pace=lambda _: pace)
    assert batch.succeeded == 3
    assert sorted(signal.quota.retry_after for signal in pace.signals) == [1.0, 2.0, 3.0]


async def test_an_invalid_hint_harms_no_item(caplog):
    class Wrong(Echo):
        async def execute(self, prompt, attempt, timeout):
            self.quota_hint = {"limit": 5}
            return await super().execute(prompt, attempt, timeout)

    class Worse(Echo):
        @property
        def quota_hint(self):
            raise ZeroDivisionError

    with caplog.at_level(logging.CRITICAL):
        for strategy in (Wrong(), Worse()):
            (signal,) = await signals_of(strategy)
            assert signal.quota is None


async def test_the_token_estimate_follows_the_prompts_length_and_earlier_calls():
    pace = RecordingPace()
    await process_prompts(Echo(), ["x" * 400] * 200, pace=lambda _: pace)
    assert pace.costs[0] == 300.0
    assert pace.costs[-1] == pytest.approx(15.0, rel=0.1)
    assert set(pace.costs) <= set(pace.admission_costs)


async def test_the_token_estimate_is_kept_from_batch_to_batch():
    pace = RecordingPace()
    async with ParallelBatchProcessor(pace=lambda _: pace) as processor:
        for _ in range(2):
            for i in range(100):
                await processor.add_work(LLMWorkItem(str(i), Echo(), "x" * 40))
            await processor.process_all()
    assert pace.costs[0] == 210.0
    assert pace.costs[100] == pytest.approx(pace.costs[99], rel=0.1)


async def test_a_strategy_may_give_its_own_token_estimate():
    class Estimates(Echo):
        def expected_tokens(self, prompt):
            return 7.0 if prompt == "a" else None

    pace = RecordingPace()
    await process_prompts(Estimates(), ["a", "x" * 400], pace=lambda _: pace)
    assert pace.costs[0] == 7.0
    assert pace.costs[1] > 100


@pytest.mark.parametrize("estimate", [0, -5, math.nan, math.inf, "many", None, ZeroDivisionError()])
async def test_an_invalid_token_estimate_is_ignored(estimate, caplog):
    class EstimatesWrongly(Echo):
        def expected_tokens(self, prompt):
            if isinstance(estimate, Exception):
                raise estimate
            return estimate

    pace = RecordingPace()
    with caplog.at_level(logging.CRITICAL):
        batch = await process_prompts(EstimatesWrongly(), ["x" * 400], pace=lambda _: pace)
    assert batch.succeeded == 1
    assert pace.costs == [300.0]


async def test_the_items_own_strategy_estimates_tokens_before_each_call():
    class GrowingEstimate(Scripted):
        size = 10.0

        def expected_tokens(self, prompt):
            return self.size

        async def on_error(self, exception, attempt):
            self.size *= 3

    pace = RecordingPace()
    again = CallError("again", kind=FaultKind.INVALID)
    await process_prompts(GrowingEstimate({"a": [again, again]}), ["a"], pace=lambda _: pace)
    assert pace.costs == [10.0, 30.0, 90.0]


async def test_a_limit_on_input_tokens_reaches_the_controller_in_tokens_of_whole_calls():
    limit = QuotaLimit(unit="tokens", part="input", limit=1000, period=60)
    strategy = Hinting({}, [None] * 300 + [QuotaHint(limits=(limit,))])
    signals = await signals_of(strategy, ["x" * 40] * 301)
    assert signals[-1].quota.limits[0].limit == pytest.approx(1500, rel=0.05)  # 10 of 15 tokens are input


async def test_an_exhausted_quota_ends_its_lane_and_pending_items_say_when_it_reopens():
    spent = Scripted({"3": [CallError("no more", kind=FaultKind.EXHAUSTED, quota=SPENT)]}, quota="gemini")
    other = Echo(quota="other")
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(2)) as processor:
        await add_all(processor, spent, [str(i) for i in range(20)])
        await add_all(processor, other, [f"o{i}" for i in range(20)])
        batch = await processor.process_all()
    assert other.board.calls.total() == 20
    assert spent.board.calls.total() <= 5
    for result in batch.results:
        if result.error is not None and result.error.kind is FaultKind.PENDING:
            assert result.error.message.startswith("the daily quota of gemini is exhausted; it reopens in 5 h 12 min (")
            assert result.error.message.endswith(" UTC)")
            assert result.error.quota.reopens_in == 18_720
    assert batch.stopped.quota.reopens_in == 18_720
    assert "it reopens in 5 h 12 min (" in batch.summary().splitlines()[-1]


async def test_an_endless_source_ends_with_the_quota():
    def endless():
        while True:
            yield "x"

    strategy = Scripted({"x": [None] * 30 + [CallError("no", kind=FaultKind.EXHAUSTED, quota=SPENT)]})
    async with open_stream(strategy, endless(), pace=lambda _: FixedPace(1)) as results:
        kinds = [result.error and result.error.kind for result in [result async for result in results]]
    assert kinds.count(None) == 30
    assert results.batch.stopped.message.startswith("the daily quota of scripted is exhausted")


async def test_two_exhausted_quotas_are_both_reported():
    lanes = [
        Scripted({name: [CallError("no", kind=FaultKind.EXHAUSTED, quota=hint)]}, quota=name)
        for name, hint in (("one", SPENT), ("two", None))
    ]
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(1)) as processor:
        for lane in lanes:
            await add_all(processor, lane, [lane.quota, f"{lane.quota}2"])
        batch = await processor.process_all()
    assert "the daily quota of one is exhausted" in batch.stopped.message
    assert "two serves no more calls: CallError: no" in batch.stopped.message
    assert batch.stopped.quota.reopens_in == 18_720


async def test_the_reason_of_a_stop_takes_precedence_over_exhausted_quotas():
    spent = Scripted({"a": [CallError("no", kind=FaultKind.EXHAUSTED)]}, quota="spent")
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(1)) as processor:
        await add_all(processor, spent, ["a", "b"])
        await add_all(processor, Echo(quota="other"), ["c", "d", "e"])
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(processor.process_all)
            await anyio.sleep(1.5)
            processor.drain("enough")
    assert processor.batch.stopped.message == "enough"


async def test_an_exhausted_lane_is_tried_again_in_the_next_batch():
    strategy = Scripted({"a": [CallError("no", kind=FaultKind.EXHAUSTED, quota=SPENT)]})
    async with ParallelBatchProcessor(pace=lambda _: FixedPace(1)) as processor:
        await add_all(processor, strategy, ["a", "b"])
        first = await processor.process_all()
        await add_all(processor, strategy, ["a", "b"])
        second = await processor.process_all()
    assert (first.succeeded, second.succeeded) == (0, 2)
    assert second.stopped is None


@pytest.mark.parametrize("dialect", ["gemini", "openai"])
async def test_a_daily_limit_of_the_simulated_provider_ends_the_batch_cleanly(dialect):
    service = Service(limits=(FixedWindow(100, 86_400),), dialect=dialect, hint="one", refusal_seconds=2.0)
    provider = SimulatedProvider(service)
    batch = await process_prompts(SimulatedStrategy(provider), [f"p{i}" for i in range(500)])
    assert batch.succeeded == 100
    assert set(batch.failures) == {FaultKind.EXHAUSTED, FaultKind.PENDING}
    assert batch.seconds < 60
    assert "the daily quota of SimulatedStrategy:sim is exhausted; it reopens in" in batch.stopped.message


async def test_the_hints_of_the_simulated_provider_reach_the_controller():
    provider = SimulatedProvider(Service(limits=(TokenBucket(2, 10),), dialect="openai"))
    pace = FixedPace(4)
    await process_prompts(SimulatedStrategy(provider), [f"p{i}" for i in range(20)], pace=lambda _: pace)
    assert {signal.quota.limits[0].limit for signal in pace.signals} == {120}


class LearnedPace(FixedPace):
    """Was created with the knowledge `given`, and has learned `learns`."""

    def __init__(self, given, learns=None):
        super().__init__(5)
        self.given, self.learns = given, learns

    def knowledge(self, now):
        return self.learns and attrs.evolve(self.learns, learned=now)


async def test_a_controller_receives_knowledge_with_times_of_the_event_loops_clock():
    made = []

    def pace(known):
        made.append(LearnedPace(known))
        return made[-1]

    age = 500.0
    known = attrs.evolve(KNOWN, learned=time.time() - age)
    await process_prompts(Echo(quota="echo"), ["a"], pace=pace, knowledge={"echo": known, "else": KNOWN})
    await process_prompts(Echo(quota="new"), ["a"], pace=pace, knowledge={"echo": known})
    assert attrs.evolve(made[0].given, learned=known.learned) == known
    assert made[0].given.learned == pytest.approx(anyio.current_time() - age, abs=60)
    assert made[1].given is None


async def test_knowledge_from_the_future_counts_as_learned_now():
    made = []
    future = attrs.evolve(KNOWN, learned=time.time() + 1e6)
    await process_prompts(
        Echo(), ["a"], pace=lambda known: made.append(known) or FixedPace(1), knowledge={"echo": future}
    )
    assert made[0].learned <= anyio.current_time()


async def test_the_knowledge_of_a_processor_has_wall_times():
    learned = attrs.evolve(KNOWN, limit=77)
    before = time.time()
    async with ParallelBatchProcessor(
        pace=lambda known: LearnedPace(known, learned), knowledge={"old": KNOWN}
    ) as processor:
        await add_all(processor, Echo(quota="met"), ["a"])
        await processor.process_all()
        knowledge = processor.knowledge()
    assert knowledge["old"] == KNOWN
    assert knowledge["met"].limit == 77
    assert before <= knowledge["met"].learned <= time.time()


async def test_given_knowledge_is_kept_while_a_controller_has_learned_nothing():
    async with ParallelBatchProcessor(pace=LearnedPace, knowledge={"echo": KNOWN}) as processor:
        await add_all(processor, Echo(), ["a"])
        await processor.process_all()
        assert processor.knowledge() == {"echo": KNOWN}


async def test_controllers_are_kept_from_batch_to_batch():
    made = []
    async with ParallelBatchProcessor(pace=lambda known: made.append(known) or FixedPace(1)) as processor:
        for _ in range(3):
            await processor.add_work(LLMWorkItem("a", Echo(), "a"))
            await processor.process_all()
    assert made == [None]


def test_knowledge_is_available_after_the_event_loop_has_ended():
    processors = []

    async def main():
        async with ParallelBatchProcessor(pace=lambda known: LearnedPace(known, KNOWN)) as processor:
            processors.append(processor)
            await processor.add_work(LLMWorkItem("a", Echo(seconds=0.0), "a"))
            await processor.process_all()

    anyio.run(main)
    assert processors[0].knowledge()["echo"].limit == 40


def test_invalid_knowledge_is_rejected_at_once():
    with pytest.raises(ConfigurationError, match=r"knowledge\['q'\].rate must be a number above 0, not -1"):
        ParallelBatchProcessor(knowledge={"q": attrs.evolve(KNOWN, rate=-1)})


async def test_the_usage_of_a_failed_call_reaches_the_controller():
    error = CallError("cut", kind=FaultKind.TRUNCATED, usage=TokenUsage(5, 95))
    (signal,) = await signals_of(Scripted({"a": [error]}))
    assert signal.tokens == 100.0


async def test_refusals_that_agree_on_hours_end_the_run_soon_and_say_when_to_resume():
    strategy = Scripted({str(i): [RateLimitError("closed", retry_after=3 * 3600)] * 50 for i in range(30)})
    batch = await process_prompts(strategy, map(str, range(30)))
    assert batch.seconds < 120
    assert batch.failures == {FaultKind.PENDING: 30}
    assert "3 h" in batch.stopped.message


async def test_a_lane_that_serves_now_and_then_is_not_ended_by_long_hints():
    refused = RateLimitError("closed", retry_after=3 * 3600)
    strategy = Scripted({str(i): [refused] * (i % 3) for i in range(30)})
    batch = await process_prompts(strategy, map(str, range(30)))
    assert batch.succeeded == 30
