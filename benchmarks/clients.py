"""Calls by the providers' packages: CPU per call, by the number in flight, of each package alone and of paceline around it.

    python -m benchmarks clients

Rules owned here:

1. The service is a process of its own that gives every prompt the same reply; it counts its connections.
2. The contenders take turns, round after round, so that other load on the machine affects them all. The ratio is to the package alone
   with as many calls in flight, of the least CPU of all rounds. Ratios hold on other machines, microseconds do not.
3. CPU is that of the client's process, the event loop included. A prompt has 1.9 kB, a reply 1 kB, over plain HTTP. All run on trio,
   and all but `process_prompts` with one task for each call in flight. `process_prompts` includes its pace, which it learns from scratch each time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anthropic
import anyio
import attrs
import httpx2
import openai
from google import genai
from google.genai import types

from paceline import LLMCallStrategy, ProcessorConfig, process_prompts
from paceline.llm_strategies._connection_pool import ShardedClient
from paceline.llm_strategies.anthropic import AnthropicStrategy
from paceline.llm_strategies.gemini import GeminiStrategy
from paceline.llm_strategies.openai import OpenAIStrategy

from .table import table, verdict

PROMPT = "All that can be asked of a model. " * 56
ANSWER = "x" * 750
IN_FLIGHT = (50, 500)
_CONFIG = types.GenerateContentConfig(automatic_continuation=False, should_return_http_response=True)
_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
_TARGET = 1_000.0  # microseconds of CPU for a call of Gemini, end to end

Call = Callable[[], Awaitable[object]]
Work = Callable[[int], Awaitable[None]]
"""Makes a number of calls."""


@attrs.frozen(eq=False)
class Package:
    """A provider's package, and paceline's strategy that uses it."""

    name: str
    reply: bytes
    """The service's reply."""
    path: bytes
    """What the path of a request has, in lower case."""
    call: Callable[[str, httpx2.AsyncClient], Call]
    """Returns the package's call, from the service's URL and the HTTP client."""
    strategy: Callable[[str], LLMCallStrategy[str]]
    """Returns paceline's strategy, from the service's URL."""


def _gemini_call(url: str, http: httpx2.AsyncClient) -> Call:
    options = types.HttpOptions(api_version="v1beta", base_url=url, httpx_async_client=http)
    models = genai.Client(api_key="a-key", http_options=options).aio.models
    return lambda: models.generate_content(model="gemini-2.5-flash", contents=PROMPT, config=_CONFIG)


def _openai_call(url: str, http: httpx2.AsyncClient) -> Call:
    client = openai.AsyncOpenAI(api_key="a-key", base_url=f"{url}/v1", max_retries=0, timeout=None, http_client=http)
    messages: Any = [{"role": "user", "content": PROMPT}]
    return lambda: client.chat.completions.create(model="gpt-5-mini", messages=messages)


def _anthropic_call(url: str, http: httpx2.AsyncClient) -> Call:
    client = anthropic.AsyncAnthropic(api_key="a-key", base_url=url, max_retries=0, timeout=None, http_client=http)
    messages: Any = [{"role": "user", "content": PROMPT}]
    return lambda: client.messages.create(model="claude-haiku-4-5", messages=messages, max_tokens=8_192)


GEMINI = Package(
    "google-genai",
    json.dumps(
        {
            "candidates": [
                {"content": {"role": "model", "parts": [{"text": ANSWER}]}, "finishReason": "STOP", "index": 0}
            ],
            "usageMetadata": {"promptTokenCount": 480, "candidatesTokenCount": 190, "totalTokenCount": 670},
        }
    ).encode(),
    b":generatecontent",
    _gemini_call,
    lambda url: GeminiStrategy(api_key="a-key", base_url=url),
)
OPENAI = Package(
    "openai",
    json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_800_000_000,
            "model": "gpt-5-mini",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}],
            "usage": {"prompt_tokens": 480, "completion_tokens": 190, "total_tokens": 670},
        }
    ).encode(),
    b"/chat/completions",
    _openai_call,
    lambda url: OpenAIStrategy("gpt-5-mini", api_key="a-key", base_url=f"{url}/v1"),
)
ANTHROPIC = Package(
    "anthropic",
    json.dumps(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5",
            "content": [{"type": "text", "text": ANSWER}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 480, "output_tokens": 190},
        }
    ).encode(),
    b"/messages",
    _anthropic_call,
    lambda url: AnthropicStrategy("claude-haiku-4-5", api_key="a-key", base_url=url),
)
PACKAGES = (GEMINI, OPENAI, ANTHROPIC)


# ---------------------------------------------------------------------------------------------- contenders


@asynccontextmanager
async def package_alone(package: Package, url: str, in_flight: int, pool: httpx2.AsyncClient) -> AsyncIterator[Work]:
    """Yield work of a package alone."""
    async with pool:
        yield _workers(in_flight, package.call(url, pool))


@asynccontextmanager
async def strategy_alone(package: Package, url: str, in_flight: int) -> AsyncIterator[Work]:
    """Yield work of a strategy's `execute`, without the engine."""
    async with _prepared(package, url) as strategy:
        yield _workers(in_flight, lambda: strategy.execute(PROMPT, 1, 60.0))


@asynccontextmanager
async def complete(package: Package, url: str, in_flight: int) -> AsyncIterator[Work]:
    """Yield work of `process_prompts`."""
    config = ProcessorConfig(max_workers=in_flight)
    async with _prepared(package, url) as strategy:

        async def work(calls: int) -> None:
            batch = await process_prompts(strategy, [PROMPT] * calls, config=config)
            if batch.succeeded != calls:
                raise RuntimeError(f"{calls - batch.succeeded} calls failed")

        yield work


ALONE, STRATEGY, COMPLETE = "{} alone", "**paceline** strategy's `execute`", "**paceline** `process_prompts`"
CONTENDERS: dict[str, Callable[[Package, str, int], AbstractAsyncContextManager[Work]]] = {
    ALONE: lambda package, url, n: package_alone(package, url, n, httpx2.AsyncClient(timeout=None, limits=_LIMITS)),
    "{} with paceline's connections": lambda package, url, n: package_alone(
        package, url, n, ShardedClient(timeout=None, verify=httpx2.create_ssl_context())
    ),
    STRATEGY: strategy_alone,
    COMPLETE: complete,
}


@attrs.frozen
class Run:
    """What one run measured."""

    microseconds: float
    """CPU per call."""
    connections: int


Key = tuple[str, int]
"""A contender, and the calls in flight."""


async def measure(package: Package, url: str, contender: str, in_flight: int, calls: int) -> Run:
    """Make `calls` calls, `in_flight` at a time; a first round opens the connections and is not counted."""
    async with CONTENDERS[contender](package, url, in_flight) as work, httpx2.AsyncClient() as bystander:
        await bystander.get(f"{url}/forget")
        await work(in_flight)
        before = time.process_time()
        await work(calls)
        spent = time.process_time() - before
        counts = (await bystander.get(f"{url}/counts")).json()
    return Run(spent / calls * 1e6, counts["connections"])


def measure_all(
    package: Package,
    keys: Iterable[Key],
    *,
    rounds: int,
    calls: int,
    report: Callable[[str], None] = lambda _: None,
) -> dict[Key, list[Run]]:
    """Measure contenders of a package on trio, in turns."""
    runs: dict[Key, list[Run]] = {key: [] for key in keys}
    with service() as url:
        for number in range(rounds):
            report(f"{package.name}: round {number + 1} of {rounds}")
            for (contender, in_flight), found in runs.items():
                run = anyio.run(partial(measure, package, url, contender, in_flight, calls), backend="trio")
                found.append(run)
    return runs


def least(runs: Iterable[Run]) -> float:
    """Return the least CPU per call of some runs, in microseconds."""
    return min(run.microseconds for run in runs)


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
async def _prepared(package: Package, url: str) -> AsyncIterator[LLMCallStrategy[str]]:
    strategy = package.strategy(url)
    await strategy.prepare()
    try:
        yield strategy
    finally:
        await strategy.cleanup()


def clients(rounds: int = 3, calls: int = 2_000, *, report: Callable[[str], None] = lambda _: None) -> str:
    """Measure all contenders of each package; return the tables."""
    texts = []
    for package in PACKAGES:
        keys = [(contender, in_flight) for contender in CONTENDERS for in_flight in IN_FLIGHT]
        runs = measure_all(package, keys, rounds=rounds, calls=calls, report=report)
        texts.append(_table(package, runs))
        if package is GEMINI:
            worst = max(least(runs[COMPLETE, in_flight]) for in_flight in IN_FLIGHT)
            target = f"a call of Gemini by `process_prompts` costs at most {_TARGET:,.0f} us"
            texts.append(verdict(target, worst, _TARGET, "us"))
    return "\n\n".join(texts)


def _table(package: Package, runs: dict[Key, list[Run]]) -> str:
    rows = []
    for contender in CONTENDERS:
        cells = [contender.format(package.name)]
        for in_flight in IN_FLIGHT:
            found = runs[contender, in_flight]
            cells.append(f"{least(found):.0f}")
            cells.append(f"{least(found) / least(runs[ALONE, in_flight]):.2f}")
            cells.append(f"{max(run.connections for run in found)}")
        rows.append(cells)
    head = ["us of CPU a call, ratio, connections"]
    for in_flight in IN_FLIGHT:
        head += [f"{in_flight} in flight", "ratio", "connections"]
    return table(head, rows)


# ------------------------------------------------------------------------------------------------- the service


@contextmanager
def service() -> Iterator[str]:
    """Run the service in a process of its own; yield its URL."""
    command = [sys.executable, "-m", "benchmarks.clients_service"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:  # not reached: stdout is a pipe
            raise RuntimeError("the service has no output")
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
