"""An answer that is of no use to the caller is an answer to the controller: a batch keeps its pace whatever share of them comes.

The provider rejected the request, refused to answer, was cut off or answered invalidly, or the caller's own code failed over the
answer. Ladders and feedback live on such answers.
"""

from __future__ import annotations

import logging
from random import Random

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paceline import CallableStrategy, CallError, FaultKind, ProcessorConfig, RetryPolicy, process_prompts

from ..search import examples
from .test_random import BACKENDS

N = 500
GOOD = 0.5  # seconds of a useful answer
ONCE = ProcessorConfig(retry=RetryPolicy(max_invalid=1))
USELESS = [FaultKind.REJECTED, FaultKind.INVALID, FaultKind.REFUSED, FaultKind.TRUNCATED, FaultKind.BUG]


@pytest.fixture(autouse=True)
def quiet():
    """Log no traceback of the bugs that are thrown by the hundred."""
    logger = logging.getLogger("paceline")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def seconds_of(backend, seconds, kinds, capacity):
    """Return the seconds of a batch whose call `i` takes `seconds[i]`, and fails with `kinds[i]` unless that is None."""

    async def run():
        server = anyio.CapacityLimiter(capacity)

        async def ask(prompt):
            number = int(prompt)
            async with server:
                await anyio.sleep(seconds[number])
            if kinds[number] is not None:
                raise CallError("".join(chance.choices("abcdefgh", k=12)), kind=kinds[number])
            return prompt

        chance = Random(1)
        batch = await process_prompts(CallableStrategy(ask), map(str, range(len(seconds))), config=ONCE)
        assert len(batch.results) == len(seconds)
        assert batch.succeeded == kinds.count(None)
        return batch.seconds

    return anyio.run(run, backend=backend, backend_options=BACKENDS[backend]())


ORDERS = {
    "mixed": lambda chance, share: [chance.random() < share for _ in range(N)],
    "first": lambda _, share: [number < share * N for number in range(N)],
    "last": lambda _, share: [number >= (1 - share) * N for number in range(N)],
    "blocks": lambda _, __: [(number // 50) % 2 == 0 for number in range(N)],
}


@given(
    st.sampled_from(sorted(BACKENDS)),
    st.sampled_from(USELESS),
    st.floats(0.05, 0.95),
    st.sampled_from([0.004, 0.1, GOOD, 3.0]),
    st.sampled_from(sorted(ORDERS)),
    st.sampled_from([40, 10_000]),
)
@example("asyncio", FaultKind.REJECTED, 0.7, GOOD, "mixed", 10_000)
@example("trio", FaultKind.REFUSED, 0.5, 0.004, "first", 10_000)
@example("asyncio", FaultKind.REJECTED, 0.5, 0.004, "blocks", 40)
@example("trio", FaultKind.BUG, 0.5, GOOD, "mixed", 10_000)
@example("asyncio", FaultKind.TRUNCATED, 0.5, 3.0, "mixed", 40)
@settings(max_examples=examples(3))
def test_useless_answers_take_no_more_time_than_they_need(  # noqa: PLR0913, PLR0917 - what differs between batches
    backend, kind, share, latency, order, capacity
):
    useless = ORDERS[order](Random(2), share)
    seconds = [latency if bad else GOOD for bad in useless]
    kinds = [kind if bad else None for bad in useless]
    took = seconds_of(backend, seconds, kinds, capacity)
    good = seconds_of(backend, [GOOD] * useless.count(False), [None] * useless.count(False), capacity)
    bad = seconds_of(backend, [latency] * useless.count(True), [None] * useless.count(True), capacity)
    assert took <= 1.5 * (good + bad) + 2.0
