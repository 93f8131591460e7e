"""A run that is watched from two terminals while its server's limit changes twice, and the pictures of it in the documentation.

`python -m tests.progress.watched_run` takes ten minutes, needs no network beyond 127.0.0.1, and writes docs/how-to/watch/*.svg. It prints what the
report of the run says, and fails if a phase was not limited by what the server did then. With a number it takes that many seconds, and writes no
pictures.

The server speaks the form of OpenAI's chat completions. It refuses calls beyond its limit with a 429 without any hint, and drops the limit in the second
third of the time.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import random
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import attrs
import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

PICTURES = Path(__file__).parents[2] / "docs" / "how-to" / "watch"
SECONDS = 600.0
LIMITS = (20.0, 8.0, 30.0)  # calls a second in each third of the time
_COLUMNS, _LINES = 80, 30
_LATENCY = 1.2  # seconds, in the mean
_STYLE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


@attrs.define
class Server:
    """A server of chat completions whose limit changes."""

    seconds: float
    port: int = 0
    served: int = 0
    refused: int = 0
    _started: float | None = None
    _allowance: float = 0.0
    _at: float = 0.0

    def start(self) -> None:
        """Serve from a thread of its own, until the process ends."""
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True).start()
        ready.wait()

    async def _serve(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
                status, body = await self._answer()
                content = json.dumps(body).encode()
                writer.write(
                    b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                    % (status, len(content))
                )
                writer.write(content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self) -> tuple[bytes, dict[str, object]]:
        if not self._admits():
            self.refused += 1
            return b"429 Too Many Requests", {
                "error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}
            }
        await asyncio.sleep(random.lognormvariate(0, 0.3) * _LATENCY)
        self.served += 1
        if self.served % 150 == 0:
            return b"400 Bad Request", {
                "error": {"message": "The prompt was flagged by a filter", "type": "invalid_request_error"}
            }
        answer = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "positive"}}
        usage = {"prompt_tokens": 60, "completion_tokens": 12, "total_tokens": 72}
        return b"200 OK", {
            "id": "c",
            "object": "chat.completion",
            "created": 0,
            "model": "gpt-5-mini",
            "choices": [answer],
            "usage": usage,
        }

    def _admits(self) -> bool:
        now = time.monotonic()
        if self._started is None:
            self._started = self._at = now
        third = min(2, int(3 * (now - self._started) / self.seconds))
        self._allowance = min(LIMITS[third], self._allowance + LIMITS[third] * (now - self._at))
        self._at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True


class Terminal:
    """A program in a terminal of its own, which is read and not answered."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self._main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
        self.process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment)
        os.close(other)
        self._screen = pyte.Screen(_COLUMNS, _LINES)
        self._stream = pyte.ByteStream(self._screen)
        self._is_open = True

    def read(self, seconds: float) -> None:
        """Take over what the program prints within a time."""
        until = time.monotonic() + seconds
        while self._is_open and (left := until - time.monotonic()) > 0:
            if not select.select([self._main], [], [], left)[0]:
                return
            try:
                content = os.read(self._main, 65_536)
            except OSError:  # the program has ended
                content = b""
            self._is_open = bool(content)
            self._stream.feed(content)

    @property
    def text(self) -> str:
        """What the terminal shows."""
        return "\n".join(line.rstrip() for line in self._screen.display).strip("\n")

    def write_picture(self, path: Path, title: str) -> None:
        """Write what the terminal shows as an SVG without fonts from elsewhere."""
        console = Console(record=True, width=_COLUMNS, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - until the process ends
        last = max((number for number, line in enumerate(self._screen.display) if line.strip()), default=0)
        for number in range(last + 1):
            line = Text()
            cells = (self._screen.buffer[number][column] for column in range(_COLUMNS))
            for colour, same in groupby(cells, key=lambda cell: _colour(cell.fg)):
                line.append("".join(cell.data for cell in same), Style(color=colour))
            line.rstrip()
            console.print(line, no_wrap=True)
        path.write_text(_STYLE.sub("", console.export_svg(title=title)), encoding="utf-8")


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program


def _colour(name: str) -> str | None:
    known = {"default": None, "brown": "yellow", "brightblack": "bright_black"}
    return known.get(name, name if not re.fullmatch("[0-9a-f]{6}", name) else f"#{name}")


def main(seconds: float, pictures: Path | None) -> int:
    """Watch a run from two terminals; return 0 if its report names the server's limits."""
    server = Server(seconds)
    server.start()
    with tempfile.TemporaryDirectory() as folder:
        items = int(sum(LIMITS) / 3 * seconds * 0.93)
        Path(folder, "reviews.txt").write_text(
            "".join(f"Classify review {n}: good, bad or neither?\n" for n in range(items))
        )
        environment = os.environ | {
            "OPENAI_API_KEY": "sk-no-key-is-needed-here",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{server.port}/v1",
            "TERM": "xterm-256color",
            "PYTHONPATH": os.pathsep.join(str(Path(part).resolve()) for part in sys.path if part),
        }
        os.chdir(folder)
        paceline = [sys.executable, "-m", "paceline"]
        run = Terminal(
            [*paceline, "run", "reviews.txt", "-m", "openai:gpt-5-mini", "--price", "in=0.25,out=2", "--max-cost", "2"],
            environment,
        )
        journal = Path("reviews.txt.results.jsonl.journal")
        while not journal.exists() and run.process.poll() is None:
            run.read(0.2)
        run.read(2)
        watch = Terminal([*paceline, "status", str(journal), "--watch"], environment)
        shown: set[int] = set()
        started = time.monotonic()
        while run.process.poll() is None:
            run.read(0.25)
            watch.read(0.25)
            share = 3 * (time.monotonic() - started) / seconds
            if share - int(share) > 0.7 and int(share) not in shown:
                shown.add(int(share))
                _print(
                    f"--- {time.monotonic() - started:.0f} s, the run:\n{run.text}\n--- its watch:\n{watch.text}",
                )
                if pictures is not None and int(share) == 1:
                    run.write_picture(
                        pictures / "run.svg", "paceline run reviews.txt -m openai:gpt-5-mini --max-cost 2"
                    )
                    watch.write_picture(pictures / "watch.svg", "paceline status reviews.txt.results.jsonl --watch")
        run.read(1)
        try:
            watch.process.wait(10)
        except subprocess.TimeoutExpired:
            watch.process.send_signal(signal.SIGINT)
        watch.read(1)
        _print(
            f"--- the run has ended:\n{run.text}\n--- and so has its watch, with {watch.process.poll()}:\n{watch.text}"
        )
        report = subprocess.run(
            [*paceline, "report", str(journal), "--json"], capture_output=True, text=True, check=True, env=environment
        )
        story = subprocess.run(
            [*paceline, "explain", str(journal)], capture_output=True, text=True, check=True, env=environment
        ).stdout
        _print(f"--- served {server.served}, refused {server.refused}\n{story[:6_000]}")
        found = json.loads(report.stdout)
        _print(json.dumps({key: found[key] for key in found if "limit" in key}, indent=1)[:8_000])
        return run.process.returncode


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(float(sys.argv[1]), None))
    PICTURES.mkdir(exist_ok=True)
    sys.exit(main(SECONDS, PICTURES))
