"""A server on 127.0.0.1 with the batch APIs of OpenAI, Anthropic and Gemini, for tests: see `native_jobs` for what its jobs do.

    with NativeServer(NativeService(seconds=2, expires_after=1)) as server:
        os.environ["OPENAI_BASE_URL"] = server.openai_url
        ...
        assert max(server.statistics().billed.values()) == 1

Calls are answered online as well. It is no substitute for the providers: it has what a run needs, and counts.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from .native_jobs import NativeJobs, NativeService, NativeStatistics, SimulatedJob

_TOKENS = 10  # of input and of output, of each answer
_STATES = {"completed": "SUCCEEDED", "expired": "EXPIRED", "cancelled": "CANCELLED", "failed": "FAILED"}


class NativeServer:
    """The server; it serves within its block.

    Args:
        service: What its jobs do; None: each takes half a second.
    """

    def __init__(self, service: NativeService | None = None) -> None:
        self.jobs: NativeJobs = NativeJobs(service or NativeService())
        """The jobs, and what they do."""
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.jobs = self.jobs
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        """Base URL for Anthropic's and Google's packages."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def openai_url(self) -> str:
        """Base URL for OpenAI's package."""
        return f"{self.url}/v1"

    def statistics(self) -> NativeStatistics:
        """Return what it has counted."""
        return self.jobs.statistics()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    jobs: NativeJobs

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that was killed has closed its connection."""


class _NoRoute(Exception):  # noqa: N818 - an answer, not an error
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]  # it is made with no other

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer a GET."""
        self._route("GET")

    def do_POST(self) -> None:
        """Answer a POST."""
        self._route("POST")

    def _route(self, method: str) -> None:
        self._body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urlsplit(self.path).path
        for verb, pattern, answer in self._routes:
            if verb == method and (match := re.fullmatch(pattern, path)):
                try:
                    answer(self, *match.groups())
                except _NoRoute:
                    break
                return
        self._send({"error": {"message": f"there is no {path}", "code": 404, "status": "NOT_FOUND"}}, 404)

    def _send(self, reply: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        content = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @property
    def _json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._body or b"{}")
        return found

    @property
    def _jobs(self) -> NativeJobs:
        return self.server.jobs

    def _job(self, name: str) -> SimulatedJob:
        job = self._jobs.job(name)
        if job is None:
            raise _NoRoute
        return job

    def _created(self, label: str, rows: list[tuple[str, str]], show: Callable[[SimulatedJob], Any]) -> None:
        job, is_lost = self._jobs.create(label, rows)
        if job is None:
            words = "too many tokens are enqueued"
            error = {"message": words, "code": 429, "status": "RESOURCE_EXHAUSTED", "type": "rate_limit_error"}
            self._send({"type": "error", "error": error}, 429)
        elif is_lost:
            self.close_connection = True
            self.connection.close()
        else:
            self._send(show(job))

    # ---------------------------------------------------------------------------------------------- OpenAI

    def openai_chat(self) -> None:
        """Answer a call."""
        status, text = self._jobs.answer_online(_openai_prompt(self._json))
        self._send(_openai_body(status, text, self._json.get("model")), status)

    def openai_upload(self) -> None:
        """Take a file."""
        boundary = re.search(r'boundary="?([^";]+)', self.headers["content-type"] or "")
        parts = self._body.split(b"--" + (boundary.group(1).encode() if boundary else b"-"))
        file = next(part for part in parts if b"filename=" in part[:500])
        name = self._jobs.add_file(file.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n"))
        self._send(
            {
                "id": name,
                "object": "file",
                "bytes": 1,
                "created_at": 1,
                "filename": "rows.jsonl",
                "purpose": "batch",
                "status": "processed",
            }
        )

    def openai_create(self) -> None:
        """Create a job."""
        content = self._jobs.file(self._json["input_file_id"])
        if content is None:
            raise _NoRoute
        rows = [(row["custom_id"], _openai_prompt(row["body"])) for row in map(json.loads, content.splitlines())]
        self._created((self._json.get("metadata") or {}).get("paceline", ""), rows, self._openai_job)

    def openai_look(self, name: str) -> None:
        """Show a job."""
        self._send(self._openai_job(self._job(name)))

    def openai_cancel(self, name: str) -> None:
        """Cancel a job."""
        job = self._job(name)
        if not self._jobs.cancel(job):
            self._send({"error": {"message": "it has ended", "code": "batch_not_cancellable"}}, 409)
            return
        self._send(self._openai_job(job))

    def openai_list(self) -> None:
        """List the jobs."""
        jobs = [self._openai_job(job) for job in self._jobs.listed()]
        self._send({"object": "list", "data": jobs, "has_more": False})

    def openai_content(self, name: str) -> None:
        """Give the answers of a job, or those of its rows that failed."""
        kind, _, of_job = name.partition("-of-")
        lines: list[dict[str, Any]] = []
        for key, status, text in self._jobs.answers(self._job(of_job)):
            if (status < 400) is (kind == "output"):  # noqa: PLR2004 - the first HTTP status of an error
                response = {"status_code": status, "request_id": "r", "body": _openai_body(status, text, "m")}
                lines.append({"id": "r", "custom_id": key, "response": response, "error": None})
        if kind == "errors":
            job = self._job(of_job)
            error = {"code": f"batch_{job.end}", "message": "this request could not be executed"}
            lines += [
                {"id": "r", "custom_id": key, "response": None, "error": error}
                for key, _ in job.rows[job.done(time.monotonic()) :]
            ]
        self._send(b"".join(json.dumps(line).encode() + b"\n" for line in reversed(lines)))

    def _openai_job(self, job: SimulatedJob) -> dict[str, Any]:
        now = time.monotonic()
        has_ended = job.has_ended(now)
        status = job.end if has_ended else "cancelling" if job.end == "cancelled" else "in_progress"
        errors = [{"code": "invalid", "message": "the file is not valid"}] if status == "failed" else []
        files: dict[str, Any] = {"output_file_id": f"output-of-{job.id}", "error_file_id": f"errors-of-{job.id}"}
        shown: dict[str, Any] = {
            "id": job.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "input_file_id": "file",
            "completion_window": "24h",
            "status": status,
            "created_at": int(job.created),
            "metadata": {"paceline": job.label},
            "errors": {"object": "list", "data": errors} if errors else None,
            "request_counts": {"total": len(job.rows), "completed": job.done(now), "failed": 0},
        }
        return shown | (files if has_ended and status != "failed" else {})

    # ---------------------------------------------------------------------------------------------- Anthropic

    def anthropic_call(self) -> None:
        """Answer a call."""
        status, text = self._jobs.answer_online(_openai_prompt(self._json))
        self._send(_anthropic_body(status, text, self._json.get("model")), status)

    def anthropic_create(self) -> None:
        """Create a job."""
        rows = [(row["custom_id"], _openai_prompt(row["params"])) for row in self._json["requests"]]
        self._created("", rows, self._anthropic_job)

    def anthropic_look(self, name: str) -> None:
        """Show a job."""
        self._send(self._anthropic_job(self._job(name)))

    def anthropic_cancel(self, name: str) -> None:
        """Cancel a job."""
        job = self._job(name)
        self._jobs.cancel(job)
        self._send(self._anthropic_job(job))

    def anthropic_list(self) -> None:
        """List the jobs."""
        jobs = [self._anthropic_job(job) for job in self._jobs.listed()]
        self._send({"data": jobs, "has_more": False, "first_id": None, "last_id": None})

    def anthropic_results(self, name: str) -> None:
        """Give the results of a job."""
        job, lines = self._job(name), []
        for key, status, text in self._jobs.answers(job):
            body = _anthropic_body(status, text, "m")
            result = {"type": "succeeded", "message": body} if status < 400 else {"type": "errored", "error": body}  # noqa: PLR2004 - as above
            lines.append({"custom_id": key, "result": result})
        left = "canceled" if job.end == "cancelled" else "expired"
        lines += [{"custom_id": key, "result": {"type": left}} for key, _ in job.rows[job.done(time.monotonic()) :]]
        self._send(b"".join(json.dumps(line).encode() + b"\n" for line in reversed(lines)))

    def _anthropic_job(self, job: SimulatedJob) -> dict[str, Any]:
        now = time.monotonic()
        done, has_ended = job.done(now), job.has_ended(now)
        left = len(job.rows) - done
        counts = {"processing": len(job.rows), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        if has_ended:
            is_cancelled = job.end == "cancelled"
            counts |= {
                "processing": 0,
                "succeeded": done,
                "canceled": left if is_cancelled else 0,
                "expired": 0 if is_cancelled else left,
            }
        created = datetime.fromtimestamp(job.created, UTC).isoformat()
        status = "ended" if has_ended else "canceling" if job.end == "cancelled" else "in_progress"
        return {
            "id": job.id,
            "type": "message_batch",
            "processing_status": status,
            "request_counts": counts,
            "created_at": created,
            "expires_at": created,
            "ended_at": created if has_ended else None,
            "results_url": f"/v1/messages/batches/{job.id}/results" if has_ended else None,
            "archived_at": None,
            "cancel_initiated_at": None,
        }

    # ---------------------------------------------------------------------------------------------- Gemini

    def gemini_call(self, model: str) -> None:
        """Answer a call."""
        status, text = self._jobs.answer_online(_gemini_prompt(self._json))
        self._send(_gemini_body(status, text, model), status)

    def gemini_start(self) -> None:
        """Begin an upload."""
        host = self.headers["host"]
        self._send({}, headers={"x-goog-upload-url": f"http://{host}/upload/here", "x-goog-upload-status": "active"})

    def gemini_upload(self) -> None:
        """Take a file."""
        name = self._jobs.add_file(self._body)
        self._send({"file": {"name": f"files/{name}"}}, headers={"x-goog-upload-status": "final"})

    def gemini_create(self, _: str) -> None:
        """Create a job."""
        given = self._json["batch"]
        content = self._jobs.file(given["inputConfig"]["fileName"].removeprefix("files/"))
        if content is None:
            raise _NoRoute
        rows = [(row["key"], _gemini_prompt(row["request"])) for row in map(json.loads, content.splitlines())]
        self._created(given.get("displayName", ""), rows, self._gemini_job)

    def gemini_look(self, name: str) -> None:
        """Show a job."""
        self._send(self._gemini_job(self._job(name)))

    def gemini_cancel(self, name: str) -> None:
        """Cancel a job."""
        job = self._job(name)
        if self._jobs.cancel(job):
            self._send({})
        else:
            self._send({"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "it has ended"}}, 400)

    def gemini_list(self) -> None:
        """List the jobs."""
        self._send({"operations": [self._gemini_job(job) for job in self._jobs.listed()]})

    def gemini_download(self, name: str) -> None:
        """Give the answers of a job."""
        lines = []
        for key, status, text in self._jobs.answers(self._job(name.removeprefix("output-of-"))):
            body = _gemini_body(status, text, "m")
            lines.append({"key": key, "response": body} if status < 400 else {"key": key, **body})  # noqa: PLR2004 - as above
        self._send(b"".join(json.dumps(line).encode() + b"\n" for line in reversed(lines)))

    def _gemini_job(self, job: SimulatedJob) -> dict[str, Any]:
        has_ended = job.has_ended(time.monotonic())
        metadata: dict[str, Any] = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "name": f"batches/{job.id}",
            "displayName": job.label,
            "state": f"BATCH_STATE_{_STATES[job.end] if has_ended else 'RUNNING'}",
        }
        if has_ended and job.end != "failed":
            metadata["output"] = {"responsesFile": f"files/output-of-{job.id}"}
        return {"name": f"batches/{job.id}", "metadata": metadata, "done": has_ended}

    _routes: ClassVar[list[tuple[str, str, Callable[..., None]]]] = [
        ("POST", r"/v1/chat/completions", openai_chat),
        ("POST", r"/v1/files", openai_upload),
        ("GET", r"/v1/files/([^/]+)/content", openai_content),
        ("POST", r"/v1/batches", openai_create),
        ("GET", r"/v1/batches", openai_list),
        ("GET", r"/v1/batches/([^/]+)", openai_look),
        ("POST", r"/v1/batches/([^/]+)/cancel", openai_cancel),
        ("POST", r"/v1/messages", anthropic_call),
        ("POST", r"/v1/messages/batches", anthropic_create),
        ("GET", r"/v1/messages/batches", anthropic_list),
        ("GET", r"/v1/messages/batches/([^/]+)", anthropic_look),
        ("POST", r"/v1/messages/batches/([^/]+)/cancel", anthropic_cancel),
        ("GET", r"/v1/messages/batches/([^/]+)/results", anthropic_results),
        ("POST", r"/v1beta/models/([^/]+):generateContent", gemini_call),
        ("POST", r"/v1beta/models/([^/]+):batchGenerateContent", gemini_create),
        ("POST", r"/upload/v1beta/files", gemini_start),
        ("POST", r"/upload/here", gemini_upload),
        ("GET", r"/v1beta/batches", gemini_list),
        ("GET", r"/v1beta/batches/([^/:]+)", gemini_look),
        ("POST", r"/v1beta/batches/([^/:]+):cancel", gemini_cancel),
        ("GET", r"/(?:download/)?v1beta/files/([^/:]+):download", gemini_download),
    ]


def _openai_prompt(body: Mapping[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else json.dumps(content)


def _gemini_prompt(body: Mapping[str, Any]) -> str:
    return str(body["contents"][-1]["parts"][0].get("text"))


def _openai_body(status: int, text: str, model: object) -> dict[str, Any]:
    if status >= 400:  # noqa: PLR2004 - as above
        return {"error": {"message": text, "type": "server_error" if status >= 500 else "invalid_request_error"}}  # noqa: PLR2004 - of the server
    usage = {"prompt_tokens": _TOKENS, "completion_tokens": _TOKENS, "total_tokens": 2 * _TOKENS}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}


def _anthropic_body(status: int, text: str, model: object) -> dict[str, Any]:
    if status >= 400:  # noqa: PLR2004 - as above
        kind = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": text}}
    usage = {"input_tokens": _TOKENS, "output_tokens": _TOKENS}
    content = [{"type": "text", "text": text}]
    return {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "end_turn",
        "usage": usage,
    }


def _gemini_body(status: int, text: str, model: object) -> dict[str, Any]:
    if status >= 400:  # noqa: PLR2004 - as above
        word = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}.get(status, "INTERNAL")
        return {"error": {"code": status, "message": text, "status": word}}
    usage = {"promptTokenCount": _TOKENS, "candidatesTokenCount": _TOKENS, "totalTokenCount": 2 * _TOKENS}
    content = {"role": "model", "parts": [{"text": text}]}
    return {
        "candidates": [{"content": content, "finishReason": "STOP"}],
        "usageMetadata": usage,
        "modelVersion": str(model),
    }
