"""A budget holds however many calls are in flight, counts every attempt, and leaves the rest pending; on both backends."""

from __future__ import annotations

import anyio
import genai_prices  # noqa: F401 - once imported, no price is looked up in a thread, which virtual time does not wait for
import pytest

from paceline import (
    Budget,
    CallableStrategy,
    CallError,
    FaultKind,
    LLMWorkItem,
    ParallelBatchProcessor,
    Price,
    ProcessorConfig,
    TokenUsage,
    open_pool,
    open_stream,
    process_prompts,
)
from paceline.exceptions import BudgetError, ConfigurationError
from paceline.llm_strategies import EscalationPolicy, ModelEscalation
from paceline.typing import Spent

from .journals import MemoryJournal
from .support import Echo, FixedPace, Status

pytestmark = pytest.mark.anyio

PRICE = Price(1_000, 10_000)  # an answer of 100 and 10 tokens costs $0.20


class Paid(Echo):
    """Answers with 100 tokens of input and 10 of output; keeps what the provider would bill."""

    price = PRICE
    max_output_tokens = 10

    def __init__(self, model="paid", *, fails=0, usage=None, **options):
        super().__init__(quota=model, **options)
        self.model = model
        self.fails = fails
        self.usage = usage or TokenUsage(100, 10)
        self.billed = []

    async def execute(self, prompt, attempt, timeout):
        await anyio.sleep(self.seconds)
        self.billed.append(PRICE.of(self.usage))
        if attempt <= self.fails:
            raise CallError("no", kind="invalid", usage=self.usage)
        return prompt, self.usage


class Counting(MemoryJournal):
    """Tells what its attempts have cost."""

    def __init__(self):
        super().__init__(dedupe=False)
        self.attempts = []

    async def commit(self, results, prices):
        await super().commit(results, prices)
        self.attempts += [attempt for result in results for attempt in result.attempts]

    async def spent(self):
        unpriced = [attempt.usage for attempt in self.attempts if attempt.cost is None]
        known = sum(attempt.cost or 0 for attempt in self.attempts)
        return Spent(usd={"paid": known}, tokens={"paid": 0}, unpriced={"paid": unpriced})


def wide(_known):
    return FixedPace(1_000)


def texts(number):
    return [f"{n:0200}" for n in range(number)]  # 200 bytes: 100 tokens at most, and what is around them


async def run(strategy, number, budget, **options):
    return await process_prompts(strategy, texts(number), budget=budget, pace=wide, **options)


@pytest.mark.parametrize("usd", [0.25, 1.0, 3.3, 7.77])
async def test_the_cap_is_not_exceeded_however_many_calls_may_be_in_flight(usd):
    strategy = Paid()
    batch = await run(strategy, 100, Budget(usd=usd))
    assert usd - 0.24 <= batch.cost <= usd  # an estimate is $0.232 at most: 32 tokens for what is around a prompt
    assert batch.cost == pytest.approx(sum(strategy.billed))
    assert batch.failures == {FaultKind.PENDING: 100 - batch.succeeded}
    assert batch.stopped.reason == "budget"
    assert batch.stopped.message.startswith("the budget is used up: $")


async def test_a_batch_within_its_budget_ends_as_without_one():
    batch = await run(Paid(), 10, Budget(usd=10))
    assert (batch.succeeded, batch.stopped, batch.cost) == (10, None, pytest.approx(2))


async def test_a_cap_on_tokens_needs_no_price():
    strategy = CallableStrategy(lambda prompt: _answer(prompt), quota="free")  # noqa: PLW0108 - it is a function
    batch = await process_prompts(strategy, texts(200), budget=Budget(tokens=5_000))
    assert 0 < batch.usage.total_tokens <= 5_000
    assert batch.cost is None
    assert batch.pending == 200 - batch.succeeded > 0


async def _answer(prompt):
    await anyio.sleep(1)
    return prompt, TokenUsage(100, 10)


async def test_failed_and_repeated_calls_count():
    strategy = Paid(fails=1)
    batch = await run(strategy, 100, Budget(usd=2))
    assert batch.cost == pytest.approx(sum(strategy.billed))
    assert batch.cost <= 2
    assert batch.succeeded < 8  # each takes two calls


async def test_calls_wait_for_the_estimates_of_those_in_flight():
    cautious = Paid()
    cautious.max_output_tokens = 400  # $4 are reserved for each call
    batch = await run(cautious, 20, Budget(usd=9))
    assert cautious.board.max_in_flight <= 2
    assert batch.succeeded == 20  # the answers were short, so all of them fit
    assert batch.most_in_flight == 2


async def test_a_cap_on_a_model_leaves_the_other_steps_of_a_ladder_alone():
    class Weak(Paid):
        async def execute(self, prompt, attempt, timeout):
            output, usage = await super().execute(prompt, attempt, timeout)
            if int(prompt) % 2:
                raise CallError("no", kind="invalid", usage=usage)
            return output, usage

    weak, strong = Weak("weak"), Paid("strong")
    ladder = ModelEscalation([weak, strong], EscalationPolicy(budget=(1, 1)))
    batch = await run(ladder, 40, Budget(models={"strong": Budget(usd=1)}))
    assert sum(strong.billed) <= 1
    assert len(weak.billed) == 40
    assert batch.succeeded == 20 + len(strong.billed)
    assert batch.failures == {FaultKind.PENDING: 20 - len(strong.billed)}
    assert "the budget of strong is used up" in batch.stopped.message
    assert batch.stopped.reason == "budget"


async def test_a_model_without_a_price_is_refused_before_anything_is_paid():
    strategy = Echo()
    with pytest.raises(ConfigurationError, match=r"no price is known of echo.*price=Price\(0.25, 2\)"):
        await process_prompts(strategy, ["a"], budget=Budget(usd=1))
    with pytest.raises(ConfigurationError, match="no price is known of echo"):
        async with open_stream(ModelEscalation([Paid(), strategy]), ["a"], budget=Budget(usd=1)):
            pass
    items = [LLMWorkItem(item_id="a", strategy=strategy, prompt="a")]
    async with open_pool(budget=Budget(usd=1)) as pool:
        batch = await pool.process(items)
        assert batch.pending == 1
        assert "no price is known of echo" in batch.stopped.message
        with pytest.raises(BudgetError, match="no price is known of echo"):
            await pool.call(strategy, "a")
    assert not strategy.board.calls


async def test_a_single_call_over_the_budget_raises():
    strategy = Paid()
    async with open_pool(budget=Budget(usd=0.5), pace=wide) as pool:
        assert (await pool.call(strategy, texts(1)[0])).success
        assert (await pool.call(strategy, texts(1)[0])).success
        with pytest.raises(BudgetError, match=r"the budget is used up: \$0.4 of \$0.5 is spent"):
            await pool.call(strategy, texts(1)[0])
        assert pool.statistics().in_flight == 0
        pool.config.budget = Budget(usd=5)
        assert (await pool.call(strategy, texts(1)[0])).success
    assert len(strategy.billed) == 3


async def test_a_higher_budget_that_is_assigned_takes_effect_at_once():
    strategy = Paid(seconds=10)
    async with ParallelBatchProcessor(ProcessorConfig(budget=Budget(usd=0.3)), pace=wide) as processor:
        async with processor.stream([LLMWorkItem(item_id=t, strategy=strategy, prompt=t) for t in texts(5)]) as results:
            processor.config.budget = Budget(usd=30)
            got = [result async for result in results]
    assert all(result.success for result in got)
    assert len(got) == 5


async def test_the_journal_counts_what_earlier_runs_have_spent_and_a_higher_budget_goes_on():
    strategy, journal = Paid(fails=1), Counting()
    for usd in (1.0, 1.0, 2.5, 100.0):
        batch = await run(strategy, 20, Budget(usd=usd), journal=journal)
        assert sum(strategy.billed) <= usd
    assert batch.succeeded == 20
    assert sum(strategy.billed) == pytest.approx(20 * 2 * 0.2, abs=0.2 * 12)  # pending items start with a first attempt


async def test_attempts_of_a_journal_without_a_cost_count_at_the_price_of_today():
    strategy, journal = Paid(), Counting()
    strategy.price = None
    await process_prompts(strategy, texts(10), journal=journal)
    strategy.price = PRICE
    batch = await run(strategy, 20, Budget(usd=2.5), journal=journal)
    assert sum(strategy.billed) <= 2.5
    assert batch.succeeded == len(strategy.billed) == 12


async def test_a_total_without_its_parts_counts_as_output():
    strategy = Paid(usage=TokenUsage(0, 0, 0, 100))
    batch = await process_prompts(strategy, texts(100), budget=Budget(usd=5), pace=lambda _: FixedPace(1))
    assert batch.cost is None
    assert len(strategy.billed) == 5  # $1 each


async def test_refused_calls_release_what_was_reserved_for_them():
    class Refusing(Paid):
        async def execute(self, prompt, attempt, timeout):
            if self.board.call(prompt).calls[prompt] == 1:
                self.board.in_flight = 0
                raise Status(429)
            return await super().execute(prompt, attempt, timeout)

    strategy = Refusing()
    batch = await process_prompts(strategy, texts(6), budget=Budget(usd=1.5))
    assert (batch.succeeded, batch.refusals) == (6, 6)


async def test_a_cancelled_call_releases_what_was_reserved_for_it():
    strategy = Paid(seconds=10)
    async with open_pool(budget=Budget(usd=0.3), pace=wide) as pool:
        with anyio.move_on_after(1):
            await pool.call(strategy, texts(1)[0])
        assert (await pool.call(strategy, texts(1)[0])).success


async def test_a_journal_that_cannot_tell_what_was_spent_is_refused():
    with pytest.raises(ConfigurationError, match="MemoryJournal cannot tell what its calls have cost"):
        await run(Paid(), 1, Budget(usd=1), journal=MemoryJournal())


async def test_a_budget_is_given_once():
    with pytest.raises(ConfigurationError, match="config has a field for the budget"):
        ParallelBatchProcessor(ProcessorConfig(), budget=Budget(usd=1))
