"""World: what the clients of one run share, that is the provider, the log of every call, and the limits in virtual and CPU time.

A run ends at the trial's end, with its items, or when it has used more CPU than it was granted: then it is reported up to that
time, and marked.
"""

from __future__ import annotations

import math
import random
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol

import anyio
import attrs

from paceline.testing import Reply, SimulatedError, SimulatedProvider

from .log import Log, Series
from .trial import Totals, Trial

_SAMPLES = 300  # of the handles, in one run
_CHARACTERS_PER_TOKEN = 4
_LARGEST = 20_000  # tokens


@attrs.frozen
class Gauge:
    """The handles of a client at a moment."""

    limit: float
    rate: float
    """Units per second; inf: no rate is enforced."""


@attrs.define
class Client:
    """One of a trial's clients, to be driven by a contender."""

    world: World
    number: int
    log: Log = attrs.field(factory=Log)
    lateness: random.Random = attrs.field(init=False)
    """Random generator of late starts, the same in each run."""
    gauge: Callable[[], Gauge] = lambda: Gauge(math.nan, math.inf)
    """Function that reads the handles; set by the driver."""

    @lateness.default
    def _lateness(self) -> random.Random:
        return lateness_of(self.trial, self.number)

    @property
    def trial(self) -> Trial:
        """The trial."""
        return self.world.trial

    @property
    def chance(self) -> random.Random:
        """A random generator of its own, the same in each run."""
        return random.Random(f"{self.trial.name}-{self.trial.seed}-client-{self.number}")

    def prompts(self) -> Iterator[str]:
        """Return its prompts."""
        return prompts_of(self.trial, self.number)

    async def call(self, prompt: str, attempt: int, *, system: str = "") -> Reply:
        """Call the provider, and log the call; raises what the provider raises."""
        world, log = self.world, self.log
        start = anyio.current_time()
        if world.trial.late_starts:
            await anyio.sleep(self.lateness.uniform(0.0, world.trial.late_starts))
        try:
            reply = await world.provider.call(prompt, attempt, system=system)
        except SimulatedError as error:
            end = anyio.current_time()
            if error.is_refusal:
                log.refuse(end)
            else:
                log.fail(end)
            raise
        except BaseException:
            end = anyio.current_time()
            if world.is_over(end):
                log.cut_off(start, end, world.units_of(prompt))
            else:
                log.fail(end)  # it timed out
                log.busy += end - start
            raise
        log.serve(start, anyio.current_time(), reply.usage.total_tokens if world.trial.tokens else 1.0)
        return reply


class Run(Protocol):
    """A run of a trial, as far as its figures depend on it."""

    @property
    def trial(self) -> Trial:
        """The trial."""
        ...

    @property
    def origin(self) -> float:
        """When it began, in seconds of its clock."""
        ...

    @property
    def stopped_at(self) -> float | None:
        """Seconds after which it was stopped; None: it was not."""
        ...

    @property
    def series(self) -> Series:
        """The samples of the handles."""
        ...

    @property
    def totals(self) -> Totals:
        """The totals."""
        ...

    @property
    def clients(self) -> Sequence[Logging]:
        """The clients."""
        ...


class Logging(Protocol):
    """What logs its calls."""

    @property
    def log(self) -> Log:
        """The log."""
        ...


def prompts_of(trial: Trial, client: int) -> Iterator[str]:
    """Yield a client's prompts, each one different; in a trial that counts tokens their sizes are heavy-tailed."""
    chance = random.Random(f"{trial.name}-{trial.seed}-sizes-{client}")
    index = 0
    while trial.items is None or index < trial.items:
        prompt = f"{client}.{index}"
        if trial.tokens:
            size = int(min(_LARGEST, chance.lognormvariate(math.log(487), 1.2)))
            prompt = prompt.ljust(_CHARACTERS_PER_TOKEN * max(3, size))
        yield prompt
        index += 1


def units_of(trial: Trial, prompt: str) -> float:
    """Return what a call costs in the trial's unit."""
    return len(prompt) // _CHARACTERS_PER_TOKEN if trial.tokens else 1.0


def lateness_of(trial: Trial, client: int) -> random.Random:
    """Return the random generator of a client's late starts."""
    return random.Random(f"{trial.name}-{trial.seed}-lateness-{client}")


def series_of(trial: Trial) -> Series:
    """Return the empty series of a run."""
    return Series(max(1.0, trial.seconds / _SAMPLES))


def totals_of(run: Run, logs: Sequence[Log], admitted: float) -> Totals:
    """Return the totals of a run so far; `admitted`: units that the provider admitted."""
    trial = run.trial
    ended = run.stopped_at or trial.seconds
    if trial.items is not None and sum(len(log.served_at) for log in logs) >= trial.items:
        ended = max(log.served_at[-1] for log in logs) - run.origin
    return Totals(
        served=sum(sum(log.units) for log in logs),
        admitted=admitted,
        busy=sum(log.busy for log in logs),
        ended=ended,
    )


Drive = Callable[[Client], Awaitable[None]]
"""Calls the provider through a client until the trial's end, or until all items are served."""


class World:
    """One run of a trial.

    Args:
        trial: The trial.
        drive: The contender.
        cpu: Seconds of CPU that the run may use.
    """

    def __init__(self, trial: Trial, drive: Drive, cpu: float) -> None:
        self.trial = trial
        seed = zlib.crc32(f"{trial.name}-{trial.seed}".encode())
        self.provider = SimulatedProvider(trial.service, steps=trial.steps, seed=seed, answer=_nothing)
        self.clients = [Client(self, number) for number in range(len(trial.starts))]
        self.series = series_of(trial)
        self.stopped_at: float | None = None
        """When the run was stopped because it used too much CPU; None: it was not."""
        self.origin = 0.0
        self._drive = drive
        self._cpu = cpu
        self._over = math.inf

    async def run(self) -> None:
        """Run to the end."""
        self.origin = anyio.current_time()
        self._over = self.origin + self.trial.seconds
        async with anyio.create_task_group() as watch:
            watch.start_soon(self._watch, watch.cancel_scope, time.process_time() + self._cpu)
            async with anyio.create_task_group() as clients:
                for client, start in zip(self.clients, self.trial.starts, strict=True):
                    clients.start_soon(self._begin, client, start)
            watch.cancel_scope.cancel()

    def is_over(self, now: float) -> bool:
        """Whether the trial has ended."""
        return now >= self._over - 1e-6

    def units_of(self, prompt: str) -> float:
        """Return what a call costs in the trial's unit."""
        return units_of(self.trial, prompt)

    @property
    def totals(self) -> Totals:
        """The totals so far."""
        provider = self.provider.statistics()
        admitted = provider.admitted_tokens if self.trial.tokens else provider.admitted
        return totals_of(self, [client.log for client in self.clients], float(admitted))

    async def _begin(self, client: Client, start: float) -> None:
        await anyio.sleep_until(self.origin + start)
        with anyio.CancelScope(deadline=self._over + 1e-3):
            await self._drive(client)

    async def _watch(self, everything: anyio.CancelScope, cpu_ends: float) -> None:
        while True:
            now = anyio.current_time()
            if time.process_time() > cpu_ends:
                self._over = now
                self.stopped_at = now - self.origin
                everything.cancel()
            gauges = [client.gauge() for client in self.clients]
            known = [gauge for gauge in gauges if not math.isnan(gauge.limit)]
            self.series.sample(
                now - self.origin,
                self.provider.statistics().in_flight,
                sum(gauge.limit for gauge in known),
                sum(gauge.rate for gauge in known) if known else math.inf,
            )
            await anyio.sleep(self.series.every)


def _nothing(_: str) -> str:
    return ""
