"""Runs one job: one trial, one seed, one contender, in virtual time."""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import attrs
from trio._core import _run
from trio.abc import Instrument
from trio.testing import MockClock

from paceline._core.pace import PaceController
from paceline.testing import VirtualTimeLoop
from paceline.testing.replies import Dialect
from paceline.testing.virtual_time import virtual_backend_options

from .contenders import Contender, contender
from .core import CoreWorld
from .families import FAMILIES, member
from .measures import measured
from .scenarios import scenario
from .trial import Trial
from .world import World

_COLLECTIONS = (50_000, 20, 50)  # rarely: a run makes little garbage that has cycles


@attrs.frozen
class Job:
    """One run."""

    trial: str
    seed: int
    contender: str
    cpu: float = 300.0
    """Seconds of CPU it may use."""
    backend: str | None = None
    """Event loop, trio or asyncio; None: the contender's own. asyncio is faster, and its results are the same except for the order
    of events at the same time. `core`: the controller alone, which is much faster, and less exact: see `core`."""
    dialect: Dialect = "none"
    """Whose headers and errors the provider uses for its limits: see `Service.dialect`."""


def trial_of(job: Job) -> Trial:
    """Return the job's trial."""
    trial = (member if job.trial in FAMILIES else scenario)(job.trial, job.seed)
    if job.dialect == "none":
        return trial
    steps = tuple((start, attrs.evolve(service, dialect=job.dialect)) for start, service in trial.steps)
    return attrs.evolve(trial, service=attrs.evolve(trial.service, dialect=job.dialect), steps=steps)


def run(job: Job) -> dict[str, Any]:
    """Run a job and return its figures."""
    trial, chosen = trial_of(job), contender(job.contender)
    backend = job.backend or chosen.backend
    if backend == "core":
        return _run_core(job, trial, chosen)
    options = backend_options(trial, backend)
    began = time.process_time()
    with chosen.within(), _deterministic_scheduling(job.seed), _rare_collections():
        world = World(trial, chosen.drive(), job.cpu)
        anyio.run(world.run, backend=backend, backend_options=options)
    return attrs.asdict(job) | {"about": trial.about, "cost": time.process_time() - began} | measured(world)


def _run_core(job: Job, trial: Trial, chosen: Contender) -> dict[str, Any]:
    """Run a job with the controller alone."""
    if chosen.is_rival:
        raise ValueError(f"{chosen.name} has no controller that could run without it")
    if job.dialect != "none":
        raise ValueError(f"the controller alone is not given the headers of the dialect {job.dialect}")
    began = time.process_time()
    with chosen.within(), _rare_collections():
        world = CoreWorld(trial, chosen.pace or PaceController)
        world.run()
    return attrs.asdict(job) | {"about": trial.about, "cost": time.process_time() - began} | measured(world)


def backend_options(trial: Trial, backend: str) -> dict[str, Any]:
    """Return the options of `anyio.run` for a trial in virtual time, on a machine that is as late as the trial says."""
    chance = random.Random(f"{trial.name}-{trial.seed}-timers")
    if not trial.late_timers:
        return virtual_backend_options(backend)

    def late() -> float:
        return chance.uniform(0.0, trial.late_timers)

    if backend == "asyncio":
        return {"loop_factory": lambda: _LateLoop(late)}
    clock = MockClock(autojump_threshold=0)
    return {"clock": clock, "instruments": [_LateTimers(clock, late)]}


class _LateTimers(Instrument):
    """A busy machine, on trio: whenever all tasks have slept until a time, it is later by a random amount."""

    def __init__(self, clock: MockClock, late: Callable[[], float]) -> None:
        self._clock, self._late = clock, late
        self._slept_at = clock.current_time()

    def before_io_wait(self, timeout: float) -> None:
        if (now := self._clock.current_time()) > self._slept_at:
            self._clock.jump(self._late())
            self._slept_at = self._clock.current_time()
        else:
            self._slept_at = now


class _LateLoop(VirtualTimeLoop):
    """The same, on asyncio."""

    def __init__(self, late: Callable[[], float]) -> None:
        super().__init__()
        self._late = late
        self._slept_at = self._delay = 0.0

    def time(self) -> float:
        now = super().time() + self._delay
        if now > self._slept_at:
            self._delay += self._late()
            self._slept_at = now = super().time() + self._delay
        return now


@contextmanager
def _deterministic_scheduling(seed: int) -> Iterator[None]:
    """Seed the order in which trio runs tasks that are ready, as Hypothesis does for its tests."""
    scheduler: Any = _run  # trio has no public way
    before = scheduler._r, scheduler._ALLOW_DETERMINISTIC_SCHEDULING  # noqa: SLF001 - as above
    scheduler._r, scheduler._ALLOW_DETERMINISTIC_SCHEDULING = random.Random(seed), True  # noqa: SLF001 - as above
    try:
        yield
    finally:
        scheduler._r, scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before  # noqa: SLF001 - as above


@contextmanager
def _rare_collections() -> Iterator[None]:
    before = gc.get_threshold()
    gc.freeze()  # what is imported is never garbage
    gc.set_threshold(*_COLLECTIONS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


if __name__ == "__main__":  # in a rival's own environment
    print(json.dumps(run(Job(**json.loads(sys.argv[1])))))
