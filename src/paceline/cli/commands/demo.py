"""The command `demo`: a batch of real text against a simulated provider whose limit changes.

Rules owned here:

1. The prompts are docstrings of Python's standard library: real text without a download. Modules are parsed, not imported, as
   importing some of them has effects.
2. Refusals carry no quota hint: the pace is found from the answers alone.
3. The summary of a phase has the pace at its end; if no rate was limited, the rate that was served.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import math
import sys
from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from ..._core.quantity import quantity
from ...files import InputRecord
from ...processor import ParallelBatchProcessor
from ...progress.display import Display, Lines, Progress, can_draw
from ...progress.panel import DemoPanel
from ...progress.steps import PaceSteps
from ...progress.words import format_rate
from ...prompts import run_blocking
from ...runs.progress import ProgressMeter, RunProgress
from ...runs.run_report import RunReport
from ...runs.runner import Callbacks, RunItems, run_batch
from ...testing import ConcurrencyCap, Service, SimulatedProvider, SimulatedStrategy, TokenBucket, parse_model
from ..console import print_lines, print_message
from ..exit_codes import exit_code
from ..foreground import Foreground
from ..report_text import print_advice

ITEMS = 1_200
"""Prompts for all phases: about half a minute."""
ITEMS_OF_A_MODEL = 600
"""Prompts for a simulated model of the user."""

_PERIOD = 2.0  # seconds between two lines of progress
_SAMPLE_PERIOD = 0.25  # seconds between two records of the figures
_DIFFERENT = 1_000  # different prompts: reading all of the library takes seconds
_SHORTEST, _LONGEST = 80, 2_000  # characters of a docstring: a shorter one says little, a longer one is cut


@attrs.frozen
class Phase:
    """What the provider allows for a time."""

    start: float
    """Seconds from the first call."""
    rate: float
    """Calls per second that it allows; 0: it refuses all."""

    @property
    def allowed(self) -> str:
        """What it allows, in words."""
        return format_rate(self.rate, "calls") if self.rate else "nothing: an outage"

    @property
    def service(self) -> Service:
        """The simulated service."""
        limit = TokenBucket(self.rate, self.rate) if self.rate else ConcurrencyCap(0)
        return Service(limits=(limit,), latency=0.8, sigma=0.3)


PHASES = (Phase(0.0, 60.0), Phase(9.0, 0.0), Phase(11.0, 60.0), Phase(14.0, 20.0), Phase(19.0, 60.0))
"""The limits of the provider, in order of time."""


@attrs.define
class PhaseLog:
    """The last figures of each phase."""

    _last: dict[int, RunProgress] = attrs.field(factory=dict)

    def record(self, progress: RunProgress) -> None:
        """Record the figures of a moment; it must not be earlier than the last."""
        self._last[_index_at(progress.seconds)] = progress

    def render(self) -> list[str]:
        """Return one line per phase: what was allowed, the pace that was found, and the calls that were refused."""
        lines, before = [], 0
        for index, progress in sorted(self._last.items()):
            refused = progress.refusals - before
            before = progress.refusals
            lines.append(
                f"from {PHASES[index].start:2.0f} s  {_comparison(PHASES[index], progress)}; {refused:,} refused"
            )
        return lines


def demo(*, items: int | None = None, model: str | None = None, seed: int | None = None) -> int:
    """Run the demo; return the exit code.

    Args:
        items: Number of prompts; None: as many as take half a minute.
        model: Simulated model; None: a provider whose limit changes.
        seed: Seed of the simulated provider.

    Raises:
        ConfigurationError: `model` is not a simulated model.
    """
    if model is None:
        return _run_phases(items or ITEMS, seed or 0)
    return _run_model(items or ITEMS_OF_A_MODEL, model, seed)


def changing_provider(seed: int) -> SimulatedStrategy:
    """Return a strategy of a provider that goes through the phases."""
    first, *others = PHASES
    provider = SimulatedProvider(first.service, steps=[(phase.start, phase.service) for phase in others], seed=seed)
    return SimulatedStrategy(provider, model="sim", quota="changing limit")


def phase_at(seconds: float) -> Phase:
    """Return the phase at a time, in seconds from the first call."""
    return PHASES[_index_at(seconds)]


def docstring_prompts(number: int) -> list[InputRecord]:
    """Return a number of prompts, whose ids are the names of what is documented; after the last docstring, the first again."""
    return list(islice(_all_prompts(), number))


def _run_phases(items: int, seed: int) -> int:
    print_message(
        f"{quantity(items, 'prompt')} for a simulated provider whose limit changes; paceline does not know when"
    )
    log, steps = PhaseLog(), PaceSteps()
    panel = DemoPanel("the provider is simulated", steps, allowed=lambda seconds: phase_at(seconds).rate)
    report, code = _run(items, changing_provider(seed), _RecordingProgress(_progress(panel, steps), log), steps)
    for line in log.render():
        print_message(line)
    refused = report.batch.refusals / max(1, report.batch.succeeded)
    print_message(f"total: {100 * refused:.1f} refusals per 100 calls served")
    return code


def _run_model(items: int, model: str, seed: int | None) -> int:
    name = model if seed is None else f"{model}{',' if ':' in model else ':'}seed={seed}"
    strategy = parse_model(name)
    print_message(f"{quantity(items, 'prompt')} for a simulated provider whose limits paceline does not know")
    steps = PaceSteps()
    _, code = _run(items, strategy, _progress(DemoPanel(name, steps), steps), steps)
    print_message(f"provider: {name}")
    return code


def _run(items: int, strategy: SimulatedStrategy, progress: Progress, steps: PaceSteps) -> tuple[RunReport, int]:
    """Run the prompts and print the summary; return the report and the exit code."""
    prompts = docstring_prompts(items)
    processor = ParallelBatchProcessor[Any](observers=[steps])
    with Foreground(progress, verbose=False) as foreground:
        callbacks = Callbacks(
            on_progress=foreground.on_progress, progress_period=progress.period, control=foreground.control
        )
        run = partial(
            run_batch,
            RunItems(prompts, strategy),
            ProgressMeter(len(prompts), processor.config.max_workers),
            processor=processor,
            save=lambda _: None,
            callbacks=callbacks,
        )
        report = run_blocking(run)
    print_lines(report.batch.summary())
    print_advice(report)
    return report, exit_code(report, foreground.signal)


def _progress(panel: DemoPanel, steps: PaceSteps) -> Progress:
    return Display(panel, stays=True) if can_draw(stdout_is_used=False) else Lines(_PERIOD, steps)


class _RecordingProgress(Progress):
    """Shows what another progress shows, and records the figures."""

    period = _SAMPLE_PERIOD

    def __init__(self, progress: Progress, log: PhaseLog) -> None:
        self._progress = progress
        self._log = log

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the display."""
        self._progress.__exit__(kind, error, traceback)

    def show(self, progress: RunProgress) -> None:
        """Record the figures and show them."""
        self._log.record(progress)
        self._progress.show(progress)

    def finish(self, progress: RunProgress) -> None:
        """Show the last figures without recording them: a batch that has ended has no pace."""
        self._progress.finish(progress)

    def print(self, message: str) -> None:
        """Print a message."""
        self._progress.print(message)


def _comparison(phase: Phase, progress: RunProgress) -> str:
    pace = progress.pace if progress.pace < math.inf else progress.rate
    allowed = f"allowed {phase.allowed}"
    return f"{allowed}, found {format_rate(pace, 'calls')} ({pace / phase.rate:.0%})" if phase.rate else allowed


def _index_at(seconds: float) -> int:
    return bisect_right(PHASES, max(0.0, seconds), key=lambda phase: phase.start) - 1


def _all_prompts() -> Iterator[InputRecord]:
    known: dict[str, InputRecord] = {}
    for name, docstring in _docstrings():
        if len(docstring) >= _SHORTEST and name not in known:
            prompt = f"Summarise in one sentence: {name}: {docstring[:_LONGEST]}"
            known[name] = InputRecord(len(known) + 1, name, prompt)
            yield known[name]
        if len(known) == _DIFFERENT:
            break
    position = len(known)
    for lap in count(2):
        for name, record in known.items():
            position += 1
            yield InputRecord(position, f"{name} ({lap})", record.prompt)


def _docstrings() -> Iterator[tuple[str, str]]:
    for name, value in vars(builtins).items():
        yield name, inspect.getdoc(value) or ""
    library = Path(ast.__file__).parent
    for module in sorted(name for name in sys.stdlib_module_names if not name.startswith("_")):
        for path in (library / f"{module}.py", library / module / "__init__.py"):
            if path.exists():
                yield from _docstrings_in(ast.parse(path.read_bytes()), module)


def _docstrings_in(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield name, ast.get_docstring(node) or ""
    if isinstance(node, (ast.Module, ast.ClassDef)):
        for child in node.body:
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from _docstrings_in(child, f"{name}.{child.name}")
