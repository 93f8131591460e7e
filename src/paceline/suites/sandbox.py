"""Sandbox: runs a Python program that a model wrote, without network, files, keys or a way to stay.

Bubblewrap gives it namespaces of its own with a read-only /usr, and prlimit limits memory, processor time, processes and files. What each
part is for:

| what a program could do | what stops it |
|---|---|
| send data, or reach a service of this machine | its network has only a loopback interface of its own |
| read keys, files or the environment | it sees /usr and a small /tmp; its environment is empty; it is user 65534 |
| write | all but /tmp, which is in memory and bounded, is read-only |
| start processes without end | a bound on them, inside its own user namespace |
| take all memory, or compute for ever | bounds on address space, processor time and time |
| print without end | its output is a file of bounded size |
| stay | its process namespace ends with it, and with this process |
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import attrs
from anyio import CancelScope, CapacityLimiter, move_on_after, open_process, to_thread
from anyio.abc import Process

from .._core.exceptions import ConfigurationError
from .._core.validators import is_at_least_one, is_seconds

_USER: Final = 65534
_TMP_BYTES = 16 * 2**20
_FILES = 64  # open at once
_GRACE = 5.0  # seconds until a killed sandbox is gone; it takes milliseconds
_SHOWN = 2_000  # bytes of the end of the output
_LONGEST_REASON = 200  # characters
_PROGRAM = "/tmp/program.py"  # noqa: S108 - inside the sandbox


@attrs.frozen(kw_only=True)
class Limits:
    """What one program may use.

    Raises:
        ConfigurationError: A value is out of its bounds.
    """

    seconds: float = attrs.field(default=10.0, validator=is_seconds)
    """Time, and processor time rounded up."""
    memory: int = attrs.field(default=512 * 2**20, validator=is_at_least_one)
    """Bytes of address space of each process."""
    processes: int = attrs.field(default=24, validator=is_at_least_one)
    """Processes and threads."""
    output: int = attrs.field(default=2**20, validator=is_at_least_one)
    """Bytes of its output, and of each file that it writes."""


@attrs.frozen(kw_only=True)
class Execution:
    """How a program has ended."""

    is_complete: bool
    """Whether it ran to its last line."""
    reason: str
    """Why not, for people; empty if it is complete."""
    output: str = attrs.field(repr=False)
    """The end of what it printed."""


class Sandbox:
    """Runs programs, a few at a time.

    Args:
        limits: What one program may use.
        at_once: Programs that run at once; None: as many as this machine has processors.
    """

    def __init__(self, limits: Limits | None = None, *, at_once: int | None = None) -> None:
        self.limits: Limits = limits or Limits()
        self._at_once = at_once or os.cpu_count() or 1
        self._turn: CapacityLimiter | None = None

    async def run(self, program: str) -> Execution:
        """Run a program; return how it ended. It never raises what the program does.

        Cancelling it kills the program.

        Raises:
            ConfigurationError: There is no sandbox on this machine; the message says how to install it.
        """
        missing = await to_thread.run_sync(why_unavailable)
        if missing is not None:
            raise ConfigurationError(missing)
        self._turn = self._turn or CapacityLimiter(self._at_once)
        mark = secrets.token_hex(16)  # a program that calls exit(0) has not run to its last line
        text = f"{program}\nprint({mark!r}, flush=True)\n"
        async with self._turn:
            with tempfile.TemporaryFile() as output, _sealed(text) as source:
                in_time, code = await self._execute(source, output.fileno())
                printed, size = _end_of(output.fileno())
        end = printed.rstrip()
        if end.endswith(mark):
            return Execution(is_complete=True, reason="", output=end.removesuffix(mark))
        reason = (
            self._reason(in_time, code, end)
            if size < self.limits.output
            else f"printed {self.limits.output:,} bytes, the limit"
        )
        return Execution(is_complete=False, reason=reason[:_LONGEST_REASON], output=end)

    async def _execute(self, source: int, output: int) -> tuple[bool, int | None]:
        """Run the program; return whether it ended in time, and its exit code."""
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:  # a bound on processes does not hold for root
            identity = {"user": _USER, "group": _USER, "extra_groups": []}
        process = await open_process(
            [
                *_outer_limits(self.limits),
                *_bubblewrap(source),
                *_inner_limits(self.limits),
                _python() or "python3",
                "-I",
                "-S",
                "-B",
                _PROGRAM,
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(source,),
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", os.defpath)},  # bubblewrap's own process can be seen from inside
            **identity,
        )
        try:
            with move_on_after(self.limits.seconds) as scope:
                await process.wait()
        finally:
            await _end(process)
        return not scope.cancelled_caught, process.returncode

    def _reason(self, in_time: bool, code: int | None, end: str) -> str:  # noqa: FBT001 - the pair of `_execute`
        if not in_time:
            return f"took longer than {self.limits.seconds:g} s"
        last = end.rpartition("\n")[2].strip()
        if code == 0:
            return "ended before its last line"
        return last or f"ended with the exit code {code}"


def why_unavailable() -> str | None:
    """Return why programs cannot run here, and how to change that; None if they can. Blocks for some milliseconds, once."""
    return _why_unavailable()


@lru_cache(maxsize=1)
def _why_unavailable() -> str | None:
    needed = "generated code runs only in a sandbox"
    if sys.platform != "linux":
        return f"{needed}, which needs Linux; score these suites in a container or a virtual machine"
    missing = [name for name in ("bwrap", "prlimit") if shutil.which(name) is None]
    if missing:
        return f"{needed}, and {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not installed: apt-get install bubblewrap util-linux"
    if _python() is None:
        return (
            f"{needed}, and there is no Python below /usr, which is all that it sees: apt-get install python3-minimal"
        )
    with _sealed("") as source:
        trial = subprocess.run(  # noqa: S603 - our own arguments
            [*_bubblewrap(source), "/usr/bin/true"],
            pass_fds=(source,),
            capture_output=True,
            timeout=_GRACE,
            check=False,
        )
    if trial.returncode:
        said = trial.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return (
            f"{needed}, and bubblewrap cannot make one here ({said}): allow user namespaces, or use a virtual machine"
        )
    return None


class _sealed:  # noqa: N801 - it stands for a file
    """A descriptor of an anonymous file with a text, at its start."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __enter__(self) -> int:
        self._descriptor = os.memfd_create("program")
        with open(self._descriptor, "wb", closefd=False) as file:
            file.write(self._text.encode(errors="surrogatepass"))
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _outer_limits(limits: Limits) -> list[str]:
    seconds = int(limits.seconds) + 1
    return [
        "prlimit",
        f"--as={limits.memory}",
        f"--cpu={seconds}:{seconds}",
        f"--fsize={limits.output}",
        f"--nofile={_FILES}",
        "--core=0",
    ]


def _inner_limits(limits: Limits) -> list[str]:
    """Return what limits processes: counted in the user namespace, so that one program's do not count for the next."""
    return ["prlimit", f"--nproc={limits.processes}"]


def _bubblewrap(source: int) -> list[str]:
    user = str(_USER)
    binds = ["--ro-bind", "/usr", "/usr"]
    for folder in ("bin", "lib", "lib64"):
        if Path("/", folder).is_symlink():
            binds += ["--symlink", f"usr/{folder}", f"/{folder}"]
        elif Path("/", folder).is_dir():
            binds += ["--ro-bind", f"/{folder}", f"/{folder}"]
    return [
        "bwrap", "--unshare-all", "--unshare-user", "--uid", user, "--gid", user, "--disable-userns",
        "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "sandbox",
        "--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp",  # noqa: S108 - inside
        *binds, "--proc", "/proc", "--dev", "/dev", "--size", str(_TMP_BYTES), "--tmpfs", "/tmp",  # noqa: S108
        "--chdir", "/tmp", "--ro-bind-data", str(source), _PROGRAM,  # noqa: S108
    ]  # fmt: skip


@lru_cache(maxsize=1)
def _python() -> str | None:
    """Return a Python below /usr, all that the sandbox sees."""
    found = (path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if os.access(path, os.X_OK))
    return next((path for path in found if Path(path).resolve().is_relative_to("/usr")), None)


async def _end(process: Process) -> None:
    """Kill a sandbox that still runs, and all in it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        with CancelScope(shield=True), move_on_after(_GRACE):
            await process.wait()


def _end_of(descriptor: int) -> tuple[str, int]:
    """Return the end of a file as text, and its size."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, _SHOWN, max(0, size - _SHOWN)).decode(errors="replace"), size
