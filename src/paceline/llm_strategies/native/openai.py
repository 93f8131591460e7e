"""OpenAI's batch API: a file of requests, a job of it, and files of answers and errors.

Limits: 50,000 requests and 200 MB a file (platform.openai.com, Batch API guide, 2026); half of the size here, as a file is held in memory.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any

from ..._core.native.job import JobPolicy, Outcome
from ..._core.native.splitting import JobLimits
from ..._core.prompt import Prompt
from ...abc import LLMCallStrategy, NativeAnswer, NativeLook, NativeRequest
from .._reply_limit import files_allowed
from . import rows

_OUTCOMES = {
    "completed": Outcome.COMPLETED,
    "failed": Outcome.FAILED,
    "expired": Outcome.EXPIRED,
    "cancelled": Outcome.CANCELLED,
}
_NO_ROOM = "token_limit_exceeded"  # code of a job that failed as too many tokens are enqueued
_MOST_LISTED = 10_000  # jobs among which a lost one is looked for, the newest first
_DAY = 24 * 3600  # seconds: more than clocks differ
_MARKER = "paceline"
"""Key of our marker in the metadata of a job."""


class OpenAIBatch:
    """Jobs of OpenAI's batch API, or of a server that has it.

    Args:
        strategy: Prepared strategy.
        client: Function that returns its client.
    """

    title = "OpenAI"

    def __init__(self, strategy: LLMCallStrategy[Any], client: Callable[[], Any]) -> None:
        self.limits: JobLimits = JobLimits(rows=50_000, bytes=100_000_000)
        self.policy: JobPolicy = JobPolicy()
        self._strategy = strategy
        self._client = client

    async def request(self, prompt: Prompt) -> NativeRequest:
        """Return the request of a row."""
        request = await rows.recorded_request(self._strategy, prompt)
        body = request.content
        path = "/responses" if request.url.path.endswith("/responses") else "/chat/completions"
        return NativeRequest(rows.dumps([f"/v1{path}", json.loads(body).get("model")]), body)

    def line(self, key: str, request: NativeRequest) -> bytes:
        """Return a row."""
        head = {"custom_id": key, "method": "POST", "url": json.loads(request.kind)[0]}
        return b"%s,%s:%s}\n" % (rows.dumps(head)[:-1].encode(), b'"body"', request.body)

    async def upload(self, marker: str, lines: Sequence[bytes]) -> str:
        """Upload a file of rows."""
        file = await self._client().files.create(file=(f"{marker}.jsonl", b"".join(lines)), purpose="batch")
        return str(file.id)

    async def create(self, marker: str, kind: str, rows: str, lines: Sequence[bytes]) -> str:  # noqa: ARG002 - they are uploaded
        """Create a job."""
        job = await self._client().batches.create(
            input_file_id=rows,
            endpoint=json.loads(kind)[0],
            completion_window="24h",
            metadata={_MARKER: marker},
        )
        return str(job.id)

    async def find(self, marker: str, rows: int, since: float) -> Sequence[str]:  # noqa: ARG002 - the marker tells
        """Return the jobs with a marker."""
        page, listed = await self._client().batches.list(limit=100), 0
        while True:  # page by page: the package's iterators would be left open
            found = [str(job.id) for job in page.data if (job.metadata or {}).get(_MARKER) == marker]
            listed += len(page.data)
            is_before = any((job.created_at or since) < since - _DAY for job in page.data)
            if found or is_before or listed >= _MOST_LISTED or not page.has_next_page():
                return found
            page = await page.get_next_page()

    async def look(self, name: str) -> NativeLook:
        """Return what OpenAI says about a job."""
        job = await found_or_lookup_error(self._client().batches.retrieve(name))
        outcome = _OUTCOMES.get(job.status)
        errors = (job.errors.data if job.errors else None) or []
        if outcome is Outcome.FAILED and any(error.code == _NO_ROOM for error in errors):
            outcome = Outcome.HELD
        counts = job.request_counts
        done = (counts.completed or 0) + (counts.failed or 0) if counts else 0
        return NativeLook(outcome, done, "; ".join(str(error.message) for error in errors[:3]))

    async def cancel(self, name: str) -> None:
        """Ask for the cancellation of a job."""
        await ignoring_conflict(self._client().batches.cancel(name))

    async def answers(self, name: str, store: Callable[[Sequence[NativeAnswer]], Awaitable[None]]) -> None:
        """Pass on the answers of both files."""
        job = await self._client().batches.retrieve(name)
        for file in filter(None, (job.output_file_id, job.error_file_id)):
            with files_allowed():
                content = await self._client().files.content(file)
            await rows.pass_on((found for row in rows.objects_in(content.content) if (found := _answer(row))), store)

    def replayed(self, status: int, body: str) -> AbstractContextManager[Any]:
        """Within the block, calls are answered with this."""
        return rows.replayed(status, body)


def _answer(row: dict[str, Any]) -> NativeAnswer | None:
    """Return the answer of a row; None if it has none: it was not reached, or is to be asked again."""
    response = row.get("response")
    if not isinstance(response, dict) or type(response.get("status_code")) is not int:
        return None
    status: int = response["status_code"]
    return (
        NativeAnswer(str(row.get("custom_id")), status, rows.dumps(response.get("body")))
        if rows.is_final(status)
        else None
    )


async def found_or_lookup_error(call: Awaitable[Any]) -> Any:
    """Await a call; a 404 becomes a LookupError.

    Raises:
        LookupError: The provider does not have the job.
    """
    try:
        return await call
    except Exception as error:
        if (
            getattr(error, "status_code", None) == HTTPStatus.NOT_FOUND
            or getattr(error, "code", None) == HTTPStatus.NOT_FOUND
        ):
            raise LookupError(str(error)) from error
        raise


async def ignoring_conflict(call: Awaitable[Any]) -> None:
    """Await a cancellation; that the job has ended already is no error."""
    try:
        await call
    except Exception as error:
        if getattr(error, "status_code", getattr(error, "code", None)) not in {
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.CONFLICT,
        }:
            raise
