"""Items that are refused whenever they are called do not stand for their lane: all others are served, at their pace.

Such an item ends by itself after a bounded number of calls. Where nothing else is left to be served, it looks like one whose
lane refuses everything; then patience ends it, and items that were never called are pending.
"""

from __future__ import annotations

from collections import Counter

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paceline import CallableStrategy, FaultKind, process_prompts
from paceline._core.pace.signals import Excused
from paceline.exceptions import RateLimitError
from paceline.testing import Service, SimulatedProvider, SimulatedStrategy, TokenBucket
from paceline.typing import FaultReason

from ..search import examples
from .support import Echo, FixedPace
from .test_random import BACKENDS

N = 150
SERVED, REFUSED = 0.2, 0.03  # seconds of a call
CALLS = 60  # of one item: those that count, and probes while no other job waits


class Server:
    """Refuses the poisoned prompts always, and any prompt beyond its rate, from a bucket of ten calls."""

    def __init__(self, poisoned, rate, asks):
        self.poisoned, self.rate, self.asks = poisoned, rate, asks
        self.level, self.at = 10.0, 0.0
        self.calls = Counter()
        self.last_served = 0.0

    async def ask(self, prompt):
        self.calls[int(prompt)] += 1
        now = anyio.current_time()
        if self.rate is not None:
            self.level = min(10.0, self.level + (now - self.at) * self.rate)
            self.at = now
        if int(prompt) in self.poisoned or self.level < 1:
            await anyio.sleep(REFUSED)
            raise RateLimitError("too many", retry_after=self.asks)
        if self.rate is not None:
            self.level -= 1
        await anyio.sleep(SERVED)
        self.last_served = anyio.current_time()
        return prompt


def run(backend, server):
    async def main():
        began = server.at = anyio.current_time()
        batch = await process_prompts(CallableStrategy(server.ask), map(str, range(N)))
        return batch, server.last_served - began

    return anyio.run(main, backend=backend, backend_options=BACKENDS[backend]())


poisoned_items = st.sets(st.integers(0, N - 1), max_size=N // 2)


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@given(poisoned_items, st.none() | st.sampled_from([3.0, 30.0]), st.none() | st.sampled_from([0.5, 5.0]))
@example({7}, None, None)
@example(set(range(40)), None, None)
@example(set(range(0, N, 3)), 30.0, None)
@example(set(range(N - 40, N)), None, 5.0)
@settings(max_examples=examples(6))
def test_all_others_are_served_and_a_refused_item_ends_by_itself(backend, poisoned, rate, asks):
    server = Server(poisoned, rate, asks)
    batch, _ = run(backend, server)
    assert batch.succeeded == N - len(poisoned)
    for result in batch.in_input_order():
        assert (result.error is None) is (result.index not in poisoned)
        called = result.index in server.calls
        assert result.error is None or result.error.kind is (FaultKind.THROTTLED if called else FaultKind.PENDING)
    assert max((server.calls[number] for number in poisoned), default=0) <= CALLS


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("rate", [None, 10.0])
def test_one_refused_item_costs_the_others_hardly_any_time(backend, rate):
    _, without = run(backend, Server(set(), rate, None))
    for number in (0, 5, 60, 140):
        _, seconds = run(backend, Server({number}, rate, None))
        assert seconds <= 1.5 * without + 4.0


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("every", [3, 5, 10])
def test_many_refused_items_are_soon_known_and_cost_the_others_little_time(backend, every):
    _, without = run(backend, Server(set(), None, None))
    server = Server(set(range(3, N, every)), None, None)
    batch, seconds = run(backend, server)
    assert batch.succeeded == N - len(server.poisoned)
    assert seconds <= 5 * without
    assert sum(server.calls[number] for number in server.poisoned) <= 7 * len(server.poisoned)


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_lane_that_serves_nobody_ends_by_its_patience_and_items_that_were_not_called_are_pending(backend):
    server = Server(set(range(N)), None, None)
    batch, _ = run(backend, server)
    assert batch.seconds == pytest.approx(900, abs=1)
    assert batch.failures == {FaultKind.THROTTLED: len(server.calls), FaultKind.PENDING: N - len(server.calls)}
    assert set(server.calls.values()) == {1}, "the probes rotate"


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("large", [set(), {5, 150}, set(range(0, 200, 40))])
def test_large_items_that_a_limit_on_tokens_refuses_longest_are_served_in_the_end(backend, large):
    provider = SimulatedProvider(Service(limits=(TokenBucket(500, 3_000, per="tokens"),)))

    async def main():
        prompts = ("x " * (2_000 if number in large else 100) + str(number) for number in range(200))
        return await process_prompts(SimulatedStrategy(provider), prompts)

    batch = anyio.run(main, backend=backend, backend_options=BACKENDS[backend]())
    assert batch.succeeded == 200
    assert provider.statistics().refused > 0


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("gap", [1.0, 80.0, 1_000.0, 5_000.0])
def test_a_refused_item_does_not_stop_a_slow_source(backend, gap):
    server = Server(set(range(1, 40, 2)), None, None)

    async def prompts():
        for number in range(40):
            await anyio.sleep(gap)
            yield str(number)

    async def main():
        return await process_prompts(CallableStrategy(server.ask), prompts())

    batch = anyio.run(main, backend=backend, backend_options=BACKENDS[backend]())
    assert (batch.succeeded, batch.failures, batch.stopped) == (20, {FaultKind.THROTTLED: 20}, None)
    for group in batch.messages:
        assert (group.reason is FaultReason.REFUSED_ALONE) == ("served others" in group.message)


class OwnPace(FixedPace):
    """Its tickets name it."""

    def started(self, now, cost):
        return self, super().started(now, cost)


class Wanderer(Echo):
    """Goes to the other of two lanes after some failures. Some prompts are always refused."""

    stays = 2
    failures = 0

    async def on_error(self, error, attempt):
        self.failures += 1
        if self.failures % self.stays == 0:
            self.lane = "b" if self.lane == "a" else "a"

    async def execute(self, prompt, attempt, timeout):
        answer = await super().execute(prompt, attempt, timeout)
        if int(prompt) % 5 == 0:
            raise RateLimitError("too many")
        return answer


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_refusals_of_one_lane_are_no_refusals_of_another(backend):
    paces = []

    def new_pace(_):
        paces.append(OwnPace(4))
        return paces[-1]

    async def main():
        with anyio.move_on_after(300):
            await process_prompts(Wanderer(quota="a"), map(str, range(200)), pace=new_pace)

    anyio.run(main, backend=backend, backend_options=BACKENDS[backend]())
    excused = [(pace, signal) for pace in paces for signal in pace.signals if isinstance(signal, Excused)]
    assert len(paces) == 2
    assert any(signal.earlier for _, signal in excused)
    assert all(owner is pace for pace, signal in excused for owner, _ in signal.earlier)


class Restless(Wanderer):
    """Goes to the other lane after each failure."""

    stays = 1


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("count", [1, 10, 50])
def test_an_item_that_is_refused_in_lane_after_lane_ends_too(backend, count):
    async def main():
        with anyio.fail_after(3_600):
            return await process_prompts(Restless(quota="a"), map(str, range(count)))

    batch = anyio.run(main, backend=backend, backend_options=BACKENDS[backend]())
    refused = len(range(0, count, 5))
    assert (batch.succeeded, batch.failures) == (count - refused, {FaultKind.THROTTLED: refused})
