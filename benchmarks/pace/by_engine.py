"""The contender that is measured: paceline's own engine, with the controller it has by default or another one."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import anyio

from paceline import FaultKind, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig
from paceline.abc import RateController
from paceline.testing import SimulatedStrategy

from .world import Client, Drive, Gauge

CEILING = 4_000
"""Workers; handed to all contenders that have such a bound."""


class _Observed(SimulatedStrategy):
    """Calls through a client that writes it down."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.world.provider, quota="simulated")
        self.provider: Any = client  # has the provider's `call`, and in it the provider


NewPace: TypeAlias = Callable[[Any], RateController]
"""Makes a controller, from what is known of the quota or None."""


def controller(path: str) -> NewPace:
    """Return what makes the controller at a dotted path, `package.module:name`."""
    module, _, name = path.partition(":")
    made: NewPace = getattr(importlib.import_module(module), name)
    return made


def driven_by(pace: NewPace | None) -> Drive:
    """Return the engine as a contender; `pace` makes its controller, None: whatever it has by default."""
    options: dict[str, Any] = {} if pace is None else {"pace": pace}

    async def drive(client: Client) -> None:
        trial, world = client.trial, client.world
        config = ProcessorConfig(
            max_workers=CEILING,
            timeout_per_item=trial.timeout,
            deadline=world.origin + trial.seconds - anyio.current_time(),
        )
        async with ParallelBatchProcessor[str](config, **options) as processor:
            processor._engine._draw = client.chance.random  # noqa: SLF001 - the jitter is to be the same in each run
            client.gauge = lambda: _gauge(processor, tokens=trial.tokens)
            async with processor.stream(_items(client)) as results:
                async for result in results:
                    if result.error is not None and result.error.kind is not FaultKind.PENDING:
                        client.log.lost += 1

    return drive


def _items(client: Client) -> Iterator[LLMWorkItem[str]]:
    strategy = _Observed(client)
    for index, prompt in enumerate(client.prompts()):
        yield LLMWorkItem(str(index), strategy, prompt)


def _gauge(processor: ParallelBatchProcessor[str], *, tokens: bool) -> Gauge:
    lanes = processor.statistics().lanes.values()
    if not lanes:
        return Gauge(math.nan, math.inf)
    return Gauge(
        min(CEILING, sum(lane.limit for lane in lanes)),
        sum(lane.token_rate if tokens else lane.rate for lane in lanes),
    )
