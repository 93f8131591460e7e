"""Time of a batch some of whose answers are of no use, or some of whose items are always refused: `python -m benchmarks faults`.

No real models are called. paceline's real engine and controller run in virtual time, on a provider without any limit:

1. A call takes 0.1 s, whether its answer is of use or not: the provider rejected the request, refused to answer, or answered
   invalidly. Which items fail is drawn at random. None of them is called twice.
2. A refusal (HTTP 429) takes 0.03 s. An item that is refused is refused whenever it is called.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import attrs
from trio.testing import MockClock

from paceline import CallableStrategy, CallError, FaultKind, ProcessorConfig, RetryPolicy, process_prompts
from paceline.exceptions import RateLimitError

from .table import table, verdict

ANSWERS, ITEMS = 2_000, 600  # items of a batch with useless answers, and with refused items
LATENCY, REFUSAL_LATENCY = 0.1, 0.03  # seconds
USELESS = (FaultKind.REJECTED, FaultKind.INVALID, FaultKind.REFUSED)
USELESS_SHARES = (0.0, 0.3, 0.5, 0.7, 0.9)
REFUSED_SHARES = (0.0, 0.01, 0.05, 0.1, 0.2)
_TARGET = 1.5  # times the seconds of a batch without useless answers


@attrs.define
class _Provider:
    """Answers at once in any number; fails the items `failing` with a fault of kind `kind`."""

    failing: frozenset[int]
    kind: FaultKind
    last_served: float = 0.0
    calls: int = 0
    """Calls of failing items."""

    async def ask(self, prompt: str) -> str:
        failing = int(prompt) in self.failing
        self.calls += failing
        await anyio.sleep(REFUSAL_LATENCY if failing and self.kind is FaultKind.THROTTLED else LATENCY)
        if not failing:
            self.last_served = anyio.current_time()
            return prompt
        if self.kind is FaultKind.THROTTLED:
            raise RateLimitError("too many requests")
        raise CallError(f"no answer to item {prompt}", kind=self.kind)


@attrs.frozen
class Run:
    """What a batch took."""

    seconds: float
    """Seconds until every item had its result."""
    others: float
    """Seconds until the last served call had ended."""
    served: float
    """Served items over those that do not fail."""
    calls: float
    """Calls of a failing item, on average."""


def measure(items: int, share: float, kind: FaultKind, *, seed: int = 1) -> Run:
    """Run a batch of which this share of the items fails."""
    numbers = list(range(items))
    random.Random(seed).shuffle(numbers)
    provider = _Provider(frozenset(numbers[: round(share * items)]), kind)

    async def run() -> Run:
        began = anyio.current_time()
        config = ProcessorConfig(retry=RetryPolicy(max_invalid=1))
        batch = await process_prompts(CallableStrategy(provider.ask), map(str, range(items)), config=config)
        failing = len(provider.failing)
        return Run(
            batch.seconds,
            provider.last_served - began,
            batch.succeeded / (items - failing),
            provider.calls / max(1, failing),
        )

    return _in_virtual_time(run)


def _in_virtual_time(run: Callable[[], Coroutine[Any, Any, Run]]) -> Run:
    return anyio.run(run, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})


def faults() -> str:
    """Run all batches; return the tables."""
    useless = {kind: [measure(ANSWERS, share, kind).seconds for share in USELESS_SHARES] for kind in USELESS}
    refused = [measure(ITEMS, share, FaultKind.THROTTLED) for share in REFUSED_SHARES]
    shares = [f"{share:.0%}" for share in USELESS_SHARES]
    answers = table(
        (f"seconds of {ANSWERS:,} items, by the share of answers of no use", *shares),
        [(f"{kind}", *(f"{each:.1f}" for each in seconds)) for kind, seconds in useless.items()],
    )
    items = table(
        (f"{ITEMS:,} items, by the share that is always refused", *(f"{share:.0%}" for share in REFUSED_SHARES)),
        [
            ("seconds until all others are served", *(f"{run.others:.1f}" for run in refused)),
            ("others that are served", *(f"{run.served:.0%}" for run in refused)),
            ("seconds until the last item has its result", *(f"{run.seconds:.1f}" for run in refused)),
            ("calls of a refused item", *(f"{run.calls:.1f}" if run.calls else "" for run in refused)),
        ],
    )
    worst = max(each / seconds[0] for seconds in useless.values() for each in seconds)
    target = f"answers of no use take a batch at most {_TARGET:g} times as long as useful ones do"
    return "\n\n".join((answers, verdict(target, worst, _TARGET, "times"), items))
