"""A provider that exists only in a clock: it admits, refuses, fails and answers calls as its service says.

1. It keeps time by the running event loop's clock, from the first call of each run of a loop; limits and steps begin anew
   with a run, the counts go on. It starts no task and holds no lock: everything is decided between two checkpoints.
2. How long a call takes is decided when it is admitted; only a knee still moves it.
3. A call that is cancelled gives its place up at once.
4. Every call that has ended was exactly one of served, refused, faulted, abandoned.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

import anyio
import attrs
from anyio.lowlevel import current_token

from .._core.exceptions import ConfigurationError
from .._core.fault import FaultKind
from .._core.usage import TokenUsage
from .._core.validators import Number
from .admission import Admission
from .replies import NO_HEADERS, TALKATIVE, Reply, faulted, headers, refused
from .saturation import SharedServer
from .service import FAULTS_OF_THE_ANSWER, FAULTS_OF_THE_DOOR, Chance, Dice, Service


@attrs.frozen(kw_only=True)
class ProviderStatistics:
    """A snapshot of what a provider has seen, over all runs."""

    calls: int
    """Calls that arrived."""
    admitted: int
    """Calls that passed every limit."""
    admitted_tokens: int
    """Their tokens."""
    served: int
    """Calls that were answered well."""
    refused: int
    """Calls that a limit refused (429)."""
    faulted: int
    """Calls that ended in another fault."""
    abandoned: int
    """Calls that were cancelled, those that hung among them."""
    in_flight: int
    """Admitted calls that have not ended."""
    peak_in_flight: int
    busy_seconds: float
    """The sum over time of the calls in flight, up to the last admission or end."""
    usage: TokenUsage
    """Tokens of all answers, the faulty ones included: what would be on the bill."""


@attrs.define
class _Tally:
    calls: int = 0
    open: int = 0
    admitted: int = 0
    admitted_tokens: int = 0
    served: int = 0
    refused: int = 0
    faulted: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    busy_seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0

    def bill(self, usage: TokenUsage) -> None:
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cached_input_tokens += usage.cached_input_tokens


class _Run:
    """The service in one run of an event loop, from its first call on."""

    def __init__(self, loop: object, service: Service, steps: Sequence[tuple[float, Service]]) -> None:
        self.loop = loop
        self.origin = anyio.current_time()
        self.service = service
        self.admission = Admission(service.limits)
        self.busy_until = 0.0  # how far the busy seconds have been summed up
        self._steps = deque(steps)
        knees = [(start, float(each.knee or math.inf)) for start, each in ((0.0, service), *steps)]
        self.server = SharedServer(knees, self.origin) if any(knee < math.inf for _, knee in knees) else None

    def now(self) -> float:
        """Return the time, and put the service in force that holds at it."""
        now = anyio.current_time() - self.origin
        while self._steps and self._steps[0][0] <= now:
            start, self.service = self._steps.popleft()
            self.admission.change(self.service.limits, start)
        return now


def echo(prompt: str) -> str:
    """Return the beginning of the prompt, marked as simulated."""
    return f"simulated: {prompt[:60]}"


class SimulatedProvider:
    """A provider to be called in a test, a benchmark or a demo, in real or virtual time.

    Args:
        service: what it is like at first.
        steps: times in seconds from the first call, and what it is like from then on.
        seed: of chance; the same seed, prompt and attempt meet the same chance.
        answer: what is replied to a prompt.

    Raises:
        ConfigurationError: an argument is of another form, or the steps are not in order of time.
    """

    def __init__(
        self,
        service: Service,
        *,
        steps: Sequence[tuple[float, Service]] = (),
        seed: int = 0,
        answer: Callable[[str], str] = echo,
    ) -> None:
        _check_steps(service, steps)
        self._service = service
        self._steps = tuple(steps)
        self._dice = Dice(seed)
        self._answer = answer
        self._tally = _Tally()
        self._run: _Run | None = None

    async def call(self, prompt: str, attempt: int = 1) -> Reply:
        """Make one call. A checkpoint; it may be cancelled at any time, and a call that meets a timeout must be.

        Args:
            prompt: what is sent.
            attempt: its number, from 1.

        Raises:
            SimulatedError: the provider answered with an error: 429 from its limits, 400, 401, 500 or 503 by chance.
            CallError: the quota was exhausted, or the answer was invalid, truncated or refused.
        """
        chance = self._dice.throw(prompt, attempt)
        run = self._current_run()
        now = run.now()
        service = run.service
        self._tally.calls += 1
        self._tally.open += 1
        try:
            fault = service.fault_of(chance)
            if fault is not None and fault in FAULTS_OF_THE_DOOR:
                await anyio.sleep(service.fault_seconds)
                self._tally.faulted += 1
                raise faulted(fault, TokenUsage())
            usage = service.usage_of(prompt, chance)
            refusal = run.admission.ask(now, usage.total_tokens, self._tally.in_flight)
            if refusal is not None:
                standings = [] if service.dialect == "none" else run.admission.standings(now, refusal)
                await anyio.sleep(service.refusal_seconds_of(chance))
                self._tally.refused += 1
                raise refused(refusal, service.retry_after(refusal.wait), service.dialect, standings, now)
            told = NO_HEADERS
            if service.dialect in TALKATIVE:
                told = headers(service.dialect, run.admission.standings(now), now)
            await self._work(run, usage, fault, chance)
            self._tally.bill(usage)
            if fault is not None and fault in FAULTS_OF_THE_ANSWER:
                self._tally.faulted += 1
                raise faulted(fault, usage)
            text = self._answer(prompt)
            self._tally.served += 1
            return Reply(text, usage, told)
        finally:
            self._tally.open -= 1

    @property
    def tells_limits(self) -> bool:
        """Whether good replies say how the limits stand, now or after some step."""
        return any(service.dialect in TALKATIVE for service in (self._service, *(each for _, each in self._steps)))

    def statistics(self) -> ProviderStatistics:
        """Return a snapshot. Needs no running event loop."""
        tally = self._tally
        return ProviderStatistics(
            calls=tally.calls,
            admitted=tally.admitted,
            admitted_tokens=tally.admitted_tokens,
            served=tally.served,
            refused=tally.refused,
            faulted=tally.faulted,
            abandoned=tally.calls - tally.open - tally.served - tally.refused - tally.faulted,
            in_flight=tally.in_flight,
            peak_in_flight=tally.peak_in_flight,
            busy_seconds=tally.busy_seconds,
            usage=TokenUsage(tally.input_tokens, tally.output_tokens, tally.cached_input_tokens),
        )

    async def _work(self, run: _Run, usage: TokenUsage, fault: FaultKind | None, chance: Chance) -> None:
        tally = self._tally
        seconds = run.service.work_of(usage, chance)
        self._change_in_flight(run, 1)
        tally.admitted += 1
        tally.admitted_tokens += usage.total_tokens
        try:
            if fault is FaultKind.TIMEOUT:
                await anyio.Event().wait()
            elif run.server is not None:
                await run.server.work(seconds)
            else:
                await anyio.sleep(seconds)
        finally:
            self._change_in_flight(run, -1)

    def _change_in_flight(self, run: _Run, by: int) -> None:
        tally = self._tally
        now = run.now()
        tally.busy_seconds += tally.in_flight * (now - run.busy_until)
        run.busy_until = now
        tally.in_flight += by
        tally.peak_in_flight = max(tally.peak_in_flight, tally.in_flight)

    def _current_run(self) -> _Run:
        loop = current_token().native_token
        if self._run is None or self._run.loop is not loop:
            self._run = _Run(loop, self._service, self._steps)
        return self._run


def _check_steps(service: object, steps: object) -> None:
    if not isinstance(service, Service):
        raise ConfigurationError(f"service must be a Service, not {service!r}")
    if not isinstance(steps, Sequence):
        raise ConfigurationError(f"steps must be pairs of a time and a Service, not {steps!r}")
    before = 0.0
    for step in steps:
        match step:
            case (start, Service()):
                Number(above=before).check("the time of a step", start)
                before = start
            case _:
                raise ConfigurationError(f"a step must be a pair of a time and a Service, not {step!r}")
