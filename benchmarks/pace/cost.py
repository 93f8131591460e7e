"""The cost of a controller: CPU per call that it admits, with some 1,000 in flight (`python -m benchmarks.pace.cost`).

1. A load is simulated once, with the controller, and every question to the controller is recorded.
2. The questions are then repeated to a fresh controller, in one loop, and to one that does nothing; the difference is the cost. So
   neither the simulation nor the loop is counted. A controller is pure: it gives the same answers.
3. After each call that ends, calls are admitted until one is not, as the engine does: two or three questions per call.
4. The fastest of the rounds is reported: other work on the machine only adds.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import math
import random
import time
from itertools import count
from typing import Any

import attrs

from paceline._core import pace
from paceline.abc import RateController

from ..table import table
from .by_engine import NewPace, controller

_MEDIAN, _SIGMA, _REFUSAL = 4.0, 0.6, 0.15  # latency: seconds, sigma of its logarithm; seconds that a refusal takes
_REFUSED = pace.Throttled()

Question = tuple[Any, ...]
"""("admit", now, cost), ("start", now, cost) or ("settle", the call's number, now, signal)."""


@attrs.frozen
class Load:
    """The limits of a simulated provider."""

    name: str
    rate: float = math.inf
    """Calls per second that the provider admits, with a burst of one second."""
    cap: float = math.inf
    """Calls in flight that it admits."""
    chance: float = 0.0
    """Probability of a refusal, however many calls are in flight."""
    ceiling: int = 4_000
    """Calls in flight that the engine allows."""
    forced: bool = False
    """Whether calls start up to the ceiling whatever the controller answers."""


LOADS = (
    Load("a rate of 210/s", rate=210.0),
    Load("a cap of 1,000", cap=1_000),
    Load("no limit but the ceiling of 1,000", ceiling=1_000),
    Load("1 % refused at random, 1,000 in flight whatever it answers", chance=0.01, ceiling=1_000, forced=True),
    Load("half refused at random, 1,000 in flight whatever it answers", chance=0.5, ceiling=1_000, forced=True),
)


class _Simulation:
    """Records the questions that a load asks a controller."""

    def __init__(self, load: Load, pacer: RateController, seed: int) -> None:
        self.asked: list[Question] = []
        self.started = 0
        self.most_in_flight = 0
        self.refused = 0
        self._load = load
        self._pacer = pacer
        self._chance = random.Random(seed)
        self._events: list[tuple[float, int, int, Any]] = []  # time, order, call or -1 for a wake-up, signal
        self._order = count()
        self._tickets: dict[int, Any] = {}
        self._in_flight = self._admitted = 0
        self._level, self._filled = load.rate, 0.0
        self._looks_at = math.inf

    def run(self, calls: int) -> None:
        """Let `calls` start."""
        now = 0.0
        self._admit(now)
        while self.started < calls:
            now, _, call, signal = heapq.heappop(self._events)
            if call < 0:
                if now != self._looks_at:
                    continue  # it was woken earlier
                self._looks_at = math.inf
            else:
                self._in_flight -= 1
                self._admitted -= signal is pace.SERVED
                self.asked.append(("settle", call, now, signal))
                self._pacer.settled(self._tickets.pop(call), now, signal)
            self._admit(now)

    def _admit(self, now: float) -> None:
        while self._in_flight < self._load.ceiling:
            self.asked.append(("admit", now, 1.0))
            at = self._pacer.admit_at(now, 1.0)
            if at > now and not self._load.forced:
                if at < self._looks_at:
                    self._looks_at = at
                    heapq.heappush(self._events, (at, next(self._order), -1, None))
                return
            self.asked.append(("start", now, 1.0))
            self._tickets[self.started] = self._pacer.started(now, 1.0)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            self._send(now)
            self.started += 1

    def _send(self, now: float) -> None:
        signal: pace.Signal = pace.SERVED
        end = self._chance.lognormvariate(math.log(_MEDIAN), _SIGMA)
        if not self._is_admitted(now):
            signal, end = _REFUSED, _REFUSAL * self._chance.uniform(0.7, 1.3)
            self.refused += 1
        else:
            self._admitted += 1
        heapq.heappush(self._events, (now + end, next(self._order), self.started, signal))

    def _is_admitted(self, now: float) -> bool:
        load = self._load
        if self._chance.random() < load.chance or self._admitted >= load.cap:
            return False
        if load.rate < math.inf:
            self._level = min(load.rate, self._level + (now - self._filled) * load.rate)
            self._filled = now
            if self._level < 1:
                return False
            self._level -= 1
        return True


class _Nothing:
    """A controller that does nothing: it costs as much as the questions."""

    def admit_at(self, now: float, cost: float) -> float:
        return now

    def started(self, now: float, cost: float) -> None:
        return None

    def settled(self, ticket: None, now: float, signal: pace.Signal) -> None:
        return None


def _replay(asked: list[Question], pacer: Any) -> float:
    """Return the seconds that the questions take."""
    admit, start, settle = pacer.admit_at, pacer.started, pacer.settled
    tickets: list[Any] = []
    gc.collect()
    gc.disable()
    began = time.process_time()
    for what, *rest in asked:
        if what == "admit":
            admit(*rest)
        elif what == "start":
            tickets.append(start(*rest))
        else:
            call, now, signal = rest
            settle(tickets[call], now, signal)
    spent = time.process_time() - began
    gc.enable()
    return spent


@attrs.frozen
class Cost:
    """The cost of a controller under a load."""

    microseconds: float
    """Per started call."""
    in_flight: int
    """Maximum number of calls in flight."""
    refusals: float
    """Per started call."""
    questions: float
    """Calls of `admit_at` per started call."""


def cost(make: NewPace, load: Load, *, calls: int = 30_000, rounds: int = 5) -> Cost:
    """Measure a controller under a load."""
    simulation = _Simulation(load, make(None), seed=1)
    simulation.run(calls)
    asked = simulation.asked
    idle = min(_replay(asked, _Nothing()) for _ in range(rounds))
    busy = min(_replay(asked, make(None)) for _ in range(rounds))
    return Cost(
        (busy - idle) / simulation.started * 1e6,
        simulation.most_in_flight,
        simulation.refused / simulation.started,
        sum(question[0] == "admit" for question in asked) / simulation.started,
    )


def costs(make: NewPace, *, calls: int = 30_000, rounds: int = 5) -> str:
    """Measure a controller under all loads, and return the table."""
    rows = []
    for load in LOADS:
        found = cost(make, load, calls=calls, rounds=rounds)
        rows.append(
            (
                load.name,
                f"{found.microseconds:.1f}",
                f"{found.in_flight:,}",
                f"{found.refusals:.4f}",
                f"{found.questions:.1f}",
            )
        )
    return table(("", "us a call", "most in flight", "refusals a call", "admit_at a call"), rows)


def default_controller() -> NewPace:
    """Return the function that makes the default controllers of a processor."""
    from paceline._core.pace import PaceController  # noqa: PLC0415 - imported only for its default

    return PaceController


def main() -> None:
    """Print the table of a controller."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pace.cost", description=__doc__.splitlines()[0])
    parser.add_argument("controller", nargs="?", help="package.module:name (default: the engine's)")
    parser.add_argument("--calls", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    make = controller(options.controller) if options.controller else default_controller()
    print(costs(make, calls=options.calls, rounds=options.rounds))


if __name__ == "__main__":
    main()
