"""A slow service in Gemini's and OpenAI's formats: a program of its own, so that it shares no loop with its client.

1. A reply takes between half and one and a half times the mean latency, evenly spread. Its format is that of the request's path.
2. With a burst it refuses by a token bucket, after a time: as a gateway does that lets a call queue before it refuses.
3. It counts what it answers; GET /counts returns the counts.

It prints its port when it listens, and runs until it is ended. It knows as much of HTTP as nginx and httpx2 need.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from functools import partial

import attrs
import trio

GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "good"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10},
}
OPENAI = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "tiny",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "good"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}
REFUSAL = {"error": {"code": 429, "message": "too many", "status": "RESOURCE_EXHAUSTED"}}
PHRASES = {200: "OK", 429: "Too Many Requests"}


@attrs.define
class Bucket:
    """Tokens that flow in at `rate` a second, `burst` at most."""

    rate: float
    burst: float
    level: float = attrs.field(default=attrs.Factory(lambda bucket: bucket.burst, takes_self=True))
    updated: float = attrs.field(factory=trio.current_time)

    def take(self) -> bool:
        now = trio.current_time()
        self.level = min(self.burst, self.level + self.rate * (now - self.updated))
        self.updated = now
        if self.level < 1.0:
            return False
        self.level -= 1.0
        return True


class Service:
    def __init__(self, latency: float, bucket: Bucket, refusal_after: float) -> None:
        self._latency = latency
        self._bucket = bucket
        self._refusal_after = refusal_after
        self._chance = random.Random(1)
        self.counts = {200: 0, 429: 0}

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer the requests of one connection, one after the other, until either side ends it."""
        received = bytearray()
        try:
            while (head := await _read_request(stream, received)) is not None:
                await self._answer(stream, head)
                if b"connection: close" in head.lower():
                    return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the client went away

    async def _answer(self, stream: trio.SocketStream, head: bytes) -> None:
        if head.startswith(b"GET /counts "):
            await _send(stream, 200, {"served": self.counts[200], "refused": self.counts[429]})
            return
        if self._bucket.take():
            body = OPENAI if b"/chat/completions" in head.split(b"\r\n", 1)[0] else GEMINI
            status, seconds = 200, self._latency * self._chance.uniform(0.5, 1.5)
        else:
            status, body, seconds = 429, REFUSAL, self._refusal_after
        await trio.sleep(seconds)
        self.counts[status] += 1  # before the client can ask
        await _send(stream, status, body)


async def _read_request(stream: trio.SocketStream, received: bytearray) -> bytes | None:
    """Take one request from what is received; return its head, or None when there are no more."""
    while (end := received.find(b"\r\n\r\n") + 4) < 4:
        if not await _receive(stream, received):
            return None
    head = bytes(received[:end])
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if line)
    end += int(fields.get(b"content-length", 0))
    while len(received) < end:
        if not await _receive(stream, received):
            return None
    del received[:end]
    return head


async def _receive(stream: trio.SocketStream, received: bytearray) -> bool:
    chunk = await stream.receive_some()
    received += chunk
    return bool(chunk)


async def _send(stream: trio.SocketStream, status: int, body: object) -> None:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} {PHRASES[status]}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    await stream.send_all(head.encode() + content)


async def main(options: argparse.Namespace) -> None:
    service = Service(options.latency, Bucket(options.rate, options.burst), options.refusal_after)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, service.serve, 0, host="127.0.0.1"))
        print(listeners[0].socket.getsockname()[1], flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds, the mean")
    parser.add_argument("--rate", type=float, default=1.0, help="calls a second")
    parser.add_argument("--burst", type=float, default=math.inf, help="calls at once; by default none is refused")
    parser.add_argument("--refusal-after", type=float, default=0.0, help="seconds that a refusal takes")
    trio.run(main, parser.parse_args())
