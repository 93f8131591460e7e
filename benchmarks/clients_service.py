"""Service of the packages' benchmark: gives every prompt its provider's reply after 50 ms, and counts its connections."""

from __future__ import annotations

import json

import trio

from .clients import PACKAGES

SECONDS = 0.05  # for a reply
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Counts:
    """Connections since the last reset, except the one that resets and reads the counts."""

    connections = 0


COUNTS = Counts()


async def answer(stream: trio.SocketStream) -> None:
    """Serve one connection until the client closes it."""
    first, pending = True, b""
    while True:
        while b"\r\n\r\n" not in pending:
            received = await stream.receive_some()
            if not received:
                return
            pending += received
        head, _, pending = pending.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        while len(pending) < length:
            pending += await stream.receive_some()
        pending = pending[length:]
        body = await _body(lines[0], first=first)
        await stream.send_all(_HEAD % len(body) + body)
        first = False


async def _body(line: bytes, *, first: bool) -> bytes:
    if line.startswith(b"get /forget"):
        COUNTS.connections = 0
        return b"{}"
    if line.startswith(b"get"):
        return json.dumps({"connections": COUNTS.connections}).encode()
    COUNTS.connections += first
    await trio.sleep(SECONDS)
    return next(package.reply for package in PACKAGES if package.path in line)


async def _main() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1000)
    print(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", flush=True)
    await trio.serve_listeners(answer, listeners)


if __name__ == "__main__":
    trio.run(_main)
