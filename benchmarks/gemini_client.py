"""Calls by google-genai: CPU per call, by the number in flight, with httpx2's one pool and with paceline's several.

    python -m benchmarks gemini

Rules owned here:

1. The service is a process of its own that gives every prompt the same reply; it counts its connections.
2. The contenders take turns, round after round, so that other load on the machine affects them all. Ratios hold on other
   machines, microseconds do not.
3. CPU is that of the client's process, the event loop included. A prompt has 1.9 kB, a reply 1 kB, over plain HTTP.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import attrs
import httpx2
from google import genai
from google.genai import types

from paceline.llm_strategies._connection_pool import ShardedClient

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

CONTENDERS: dict[str, Callable[[], httpx2.AsyncClient]] = {
    "httpx2, one pool": lambda: httpx2.AsyncClient(timeout=None, limits=_LIMITS),
    "**paceline**, a pool a connection": lambda: ShardedClient(timeout=None),
}


@attrs.frozen
class Run:
    """What one run measured."""

    microseconds: float
    """CPU per call."""
    connections: int


async def measure(url: str, pool: httpx2.AsyncClient, in_flight: int, calls: int) -> Run:
    """Make `calls` calls, `in_flight` at a time; a first round opens the connections and is not counted."""
    options = types.HttpOptions(api_version="v1beta", base_url=url, httpx_async_client=pool)
    client = genai.Client(api_key="a-key", http_options=options)
    async with pool, httpx2.AsyncClient() as bystander:
        await bystander.get(f"{url}/forget")
        left = iter(range(in_flight))

        async def work() -> None:
            for _ in left:
                await client.aio.models.generate_content(model="gemini-2.5-flash", contents=PROMPT, config=CONFIG)

        async def all_work() -> None:
            async with anyio.create_task_group() as nursery:
                for _ in range(in_flight):
                    nursery.start_soon(work)

        await all_work()
        left = iter(range(calls))
        before = time.process_time()
        await all_work()
        spent = time.process_time() - before
        counts = (await bystander.get(f"{url}/counts")).json()
    return Run(spent / calls * 1e6, counts["connections"])


def gemini(rounds: int = 3, calls: int = 2_000) -> str:
    """Measure all contenders on trio; return the table."""
    runs: dict[tuple[str, int], list[Run]] = {}
    with service() as url:
        for _ in range(rounds):
            for name, make in CONTENDERS.items():
                for in_flight in IN_FLIGHT:
                    run = anyio.run(measure, url, make(), in_flight, calls, backend="trio")
                    runs.setdefault((name, in_flight), []).append(run)
    rows = []
    for name in CONTENDERS:
        cells = [name]
        for in_flight in IN_FLIGHT:
            cells.append(f"{statistics.median(run.microseconds for run in runs[name, in_flight]):.0f}")
            cells.append(f"{max(run.connections for run in runs[name, in_flight])}")
        rows.append(cells)
    head = ["us of CPU a call, and connections"]
    for in_flight in IN_FLIGHT:
        head += [f"{in_flight} in flight", "connections"]
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
