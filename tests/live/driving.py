"""What a batch came to against a real server, second by second, as one can judge and print it.

1. The controller is the processor's default, untouched; its history is kept for the printout.
2. The first ten seconds are for finding the pace. The window that counts begins then, and ends when no item waits any
   more: what remains is the tail of the last calls.
"""

from __future__ import annotations

import inspect
from collections import Counter
from itertools import pairwise

import attrs
import trio

from paceline import BatchResult, LLMCallStrategy, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig

SETTLING = 10.0  # seconds
LONGEST = 100.0  # seconds: a controller that fails shall not take all day over it
_EVERY = 5  # samples in a line of the table
_SHOWN = 25  # changes of the pace that are printed of its beginning, and of its end


@attrs.frozen
class Sample:
    """A processor at one moment; sums since the beginning."""

    time: float
    served: int
    refused: int
    waiting: int
    in_flight: int
    workers: int
    rate: float

    @classmethod
    def of(cls, processor: ParallelBatchProcessor[str], time: float) -> Sample:
        now = processor.statistics()
        lane = next(iter(now.lanes.values()), None)
        workers, rate = (lane.limit, lane.rate) if lane is not None else (0, 0.0)
        return cls(time, now.succeeded, now.rate_limit_count, now.waiting, now.in_flight, workers, rate)


@attrs.frozen(kw_only=True)
class Run:
    title: str
    limit: float
    """Calls a second that the server allows."""
    batch: BatchResult[str]
    samples: tuple[Sample, ...]
    history: tuple[str, ...]

    @property
    def window(self) -> tuple[Sample, Sample]:
        """The moments between which it counts."""
        counted = [sample for sample in self.samples if sample.waiting and sample.time >= SETTLING]
        assert len(counted) > 1, f"{self.title}: over after {self.batch.seconds:.1f} s, so nothing limited it"
        return counted[0], counted[-1]

    @property
    def goodput(self) -> float:
        """Calls served, as a share of the limit."""
        first, last = self.window
        return (last.served - first.served) / (last.time - first.time) / self.limit

    @property
    def refusals(self) -> float:
        """Refusals for each call served, from the first call on."""
        return self.batch.refusals / max(1, self.batch.succeeded)

    @property
    def settled_refusals(self) -> float:
        """Refusals for each call served, in the window."""
        first, last = self.window
        return (last.refused - first.refused) / max(1, last.served - first.served)

    def __str__(self) -> str:
        first, last = self.window
        whole = f"from the beginning: refusals {self.refusals:.1%} ({self.batch.refusals})"
        settled = f"goodput {self.goodput:.1%} of {self.limit:g}/s, refusals {self.settled_refusals:.1%}"
        lines = [
            f"\n{self.title}: {self.batch.succeeded} of {self.batch.total_items} served in {self.batch.seconds:.1f} s",
            f"  from {first.time:.0f} s to {last.time:.0f} s: {settled}; {whole}",
            f"  {'second':>8}{'workers':>9}{'pace/s':>9}{'in flight':>11}{'served':>8}{'refused':>9}",
        ]
        rows = [*self.samples[:-1:_EVERY], self.samples[-1]]
        for old, new in pairwise(rows):
            span = f"{old.time:.0f}-{new.time:.0f}"
            sums = f"{new.in_flight:>11}{new.served - old.served:>8}{new.refused - old.refused:>9}"
            lines.append(f"  {span:>8}{new.workers:>9}{new.rate:>9.1f}{sums}")
        left_out = len(self.history) - 2 * _SHOWN
        history = self.history
        if left_out > 0:
            history = (*history[:_SHOWN], f"({left_out} more changes)", *history[-_SHOWN:])
        return "\n".join([*lines, *(f"  {line}" for line in history)])


async def drive(title: str, strategy: LLMCallStrategy[str], *, limit: float, items: int) -> Run:
    """Run a batch; see that each of its items has exactly one result, and was served; print what happened."""
    began = trio.current_time()
    controllers: list[object] = []
    default = inspect.signature(ParallelBatchProcessor).parameters["pace"].default

    def pace(*arguments: object) -> object:
        controllers.append(default(*arguments))
        return controllers[-1]

    config = ProcessorConfig(deadline=LONGEST)
    names = [f"q{number}" for number in range(items)]
    samples: list[Sample] = []
    async with ParallelBatchProcessor(config, pace=pace) as processor, trio.open_nursery() as nursery:
        for name in names:
            await processor.add_work(LLMWorkItem(name, strategy, f"Question {name}: why do riders share the lead?"))
        nursery.start_soon(_watch, processor, samples, began)
        batch = await processor.process_all()
        samples.append(Sample.of(processor, trio.current_time() - began))
        nursery.cancel_scope.cancel()
    history = tuple(_line(change, began) for controller in controllers for change in controller.history)
    run = Run(title=title, limit=limit, batch=batch, samples=tuple(samples), history=history)
    print(run)  # noqa: T201 - seen with -s, and when a test fails
    assert Counter(result.item_id for result in batch.results) == Counter(names)
    assert batch.failures == {}
    return run


async def _watch(processor: ParallelBatchProcessor[str], samples: list[Sample], began: float) -> None:
    while True:
        samples.append(Sample.of(processor, trio.current_time() - began))
        await trio.sleep(1.0)


def _line(change: object, began: float) -> str:
    return f"{change.time - began:6.1f} s  {change.handle}: {change.old:.4g} -> {change.new:.4g}  {change.reason}"
