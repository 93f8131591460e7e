"""How the examples are started and ended: each a process that is ended by its id."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from benchmarks.live.processes import PATIENCE, unused_port
from benchmarks.live.servers import read_json

EXAMPLES = Path(__file__).parents[2] / "examples"


@attrs.frozen
class Provider:
    """A provider that refuses calls above a rate."""

    port: int

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a program that calls it, without the machine's own keys and proxies."""
        return {
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            "MODEL": f"openai:any@http://127.0.0.1:{self.port}/v1",
            "OPENAI_API_KEY": "any",
        }

    def counts(self) -> dict[str, int]:
        """Return how many calls were served and how many refused."""
        return read_json(f"http://127.0.0.1:{self.port}/counts")


@contextlib.contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program; on leaving it receives SIGTERM, and ends on its own."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a program listens on a port."""
    give_up = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < give_up:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"{process.args[0]} did not start (exit code {process.poll()})")


@contextlib.contextmanager
def provider(**options: float) -> Iterator[Provider]:
    """Run the provider of the examples."""
    arguments = [f"--{name}={value}" for name, value in options.items()]
    with running([sys.executable, "provider.py", *arguments], cwd=EXAMPLES, stdout=subprocess.PIPE) as process:
        yield Provider(int(process.stdout.readline()))


SERVERS = {
    "uvicorn on asyncio": ["uvicorn", "--loop", "asyncio", "--port"],
    "uvicorn on uvloop": ["uvicorn", "--loop", "uvloop", "--port"],
    "hypercorn on trio": ["hypercorn", "--worker-class", "trio", "--bind", "127.0.0.1:{port}"],
}


@contextlib.contextmanager
def web_service(server: str, backend: Provider, **environment: str) -> Iterator[str]:
    """Run the web service, and yield its address; on leaving it receives SIGTERM, and ends on its own."""
    port = unused_port()
    program, *options = SERVERS[server]
    options = [option.format(port=port) for option in options]
    options += [] if program == "hypercorn" else [str(port)]
    command = [sys.executable, "-m", program, "web_service:app", *options, "--log-level", "warning"]
    with running(command, cwd=EXAMPLES, env=backend.environment | environment, stderr=subprocess.PIPE) as process:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        errors = process.communicate(timeout=30)[1].decode()
        assert not errors, errors
