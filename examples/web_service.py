"""A web service: its requests and a nightly batch share one pool, and so the limit of one provider.

    export MODEL=gpt-5-mini OPENAI_API_KEY=...
    cd examples
    uvicorn web_service:app                             # asyncio, or uvloop where it is installed
    hypercorn --worker-class trio web_service:app       # trio

    curl localhost:8000/classify --json '{"text": "Good value"}'
    curl localhost:8000/nights/2026-11-30 -X PUT --json '["Too long", "Good"]'

1. The lifespan opens the pool, so that it lives as long as the application.
2. A request takes TIMEOUT seconds at most. One that would wait longer is answered at once, with 503 and Retry-After.
3. Requests go first. The batch takes what they leave, and 5 % of the calls while they leave nothing.
4. On SIGTERM the requests in flight are answered, if the server waits for longer than TIMEOUT (hypercorn waits for 3 seconds; see
   `--graceful-timeout`), and the batch starts no more calls. JOURNAL keeps its results: put the same night
   again, and only what is missing is called.
"""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import anyio
import attrs
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

import paceline
from paceline import BatchResult, CallError, FaultKind, LLMCallStrategy, LLMWorkItem
from paceline.exceptions import Busy, PacelineError

TIMEOUT = float(os.environ.get("TIMEOUT", "2"))
"""Seconds that a request may take."""
MAY_PASS = {FaultKind.TIMEOUT, FaultKind.THROTTLED, FaultKind.OVERLOADED, FaultKind.EXHAUSTED, FaultKind.PENDING}
"""Kinds of faults after which it is worth trying again."""


@attrs.define
class State:
    """What the requests share."""

    pool: paceline.Pool
    strategy: LLMCallStrategy[str]
    background: anyio.abc.TaskGroup
    nights: dict[str, BatchResult[str] | PacelineError | None] = attrs.field(factory=dict)
    """Batches that ended, or why they could not run; None: it runs."""


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Open the pool; at the end let the batch stop early."""
    strategy = paceline.model(os.environ.get("MODEL", "sim:rate=50"))
    async with (
        paceline.open_pool(journal=os.environ.get("JOURNAL") or None) as pool,
        anyio.create_task_group() as background,
    ):
        yield {"shared": State(pool, strategy, background)}
        pool.drain()


app = FastAPI(lifespan=lifespan)


class Review(BaseModel):
    """A text to classify."""

    text: str


@app.post("/classify")
async def classify(review: Review, request: Request, response: Response, x_tenant: str = Header("")) -> dict[str, str]:
    """Classify one text; the header Server-Timing says how long it waited for its turn, and how long the model took."""
    shared: State = request.state.shared
    began = perf_counter()
    result = await shared.pool.call(
        shared.strategy, f"Positive or negative? {review.text}", timeout=TIMEOUT, tenant=x_tenant
    )
    waited = perf_counter() - began - result.seconds
    response.headers["Server-Timing"] = f"wait;dur={1000 * waited:.0f}, model;dur={1000 * result.seconds:.0f}"
    return {"label": result.unwrap()}


@app.exception_handler(Busy)
async def answer_busy(_: Request, busy: Busy) -> JSONResponse:
    """Answer a request that would wait too long."""
    return unavailable(str(busy), busy.retry_after)


@app.exception_handler(CallError)
async def answer_fault(_: Request, error: CallError) -> JSONResponse:
    """Answer a request whose call has failed."""
    if error.kind in MAY_PASS:
        return unavailable(str(error), error.retry_after or 1)
    return JSONResponse({"detail": str(error)}, 502)


def unavailable(detail: str, retry_after: float) -> JSONResponse:
    """Return a response that says when to try again."""
    return JSONResponse({"detail": detail}, 503, {"Retry-After": str(math.ceil(retry_after))})


@app.put("/nights/{night}", status_code=202)
async def start_night(night: str, texts: list[str], request: Request) -> None:
    """Start a batch; a task of the application runs it, as the request ends at once."""
    request.state.shared.background.start_soon(run_night, request.state.shared, night, texts)


async def run_night(shared: State, night: str, texts: list[str]) -> None:
    """Run a batch."""
    items = [
        LLMWorkItem(f"{night}/{number}", shared.strategy, f"Positive or negative? {text}")
        for number, text in enumerate(texts)
    ]
    shared.nights[night] = None
    try:
        shared.nights[night] = await shared.pool.process(items)
    except PacelineError as error:  # of the journal, for example: it ends the batch, not the service
        shared.nights[night] = error


@app.get("/nights/{night}")
async def show_night(night: str, request: Request) -> dict[str, Any]:
    """Say what became of a batch."""
    match request.state.shared.nights.get(night):
        case BatchResult() as batch:
            return {"succeeded": batch.succeeded, "failed": batch.failed, "pending": batch.pending}
        case PacelineError() as error:
            return {"error": str(error)}
        case None:
            return {"running": night in request.state.shared.nights}


@app.get("/statistics")
async def show_statistics(request: Request) -> dict[str, Any]:
    """Say how the pool is doing."""
    now = request.state.shared.pool.statistics()
    lanes = {quota: {"calls a second": lane.rate, "calls in flight": lane.limit} for quota, lane in now.lanes.items()}
    return {"waiting": now.waiting, "in flight": now.in_flight, "refused": now.rate_limit_count, "lanes": lanes}
