"""Synchronous code, such as a Flask application, that calls models through a pool in another thread.

    export MODEL=gpt-5-mini OPENAI_API_KEY=...
    flask --app examples/threads.py run --with-threads
    curl localhost:5000/classify --json '{"text": "Good value"}'

One thread runs an event loop, which owns the pool; each thread that serves a request waits for the result of its own call. `PoolThread` is
all that a synchronous program needs: `with PoolThread() as pool: pool.call(strategy, prompt)`.
"""

from __future__ import annotations

import atexit
import math
import os
from contextlib import ExitStack
from functools import cache, partial
from types import TracebackType
from typing import Any, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from flask import Flask, Response, jsonify, request

import paceline
from paceline import BatchResult, CallError, FaultKind, LLMCallStrategy, WorkItemResult
from paceline.exceptions import Busy
from paceline.typing import ProcessorStatistics

T = TypeVar("T")

MAY_PASS = {FaultKind.TIMEOUT, FaultKind.THROTTLED, FaultKind.OVERLOADED, FaultKind.EXHAUSTED, FaultKind.PENDING}
"""Kinds of faults after which it is worth trying again."""


class PoolThread:
    """A pool in an event loop of its own, in a thread of its own; its methods block, and may be called from any thread."""

    def __init__(self, backend: str = "trio", **options: Any) -> None:
        self._backend = backend
        self._pool = paceline.open_pool(**options)
        self._stack = ExitStack()
        self._portal: BlockingPortal

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal(self._backend))
            stack.enter_context(self._portal.wrap_async_context_manager(self._pool))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def call(self, strategy: LLMCallStrategy[T], prompt: str, **options: Any) -> WorkItemResult[T]:
        """Answer one prompt; the arguments and exceptions are those of `Pool.call`."""
        return self._portal.call(partial(self._pool.call, strategy, prompt, **options))

    def process_prompts(self, strategy: LLMCallStrategy[T], prompts: list[str], **options: Any) -> BatchResult[T]:
        """Answer every prompt; the arguments and exceptions are those of `Pool.process_prompts`."""
        return self._portal.call(partial(self._pool.process_prompts, strategy, prompts, **options))

    def statistics(self) -> ProcessorStatistics:
        """Return a snapshot."""
        return self._portal.call(self._pool.statistics)

    def drain(self) -> None:
        """Finish what was accepted, and take no more."""
        self._pool.drain()


@cache
def pool() -> PoolThread:
    """Return the pool of this process, opened when it is first needed: after a server has forked its workers."""
    opened = PoolThread().__enter__()
    atexit.register(opened.__exit__, None, None, None)
    return opened


@cache
def strategy() -> LLMCallStrategy[str]:
    """Return the model."""
    return paceline.model(os.environ.get("MODEL", "sim:rate=50"))


app = Flask(__name__)


@app.post("/classify")
def classify() -> Response:
    """Classify one text."""
    result = pool().call(strategy(), f"Positive or negative? {request.get_json()['text']}", timeout=20)
    return jsonify(label=result.unwrap())


@app.errorhandler(Busy)
def answer_busy(busy: Busy) -> tuple[Response, int, dict[str, str]]:
    """Answer a request that would wait too long."""
    return jsonify(detail=str(busy)), 503, {"Retry-After": str(math.ceil(busy.retry_after))}


@app.errorhandler(CallError)
def answer_fault(error: CallError) -> tuple[Response, int, dict[str, str]]:
    """Answer a request whose call has failed."""
    if error.kind in MAY_PASS:
        return jsonify(detail=str(error)), 503, {"Retry-After": str(math.ceil(error.retry_after or 1))}
    return jsonify(detail=str(error)), 502, {}
