"""Calls of a Gemini model: CPU per call, by the number in flight, of google-genai alone and of paceline around it.

    python -m benchmarks gemini

Rules owned here:

1. The service is a process of its own that gives every prompt the same reply; it counts its connections.
2. The contenders take turns, round after round, so that other load on the machine affects them all. The ratio is to google-genai alone
   with as many calls in flight, of the least CPU of all rounds. Ratios hold on other machines, microseconds do not.
3. CPU is that of the client's process, the event loop included. A prompt has 1.9 kB, a reply 1 kB, over plain HTTP. All run on trio,
   and all but `process_prompts` with one task for each call in flight. `process_prompts` includes its pace, which it learns from scratch each time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

import anyio
import attrs
import httpx2
from google import genai
from google.genai import types

from paceline import ProcessorConfig, process_prompts
from paceline.llm_strategies._connection_pool import ShardedClient
from paceline.llm_strategies.gemini import GeminiStrategy

from .table import table

PROMPT = "All that can be asked of a model. " * 56
REPLY = json.dumps(
    {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": "x" * 750}]}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {"promptTokenCount": 480, "candidatesTokenCount": 190, "totalTokenCount": 670},
    }
).encode()
CONFIG = types.GenerateContentConfig(automatic_continuation=False, should_return_http_response=True)
IN_FLIGHT = (50, 500)
_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
_ALONE = "google-genai alone"

Call = Callable[[], Awaitable[object]]
Work = Callable[[int], Awaitable[None]]
"""Makes a number of calls."""


@asynccontextmanager
async def google_genai(url: str, in_flight: int, pool: httpx2.AsyncClient) -> AsyncIterator[Work]:
    """Yield work of google-genai alone."""
    options = types.HttpOptions(api_version="v1beta", base_url=url, httpx_async_client=pool)
    client = genai.Client(api_key="a-key", http_options=options)
    async with pool:
        yield _workers(
            in_flight,
            lambda: client.aio.models.generate_content(model="gemini-2.5-flash", contents=PROMPT, config=CONFIG),
        )


@asynccontextmanager
async def strategy_alone(url: str, in_flight: int) -> AsyncIterator[Work]:
    """Yield work of `GeminiStrategy.execute`, without the engine."""
    async with _prepared(url) as strategy:
        yield _workers(in_flight, lambda: strategy.execute(PROMPT, 1, 60.0))


@asynccontextmanager
async def complete(url: str, in_flight: int) -> AsyncIterator[Work]:
    """Yield work of `process_prompts`."""
    config = ProcessorConfig(max_workers=in_flight)
    async with _prepared(url) as strategy:

        async def work(calls: int) -> None:
            batch = await process_prompts(strategy, [PROMPT] * calls, config=config)
            if batch.succeeded != calls:
                raise RuntimeError(f"{calls - batch.succeeded} calls failed")

        yield work


CONTENDERS: dict[str, Callable[[str, int], AbstractAsyncContextManager[Work]]] = {
    _ALONE: lambda url, n: google_genai(url, n, httpx2.AsyncClient(timeout=None, limits=_LIMITS)),
    "google-genai with paceline's connections": lambda url, n: google_genai(url, n, ShardedClient(timeout=None)),
    "**paceline** `GeminiStrategy.execute`": strategy_alone,
    "**paceline** `process_prompts`": complete,
}


@attrs.frozen
class Run:
    """What one run measured."""

    microseconds: float
    """CPU per call."""
    connections: int


async def measure(url: str, contender: str, in_flight: int, calls: int) -> Run:
    """Make `calls` calls, `in_flight` at a time; a first round opens the connections and is not counted."""
    async with CONTENDERS[contender](url, in_flight) as work, httpx2.AsyncClient() as bystander:
        await bystander.get(f"{url}/forget")
        await work(in_flight)
        before = time.process_time()
        await work(calls)
        spent = time.process_time() - before
        counts = (await bystander.get(f"{url}/counts")).json()
    return Run(spent / calls * 1e6, counts["connections"])


def _workers(in_flight: int, call: Call) -> Work:
    async def work(calls: int) -> None:
        left = iter(range(calls))

        async def worker() -> None:
            for _ in left:
                await call()

        async with anyio.create_task_group() as nursery:
            for _ in range(in_flight):
                nursery.start_soon(worker)

    return work


@asynccontextmanager
async def _prepared(url: str) -> AsyncIterator[GeminiStrategy[str]]:
    strategy = GeminiStrategy(api_key="a-key", base_url=url)
    await strategy.prepare()
    try:
        yield strategy
    finally:
        await strategy.cleanup()


def gemini(rounds: int = 3, calls: int = 2_000) -> str:
    """Measure all contenders on trio; return the table."""
    runs: dict[tuple[str, int], list[Run]] = {}
    with service() as url:
        for _ in range(rounds):
            for name in CONTENDERS:
                for in_flight in IN_FLIGHT:
                    run = anyio.run(measure, url, name, in_flight, calls, backend="trio")
                    runs.setdefault((name, in_flight), []).append(run)
    least = {key: min(run.microseconds for run in found) for key, found in runs.items()}
    rows = []
    for name in CONTENDERS:
        cells = [name]
        for in_flight in IN_FLIGHT:
            cells.append(f"{least[name, in_flight]:.0f}")
            cells.append(f"{least[name, in_flight] / least[_ALONE, in_flight]:.2f}")
            cells.append(f"{max(run.connections for run in runs[name, in_flight])}")
        rows.append(cells)
    head = ["us of CPU a call, ratio, connections"]
    for in_flight in IN_FLIGHT:
        head += [f"{in_flight} in flight", "ratio", "connections"]
    return table(head, rows)


# ------------------------------------------------------------------------------------------------- the service


@contextmanager
def service() -> Iterator[str]:
    """Run the service in a process of its own; yield its URL."""
    command = [sys.executable, "-m", "benchmarks.gemini_client_service"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:  # not reached: stdout is a pipe
            raise RuntimeError("the service has no output")
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
