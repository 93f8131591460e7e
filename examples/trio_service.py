"""A trio service: lines that arrive over TCP are answered through one pool.

    export MODEL=gpt-5-mini OPENAI_API_KEY=...
    python examples/trio_service.py --port 7000
    echo "Good value" | nc -q 30 localhost 7000

`open_service` is started by `nursery.start`, which returns once the pool is open and the port is bound. To stop it, cancel its scope: calls
in flight are cancelled, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import os

import attrs
import trio

import paceline
from paceline import LLMCallStrategy
from paceline.exceptions import Busy


@attrs.frozen
class Service:
    """What `nursery.start(open_service)` returns."""

    pool: paceline.Pool
    port: int
    scope: trio.CancelScope
    """Ends the service when it is cancelled."""


async def open_service(
    strategy: LLMCallStrategy[str], port: int = 0, *, task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled."""
    with trio.CancelScope() as scope:
        async with paceline.open_pool() as pool, trio.open_nursery() as nursery:

            async def serve(stream: trio.SocketStream) -> None:
                await answer_lines(pool, strategy, stream)

            listeners = await nursery.start(trio.serve_tcp, serve, port)
            task_status.started(Service(pool, listeners[0].socket.getsockname()[1], scope))


async def answer_lines(pool: paceline.Pool, strategy: LLMCallStrategy[str], stream: trio.SocketStream) -> None:
    """Answer the lines of one connection, one after the other."""
    received = bytearray()
    async for chunk in stream:
        received += chunk
        while (end := received.find(b"\n")) >= 0:
            line = received[:end].decode(errors="replace").strip()
            del received[: end + 1]
            await stream.send_all(f"{await answer(pool, strategy, line)}\n".encode())


async def answer(pool: paceline.Pool, strategy: LLMCallStrategy[str], line: str) -> str:
    """Return the answer to a line, or why it has none."""
    try:
        result = await pool.call(strategy, f"Positive or negative? {line}", timeout=20)
    except Busy as busy:
        return f"busy: try again in {busy.retry_after:.0f} s"
    return result.output if result.success else f"failed: {result.error}"


async def main(port: int) -> None:
    """Serve until Ctrl-C."""
    strategy = paceline.model(os.environ.get("MODEL", "sim:rate=50"))
    async with trio.open_nursery() as nursery:
        service = await nursery.start(open_service, strategy, port)
        print(service.port, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="Port; 0: one that is free.")
    trio.run(main, parser.parse_args().port)
