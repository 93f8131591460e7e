"""async-batch-llm itself, on a virtual asyncio clock: its process_stream, from a source that is read on demand.

A refused item keeps its worker, and all workers wait for one cool-down together; then they start slowly.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextlib import aclosing
from typing import Any

from async_batch_llm import (  # type: ignore[import-not-found]  # not in this environment
    LLMCallStrategy,
    ProcessorConfig,
    RateLimitConfig,
    RetryConfig,
    process_stream,
)

from ..world import Client, Drive, Gauge


class _Observed(LLMCallStrategy[str]):  # type: ignore[misc]  # as above
    def __init__(self, client: Client) -> None:
        self._client = client

    async def execute(
        self, prompt: str, attempt: int, timeout: float, state: object = None
    ) -> tuple[str, dict[str, int], None]:
        reply = await self._client.call(prompt, attempt)
        return reply.text, {}, None


def drive(*, workers: int | None = None, rate_limit: dict[str, Any] | None = None, **retry: Any) -> Drive:
    """Return it as a contender; None: its defaults."""
    logging.disable()
    # it measures with all three clocks; this benchmark uses only process_time
    time.time = time.monotonic = time.perf_counter = lambda: asyncio.get_running_loop().time()

    async def run(client: Client) -> None:
        config = ProcessorConfig(
            max_workers=workers,
            attempt_timeout=client.trial.timeout,
            rate_limit=RateLimitConfig(**(rate_limit or {})),
            retry=RetryConfig(**retry),
        )
        config.max_queue_size = config.max_result_queue_size = max(200, 2 * config.max_workers)
        client.gauge = lambda: Gauge(config.max_workers, math.inf)
        async with aclosing(process_stream(_Observed(client), client.prompts(), config=config)) as results:
            async for result in results:
                if not result.success:
                    client.log.lost += 1

    return run
