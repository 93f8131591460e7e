"""Run: one case, from the start of its servers to its figures."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import trio

from paceline import LLMCallStrategy, RateLimitError

from .cases import Case
from .measure import drive
from .servers import Backend, Server, slow_service

_QUIET = 3.0  # seconds without an answer, after which no call is left
_REFERENCE = 15.0  # seconds of the measurement of a server whose rate is not in its configuration


def run(case: Case, folder: Path, *, is_verbose: bool = False) -> dict[str, Any]:
    """Run a case with all files in `folder`; return its figures.

    Raises:
        MissingServerError: The server is not on this machine.
        StartError: It did not start.
    """
    limits = {} if case.service_rate is None else {"rate": case.service_rate, "burst": 10}
    with (
        slow_service(folder, latency=case.latency, refusal_after=case.is_late, **limits) as backend,
        case.start(folder, backend) as server,
    ):
        found = trio.run(_measure, case, server, backend)
    course = found.pop("course")
    if is_verbose:
        print(course)
    return found


async def _measure(case: Case, server: Server, backend: Backend) -> dict[str, Any]:
    allowed = case.rate if case.rate is not None else await _rate_of(case, server)
    items = math.ceil((allowed * case.seconds + case.free) / case.clients)
    strategies = [_strategy(case, server) for _ in range(case.clients)]
    before = await _served_by_then(backend)
    found = await drive(strategies, items=items, longest=3 * case.seconds)
    figures = found.figures(allowed, free=case.free, horizon=case.window)
    after = await _served_by(backend)
    if after > before:  # it stands behind the server
        figures["unused"] = after - before - len(found.served)
    about = {"case": case.name, "about": case.about, "version": server.version, "cap": case.cap}
    return {**about, **figures, "date": time.strftime("%Y-%m-%d"), "course": found.course()}


async def _served_by_then(backend: Backend) -> int:
    """Return the calls served, once no more are: LiteLLM makes one of its own at its start, and finishes those of a client that left."""
    last, now = -1, await _served_by(backend)
    while now != last:
        await trio.sleep(_QUIET)
        last, now = now, await _served_by(backend)
    return now


async def _served_by(backend: Backend) -> int:
    return (await trio.to_thread.run_sync(backend.counts))["served"]


def _strategy(case: Case, server: Server) -> LLMCallStrategy[str]:
    if case.client == "gemini":
        from paceline.llm_strategies.gemini import GeminiStrategy  # noqa: PLC0415 - a second, for the cases that use it

        path = "" if case.path == "/v1" else case.path
        return GeminiStrategy(api_key=server.key, base_url=server.url + path)
    from paceline.llm_strategies.openai import OpenAIStrategy  # noqa: PLC0415

    return OpenAIStrategy("tiny", api_key=server.key, base_url=server.url + case.path, options=case.options)


async def _rate_of(case: Case, server: Server) -> float:
    """Return the calls that the server answers per second, with a fixed number in flight."""
    strategy = _strategy(case, server)
    await strategy.prepare()
    served: list[float] = []

    async def call() -> None:
        while True:
            try:
                await strategy.execute(f"Question {len(served)}: why do riders share the lead?", 1, 60.0)
            except RateLimitError:
                await trio.sleep(1.0)
            else:
                served.append(trio.current_time())

    began = trio.current_time()
    with trio.move_on_after(_REFERENCE):
        async with trio.open_nursery() as nursery:
            for _ in range(case.pool):
                nursery.start_soon(call)
    await strategy.cleanup()
    later = [at for at in served if at > began + _REFERENCE / 5]
    return len(later) / (_REFERENCE * 4 / 5)
