"""Random faults, random hooks, random cancellation: every accepted item has exactly one result, and nothing hangs."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from paceline import (
    FaultKind,
    LLMCallStrategy,
    LLMWorkItem,
    ParallelBatchProcessor,
    ProcessorConfig,
    RetryPolicy,
    TokenUsage,
)
from paceline.abc import BaseObserver, Middleware
from paceline.exceptions import Skip
from paceline.testing.virtual_time import VirtualTimeLoop
from paceline.typing import Backoff

from ..search import examples
from .chaos import ACTS, perform
from .support import Status
from .test_streams import leak

BACKENDS = {
    "trio": lambda: {"clock": MockClock(autojump_threshold=0)},
    "asyncio": lambda: {"loop_factory": VirtualTimeLoop},
}

LATE_ACTS = ["none", "none", "none", "raise", "leak", "hang"]
EARLY_ACTS = [*LATE_ACTS, "skip", "replace", "move"]


@attrs.frozen
class Plan:
    """What happens to one item: in each call, and in its hooks; after these calls it is answered."""

    acts: tuple[str, ...]
    before: str
    after: str


PLANS = st.lists(
    st.builds(Plan, st.lists(st.sampled_from(ACTS), max_size=6).map(tuple), st.sampled_from(EARLY_ACTS),
              st.sampled_from(LATE_ACTS)),
    max_size=25,
)  # fmt: skip


class Planned(LLMCallStrategy[str]):
    def __init__(self, plans: list[Plan], quota: str) -> None:
        self.plans, self.lane, self.calls = plans, quota, 0
        self.failing_prepare = False

    @property
    def quota(self) -> str:
        return self.lane

    async def prepare(self) -> None:
        await anyio.sleep(0.5)
        if self.failing_prepare:
            raise Status(400)

    async def execute(self, prompt: str, attempt: int, timeout: float) -> Any:
        acts = self.plans[int(prompt)].acts
        act = acts[self.calls] if self.calls < len(acts) else "answer"
        self.calls += 1  # of this item: each has its own copy
        reply = await perform(act, 0.25 + int(prompt) % 7 / 8, [])
        return ("answer", TokenUsage(2, 2)) if reply is None else reply


class PlannedHooks(Middleware, BaseObserver):
    """Follows the plan of each item in every hook; as an observer it fails now and then."""

    def __init__(self, plans: list[Plan], elsewhere: LLMCallStrategy[str]) -> None:
        self.plans, self.elsewhere, self.count = plans, elsewhere, 0

    async def _act(self, act: str) -> None:
        match act:
            case "raise":
                raise RuntimeError(act)
            case "leak":
                await leak()
            case "hang":
                await anyio.sleep(math.inf)
            case "skip":
                raise Skip("planned")

    async def before_process(self, work_item: LLMWorkItem[Any]) -> LLMWorkItem[Any] | None:
        act = self.plans[int(work_item.item_id)].before
        await self._act(act)
        if act == "replace":
            return attrs.evolve(work_item, context="replaced")
        return attrs.evolve(work_item, strategy=self.elsewhere) if act == "move" else None

    async def after_process(self, result: Any) -> None:
        await self._act(self.plans[int(result.item_id)].after)

    async def on_retry(self, work_item: LLMWorkItem[Any], attempt: int, error: Exception) -> None:
        await self._act(self.plans[int(work_item.item_id)].after)

    async def on_event(self, event: Any, data: dict[str, Any]) -> None:
        self.count += 1
        await self._act(LATE_ACTS[self.count % 40 if self.count % 40 < len(LATE_ACTS) else 0])


CONFIGS = st.builds(
    dict,
    max_workers=st.sampled_from([1, 2, 5, 1000]),
    timeout_per_item=st.just(5.0),
    deadline_per_item=st.sampled_from([math.inf, math.inf, 12.0]),
    deadline=st.sampled_from([math.inf, math.inf, math.inf, 7.5]),
    hook_timeout=st.just(3.0),
    retry=st.builds(
        RetryPolicy, max_attempts=st.integers(1, 4), max_invalid=st.integers(1, 3), max_truncated=st.integers(1, 2),
        patience=st.sampled_from([5.0, 900.0]), backoff=st.just(Backoff(base=0.5, longest=4.0)),
    ),
)  # fmt: skip
ENDS = st.one_of(st.none(), st.none(), st.tuples(st.sampled_from(["cancel", "drain", "shrink"]), st.floats(0, 20)))


async def run_planned(plans: list[Plan], config: dict[str, Any], hooked: bool, end: Any) -> ParallelBatchProcessor[Any]:
    a, b = Planned(plans, "a"), Planned(plans, "b")
    b.failing_prepare = len(plans) % 5 == 4
    hooks_of_plan = PlannedHooks(plans, b)
    hooks = {"middlewares": [hooks_of_plan], "observers": [hooks_of_plan]} if hooked else {}
    with anyio.fail_after(1e5):  # virtual seconds: a hang is a failure of the test
        async with ParallelBatchProcessor(ProcessorConfig(**config), **hooks) as processor:
            for index in range(len(plans)):
                await processor.add_work(LLMWorkItem(str(index), (a, a, b)[index % 3], str(index)))
            async with anyio.create_task_group() as nursery:

                async def run() -> None:
                    await processor.process_all()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(run)
                if end is not None:
                    await anyio.sleep(end[1])
                    match end[0]:
                        case "cancel":
                            nursery.cancel_scope.cancel()
                        case "drain":
                            processor.drain()
                        case "shrink":
                            processor.config.max_workers = 1
    return processor


@pytest.mark.parametrize("backend", BACKENDS)
@given(plans=PLANS, config=CONFIGS, hooked=st.booleans(), end=ENDS)
@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
def test_every_item_has_exactly_one_result_whatever_happens(backend, plans, config, hooked, end):
    processor = anyio.run(run_planned, plans, config, hooked, end, backend=backend, backend_options=BACKENDS[backend]())
    batch = processor.batch
    assert sorted(int(result.item_id) for result in batch.results) == list(range(len(plans)))
    assert all(result.success == (result.error is None) for result in batch.results)
    assert batch.succeeded + batch.failed + batch.pending == batch.total_items == len(plans)
    assert Counter(r.error.kind for r in batch.results if r.error) == batch.failures
    stats = processor.statistics()
    assert stats.workers == stats.in_flight == stats.waiting == 0
    assert all(lane.in_flight == 0 for lane in stats.lanes.values())
    assert batch.usage == sum((result.usage for result in batch.results), TokenUsage())
    retry = config["retry"]
    for result in batch.results:
        kinds = Counter(attempt.fault.kind for attempt in result.attempts if attempt.fault)
        transient = kinds[FaultKind.TRANSIENT] + kinds[FaultKind.OVERLOADED] + kinds[FaultKind.TIMEOUT]
        assert transient <= retry.max_attempts
        assert kinds[FaultKind.INVALID] <= retry.max_invalid
        assert kinds[FaultKind.TRUNCATED] <= retry.max_truncated
        assert result.usage == sum((attempt.usage for attempt in result.attempts), TokenUsage())


@given(plans=st.lists(st.builds(Plan, st.lists(st.sampled_from(ACTS), max_size=6).map(tuple), st.just("none"),
                                st.just("none")), max_size=25))  # fmt: skip
@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
def test_both_backends_come_to_the_same_results(plans):
    # a systematic failure depends on the order of calls over all items, which differs; each item's own way does not
    config = {"keep_going": True, "timeout_per_item": 5.0, "retry": RetryPolicy(backoff=Backoff(base=0.5, longest=0.5))}
    outcomes = []
    for backend, options in BACKENDS.items():
        processor = anyio.run(run_planned, plans, config, False, None, backend=backend, backend_options=options())
        outcomes.append(
            [
                (r.item_id, r.output, str(r.error), r.usage, r.refusals, [(a.number, a.fault) for a in r.attempts])
                for r in processor.batch.in_input_order()
            ]
        )
    assert outcomes[0] == outcomes[1]
