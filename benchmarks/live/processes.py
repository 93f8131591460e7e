"""Server processes: each is started in a session of its own, and ended by its id when its block is left, however that happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PATIENCE = 120.0  # seconds: for what must happen soon, on a busy machine too


class StartError(Exception):
    """A server did not start; the message has its last lines."""


@contextlib.contextmanager
def running(
    command: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    stdout: int | None = None,
    runs_in: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a folder; end it and its children on leaving.

    A session of its own keeps a Ctrl-C in the terminal from it: it ends after its client, not before.

    Args:
        command: The program and its arguments.
        folder: Where its output is logged.
        environment: Variables besides those of this process.
        stdout: `subprocess.PIPE` for a program whose output is read; by default the log.
        runs_in: Where it runs; None: in `folder`.
    """
    with log_of(command, folder).open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=runs_in or folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log if stdout is None else stdout,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):  # its session's group: itself, and its children
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5.0)
            break
    if process.stdout is not None:
        process.stdout.close()


def log_of(command: Sequence[str], folder: Path) -> Path:
    """Return where the output of a program is logged."""
    return folder / f"{Path(command[0]).name}.log"


def unused_port() -> int:
    """Return a port that no program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until a program listens on a port."""
    give_up = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < give_up:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    command: list[str] = process.args  # type: ignore[assignment]  # as `running` was called
    log = log_of(command, folder).read_text("utf-8", "replace").strip().splitlines()[-3:]
    ending = "is not listening yet" if process.poll() is None else f"ended with exit code {process.poll()}"
    raise StartError(f"{Path(command[0]).name} {ending}: {' / '.join(log) or 'it logged nothing'}")
