"""How the servers of the live tests are started and ended: on 127.0.0.1, each a process that is ended by its id."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

PATIENCE = 30.0  # seconds: for what must happen soon, on a slow machine too

NGINX = """\
master_process off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 2048; }}
http {{
    log_format status '$status';
    access_log access.log status;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 100000;
    {zone}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            {limit}
            proxy_pass http://127.0.0.1:{backend};
        }}
    }}
}}
"""


@attrs.frozen
class Backend:
    """The slow service."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def counts(self) -> dict[str, int]:
        """Return how many calls were served and how many refused."""
        return read_json(f"{self.url}/counts")


@attrs.frozen
class Nginx:
    """nginx before a slow service."""

    url: str
    folder: Path

    def counts(self, calls: int) -> Counter[str]:
        """Return how many calls were answered with each status; a call is logged just after its answer was sent."""
        give_up = time.monotonic() + PATIENCE
        while True:
            logged = (self.folder / "access.log").read_text("ascii").split()
            if len(logged) >= calls or time.monotonic() > give_up:
                return Counter(logged)
            time.sleep(0.05)


def read_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=PATIENCE) as reply:  # noqa: S310 - one of the servers below
        return json.load(reply)


@contextlib.contextmanager
def slow_service(**options: float) -> Iterator[Backend]:
    program = Path(__file__).with_name("slow_service.py")
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    with running([sys.executable, str(program), *arguments], stdout=subprocess.PIPE) as process:
        yield Backend(int(process.stdout.readline()))


@contextlib.contextmanager
def nginx(folder: Path, backend: Backend, *, zone: str, limit: str) -> Iterator[Nginx]:
    """Run nginx with all of its files in `folder`, as one process, whoever the user is."""
    port = unused_port()
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(zone=zone, limit=limit, port=port, backend=backend.port), "ascii")
    command = [_nginx_or_skip(), "-p", f"{folder}/", "-c", str(file), "-g", "daemon off;"]
    with running(command) as process:
        wait_for(port, process)
        yield Nginx(f"http://127.0.0.1:{port}", folder)


@contextlib.contextmanager
def llmock(*options: str) -> Iterator[str]:
    port = unused_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLMOCK_")}
    command = [sys.executable, "-m", "llmock.cli", "serve", "-h", "127.0.0.1", "-p", str(port), "--log-level", "error"]
    with running([*command, *options], env=environment, stdout=subprocess.DEVNULL) as process:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"


def _nginx_or_skip() -> str:
    program = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if program is None:
        end = pytest.fail if os.environ.get("PACELINE_LIVE") else pytest.skip
        end("nginx is not installed: nothing else here limits calls as it does (on Debian: apt-get install nginx)")
    return program


@contextlib.contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program; end it, and wait for its end, on leaving."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def unused_port() -> int:
    """Return a port that no program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a program listens on a port."""
    give_up = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < give_up:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"{process.args[0]} did not start (exit code {process.poll()})")
