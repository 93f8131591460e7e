"""Ladders in the engine: each step has its own lane, no item is lost, and each item takes its own path."""

from __future__ import annotations

import random

import anyio
import pytest

from paceline import (
    CallError,
    FaultKind,
    LLMCallStrategy,
    LLMWorkItem,
    ParallelBatchProcessor,
    Price,
    ProcessorConfig,
    RateLimitError,
    RetryPolicy,
    TokenUsage,
    process_prompts,
)
from paceline.abc import Ladder, Middleware
from paceline.exceptions import ConfigurationError, MisuseError
from paceline.llm_strategies import EscalationPolicy
from paceline.llm_strategies.escalation import ModelEscalation
from paceline.observers import BaseObserver, ProcessingEvent

from .support import Echo, FixedPace, Scripted

pytestmark = pytest.mark.anyio

INVALID = CallError("no such field", kind=FaultKind.INVALID, usage=TokenUsage(10, 1))


class Step(Scripted):
    """A scripted strategy with a model's name and a price."""

    def __init__(self, model, scripts=None, *, seconds=1.0, price=None):
        super().__init__(scripts or {}, seconds, quota=model)
        self.model, self.price = model, price


def ladder_of(*scripts, policy=None):
    names = ["lite", "flash", "pro"]
    return ModelEscalation([Step(name, script) for name, script in zip(names, scripts, strict=False)], policy)


def path_of(result):
    return [attempt.model for attempt in result.attempts]


# ------------------------------------------------------------------------------------------- the way up


async def test_an_invalid_answer_moves_an_item_up_and_the_others_stay():
    ladder = ladder_of({"b": [INVALID], "c": [INVALID]}, {"c": [INVALID]}, {})
    batch = await process_prompts(ladder, ["a", "b", "c"])
    paths = {result.output: path_of(result) for result in batch.results}
    assert paths == {"A": ["lite"], "B": ["lite", "flash"], "C": ["lite", "flash", "pro"]}
    assert {result.output: result.model for result in batch.results} == {"A": "lite", "B": "flash", "C": "pro"}


async def test_an_item_that_no_step_can_answer_is_given_up_on_the_highest():
    ladder = ladder_of({"a": [INVALID]}, {"a": [INVALID]}, {"a": [INVALID]})
    (result,) = (await process_prompts(ladder, ["a"])).results
    assert result.error.kind is FaultKind.INVALID
    assert path_of(result) == ["lite", "flash", "pro"]
    assert [attempt.number for attempt in result.attempts] == [1, 2, 3]


async def test_a_step_has_as_many_tries_as_its_budget():
    ladder = ladder_of({"a": [INVALID] * 2}, {"a": [INVALID]}, policy=EscalationPolicy(budget=(2, 3)))
    (result,) = (await process_prompts(ladder, ["a"])).results
    assert result.success
    assert path_of(result) == ["lite", "lite", "flash", "flash"]


@pytest.mark.parametrize(
    "error", [RateLimitError(), TimeoutError(), ConnectionError("gone"), CallError("", kind="overloaded")]
)
async def test_faults_of_the_service_move_no_item_up(error):
    ladder = ladder_of({"a": [error, error]}, {})
    (result,) = (await process_prompts(ladder, ["a"])).results
    assert result.success
    assert set(path_of(result)) == {"lite"}


async def test_a_refusal_moves_an_item_where_the_policy_says_so():
    refusal = CallError("I would rather not", kind=FaultKind.REFUSED)
    (stays,) = (await process_prompts(ladder_of({"a": [refusal]}, {}), ["a"])).results
    assert stays.error.kind is FaultKind.REFUSED
    policy = EscalationPolicy(on={"invalid", "refused"})
    (moves,) = (await process_prompts(ladder_of({"a": [refusal]}, {}, policy=policy), ["a"])).results
    assert path_of(moves) == ["lite", "flash"]


async def test_transient_failures_count_over_all_steps_together():
    gone = ConnectionError("gone")
    ladder = ladder_of({"a": [gone, INVALID]}, {"a": [gone]})
    config = ProcessorConfig(retry=RetryPolicy(max_attempts=2))
    (result,) = (await process_prompts(ladder, ["a"], config=config)).results
    assert result.error.kind is FaultKind.TRANSIENT
    assert path_of(result) == ["lite", "lite", "flash"]


# ------------------------------------------------------------------------------------------- lanes


async def test_a_throttled_cheap_model_does_not_delay_items_that_have_moved_up():
    """The lower lane allows one call at a time, of ten seconds each; the upper lane is free."""
    lite, pro = Step("lite", {"a": [INVALID]}, seconds=10.0), Step("pro", {"a": [INVALID] * 3}, seconds=1.0)
    ladder = ModelEscalation([lite, pro], EscalationPolicy(budget=(1, 4)))
    config = ProcessorConfig()
    limits = iter([1, 100])
    started_at = anyio.current_time()
    ended = {}

    class Clock(BaseObserver):
        async def on_event(self, event, data):
            if event is ProcessingEvent.ITEM_COMPLETED:
                ended[data["item_id"]] = anyio.current_time() - started_at

    async with ParallelBatchProcessor(
        config=config, pace=lambda _: FixedPace(next(limits)), observers=[Clock()]
    ) as processor:
        for prompt in "abcde":
            await processor.add_work(LLMWorkItem(prompt, ladder, prompt))
        await processor.process_all()
    assert ended["a"] == pytest.approx(14.0)
    assert [ended[name] for name in "bcde"] == pytest.approx([20.0, 30.0, 40.0, 50.0])


async def test_each_step_is_a_lane_with_its_own_statistics():
    ladder = ladder_of({"a": [INVALID]}, {})
    async with ParallelBatchProcessor() as processor:
        await processor.add_work(LLMWorkItem("a", ladder, "a"))
        await processor.process_all()
        lanes = (await processor.get_stats())["lanes"]
    assert {quota: lane["served"] for quota, lane in lanes.items()} == {"lite": 1, "flash": 1}


async def test_an_item_whose_own_strategy_chooses_another_model_waits_in_that_models_lane():
    class Chooses(LLMCallStrategy[str]):
        """Escalation as users write it by hand."""

        models = ("lite", "pro")

        def __init__(self):
            self.failures = 0

        @property
        def quota(self):
            return self.models[min(self.failures, 1)]

        async def on_error(self, exception, attempt):
            self.failures += isinstance(exception, ValueError)

        async def execute(self, prompt, attempt, timeout):
            await anyio.sleep(1.0)
            if self.failures == 0:
                raise CallError("no", kind=FaultKind.INVALID) from None
            return self.quota, None

        async def _(self):
            raise NotImplementedError

    class Counts(Chooses):
        async def on_error(self, exception, attempt):
            self.failures += 1

    (result,) = (await process_prompts(Counts(), ["a"])).results
    assert result.output == "pro"
    assert [attempt.quota for attempt in result.attempts] == ["lite", "pro"]


async def test_an_item_that_has_moved_up_goes_before_those_that_were_never_called():
    lite, pro = Step("lite", {"a": [INVALID]}), Step("pro")
    ladder = ModelEscalation([lite, pro])
    order = []

    class Order(BaseObserver):
        async def on_event(self, event, data):
            if event is ProcessingEvent.ITEM_COMPLETED:
                order.append(data["item_id"])

    async with ParallelBatchProcessor(pace=lambda _: FixedPace(1), observers=[Order()]) as processor:
        await processor.add_work(LLMWorkItem("a", ladder, "a"))
        for name in "vwxyz":
            await processor.add_work(LLMWorkItem(name, pro, name))
        await processor.process_all()
    assert order.index("a") <= 2


async def test_old_refusals_of_a_lane_do_not_count_against_an_item_that_moves_in():
    lite = Step("lite", {"a": [INVALID]}, seconds=60.0)
    pro = Step("pro", {"p": [RateLimitError(), CallError("no", kind="rejected")], "a": [RateLimitError()]})
    config = ProcessorConfig(retry=RetryPolicy(patience=40.0))
    async with ParallelBatchProcessor(config=config) as processor:
        await processor.add_work(LLMWorkItem("a", ModelEscalation([lite, pro]), "a"))
        await processor.add_work(LLMWorkItem("p", pro, "p"))
        batch = await processor.process_all()
    kinds = {result.item_id: result.error and result.error.kind for result in batch.results}
    assert kinds == {"a": None, "p": FaultKind.REJECTED}


async def test_an_exhausted_lane_above_leaves_its_items_pending_and_the_others_continue():
    spent = CallError("the day's quota is exhausted", kind=FaultKind.EXHAUSTED)
    ladder = ladder_of({"a": [INVALID], "b": [INVALID]}, {"a": [spent], "b": [spent]})
    batch = await process_prompts(ladder, ["a", "b", "c", "d"])
    kinds = {result.index: result.error and result.error.kind for result in batch.results}
    assert kinds[2] is kinds[3] is None
    assert {kinds[0], kinds[1]} <= {FaultKind.EXHAUSTED, FaultKind.PENDING}


# ------------------------------------------------------------------------------------------- lifecycles and hooks


class Prepared(Step):
    def __init__(self, model, scripts=None, log=None):
        super().__init__(model, scripts)
        self.log = log

    async def prepare(self):
        await anyio.sleep(0.5)
        self.log.append(f"prepare {self.model}")

    async def cleanup(self):
        self.log.append(f"cleanup {self.model}")


async def test_a_step_is_prepared_once_and_when_its_first_item_comes():
    log = []
    ladder = ModelEscalation(
        [Prepared("lite", {"a": [INVALID], "b": [INVALID]}, log), Prepared("flash", {}, log), Prepared("pro", {}, log)]
    )
    batch = await process_prompts(ladder, ["a", "b", "c"])
    assert batch.succeeded == 3
    assert log[:2] == ["prepare lite", "prepare flash"]
    assert sorted(log[2:]) == ["cleanup flash", "cleanup lite"]


async def test_a_step_that_cannot_be_prepared_fails_only_the_items_that_need_it():
    class Broken(Step):
        async def prepare(self):
            raise CallError("no such model", kind=FaultKind.REJECTED)

    ladder = ModelEscalation([Step("lite", {"a": [INVALID]}), Broken("pro")])
    batch = await process_prompts(ladder, ["a", "b"])
    errors = {result.index: result.error for result in batch.results}
    assert errors[1] is None
    assert errors[0].kind is FaultKind.REJECTED


async def test_the_copy_on_the_next_step_takes_over_from_the_one_below():
    class KeepsLastError(Step):
        last = None
        taken = None

        async def on_error(self, exception, attempt):
            self.last = str(exception)

        def take_over(self, previous):
            self.taken = previous.last

        async def execute(self, prompt, attempt, timeout):
            output, tokens = await super().execute(prompt, attempt, timeout)
            return (output, self.taken), tokens

    ladder = ModelEscalation([KeepsLastError("lite", {"a": [INVALID]}), KeepsLastError("pro")])
    batch = await process_prompts(ladder, ["a", "b"])
    assert {result.index: result.output for result in batch.results} == {0: ("A", "no such field"), 1: ("B", None)}


async def test_a_take_over_that_raises_is_a_bug_of_its_item_alone():
    class FailsToTakeOver(Step):
        def take_over(self, previous):
            raise KeyError("last")

    batch = await process_prompts(ModelEscalation([Step("lite", {"a": [INVALID]}), FailsToTakeOver("pro")]), ["a", "b"])
    errors = {result.index: result.error for result in batch.results}
    assert errors[0].kind is FaultKind.BUG
    assert "take_over" in errors[0].message
    assert errors[1] is None


async def test_middlewares_receive_a_move_as_a_retry_and_observers_as_an_escalation():
    received = []

    class RecordsRetries(Middleware):
        async def on_retry(self, work_item, attempt, error):
            received.append((work_item.item_id, attempt, str(error)))

    class RecordsMoves(BaseObserver):
        async def on_event(self, event, data):
            if event is ProcessingEvent.ITEM_ESCALATED:
                received.append({key: data[key] for key in ("quota", "attempt", "step", "model", "kind")})

    ladder = ladder_of({"a": [INVALID]}, {})
    await process_prompts(ladder, ["a"], middlewares=[RecordsRetries()], observers=[RecordsMoves()])
    moved = {"quota": "lite", "attempt": 1, "step": 1, "model": "flash", "kind": "invalid"}
    assert received == [("0", 1, "no such field"), moved]


async def test_a_middleware_may_give_an_item_to_a_ladder():
    ladder = ladder_of({"a": [INVALID]}, {})

    class Promotes(Middleware):
        async def before_process(self, work_item):
            return LLMWorkItem(work_item.item_id, ladder, work_item.prompt)

    (result,) = (await process_prompts(Echo(), ["a"], middlewares=[Promotes()])).results
    assert path_of(result) == ["lite", "flash"]


async def test_an_items_deadline_holds_over_all_steps():
    ladder = ladder_of({"a": [INVALID]}, {"a": [INVALID]}, {})
    (result,) = (await process_prompts(ladder, ["a"], config=ProcessorConfig(deadline_per_item=2.5))).results
    assert result.error.kind is FaultKind.TIMEOUT
    assert len(result.attempts) == 3


async def test_a_drained_batch_leaves_those_on_their_way_up_pending():
    ladder = ladder_of({name: [INVALID] for name in "abc"}, {})
    async with ParallelBatchProcessor() as processor:
        for prompt in "abc":
            await processor.add_work(LLMWorkItem(prompt, ladder, prompt))
        async with anyio.create_task_group() as nursery:

            async def drain():
                await anyio.sleep(0.9)
                processor.drain()

            nursery.start_soon(drain)
            batch = await processor.process_all()
    assert batch.total_items == 3
    assert batch.failures == {FaultKind.PENDING: 3}


# ------------------------------------------------------------------------------------------- accounting


async def test_usage_and_cost_are_kept_for_each_model_and_the_top_alone_is_estimated():
    prices = Price(1.0, 1.0), Price(100.0, 100.0)
    lite = Step("lite", {"b": [INVALID]}, price=prices[0])
    ladder = ModelEscalation([lite, Step("pro", price=prices[1])])
    batch = await process_prompts(ladder, ["a", "b"])
    uses = {use.model: (use.calls, use.accepted, use.usage.total_tokens) for use in batch.models}
    assert uses == {"lite": (2, 1, 15 + 11), "pro": (1, 1, 15)}
    assert batch.cost == pytest.approx((26 * 1.0 + 15 * 100.0) / 1e6)
    (alone,) = batch.top_alone
    assert (alone.model, alone.calls, alone.cost) == ("pro", 2, pytest.approx(2 * 15 * 100.0 / 1e6))
    assert "pro alone would have cost about $0.003 (estimate)" in batch.summary()


# ------------------------------------------------------------------------------------------- at scale


class RandomStep(LLMCallStrategy[str]):
    """Fails at random, as a function of the prompt only; independently of that, it is throttled at random."""

    def __init__(self, model, share_invalid, throttling):
        self.model, self.share_invalid, self.throttling = model, share_invalid, throttling

    @property
    def quota(self):
        return self.model

    async def execute(self, prompt, attempt, timeout):
        await anyio.sleep(0.2)
        if self.throttling is not None and self.throttling.random() < 0.05:
            raise RateLimitError
        if random.Random(f"{self.model} {prompt}").random() < self.share_invalid:
            raise CallError("not valid", kind=FaultKind.INVALID, usage=TokenUsage(10, 1))
        return f"{self.model} {prompt}", TokenUsage(10, 2)


def random_ladder(throttling=None):
    return ModelEscalation(
        [RandomStep("lite", 0.3, throttling), RandomStep("flash", 0.1, throttling), RandomStep("pro", 0.01, throttling)]
    )


async def test_thousands_of_items_on_one_ladder_take_the_paths_that_each_would_take_alone():
    """Throttled calls are not in a path, so the path is a function of the prompt only."""
    prompts = [f"p{number}" for number in range(2_000)]
    batch = await process_prompts(random_ladder(random.Random(5)), prompts)
    assert batch.total_items == 2_000
    expected = {}
    for prompt in prompts:
        path = []
        for model, part in (("lite", 0.3), ("flash", 0.1), ("pro", 0.01)):
            path.append(model)
            if random.Random(f"{model} {prompt}").random() >= part:
                break
        expected[prompt] = path
    assert {prompts[result.index]: path_of(result) for result in batch.results} == expected
    assert batch.refusals > 60
    for prompt in prompts[:20]:  # and a batch of one item takes the same path
        (alone,) = (await process_prompts(random_ladder(), [prompt])).results
        assert path_of(alone) == expected[prompt]


# ------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("strategies", "message"),
    [
        ([], "a ladder needs at least one strategy"),
        (
            [Echo(quota="a"), Echo(quota="b"), Echo(quota="a")],
            r"strategies\[0\] and strategies\[2\] share the quota 'a'",
        ),
        ([Echo(), "gemini-2.5-pro"], r"steps\[1\] must be an LLMCallStrategy, not str"),
        ([Echo(), Echo], r"steps\[1\] must be an LLMCallStrategy, not Echo"),
        (Echo(), "strategies must be a list of strategies, not Echo"),
        ([ModelEscalation([Echo()])], r"steps\[0\] is itself a ladder; pass its steps"),
    ],
    ids=["empty", "one quota twice", "a name", "a class", "no list", "a ladder"],
)
def test_an_invalid_ladder_is_rejected(strategies, message):
    with pytest.raises(ConfigurationError, match=message):
        ModelEscalation(strategies)


def test_a_value_that_is_not_a_policy_is_rejected():
    with pytest.raises(ConfigurationError, match="policy must be an EscalationPolicy, not str"):
        ModelEscalation([Echo()], "invalid")
    with pytest.raises(ConfigurationError, match="budget must have one number for each of the 1 steps, not 2"):
        Ladder((Echo(),), EscalationPolicy(budget=(1, 1)))


async def test_a_ladder_is_not_called_by_itself():
    with pytest.raises(MisuseError, match="ModelEscalation cannot be called itself"):
        await ModelEscalation([Echo()]).execute("a", 1, 1.0)
