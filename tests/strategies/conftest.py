"""Fixtures of the strategies' tests: a clean environment, a scripted HTTP server, and llmock."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from .gemini.service import Service

PATIENCE = 30.0  # seconds: for what must happen soon, on a slow machine too


@pytest.fixture(autouse=True)
def _no_credentials_of_the_machine(monkeypatch):
    for name in os.environ:
        if name.startswith(("GOOGLE_", "GEMINI_", "OPENAI_", "ANTHROPIC_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


@pytest.fixture
def unused_port() -> int:
    return _unused_port()


def _unused_port() -> int:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        return server.server_address[1]


@pytest.fixture(scope="session")
def llmock() -> Iterator[str]:
    """The URL of a real llmock server that serves 120 requests at once, and then 120 a minute, for each key."""
    port = _unused_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLMOCK_")}
    command = [sys.executable, "-m", "llmock.cli", "serve", "-h", "127.0.0.1", "-p", str(port), "--rpm", "120"]
    with subprocess.Popen(
        [*command, "--log-level", "error"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < give_up:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"llmock did not start (exit code {process.poll()})")
