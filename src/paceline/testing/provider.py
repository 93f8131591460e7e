"""The simulated provider: it admits, refuses, fails and answers calls as its service describes.

1. It reads the running event loop's clock, from the first call of each run of a loop. Limits and steps start over with each run;
   the statistics continue. It starts no task and holds no lock: everything is decided between two checkpoints.
2. The duration of a call is decided when it is admitted; only a knee changes it later.
3. A cancelled call frees its place at once.
4. Every call that has ended was exactly one of served, refused, faulted and abandoned.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import attrs
from anyio.lowlevel import current_token

from .._core.exceptions import ConfigurationError
from .._core.fault import FaultKind
from .._core.usage import TokenUsage
from .._core.validators import Number
from .admission import Admission, Refusal
from .replies import NO_HEADERS, REPORTING_DIALECTS, Reply, fault_error, limit_headers, refusal_error
from .saturation import SharedServer
from .service import ANSWER_FAULTS, ARRIVAL_FAULTS, Chance, Dice, Service


@attrs.frozen(kw_only=True)
class ProviderStatistics:
    """A snapshot of a provider's counts, over all runs of event loops."""

    calls: int
    """Calls that arrived."""
    admitted: int
    """Calls that passed every limit."""
    admitted_tokens: int
    """Tokens of the admitted calls."""
    served: int
    """Calls that were answered without a fault."""
    refused: int
    """Calls that a limit, or `shed_share`, refused."""
    faulted: int
    """Calls that ended in another fault."""
    abandoned: int
    """Calls that were cancelled, including those that hung."""
    in_flight: int
    """Admitted calls that have not ended."""
    peak_in_flight: int
    """Most admitted calls in flight at once."""
    busy_seconds: float
    """Calls in flight, summed over time in seconds, up to the last admission or end."""
    usage: TokenUsage
    """Tokens of all answers, including faulty ones: what the provider would bill."""


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
    """The service in one run of an event loop, from its first call."""

    def __init__(self, loop: object, service: Service, steps: Sequence[tuple[float, Service]]) -> None:
        self.loop = loop
        self.origin = anyio.current_time()
        self.service = service
        self.admission = Admission(service.limits)
        self.busy_until = 0.0  # time up to which the busy seconds are summed
        self._steps = deque(steps)
        knees = [(start, float(each.knee or math.inf)) for start, each in ((0.0, service), *steps)]
        self.server = SharedServer(knees, self.origin) if any(knee < math.inf for _, knee in knees) else None
        self.slots = anyio.CapacityLimiter(service.slots or math.inf)
        self.has_slots = any(each.slots for each in (service, *(each for _, each in steps)))

    def now(self) -> float:
        """Return the seconds since the first call, after applying the steps that are due."""
        now = anyio.current_time() - self.origin
        while self._steps and self._steps[0][0] <= now:
            start, self.service = self._steps.popleft()
            self.admission.change(self.service.limits, start)
            self.slots.total_tokens = self.service.slots or math.inf
        return now


def echo(prompt: str) -> str:
    """Return the beginning of the prompt, marked as simulated."""
    return f"simulated: {prompt[:60]}"


class SimulatedProvider:
    """A provider for tests, benchmarks and demos, in real or virtual time.

    Args:
        service: Limits, speed and faults at first.
        steps: Changes: pairs of a time in seconds after the first call, ascending, and the service from then on.
        seed: Seed of chance, a whole number, 0 or more; the same seed, prompt and attempt draw the same chance.
        answer: Returns the answer to a prompt.

    Raises:
        ConfigurationError: An argument has the wrong type, or the steps are not in order of time.
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
        self._shed: dict[
            tuple[str, int], int
        ] = {}  # times that a call was refused by chance and has not been admitted since

    async def call(self, prompt: str, attempt: int = 1, *, system: str = "") -> Reply:
        """Make one call. It is a checkpoint and may be cancelled at any time; a call that draws a timeout ends only by cancellation.

        Args:
            prompt: Text of the prompt.
            attempt: Number of the attempt, from 1.
            system: Text before the prompt: it costs tokens and changes nothing else.

        Raises:
            SimulatedError: The provider answered with an HTTP error: 429 (or `refusal_status`) from its limits; 400, 401, 500 or 503
                by chance.
            CallError: The quota is exhausted, or the answer is invalid, truncated or refused.
        """
        chance = self._dice.draw(prompt, attempt)
        run = self._current_run()
        now = run.now()
        service = run.service
        self._tally.calls += 1
        self._tally.open += 1
        try:
            fault = service.fault_of(chance)
            if fault is not None and fault in ARRIVAL_FAULTS:
                await anyio.sleep(service.fault_seconds)
                self._tally.faulted += 1
                raise fault_error(fault, TokenUsage())
            usage = service.usage_of(f"{system}{prompt}", chance)
            refusal = None
            if service.shed_share and self._is_shed(service, prompt, attempt):
                refusal = Refusal(None, math.inf)
            if refusal is None:
                refusal = run.admission.admit(now, usage.total_tokens, self._tally.in_flight)
            if refusal is not None:
                statuses = [] if service.dialect == "none" else run.admission.statuses(now, refusal)
                await anyio.sleep(service.refusal_seconds_of(chance))
                self._tally.refused += 1
                hint = service.retry_after(refusal.wait)
                raise refusal_error(refusal, hint, service.dialect, statuses, now, service.refusal_status)
            report = NO_HEADERS
            if service.dialect in REPORTING_DIALECTS:
                report = limit_headers(service.dialect, run.admission.statuses(now), now)
            await self._work(run, usage, fault, chance)
            self._tally.bill(usage)
            if fault is not None and fault in ANSWER_FAULTS:
                self._tally.faulted += 1
                raise fault_error(fault, usage)
            text = self._answer(prompt)
            self._tally.served += 1
            return Reply(text, usage, report)
        finally:
            self._tally.open -= 1

    @property
    def reports_limits(self) -> bool:
        """Whether good replies report the status of the limits, now or after some step."""
        return any(
            service.dialect in REPORTING_DIALECTS for service in (self._service, *(each for _, each in self._steps))
        )

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

    def _is_shed(self, service: Service, prompt: str, attempt: int) -> bool:
        call = prompt, attempt
        times = self._shed.pop(call, 0)
        is_shed = self._dice.draw_again(prompt, attempt, times) < service.shed_share
        if is_shed:
            self._shed[call] = times + 1
        return is_shed

    async def _work(self, run: _Run, usage: TokenUsage, fault: FaultKind | None, chance: Chance) -> None:
        tally = self._tally
        seconds = run.service.work_of(usage, chance)
        self._change_in_flight(run, 1)
        tally.admitted += 1
        tally.admitted_tokens += usage.total_tokens
        try:
            if run.has_slots:
                async with _slot(run.slots):
                    await _do(run.server, seconds, fault)
            else:
                await _do(run.server, seconds, fault)
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


async def _do(server: SharedServer | None, seconds: float, fault: FaultKind | None) -> None:
    if fault is FaultKind.TIMEOUT:
        await anyio.Event().wait()
    elif server is not None:
        await server.work(seconds)
    else:
        await anyio.sleep(seconds)


@asynccontextmanager
async def _slot(slots: anyio.CapacityLimiter) -> AsyncIterator[None]:
    """Hold a slot, as its own borrower: one task may make several calls at once."""
    call = object()
    await slots.acquire_on_behalf_of(call)
    try:
        yield
    finally:
        slots.release_on_behalf_of(call)


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
