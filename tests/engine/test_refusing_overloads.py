"""Providers that refuse calls above their limit with 503: the pace is learned, and no item ends while others are served.

Servers that fail now and then, are down, or fail one item each time are not taken for them.
"""

from __future__ import annotations

import math
from collections import Counter

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paceline import (
    CallableStrategy,
    FaultKind,
    LLMWorkItem,
    ParallelBatchProcessor,
    ProcessorConfig,
    RetryPolicy,
    process_prompts,
)
from paceline.abc import BaseObserver
from paceline.exceptions import CallError
from paceline.observers import ProcessingEvent
from paceline.testing import ConcurrencyCap, FixedWindow, Service, SimulatedProvider, SimulatedStrategy, TokenBucket

from ..search import examples
from .test_random import BACKENDS

BOTH = pytest.mark.parametrize("backend", sorted(BACKENDS))


def run(backend, main, *arguments):
    return anyio.run(main, *arguments, backend=backend, backend_options=BACKENDS[backend]())


def refusing(*limits, **fields):
    return Service(limits=limits, **({"refusal_status": 503, "refusal_seconds": 0.02, "latency": 0.5} | fields))


async def batch_of(service, items, config=None, clients=1):
    """Run as many batches as there are clients, each with its own processor; return them and the last lane of each."""
    provider, batches, lanes = SimulatedProvider(service), [], []
    strategy = SimulatedStrategy(provider)

    async def one(client):
        async with ParallelBatchProcessor(config) as processor:
            for number in range(items):
                await processor.add_work(LLMWorkItem(f"{client}.{number}", strategy, f"Question {client}.{number}"))
            batches.append(await processor.process_all())
            lanes.extend(processor.statistics().lanes.values())

    async with anyio.create_task_group() as tasks:
        for client in range(clients):
            tasks.start_soon(one, client)
    return provider.statistics(), batches, lanes


limits = (
    st.builds(TokenBucket, st.floats(10, 200), st.integers(1, 60))
    | st.builds(ConcurrencyCap, st.integers(2, 40))
    | st.builds(FixedWindow, st.integers(20, 100), st.sampled_from([2.0, 10.0]))
)


services = st.builds(
    lambda limit, latency, refusal, status: refusing(
        limit, latency=latency, refusal_seconds=refusal, refusal_status=status
    ),
    limits,
    st.floats(0.3, 8.0),
    st.floats(0.005, 0.05),
    st.sampled_from([503, 529]),
)


@BOTH
@given(services)
@example(refusing(FixedWindow(60, 60.0)))
@settings(max_examples=examples(8))
def test_no_item_ends_while_others_are_served(backend, service):
    config = ProcessorConfig(retry=RetryPolicy(max_attempts=3))
    _, (batch,), _ = run(backend, batch_of, service, 150, config)
    assert batch.failures == {}


@BOTH
@pytest.mark.parametrize("limit", [TokenBucket(40, 20), ConcurrencyCap(20), FixedWindow(100, 5.0)])
def test_nor_does_one_where_clients_share_the_limit(backend, limit):
    _, batches, _ = run(backend, batch_of, refusing(limit), 400, None, 3)
    assert [batch.failures for batch in batches] == [{}, {}, {}]


@BOTH
@pytest.mark.parametrize(
    ("limit", "rate", "refused"),
    [(TokenBucket(40, 10), 40.0, 0.02), (ConcurrencyCap(16), 16 / 0.54, 0.02), (FixedWindow(400, 10.0), 40.0, 0.04)],
)
def test_the_pace_is_learned_at_the_price_of_few_refusals(backend, limit, rate, refused):
    items = 2_000
    provider, (batch,), (lane,) = run(backend, batch_of, refusing(limit), items)
    assert provider.served == batch.succeeded == items
    assert provider.refused <= refused * items
    assert batch.seconds <= items / (0.93 * rate) + 2.0
    assert min(lane.rate * 0.54, lane.limit) == pytest.approx(rate * 0.54, rel=0.15)
    assert lane.throttled == batch.refusals == sum(result.refusals for result in batch.results)


@BOTH
@pytest.mark.parametrize("share", [0.01, 0.03])
def test_a_server_that_fails_now_and_then_keeps_its_pace(backend, share):
    faults = {FaultKind.OVERLOADED: share}
    _, (batch,), (lane,) = run(backend, batch_of, Service(latency=0.5, faults=faults, fault_seconds=0.02), 3_000)
    assert batch.succeeded == 3_000
    assert (lane.rate, lane.throttled, batch.refusals) == (math.inf, 0, 0)
    _, (without,), _ = run(backend, batch_of, Service(latency=0.5), 3_000)
    assert batch.seconds <= without.seconds + 3.0, "what is called again comes last"


class Server:
    """Answers after a second; a prompt that it does not like, or any while it is down, gets a 503 after `refusal` seconds."""

    def __init__(self, disliked=(), down=(math.inf, math.inf), refusal=0.05):
        self.disliked, self.down, self.refusal = set(disliked), down, refusal
        self.calls = Counter()

    async def ask(self, prompt):
        self.calls[prompt] += 1
        if prompt in self.disliked or self.down[0] <= anyio.current_time() - self.began < self.down[1]:
            await anyio.sleep(self.refusal)
            raise CallError("no capacity", kind=FaultKind.OVERLOADED)
        await anyio.sleep(1.0)
        return prompt


async def asked(server, prompts):
    server.began = anyio.current_time()
    return await process_prompts(CallableStrategy(server.ask), prompts)


@BOTH
@pytest.mark.parametrize("disliked", [{0}, {7, 77}, set(range(0, 200, 5))])
def test_an_item_that_fails_each_time_ends_soon_and_costs_the_others_nothing(backend, disliked):
    server = Server(map(str, disliked))
    batch = run(backend, asked, server, map(str, range(200)))
    assert batch.succeeded == 200 - len(disliked)
    assert {result.index for result in batch.results if result.error is not None} == disliked
    assert set(batch.failures) <= {FaultKind.OVERLOADED, FaultKind.THROTTLED}
    most = max(server.calls[str(number)] for number in disliked)
    assert 5 <= most <= 20
    assert batch.seconds < 150


@BOTH
def test_a_slow_overload_spends_an_attempt_whatever_others_get(backend):
    server = Server({"3", "5"}, refusal=5.0)
    batch = run(backend, asked, server, map(str, range(100)))
    assert batch.failures == {FaultKind.OVERLOADED: 2}
    assert server.calls["3"] == server.calls["5"] == 5


@BOTH
def test_where_nothing_is_served_an_overload_spends_an_attempt(backend):
    server = Server(down=(-1.0, math.inf))
    batch = run(backend, asked, server, ["a"])
    assert batch.failures == {FaultKind.OVERLOADED: 1}
    assert server.calls["a"] == 5


@BOTH
@given(st.floats(0.5, 20.0), st.floats(1.0, 60.0))
@settings(max_examples=examples(6))
def test_a_short_outage_loses_nothing(backend, begins, seconds):
    server = Server(down=(begins, begins + seconds))
    batch = run(backend, asked, server, map(str, range(400)))
    assert batch.failures == {}


@BOTH
def test_a_refused_call_is_reported_as_such_once_a_limit_is_known(backend, caplog):
    heard = Counter()

    class Ear(BaseObserver):
        async def on_event(self, event, data):
            heard[event] += 1

    async def main():
        strategy = SimulatedStrategy(SimulatedProvider(refusing(TokenBucket(20, 5))))
        async with ParallelBatchProcessor(observers=[Ear()]) as processor:
            for number in range(300):
                await processor.add_work(LLMWorkItem(str(number), strategy, f"Question {number}"))
            batch = await processor.process_all()
        return batch

    batch = run(backend, main)
    assert heard[ProcessingEvent.RATE_LIMIT_HIT] == batch.refusals > 0
    retried = sum(len(result.attempts) - 1 for result in batch.results)
    assert 0 < heard[ProcessingEvent.ITEM_RETRIED] == retried < 30, "until it is"
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) <= 1
    assert batch.messages == () or sum(group.count for group in batch.messages) == retried
