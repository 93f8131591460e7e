"""Runs many jobs in a pool of processes, and keeps each result on disk, so that an interrupted run resumes.

The key of a result is everything that it follows from: the job, and the source files that take part in it.
"""

from __future__ import annotations

import hashlib
import json
import logging
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
# The rest of the package takes no part in a run.
_ENGINE = ("src/paceline/_core", "src/paceline/_engine", "src/paceline/abc.py", "src/paceline/processor.py")
# Files without an effect on results.
_NO_PART = frozenset(
    {
        "tables.py", "page.py", "plots.py", "cost.py", "ablation.py", "leave_one_out.py", "bounds.py", "sawtooth.py", "__main__.py",
        "jobs.py", "options.py",
    }
)  # fmt: skip
_RULES = Path(__file__).parent / "rules"  # each has a fingerprint
_NICENESS = (
    4  # a process that does not wait for its turn slows others down, one that does is slow where the machine is busy
)
_GRACE = 120.0  # seconds, beyond those that the run may use

Result = dict[str, Any]


def results(
    jobs: Sequence[Job], *, processes: int, fresh: bool, say: Callable[[Result], None], series: bool = True
) -> list[Result]:
    """Return the result of each job, in their order; those that failed have an `error`.

    Args:
        jobs: The jobs to run.
        processes: Number of processes.
        fresh: Whether to run also the jobs with a stored result.
        say: Function to call with each result as it comes.
        series: Whether to keep the series for plots; without them a result takes a hundredth of the space.
    """
    found: dict[Job, Result] = {}
    for job in jobs:
        kept = _path(job, series=series)
        if kept.exists() and not fresh:
            found[job] = json.loads(kept.read_text())
            say(found[job])
    for job, result in _run_all([job for job in jobs if job not in found], processes):
        if not series:
            result.pop("series", None)
        found[job] = result
        if "error" not in result:
            _keep(_path(job, series=series), result)
        say(result)
    return [found[job] for job in jobs]


def _run_all(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, Result]]:
    if not jobs:
        return
    for needed in {contender(job.contender).requirement for job in jobs} - {()}:
        python_with(needed)  # made once, before several processes need it
    with get_context("fork").Pool(min(processes, len(jobs)), _prepare, maxtasksperchild=8) as pool:
        yield from pool.imap_unordered(_run_one, jobs)


def _prepare() -> None:
    """Prepare a process: it runs when nothing else wants to, and logs no faults, which these trials are full of."""
    os.nice(_NICENESS)
    logging.getLogger("paceline").setLevel(logging.CRITICAL)


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


def is_stored(job: Job) -> bool:
    """Return whether a job has a stored result, with or without its series."""
    return _path(job, series=False).exists()


def _path(job: Job, *, series: bool) -> Path:
    chosen = contender(job.contender)
    parts = _PROVIDER if chosen.is_rival else _PROVIDER + _ENGINE
    text = f"{attrs.asdict(job)} {chosen.fingerprint} {sys.version} {_digest(parts)}"
    key = hashlib.sha256(text.encode()).hexdigest()[:20]
    path = _KEPT / f"{job.trial}-{job.seed}-{key}.json"
    return path if series or path.exists() else path.with_suffix(".figures.json")


@cache
def _digest(folders: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        place = ROOT / folder
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            if path.name not in _NO_PART and path.parent != _RULES:
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _keep(path: Path, result: Result) -> None:
    _KEPT.mkdir(exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    half.write_text(json.dumps(result))
    half.replace(path)
