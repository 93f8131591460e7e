"""Draws the sawtooth of the documentation: one simulated run.

    python -m benchmarks.pace.sawtooth

It runs the real processor in virtual time, on asyncio: there tasks run in the order in which they became ready,
and the same code draws the same picture, to the byte.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import anyio
import attrs
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paceline import LLMWorkItem, ParallelBatchProcessor, ProcessorConfig
from paceline.testing import Service, SimulatedProvider, SimulatedStrategy, TokenBucket, VirtualTimeLoop

from .by_engine import controller

PICTURE = Path("docs/explanation/pace/sawtooth.svg")
SECONDS = 100.0
LIMITS = ((0.0, 100.0), (45.0, 35.0), (70.0, 100.0))
"""Times in seconds, and the calls per second that are allowed from then on."""

_EVERY = 0.2  # seconds between two samples
_SMOOTH = 10  # samples that the served calls are averaged over
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "paceline",
    "svg.fonttype": "none",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
}
_LIMIT, _PACE, _SERVED, _REFUSED = "#444444", "#2ca02c", "#1f77b4", "#d62728"


@attrs.frozen
class Sample:
    """The figures at a moment."""

    time: float
    limit: int
    """Workers."""
    rate: float
    in_flight: int
    served: int
    refused: int


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pace.sawtooth", description="Draw the sawtooth.")
    parser.add_argument("--output", type=Path, default=PICTURE, help="default: %(default)s")
    parser.add_argument("--controller", metavar="package.module:name", help="another than the default")
    given = parser.parse_args()
    options = {} if given.controller is None else {"pace": controller(given.controller)}
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        samples = runner.run(_watched_run(options))
    draw(given.output, samples)


async def _watched_run(options: dict[str, Any]) -> list[Sample]:
    (_, first), *others = [(start, _service(rate)) for start, rate in LIMITS]
    provider = SimulatedProvider(first, steps=others, seed=1)
    strategy = SimulatedStrategy(provider, quota="simulated")
    items = (LLMWorkItem(str(number), strategy, f"prompt {number}") for number in count())
    samples: list[Sample] = []
    processor = ParallelBatchProcessor[str](ProcessorConfig(deadline=SECONDS), **options)
    async with processor, anyio.create_task_group() as nursery:
        nursery.start_soon(_watch, processor, provider, samples)
        async with processor.stream(items) as results:
            async for _ in results:
                pass
        nursery.cancel_scope.cancel()
    return samples


def _service(rate: float) -> Service:
    return Service(limits=(TokenBucket(rate, rate),), latency=2.0, output_tokens=0)


async def _watch(processor: ParallelBatchProcessor[str], provider: SimulatedProvider, samples: list[Sample]) -> None:
    began = anyio.current_time()
    while True:
        calls = provider.statistics()
        for lane in processor.statistics().lanes.values():
            time = anyio.current_time() - began
            samples.append(Sample(time, lane.limit, lane.rate, calls.in_flight, calls.served, calls.refused))
        await anyio.sleep(_EVERY)


def draw(path: Path, samples: list[Sample]) -> None:
    """Draw the samples of a run."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        rates, workers = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        _draw_rates(rates, samples)
        workers.plot([each.time for each in samples], [each.in_flight for each in samples], color=_SERVED, linewidth=1)
        workers.set_ylabel("in flight")
        workers.set_ylim(0)
        workers.set_xlabel("seconds")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_rates(axes: Axes, samples: list[Sample]) -> None:
    top = 1.65 * max(rate for _, rate in LIMITS)
    starts, allowed = zip(*LIMITS, (SECONDS, LIMITS[-1][1]), strict=True)
    axes.step(starts, allowed, where="post", color=_LIMIT, linestyle="--", linewidth=1, label="what is allowed")
    times = [each.time for each in samples]
    served = [each.served for each in samples]
    first = [max(0, index - _SMOOTH) for index in range(len(samples))]
    speed = [
        (served[index] - served[start]) / max(_EVERY, times[index] - times[start]) for index, start in enumerate(first)
    ]
    axes.plot(times, speed, color=_SERVED, linewidth=0.8, alpha=0.7, label="served")
    pace = [each.rate if each.rate < math.inf else math.nan for each in samples]
    axes.plot(times, pace, color=_PACE, linewidth=1.3, label="pace")
    refused = [(b.time, b.refused - a.refused) for a, b in pairwise(samples) if b.refused > a.refused]
    axes.vlines([time for time, _ in refused], 0, [2.0 * number for _, number in refused], color=_REFUSED, linewidth=1)
    axes.plot([], [], color=_REFUSED, linewidth=1, label="refused calls")
    axes.set_ylim(0, top)
    axes.set_ylabel("calls a second")
    axes.legend(loc="upper center", frameon=False, ncols=4)


if __name__ == "__main__":
    main()
