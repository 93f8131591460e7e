"""How the examples are started and ended: each a process that is ended by its id."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
from benchmarks.live.processes import log_of, running, unused_port, wait_for
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
def provider(**options: float) -> Iterator[Provider]:
    """Run the provider of the examples."""
    arguments = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "provider.py", *arguments]
    with (
        TemporaryDirectory() as folder,
        running(command, Path(folder), stdout=subprocess.PIPE, runs_in=EXAMPLES) as process,
    ):
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
    variables = {**backend.environment, **environment, "NO_PROXY": "*", "no_proxy": "*"}
    with (
        TemporaryDirectory() as folder,
        running(command, Path(folder), environment=variables, runs_in=EXAMPLES) as process,
    ):
        wait_for(port, process, Path(folder))
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        process.wait(30)
        errors = log_of(command, Path(folder)).read_text()
        assert not errors, errors
