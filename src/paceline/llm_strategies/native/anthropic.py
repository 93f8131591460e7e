"""Anthropic's batch API: a job with its requests inline, and one stream of results.

It has no label for a job: one that was lost is found by its number of rows and its time, and proves by the names of its rows that it is ours.

Limits: 100,000 requests and 256 MB a job (docs.anthropic.com, Message Batches, 2026); less here, as a job is held in memory.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any

import httpx2

from ..._core.native.job import JobPolicy, Outcome
from ..._core.native.splitting import JobLimits
from ..._core.prompt import Prompt
from ...abc import LLMCallStrategy, NativeAnswer, NativeLook, NativeRequest
from .._reply_limit import files_allowed
from . import rows
from .openai import found_or_lookup_error, ignoring_conflict

_PATH = "/v1/messages/batches"
_SKEW = 300.0  # seconds by which the clocks may differ
_STATUSES = {  # of the types of errors, as they come online
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicBatch:
    """Jobs of Anthropic's batch API, or of a server that has it.

    Args:
        strategy: Prepared strategy.
        client: Function that returns its client.
    """

    title = "Anthropic"

    def __init__(self, strategy: LLMCallStrategy[Any], client: Callable[[], Any]) -> None:
        self.limits: JobLimits = JobLimits(rows=50_000, bytes=100_000_000)
        self.policy: JobPolicy = JobPolicy(has_upload=False, has_label=False)
        self._strategy = strategy
        self._client = client

    async def request(self, prompt: Prompt) -> NativeRequest:
        """Return the request of a row."""
        request = await rows.recorded_request(self._strategy, prompt)
        return NativeRequest("messages", request.content)

    def line(self, key: str, request: NativeRequest) -> bytes:
        """Return a row."""
        return b'{"custom_id":"%s","params":%s}\n' % (key.encode(), request.body)

    async def upload(self, marker: str, lines: Sequence[bytes]) -> str:
        """There is no upload."""
        raise NotImplementedError

    async def create(self, marker: str, kind: str, rows: str, lines: Sequence[bytes]) -> str:  # noqa: ARG002 - there are no labels
        """Create a job."""
        body = {"requests": [json.loads(line) for line in lines]}
        reply = await self._client().post(_PATH, body=body, cast_to=httpx2.Response)
        return str(reply.json()["id"])

    async def find(self, marker: str, rows: int, since: float) -> Sequence[str]:  # noqa: ARG002 - as above
        """Return the jobs with as many rows, created since a time."""
        page, found = await self._client().messages.batches.list(limit=100), []
        while True:  # page by page: the package's iterators would be left open
            recent = [job for job in page.data if job.created_at.timestamp() >= since - _SKEW]
            found += [str(job.id) for job in recent if _total(job) == rows]
            if len(recent) < len(page.data) or not page.has_next_page():
                return found
            page = await page.get_next_page()

    async def look(self, name: str) -> NativeLook:
        """Return what Anthropic says about a job."""
        job = await found_or_lookup_error(self._client().messages.batches.retrieve(name))
        counts = job.request_counts
        done = counts.succeeded + counts.errored + counts.canceled + counts.expired
        if job.processing_status != "ended":
            return NativeLook(None, done)
        outcome = Outcome.CANCELLED if counts.canceled else Outcome.EXPIRED if counts.expired else Outcome.COMPLETED
        return NativeLook(outcome, done)

    async def cancel(self, name: str) -> None:
        """Ask for the cancellation of a job."""
        await ignoring_conflict(self._client().messages.batches.cancel(name))

    async def answers(self, name: str, store: Callable[[Sequence[NativeAnswer]], Awaitable[None]]) -> None:
        """Pass on the answers."""
        with files_allowed():
            reply = await self._client().get(f"{_PATH}/{name}/results", cast_to=httpx2.Response)
        await rows.pass_on((found for row in rows.objects_in(reply.content) if (found := _answer(row))), store)

    def replayed(self, status: int, body: str) -> AbstractContextManager[Any]:
        """Within the block, calls are answered with this."""
        return rows.replayed(status, body)


def _total(job: Any) -> int:
    """Return the number of rows of a job."""
    counts = job.request_counts
    return int(counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired)


def _answer(row: dict[str, Any]) -> NativeAnswer | None:
    """Return the answer of a row; None if it has none: it was not reached, or is to be asked again."""
    result, key = row.get("result"), str(row.get("custom_id"))
    if not isinstance(result, dict):
        return None
    if result.get("type") == "succeeded":
        return NativeAnswer(key, HTTPStatus.OK, rows.dumps(result.get("message")))
    if result.get("type") != "errored":
        return None
    error = result.get("error")
    inner = error.get("error") if isinstance(error, dict) and isinstance(error.get("error"), dict) else error
    kind = inner.get("type") if isinstance(inner, dict) else None
    status = _STATUSES.get(str(kind), 500)
    return NativeAnswer(key, status, rows.dumps({"type": "error", "error": inner})) if rows.is_final(status) else None
