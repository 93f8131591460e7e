"""Servers: each starts as its configuration in `templates` says, on an unused port, with its files in a folder of the caller."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from .processes import PATIENCE, StartError, running, unused_port, wait_for
from .programs import PROGRAMS

TEMPLATES = Path(__file__).with_name("templates")


class MissingServerError(Exception):
    """A server is not on this machine; the message says how to get it."""


@attrs.frozen
class Server:
    """A server that listens."""

    url: str
    folder: Path
    """Its configuration and its logs."""
    version: str = ""
    key: str = "any"
    """The API key that it accepts."""

    def statuses(self, calls: int) -> Counter[str]:
        """Return how many calls nginx answered with each status; a call is logged just after its answer was sent."""
        give_up = time.monotonic() + PATIENCE
        while True:
            logged = (self.folder / "access.log").read_text("ascii").split()
            if len(logged) >= calls or time.monotonic() > give_up:
                return Counter(logged)
            time.sleep(0.05)


@attrs.frozen
class Backend:
    """The slow service that stands behind a limiter."""

    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def counts(self) -> dict[str, int]:
        """Return how many calls were `served`, and how many `refused`."""
        return read_json(f"{self.url}/counts")


def read_json(url: str) -> Any:
    """Read what a server tells of itself."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as reply:  # noqa: S310 - one of the servers below
        return json.load(reply)


@contextlib.contextmanager
def slow_service(folder: Path, **options: float) -> Iterator[Backend]:
    """Run the slow service with options of `backend`."""
    program = Path(__file__).with_name("backend.py")
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    with running([sys.executable, str(program), *arguments], folder, stdout=subprocess.PIPE) as process:
        yield Backend(int(process.stdout.readline()))


@contextlib.contextmanager
def nginx(folder: Path, backend: Backend, *, zone: str, limit: str) -> Iterator[Server]:
    """Run nginx as one process, whoever the user is, with these lines of its limits."""
    port, program = unused_port(), _program("nginx")
    file = configure("nginx.conf", folder, port=port, backend=backend.port, zone=zone, limit=limit)
    command = [program, "-p", f"{folder}/", "-c", str(file), "-g", "daemon off;"]
    with _listening("nginx", command, folder, port) as server:
        yield server


@contextlib.contextmanager
def haproxy(folder: Path, backend: Backend, *, limit: str = "", server: str = "", queue: str = "") -> Iterator[Server]:
    """Run HAProxy with these lines of its frontend, words of its server, and line of its defaults."""
    port, program = unused_port(), _program("haproxy")
    parts = {"limit": limit, "server": server, "queue": queue}
    file = configure("haproxy.cfg", folder, port=port, backend=backend.port, **parts)
    with _listening("haproxy", [program, "-db", "-f", str(file)], folder, port) as running_server:
        yield running_server


@contextlib.contextmanager
def envoy(folder: Path, backend: Backend, *, http_filter: str = "", breaker: str = "") -> Iterator[Server]:
    """Run Envoy with this filter before the router, and this line of the cluster."""
    port, program = unused_port(), _program("envoy")
    file = configure("envoy.yaml", folder, port=port, backend=backend.port, filter=http_filter, breaker=breaker)
    command = [program, "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    with _listening("envoy", command, folder, port) as server:
        yield server


@contextlib.contextmanager
def llmock(folder: Path, *options: str) -> Iterator[Server]:
    """Run llmock with these options."""
    port, program = unused_port(), _program("llmock")
    command = [program, "serve", "-h", "127.0.0.1", "-p", str(port), "--log-level", "error", *options]
    with _listening("llmock", command, folder, port) as server:
        yield server


@contextlib.contextmanager
def aimock(folder: Path, *options: str) -> Iterator[Server]:
    """Run aimock with these options."""
    port, program = unused_port(), _program("aimock")
    file = configure("aimock.json", folder)
    command = [program, "-h", "127.0.0.1", "-p", str(port), "-f", str(file), "--log-level", "warn", *options]
    with _listening("aimock", command, folder, port) as server:
        yield server


@contextlib.contextmanager
def litellm(folder: Path, backend: Backend, *, retries: int) -> Iterator[Server]:
    """Run LiteLLM's proxy, which calls the service so many times more before it passes a refusal on."""
    port, program = unused_port(), _program("litellm")
    file = configure("litellm.yaml", folder, backend=backend.port, retries=retries)
    command = [program, "--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    key = f"sk-{secrets.token_hex(24)}"  # it refuses to start with a weak one, or with none
    settings = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # else it would ask the Internet
    with _listening("litellm", command, folder, port, settings) as server:
        yield attrs.evolve(server, key=key)


@contextlib.contextmanager
def smollm2(folder: Path, *, slots: int) -> Iterator[Server]:
    """Run llama.cpp's server with SmolLM2, and so many slots."""
    port, program = unused_port(), _program("smollm2")
    command = [program, str(TEMPLATES / "smollm2.py"), str(port), str(slots)]
    with _listening("smollm2", command, folder, port) as server:
        _wait_for_health(server)
        yield server


def _program(name: str) -> str:
    path = PROGRAMS[name].find()
    if path is None:
        raise MissingServerError(f"{name} is not on this machine: {PROGRAMS[name].how}.")
    return path


@contextlib.contextmanager
def _listening(
    name: str, command: list[str], folder: Path, port: int, environment: dict[str, str] | None = None
) -> Iterator[Server]:
    with running(command, folder, environment=environment) as process:
        wait_for(port, process, folder)
        yield Server(f"http://127.0.0.1:{port}", folder, PROGRAMS[name].version_at(command[0]))


def _wait_for_health(server: Server) -> None:
    """Wait until a server says that it is ready: llama.cpp listens before it has loaded its model."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with contextlib.suppress(urllib.error.HTTPError):
            read_json(f"{server.url}/health")
            return
        time.sleep(0.1)
    raise StartError(f"{server.url} is not ready yet")


def configure(name: str, folder: Path, **values: object) -> Path:
    """Write a configuration from its template; return its path."""
    text = (TEMPLATES / name).read_text("utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    file = folder / name
    file.write_text(text, "utf-8")
    return file
