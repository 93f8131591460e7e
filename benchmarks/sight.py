"""Sight: what it costs to see a batch while it runs: the display of its progress, metrics and spans.

Rules owned here:

1. CPU of the process (user and system), for no-op calls on trio. The cases take turns, round after round, and a figure is the least of the rounds:
   other load only adds to it. What an observer costs is the difference to a batch without one.
2. Spans go through the SDK to a `BatchSpanProcessor` whose exporter drops them. An item has two spans: its own and that of its call.
3. The display is drawn on a terminal of 80 columns in the midst of a batch, from its statistics to the bytes that are written. A picture is drawn four
   times a second.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import trio
from opentelemetry.metrics import MeterProvider as NoMeters
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NoOpTracerProvider

from paceline import CallableStrategy, LLMWorkItem, ParallelBatchProcessor, ProcessorConfig, process_prompts
from paceline.progress.display import Display
from paceline.progress.panel import PacePanel
from paceline.progress.steps import PaceSteps
from paceline.runs.progress import ProgressMeter, RunProgress
from paceline.telemetry import Telemetry

from .table import table, verdict

_WORKERS = 100
_PICTURES = 200
_MOST = {"metrics": 3.0, "spans": 40.0, "without": 2.0, "progress": 1.0}
_SLOW = 0.05  # seconds of a call while the display is measured: the batch goes on during it


class _Dropped(SpanExporter):
    """Drops spans."""

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def _tracers() -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Dropped()))
    return provider


def _nothing() -> NoMeters:
    return NoOpMeterProvider()


_CASES: Mapping[str, Callable[[], list[Telemetry]]] = {
    "no observer": list,
    "spans, no SDK": lambda: [Telemetry(tracer_provider=NoOpTracerProvider(), meter_provider=_nothing())],
    "metrics": lambda: [
        Telemetry(tracer_provider=NoOpTracerProvider(), meter_provider=MeterProvider([InMemoryMetricReader()]))
    ],
    "spans": lambda: [Telemetry(tracer_provider=_tracers(), meter_provider=_nothing())],
    "spans and metrics": lambda: [
        Telemetry(tracer_provider=_tracers(), meter_provider=MeterProvider([InMemoryMetricReader()]))
    ],
}


async def _at_once(prompt: str) -> str:
    await trio.lowlevel.checkpoint()
    return prompt


async def _slowly(prompt: str) -> str:
    await trio.sleep(_SLOW)
    return prompt


def sight(rounds: int, items: int, *, report: Callable[[str], None]) -> str:
    """Measure, and return the section of the page.

    Args:
        rounds: Number of runs of each case.
        items: Number of items in each run.
        report: Function that receives progress messages.
    """
    least = dict.fromkeys(_CASES, float("inf"))
    for number in range(rounds):
        for name, observers in _CASES.items():
            report(f"sight: round {number + 1} of {rounds}, {name}")
            least[name] = min(least[name], _cpu(observers(), items))
    seconds = trio.run(_picture)
    plain = least["no observer"]
    more = {name: value - plain for name, value in least.items()}
    rows = [(name, f"{least[name]:.1f}", "" if name == "no observer" else f"{more[name]:.1f}") for name in _CASES]
    share = 100 * seconds / Display.period
    return "\n\n".join(
        (
            f"{items:,} items, {_WORKERS} workers. Rounds: {rounds}.",
            table(("", "CPU an item, us", "more than without, us"), rows),
            f"A picture of the progress takes {1e3 * seconds:.2f} ms of CPU: {share:.2f} % of one processor.",
            verdict("metrics cost at most 3 us an item", more["metrics"], _MOST["metrics"], "us"),
            verdict("spans cost at most 40 us an item with the SDK", more["spans"], _MOST["spans"], "us"),
            verdict("spans cost at most 2 us an item without the SDK", more["spans, no SDK"], _MOST["without"], "us"),
            verdict("the progress takes at most 1 % of the CPU", share, _MOST["progress"], "%"),
        )
    )


def _cpu(observers: Sequence[Telemetry], items: int) -> float:
    """Return the microseconds of CPU that an item takes."""
    prompts = [str(number) for number in range(items)]
    strategy, config = CallableStrategy(_at_once), ProcessorConfig(max_workers=_WORKERS)

    async def run() -> None:
        batch = await process_prompts(strategy, prompts, config=config, observers=observers)
        if batch.succeeded != items:
            raise RuntimeError(f"{batch.succeeded} of {items} items succeeded")

    before = time.process_time()
    trio.run(run)
    return 1e6 * (time.process_time() - before) / items


async def _picture() -> float:
    """Return the seconds of CPU that one picture takes, of a batch that runs."""
    steps = PaceSteps()
    processor: ParallelBatchProcessor[str] = ParallelBatchProcessor(
        ProcessorConfig(max_workers=_WORKERS), observers=[steps]
    )
    strategy = CallableStrategy(_slowly)
    items = (LLMWorkItem(str(number), strategy, str(number)) for number in range(10**6))
    taken = 0.0
    async with processor, processor.stream(items, unique=True) as results, trio.open_nursery() as nursery:

        async def read() -> None:
            async for _ in results:
                pass

        nursery.start_soon(read)
        await trio.sleep(1.0)
        meter, stderr, columns = ProgressMeter(10**6), sys.stderr, dict(os.environ)
        os.environ.update(TERM="xterm-256color", FORCE_COLOR="1", COLUMNS="80", LINES="30")
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123, ASYNC230 - a device
            sys.stderr = nowhere
            try:
                with Display(PacePanel(steps)) as display:
                    for _ in range(_PICTURES):
                        await trio.sleep(0.01)
                        before = time.thread_time()
                        progress: RunProgress = meter.read(trio.current_time(), processor.statistics())
                        display.show(progress)
                        taken += time.thread_time() - before
            finally:
                sys.stderr = stderr
                os.environ.clear()
                os.environ.update(columns)
        nursery.cancel_scope.cancel()
    return taken / _PICTURES
