"""The Gemini API's batch mode: a file of requests, a job of it, and a file of answers.

Always by files: a job with inline requests is limited to 20 MB, and one with large inline answers could not be read back.

Limits: 2 GB a file (ai.google.dev, Batch API, 2026); less here, as a file is held in memory.
"""

from __future__ import annotations

import io
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
from .openai import found_or_lookup_error, ignoring_conflict

_OUTCOMES = {
    "JOB_STATE_SUCCEEDED": Outcome.COMPLETED,
    "JOB_STATE_PARTIALLY_SUCCEEDED": Outcome.COMPLETED,
    "JOB_STATE_FAILED": Outcome.FAILED,
    "JOB_STATE_EXPIRED": Outcome.EXPIRED,
    "JOB_STATE_CANCELLED": Outcome.CANCELLED,
}
_CODES = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500, 14: 503, 16: 401}
"""HTTP statuses of Google's error codes."""
_MOST_LISTED = 10_000  # jobs among which a lost one is looked for, the newest first


class GeminiBatch:
    """Jobs of the Gemini API's batch mode.

    Args:
        strategy: Prepared strategy.
        client: Function that returns its client.
        model: Name of the model.
    """

    title = "Gemini"

    def __init__(self, strategy: LLMCallStrategy[Any], client: Callable[[], Awaitable[Any]], model: str) -> None:
        self.limits: JobLimits = JobLimits(rows=50_000, bytes=100_000_000)
        self.policy: JobPolicy = JobPolicy()
        self._strategy = strategy
        self._client = client
        self._model = model

    async def request(self, prompt: Prompt) -> NativeRequest:
        """Return the request of a row."""
        request = await rows.recorded_request(self._strategy, prompt)
        return NativeRequest(self._model, request.content)

    def line(self, key: str, request: NativeRequest) -> bytes:
        """Return a row."""
        return b'{"key":"%s","request":%s}\n' % (key.encode(), request.body)

    async def upload(self, marker: str, lines: Sequence[bytes]) -> str:
        """Upload a file of rows."""
        client = await self._client()
        file = await client.aio.files.upload(
            file=io.BytesIO(b"".join(lines)), config={"display_name": marker, "mime_type": "jsonl"}
        )
        return str(file.name)

    async def create(self, marker: str, kind: str, rows: str, lines: Sequence[bytes]) -> str:  # noqa: ARG002 - they are uploaded
        """Create a job."""
        client = await self._client()
        job = await client.aio.batches.create(model=kind, src=rows, config={"display_name": marker})
        return str(job.name)

    async def find(self, marker: str, rows: int, since: float) -> Sequence[str]:  # noqa: ARG002 - the marker tells
        """Return the jobs with a marker."""
        client = await self._client()
        pager, listed = await client.aio.batches.list(config={"page_size": 100}), 0
        while True:  # page by page: the package's iterators would be left open
            found = [str(job.name) for job in pager.page if job.display_name == marker]
            listed += len(pager.page)
            if found or listed >= _MOST_LISTED:
                return found
            try:
                await pager.next_page()
            except IndexError:  # that was the last one
                return found

    async def look(self, name: str) -> NativeLook:
        """Return what Gemini says about a job."""
        client = await self._client()
        job = await found_or_lookup_error(client.aio.batches.get(name=name))
        state = getattr(job.state, "name", None) or str(job.state)
        message = getattr(job.error, "message", None) or ""
        return NativeLook(_OUTCOMES.get(state), message=message)

    async def cancel(self, name: str) -> None:
        """Ask for the cancellation of a job."""
        client = await self._client()
        await ignoring_conflict(client.aio.batches.cancel(name=name))

    async def answers(self, name: str, store: Callable[[Sequence[NativeAnswer]], Awaitable[None]]) -> None:
        """Pass on the answers."""
        client = await self._client()
        job = await client.aio.batches.get(name=name)
        file = job.dest.file_name if job.dest is not None else None
        if file:
            with files_allowed():
                content = await client.aio.files.download(file=file)
            await rows.pass_on((found for row in rows.objects_in(content) if (found := _answer(row))), store)

    def replayed(self, status: int, body: str) -> AbstractContextManager[Any]:
        """Within the block, calls are answered with this."""
        return rows.replayed(status, body)


def _answer(row: dict[str, Any]) -> NativeAnswer | None:
    """Return the answer of a row; None if it has none: it was not reached, or is to be asked again."""
    key, response, error = str(row.get("key")), row.get("response"), row.get("error")
    if isinstance(response, dict):
        return NativeAnswer(key, HTTPStatus.OK, rows.dumps(response))
    if not isinstance(error, dict):
        return None
    code = error.get("code")
    number = code if isinstance(code, int) else 0
    status = _CODES.get(number, number if number >= HTTPStatus.BAD_REQUEST else 500)
    return NativeAnswer(key, status, json.dumps({"error": error})) if rows.is_final(status) else None
