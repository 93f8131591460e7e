"""A chat server on 127.0.0.1 in the forms of all three providers: it answers by the question alone, and keeps what it was sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import attrs

RIGHT = 0.7  # share of the questions that are answered rightly, by a hash of each
TOOL = "capital_of"


@attrs.define
class ChatServer:
    """What the server was sent, and where it is."""

    url: str = ""
    received: list[tuple[str, dict[str, Any]]] = attrs.field(factory=list)
    """Path and body of each request, in the order of arrival."""
    refuse: int = 0
    """So many of the next requests are refused with 429."""
    lock: Lock = attrs.field(factory=Lock)

    def bodies(self, path: str = "") -> list[dict[str, Any]]:
        """Return the bodies of requests whose path contains a text."""
        return [body for where, body in self.received if path in where]


def is_right(question: str) -> bool:
    """Whether a question is answered rightly."""
    return hashlib.blake2b(question.encode(), digest_size=1).digest()[0] < 256 * RIGHT


def answer_to(question: str, stops: list[str]) -> str:
    """Return the answer to a question of the form `... What is A + B?`, up to a stop sequence."""
    first, _, second = question.rpartition("What is ")[2].rstrip("?\n").partition(" + ")
    total = int(first) + int(second) if first.isdigit() and second.isdigit() else 0
    answer = f"Let me see.\nANSWER: {total if is_right(question) else total + 1}\nThat is all."
    return min((answer.partition(stop)[0] for stop in stops), key=len, default=answer)


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """Run a server for a while."""
    state = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with state.lock:
                state.received.append((self.path, body))
                refused, state.refuse = state.refuse > 0, max(0, state.refuse - 1)
            stops = (
                body.get("stop") or body.get("stop_sequences") or body.get("generationConfig", {}).get("stopSequences")
            )
            if refused:
                self._send(429, {"error": {"message": "too many", "type": "rate_limit", "code": None}})
            elif "long" in json.dumps(body):
                message = (
                    "This model's maximum context length is 10 tokens. However, your messages resulted in 20 tokens."
                )
                error = {"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"}
                self._send(400, {"error": error})
            elif "generateContent" in self.path:
                self._send(200, _gemini(body, stops or []))
            elif self.path.endswith("/messages"):
                self._send(200, _anthropic(body, stops or []))
            else:
                self._send(200, _openai(body, stops or []))

        def _send(self, status: int, body: object) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _openai(body: dict[str, Any], stops: list[str]) -> dict[str, Any]:
    text = _text(body["messages"][-1]["content"])
    message: dict[str, Any] = {"role": "assistant", "content": answer_to(text, stops)}
    finish = "stop"
    if body.get("tools") and body["messages"][-1]["role"] == "user":
        call = {"name": TOOL, "arguments": json.dumps({"country": "France"})}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call-1", "type": "function", "function": call}],
        }
        finish = "tool_calls"
    elif body["messages"][-1]["role"] == "tool":
        message["content"] = f"ANSWER: {text}"
    elif "cut" in text:
        message["content"], finish = "ANSWER", "length"
    return {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 2}},
    }  # fmt: skip


def _gemini(body: dict[str, Any], stops: list[str]) -> dict[str, Any]:
    last = body["contents"][-1]["parts"][-1]
    parts: list[dict[str, Any]] = [{"text": answer_to(last.get("text", ""), stops)}]
    if body.get("tools") and "text" in last:
        call = {"name": TOOL, "args": {"country": "France"}}
        parts = [{"text": "I think.", "thought": True}, {"functionCall": call, "thoughtSignature": "c2ln"}]
    elif "functionResponse" in last:
        parts = [{"text": f"ANSWER: {last['functionResponse']['response']['output']}"}]
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 4, "thoughtsTokenCount": 3, "totalTokenCount": 18},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "resp-7",
    }  # fmt: skip


def _anthropic(body: dict[str, Any], stops: list[str]) -> dict[str, Any]:
    last = body["messages"][-1]["content"][-1]
    content: list[dict[str, Any]] = [{"type": "text", "text": answer_to(last.get("text", ""), stops)}]
    stop = "end_turn"
    if body.get("tools") and last["type"] == "text":
        thought = {"type": "thinking", "thinking": "I think.", "signature": "c2ln"}
        content = [thought, {"type": "tool_use", "id": "toolu-1", "name": TOOL, "input": {"country": "France"}}]
        stop = "tool_use"
    elif last["type"] == "tool_result":
        content = [{"type": "text", "text": f"ANSWER: {_text(last['content'])}"}]
    return {
        "id": "msg-7", "type": "message", "role": "assistant", "model": body["model"], "content": content,
        "stop_reason": stop, "stop_sequence": None, "usage": {"input_tokens": 11, "output_tokens": 4},
    }  # fmt: skip


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
