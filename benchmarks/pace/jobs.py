"""Runs many jobs in a pool of processes, and keeps each result on disk, so that an interrupted run resumes.

The key of a result is everything that it follows from: the job, and the source files that take part in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import attrs

from .contenders import Contender, contender
from .environments import EnvironmentFailure, python_with
from .run import Job, run

ROOT = Path(__file__).parents[2]
_KEPT = Path(__file__).parent / ".cache"
_PROVIDER = ("src/paceline/testing", "benchmarks/pace")
_ENGINE = ("src/paceline",)
# Files without an effect on results.
_NO_PART = frozenset(
    {"tables.py", "page.py", "plots.py", "cost.py", "ablation.py", "bounds.py", "__main__.py", "jobs.py"}
)
_NICENESS = 10
_GRACE = 120.0  # seconds, beyond those that the run may use

Result = dict[str, Any]


def results(jobs: Sequence[Job], *, processes: int, fresh: bool, say: Callable[[Result], None]) -> list[Result]:
    """Return the result of each job, in their order; those that failed have an `error`.

    Args:
        jobs: The jobs to run.
        processes: Number of processes.
        fresh: Whether to run also the jobs with a stored result.
        say: Function to call with each result as it comes.
    """
    found: dict[Job, Result] = {}
    for job in jobs:
        kept = _path(job)
        if kept.exists() and not fresh:
            found[job] = json.loads(kept.read_text())
            say(found[job])
    for job, result in _run_all([job for job in jobs if job not in found], processes):
        found[job] = result
        if "error" not in result:
            _keep(_path(job), result)
        say(result)
    return [found[job] for job in jobs]


def _run_all(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, Result]]:
    if not jobs:
        return
    for needed in {contender(job.contender).requirement for job in jobs} - {()}:
        python_with(needed)  # made once, before several processes need it
    with get_context("fork").Pool(min(processes, len(jobs)), os.nice, (_NICENESS,), maxtasksperchild=8) as pool:
        yield from pool.imap_unordered(_run_one, jobs)


def _run_one(job: Job) -> tuple[Job, Result]:
    try:
        chosen = contender(job.contender)
        return job, _run_elsewhere(job, chosen) if chosen.requirement else _run_here(job)
    except Exception:  # noqa: BLE001 - a job that fails must not stop the others
        return job, attrs.asdict(job) | {"error": traceback.format_exc()}


def _run_here(job: Job) -> Result:
    """Run a job; end it after twice its CPU, in case virtual time does not advance and its own watch never wakes."""
    signal.signal(signal.SIGPROF, _give_up)
    signal.setitimer(signal.ITIMER_PROF, 2 * job.cpu)
    try:
        return run(job)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _give_up(*_: object) -> None:
    raise TimeoutError("virtual time does not advance")


def _run_elsewhere(job: Job, chosen: Contender) -> Result:
    """Run a job in the contender's own environment."""
    command = (python_with(chosen.requirement), "-m", "benchmarks.pace.run", json.dumps(attrs.asdict(job)))
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=job.cpu * 2 + _GRACE, check=True
        )
    except subprocess.CalledProcessError as error:
        raise EnvironmentFailure(error.stderr.strip()[-2_000:]) from error
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def _path(job: Job) -> Path:
    parts = _PROVIDER if contender(job.contender).is_rival else _PROVIDER + _ENGINE
    key = hashlib.sha256(f"{attrs.asdict(job)} {sys.version} {_digest(parts)}".encode()).hexdigest()[:20]
    return _KEPT / f"{job.trial}-{job.seed}-{key}.json"


@cache
def _digest(folders: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name not in _NO_PART:
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _keep(path: Path, result: Result) -> None:
    _KEPT.mkdir(exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    half.write_text(json.dumps(result))
    half.replace(path)
