"""A scripted HTTP server that answers as Gemini does, and helpers of its tests."""

from __future__ import annotations

import contextlib
import copy
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import attrs
from anyio import CancelScope, fail_after, sleep

from paceline import CallError

KEY = "test-key-that-must-not-be-seen"


@attrs.frozen
class Answer:
    """What the service says to one request."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = attrs.field(factory=dict)
    hang_up: bool = False
    """Close the connection instead."""
    hold: Callable[[], object] | None = None
    """Called before anything is said."""

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@attrs.frozen
class Received:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    method: str = "POST"


class Service:
    """An HTTP server with scripted answers; the last one is repeated for all further requests."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self._answers: list[Answer] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.service = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def requests(self) -> int:
        return len(self.received)

    async def has_received(self, number: int) -> None:
        """Wait until a number of requests has arrived."""
        with fail_after(30):
            while self.requests < number:
                await sleep(0.01)

    def says(self, *answers: Answer) -> None:
        with self._lock:
            self._answers = list(answers)

    def answer_to(self, received: Received) -> Answer:
        with self._lock:
            self.received.append(received)
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def connected(self) -> None:
        with self._lock:
            self.connections += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    service: Service

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what some of the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.service.connected()

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        content = self.rfile.read(length)
        body = json.loads(content) if content and self.headers.get_content_type() == "application/json" else {}
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.service.answer_to(Received(self.path, headers, body, self.command))
        if answer.hold is not None:
            answer.hold()
        if answer.hang_up:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_PATCH = do_DELETE = do_POST  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Keep stderr for pytest."""


@contextlib.asynccontextmanager
async def prepared(strategy):
    """Prepare a strategy; yield an item's own copy of it, as the engine does; clean up."""
    await strategy.prepare()
    try:
        yield copy.copy(strategy)
    finally:
        with CancelScope(shield=True):
            await strategy.cleanup()


def reply(text: str | None = "good", reason: str | None = "STOP", **fields: Any) -> dict[str, Any]:
    """Return the body of a reply of Gemini's."""
    content = {} if text is None else {"content": {"role": "model", "parts": [{"text": text}]}}
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}
    return {"candidates": [{**content, "finishReason": reason, "index": 0}], "usageMetadata": usage, **fields}


def refusal(status: int, phrase: str, *details: Any, message: str = "no") -> dict[str, Any]:
    """Return the body of an error of Gemini's."""
    return {"error": {"code": status, "message": message, "status": phrase, "details": list(details)}}


async def fault_of(item):
    """Make a call that fails; return its fault, and what it cost."""
    try:
        await item.execute("hello", 1, 60.0)
    except Exception as error:  # noqa: BLE001 - which one it is is for the classifier to say
        fault = item.error_classifier.classify(error)
        if KEY in f"{error!s}{error!r}{fault}":
            raise AssertionError("the key is shown") from None
        return fault, error.usage if isinstance(error, CallError) else None
    raise AssertionError("the call was served")
