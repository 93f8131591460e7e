"""Fixtures of the strategies' tests: a clean environment, a scripted HTTP server, and llmock."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from benchmarks.live import processes

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
    return processes.unused_port()


@pytest.fixture(scope="session")
def llmock(tmp_path_factory) -> Iterator[str]:
    """The URL of a real llmock server that serves 120 requests at once, and then 120 a minute, for each key."""
    port, folder = processes.unused_port(), tmp_path_factory.mktemp("llmock")
    command = [sys.executable, "-m", "llmock.cli", "serve", "-h", "127.0.0.1", "-p", str(port), "--rpm", "120"]
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LLMOCK_")]:
            patch.delenv(name)
        with processes.running([*command, "--log-level", "error"], folder) as process:
            processes.wait_for(port, process, folder)
            yield f"http://127.0.0.1:{port}"
