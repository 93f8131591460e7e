"""paceline's engine as a contender, with its default controller or another one."""

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
"""Workers; the bound of all contenders that have one."""


class _Observed(SimulatedStrategy):
    """Calls through a client that logs each call."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.world.provider, quota="simulated")
        self.provider: Any = client  # has the `call` of a provider, and calls the provider


NewPace: TypeAlias = Callable[[Any], RateController]
"""Function that makes a controller from what is known about the quota, or None."""


def controller(path: str) -> NewPace:
    """Return the function that makes the controller at a dotted path, `package.module:name`."""
    module, _, name = path.partition(":")
    made: NewPace = getattr(importlib.import_module(module), name)
    return made


def driven_by(pace: NewPace | None) -> Drive:
    """Return the engine as a contender; `pace` makes its controller, None: the default one."""
    options: dict[str, Any] = {} if pace is None else {"pace": pace}

    async def drive(client: Client) -> None:
        trial, world = client.trial, client.world
        config = ProcessorConfig(
            max_workers=CEILING,
            timeout_per_item=trial.timeout,
            deadline=world.origin + trial.seconds - anyio.current_time(),
        )
        async with ParallelBatchProcessor[str](config, **options) as processor:
            processor._pool._draw = client.chance.random  # noqa: SLF001 - the jitter must be the same in each run
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
