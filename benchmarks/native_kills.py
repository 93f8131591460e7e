"""Kills during native batches: a run is killed again and again, and the server's own count says what was created and billed.

    python -m benchmarks.native_kills --kills 30 --rows 60

Each round runs the program in a process, kills it (SIGKILL) at a random moment, and starts it again, until one run ends by itself. Answers of creations
are lost at random too. It fails if a row is lost, a job is created twice, or a row is billed twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import attrs

from paceline.testing import NativeServer, NativeService

PROVIDERS = ("openai", "anthropic", "gemini")
_GRACE = "1.5"  # seconds: the server lists a job at once
_LONGEST = 6.0  # seconds until a kill, after the run has begun: as long as a job takes
_PATIENCE = 120.0  # seconds for a run that is not killed


@attrs.frozen(kw_only=True)
class Round:
    """What one provider's rounds have counted."""

    provider: str
    kills: int
    kills_under_way: int
    """Kills while the journal had a job that was not final."""
    rows: int
    answered: int
    """Rows of the output with an answer, each counted once."""
    duplicates: int
    """Rows of the output beyond one for each prompt."""
    jobs: int
    jobs_twice: int
    """Jobs with a marker that another job has, too."""
    billed_twice: int
    """Rows that were billed in two jobs, or in a job and online."""
    calls_again: int
    """Calls that were in flight at a kill, and were made again: of any run, and no matter of batch jobs."""
    billed_in_jobs: int
    billed_online: int

    @property
    def is_right(self) -> bool:
        """Whether nothing was lost, created twice or billed twice."""
        return self.answered == self.rows and not (self.duplicates or self.jobs_twice or self.billed_twice)


def environment(server: NativeServer) -> Mapping[str, str]:
    """Return the environment of a program that calls a server."""
    keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"), "key")
    return {**os.environ, **keys, "PACELINE_BATCH_GRACE": _GRACE}


def kill_rounds(provider: str, *, kills: int, rows: int, seed: int, by: float | None = None) -> Round:
    """Run rows through a provider's batch API, with kills at random moments.

    Args:
        provider: Name of the provider.
        kills: Number of kills; the runs after them end by themselves.
        rows: Number of prompts of each batch.
        seed: Of the moments.
        by: Seconds after which rows are to be answered; None: no deadline.
    """
    chance, done, under_way = random.Random(seed), 0, 0
    answered = duplicates = batches = 0
    with NativeServer() as server, tempfile.TemporaryDirectory() as folder:
        url = server.openai_url if provider == "openai" else server.url
        while done < kills:
            batches += 1
            path = Path(folder) / f"prompts-{batches}.jsonl"
            ids = [f"{batches}-{number}" for number in range(rows)]
            path.write_text("".join(json.dumps({"id": name, "prompt": f"prompt {name}"}) + "\n" for name in ids))
            server.jobs.service = NativeService(
                seconds=chance.uniform(1.0, 6.0),
                expires_after=chance.choice([None, None, 1.5]),
                cancel_seconds=0.3,
                lost_creates=10**6 if chance.random() < 0.3 else 0,
            )
            command = [sys.executable, "-m", "paceline", "run", str(path), "-m", f"{provider}:m@{url}", "-q"]
            command += ["--native"] if by is None else ["--within", f"{by}s"]
            for _ in range(chance.randint(1, 4)):
                if done < kills:
                    is_killed = _run(
                        command, server, path, chance.choice([chance.uniform(0, 0.3), chance.uniform(0, _LONGEST)])
                    )
                    done += is_killed
                    under_way += is_killed and _has_open_job(path)
            server.jobs.service = attrs.evolve(server.jobs.service, expires_after=None)
            for _ in range(5):  # rows of the third job that expires are pending
                if not _run(command, server, path, _PATIENCE) and _has_ended(path, rows):
                    break
            found = [json.loads(line)["id"] for line in _output(path).read_text().splitlines()]
            answered += len({*found} & {*ids})
            duplicates += len(found) - len({*found})
        counted = server.statistics()
    return Round(
        provider=provider,
        kills=done,
        kills_under_way=under_way,
        rows=rows * batches,
        answered=answered,
        duplicates=duplicates,
        jobs=counted.jobs,
        jobs_twice=sum(number - 1 for number in counted.jobs_by_label.values()),
        billed_twice=sum(number + (prompt in counted.online) > 1 for prompt, number in counted.in_jobs.items()),
        calls_again=sum(number - 1 for number in counted.online.values()),
        billed_in_jobs=counted.billed_in_jobs,
        billed_online=counted.billed_online,
    )


def _output(path: Path) -> Path:
    return path.with_name(f"{path.name}.results.jsonl")


def _has_ended(path: Path, rows: int) -> bool:
    output = _output(path)
    return output.exists() and len(output.read_text().splitlines()) >= rows


def _has_open_job(path: Path) -> bool:
    return _asked(path, "SELECT COUNT(*) FROM native_jobs WHERE state NOT IN ('rescued', 'not created')")


def _has_begun(path: Path, process: int) -> bool:
    return _asked(path, "SELECT COUNT(*) FROM runs WHERE pid = ?", process)


def _asked(path: Path, query: str, *values: int) -> bool:
    """Whether a number in a journal is above 0."""
    try:
        with closing(sqlite3.connect(f"file:{_output(path)}.journal?mode=ro", uri=True)) as db:
            return bool(db.execute(query, values).fetchone()[0])
    except sqlite3.Error:
        return False


def _run(command: Sequence[str], server: NativeServer, path: Path, seconds: float) -> bool:
    """Run the program; return whether it was killed, some seconds after it had begun to write its journal."""
    process = subprocess.Popen(
        command, env={**environment(server)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not _has_begun(path, process.pid):
        time.sleep(0.02)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def main() -> int:
    """Run the rounds of each provider, and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="kills for each provider, with and without a deadline")
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    is_right = True
    for provider in PROVIDERS:
        for by in (None, 6.0):
            found = kill_rounds(provider, kills=arguments.kills, rows=arguments.rows, seed=arguments.seed, by=by)
            print(f"{'right' if found.is_right else 'WRONG'} {'--native' if by is None else '--within'} {found}")
            is_right &= found.is_right
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
