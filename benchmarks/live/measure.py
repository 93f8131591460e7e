"""Measure: a batch against a server, or several at once, and its figures.

1. The controller is the processor's default, untouched.
2. A rate counts from the beginning until no item waits any more: what remains then is the tail of the last calls.
3. A batch that is not over after `longest` seconds is ended. The items that it did not reach are pending, which counts as unsuccessful.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import Any

import attrs
import trio

from paceline import BatchResult, LLMCallStrategy, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig
from paceline.abc import BaseObserver
from paceline.observers import ProcessingEvent

from ..pace.measures import jain, time_to

_EVERY = 5.0  # seconds of a line of the course
_HORIZON = 5.0  # seconds over which 90 % of the rate must be served; a limiter's own window if that is longer


@attrs.frozen
class Sample:
    """The programs of a run at one moment: sums, and what the controller of each that has items waiting allows."""

    time: float
    waiting: int
    in_flight: int
    limits: tuple[int, ...]
    rates: tuple[float, ...]


class _Log(BaseObserver):
    """The times of what a batch's calls came to, in seconds since the run began."""

    def __init__(self, began: float) -> None:
        self._began = began
        self.served: list[float] = []
        self.refused: list[float] = []
        self.failed: list[tuple[float, str]] = []
        self.latencies: list[float] = []
        """Seconds of the calls of items that needed one."""

    async def on_event(self, event: ProcessingEvent, data: dict[str, Any]) -> None:
        """Log one event."""
        now = trio.current_time() - self._began
        if event is ProcessingEvent.ITEM_COMPLETED:
            self.served.append(now)
            if data["attempts"] == 1:
                self.latencies.append(data["seconds"])
        elif event is ProcessingEvent.RATE_LIMIT_HIT:
            self.refused.append(now)
        elif event is ProcessingEvent.ITEM_RETRIED or (
            event is ProcessingEvent.ITEM_FAILED and data["kind"] != "pending"
        ):
            self.failed.append((now, data["kind"]))


@attrs.frozen(kw_only=True)
class Run:
    """What happened."""

    batches: tuple[BatchResult[str], ...]
    samples: tuple[Sample, ...]
    logs: tuple[_Log, ...]
    lost: int
    """Items without exactly one result."""
    load: float
    """The machine's load at the start."""

    @property
    def seconds(self) -> float:
        """Seconds until the last result."""
        return self.samples[-1].time

    @property
    def busy(self) -> float:
        """Seconds during which items waited."""
        return max((sample.time for sample in self.samples if sample.waiting), default=0.0)

    @property
    def served(self) -> list[float]:
        """Times of the calls served."""
        return sorted(time for log in self.logs for time in log.served)

    @property
    def refused(self) -> list[float]:
        """Times of the calls refused."""
        return sorted(time for log in self.logs for time in log.refused)

    @property
    def failed(self) -> list[tuple[float, str]]:
        """Times and kinds of the other failed attempts."""
        return sorted(failure for log in self.logs for failure in log.failed)

    @property
    def unsuccessful(self) -> Counter[str]:
        """Items that ended without an answer, by kind of fault."""
        return Counter(
            str(result.error.kind) for batch in self.batches for result in batch.results if result.error is not None
        )

    def served_between(self, start: float, end: float) -> float:
        """Return the calls served per second between two times."""
        return sum(1 for time in self.served if start <= time < end) / max(end - start, 1e-9)

    def figures(self, allowed: float, *, free: int = 0, horizon: float = _HORIZON) -> dict[str, Any]:
        """Return the figures of the run as JSON values.

        Args:
            allowed: Calls per second that the server's configuration allows.
            free: Calls that it allows besides, at the start.
            horizon: Seconds over which 90 % of them must be served.
        """
        count, busy = max(1, len(self.served)), self.busy
        t90 = time_to([(time, 1.0) for time in self.served], 0.0, math.inf, allowed, max(horizon, _HORIZON))
        last = [sample for sample in self.samples if sample.waiting][-1:] or self.samples[-1:]
        second_half = [sample.in_flight for sample in self.samples if busy / 2 <= sample.time <= busy]
        return {
            "items": sum(batch.total_items for batch in self.batches),
            "allowed": allowed,
            "served": sum(1 for time in self.served if time < busy) / max(1e-9, allowed * busy + free),
            "served_later": self.served_between(busy / 2, busy) / allowed,
            "refusals": len(self.refused) / count,
            "refusals_later": self._later(self.refused),
            "failed": len(self.failed) / count,
            "failed_later": self._later([time for time, _ in self.failed]),
            "failed_kinds": dict(Counter(kind for _, kind in self.failed)),
            "faults": [str(group) for batch in self.batches for group in batch.faults],
            "lost": self.lost,
            "unsuccessful": dict(self.unsuccessful),
            "limit": sum(last[0].limits),
            "rate": sum(last[0].rates) if math.isfinite(sum(last[0].rates)) else None,
            "jain": jain(self._shares()),
            "in_flight": fmean(second_half or [0]),
            "t90": t90 if math.isfinite(t90) else None,
            "latency": median([seconds for log in self.logs for seconds in log.latencies] or [math.nan]),
            "seconds": self.seconds,
            "load": self.load,
        }

    def course(self) -> str:
        """Return a line for every few seconds, to read in a terminal."""
        lines = [f"  {'seconds':>8}{'in flight':>11}{'served':>8}{'refused':>9}{'failed':>8}  {'N':<4} R/s"]
        marks = [self.samples[0]]
        marks += [new for old, new in pairwise(self.samples) if new.time // _EVERY > old.time // _EVERY]
        for old, new in pairwise([*marks, self.samples[-1]]):
            sums = [
                sum(1 for time in times if old.time <= time < new.time)
                for times in (self.served, self.refused, [time for time, _ in self.failed])
            ]
            span = f"{old.time:.0f}-{new.time:.0f}"
            lines.append(
                f"  {span:>8}{new.in_flight:>11}{sums[0]:>8}{sums[1]:>9}{sums[2]:>8}  "
                f"{'+'.join(map(str, new.limits)):<4} {'+'.join(f'{rate:.1f}' for rate in new.rates)}"
            )
        return "\n".join(lines)

    def _shares(self) -> list[int]:
        """Return how many calls of each program were served, while all of them had items waiting."""
        end = min((log.served[-1] for log in self.logs if log.served), default=0.0)
        return [sum(1 for time in log.served if time <= end) for log in self.logs]

    def _later(self, times: Sequence[float]) -> float:
        """Return how many of these times are in the second half, per call served then."""
        start, end = self.busy / 2, self.busy
        served = sum(1 for time in self.served if start <= time < end)
        return sum(1 for time in times if start <= time < end) / max(1, served)


async def drive(strategies: Sequence[LLMCallStrategy[str]], *, items: int, longest: float = 90.0) -> Run:
    """Run a batch with each strategy, all at the same time, each in a processor of its own as if another program ran it."""
    began, load = trio.current_time(), os.getloadavg()[0]
    logs = tuple(_Log(began) for _ in strategies)
    names = [f"q{number}" for number in range(items)]
    processors: list[ParallelBatchProcessor[str]] = []
    batches: list[BatchResult[str]] = []
    samples: list[Sample] = []

    async def one(strategy: LLMCallStrategy[str], log: _Log) -> None:
        config = ProcessorConfig(deadline=longest)
        async with ParallelBatchProcessor[str](config, observers=[log]) as processor:
            for name in names:
                await processor.add_work(LLMWorkItem(name, strategy, f"Question {name}: why do riders share the lead?"))
            processors.append(processor)
            batches.append(await processor.process_all())

    async with trio.open_nursery() as watching:
        watching.start_soon(_watch, processors, samples, began)
        async with trio.open_nursery() as running:
            for strategy, log in zip(strategies, logs, strict=True):
                running.start_soon(one, strategy, log)
        watching.cancel_scope.cancel()
    samples.append(_sample(processors, trio.current_time() - began))
    wrong = [
        (Counter(result.item_id for result in batch.results) - Counter(names))
        + (Counter(names) - Counter(result.item_id for result in batch.results))
        for batch in batches
    ]
    lost = sum(each.total() for each in wrong)
    return Run(batches=tuple(batches), samples=tuple(samples), logs=logs, lost=lost, load=load)


async def _watch(processors: Sequence[ParallelBatchProcessor[str]], samples: list[Sample], began: float) -> None:
    while True:
        samples.append(_sample(processors, trio.current_time() - began))
        await trio.sleep(0.25)


def _sample(processors: Sequence[ParallelBatchProcessor[str]], time: float) -> Sample:
    now = [processor.statistics() for processor in processors]
    lanes = [lane for each in now if each.waiting for lane in each.lanes.values()]
    return Sample(
        time,
        sum(each.waiting for each in now),
        sum(each.in_flight for each in now),
        tuple(lane.limit for lane in lanes),
        tuple(lane.rate for lane in lanes),
    )
