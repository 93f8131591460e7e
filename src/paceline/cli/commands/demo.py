"""Real text without a download: the docstrings of Python itself, as prompts.

What the demo's provider does, chapter by chapter, and what the batch made of it.

1. The batch is told nothing of this: refusals carry no hint.
2. What was found in a chapter is the pace at its end; where no rate was enforced, what was served then.

The command `demo`: a batch of real text finds the pace of a simulated provider while the user looks on.
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

from ...files import InputRecord
from ...processor import ParallelBatchProcessor
from ...prompts import run_on_trio
from ...runs.progress import ProgressMeter, RunProgress
from ...runs.report import RunReport
from ...runs.runner import Callbacks, RunItems, run_batch
from ...testing import ConcurrencyCap, Service, SimulatedProvider, SimulatedStrategy, TokenBucket, parse_model
from ..console import print_lines, print_message
from ..foreground import Foreground
from ..progress.display import DemoPanel, Display, Lines, Progress, is_live
from ..progress.figures import PaceSteps, per_time
from ..report_text import exit_code, print_advice

_ENOUGH = 1_000  # different prompts: reading all of the library takes seconds
_SHORTEST, _LONGEST = 80, 2_000  # characters: less says nothing, more is only long


def docstring_prompts(number: int) -> list[InputRecord]:
    """Return so many prompts; their ids are the names of what is documented. Past the last one it begins anew."""
    return list(islice(_laps(), number))


def _laps() -> Iterator[InputRecord]:
    known: dict[str, InputRecord] = {}
    for name, docstring in _docstrings():
        if len(docstring) >= _SHORTEST and name not in known:
            known[name] = InputRecord(
                len(known) + 1, name, f"Summarise in one sentence: {name}: {docstring[:_LONGEST]}"
            )
            yield known[name]
        if len(known) == _ENOUGH:
            break
    position = len(known)
    for lap in count(2):
        for name, prompt in known.items():
            position += 1
            yield InputRecord(position, f"{name} ({lap})", prompt.prompt)


def _docstrings() -> Iterator[tuple[str, str]]:
    for name, thing in vars(builtins).items():
        yield name, inspect.getdoc(thing) or ""
    library = Path(ast.__file__).parent
    for module in sorted(name for name in sys.stdlib_module_names if not name.startswith("_")):
        for path in (library / f"{module}.py", library / module / "__init__.py"):
            if path.exists():
                yield from _docstrings_in(ast.parse(path.read_bytes()), module)


def _docstrings_in(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    """Read the source, not the module: importing some of them does things."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield name, ast.get_docstring(node) or ""
    if isinstance(node, (ast.Module, ast.ClassDef)):
        for child in node.body:
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from _docstrings_in(child, f"{name}.{child.name}")


_QUOTA = "a provider with a story"


@attrs.frozen
class Chapter:
    """What the provider allows for a time."""

    start: float
    """Seconds from the first call."""
    rate: float
    """Calls a second that it allows; 0: it refuses all."""

    @property
    def allowed(self) -> str:
        """What it allows, in words."""
        return per_time(self.rate, "calls") if self.rate else "nothing: an outage"

    @property
    def service(self) -> Service:
        """What the simulated provider is like."""
        limit = TokenBucket(self.rate, self.rate) if self.rate else ConcurrencyCap(0)
        return Service(limits=(limit,), latency=0.8, sigma=0.3)


STORY = (Chapter(0.0, 60.0), Chapter(9.0, 0.0), Chapter(11.0, 60.0), Chapter(14.0, 20.0), Chapter(19.0, 60.0))
ITEMS = 1_200
"""As many as the story takes half a minute for."""


def storyteller(seed: int) -> SimulatedStrategy:
    """Return a strategy whose provider has the story's chapters, and chance of this seed."""
    first, *others = STORY
    provider = SimulatedProvider(
        first.service, steps=[(chapter.start, chapter.service) for chapter in others], seed=seed
    )
    return SimulatedStrategy(provider, model="sim", quota=_QUOTA)


def chapter_at(seconds: float) -> Chapter:
    """Return the chapter of a time."""
    return STORY[_index_at(seconds)]


@attrs.define
class Chronicle:
    """The last figures of each chapter."""

    _last: dict[int, RunProgress] = attrs.field(factory=dict)

    def note(self, reading: RunProgress) -> None:
        """Take the figures of one moment, later than those before."""
        self._last[_index_at(reading.seconds)] = reading

    def told(self) -> list[str]:
        """Return a line for each chapter: what was allowed, what pace was found, how many calls were refused."""
        lines, before = [], 0
        for index, reading in sorted(self._last.items()):
            refused = reading.refusals - before
            before = reading.refusals
            lines.append(f"from {STORY[index].start:2.0f} s  {_found(STORY[index], reading)}; {refused:,} refused")
        return lines


def _found(chapter: Chapter, reading: RunProgress) -> str:
    pace = reading.pace if reading.pace < math.inf else reading.rate
    allowed = f"allowed {chapter.allowed}"
    return f"{allowed}, found {per_time(pace, 'calls')} ({pace / chapter.rate:.0%})" if chapter.rate else allowed


def _index_at(seconds: float) -> int:
    return bisect_right(STORY, max(0.0, seconds), key=lambda chapter: chapter.start) - 1


ITEMS_OF_A_MODEL = 600
_PERIOD = 2.0  # seconds between two lines of progress
_OFTEN = 0.25  # seconds between two readings for the chronicle


def demo(*, items: int | None = None, model: str | None = None, seed: int | None = None) -> int:
    """Run the demo; return the exit code.

    Args:
        items: prompts; None: as many as take half a minute.
        model: what the provider is like; None: a story in which its limits change.
        seed: of its chance.

    Raises:
        ConfigurationError: `model` is no simulated one.
    """
    return _story(items or ITEMS, seed or 0) if model is None else _model(items or ITEMS_OF_A_MODEL, model, seed)


def _story(items: int, seed: int) -> int:
    print_message(f"{items:,} prompts, to a simulated provider whose limit changes; paceline is told nothing of it")
    chronicle, reasons = Chronicle(), PaceSteps()
    panel = DemoPanel("the provider is simulated", reasons, allowed=lambda seconds: chapter_at(seconds).rate)
    report, signal = _run(items, storyteller(seed), _Chronicled(_progress(panel, reasons), chronicle), reasons)
    code = _report(report, signal)
    for line in chronicle.told():
        print_message(line)
    refused = report.batch.refusals / max(1, report.batch.succeeded)
    print_message(f"in all {100 * refused:.1f} refusals for each 100 calls served")
    return code


def _model(items: int, model: str, seed: int | None) -> int:
    described = model if seed is None else f"{model}{',' if ':' in model else ':'}seed={seed}"
    strategy = parse_model(described)
    print_message(f"{items:,} prompts, to a provider whose limits it is not told")
    reasons = PaceSteps()
    report, signal = _run(items, strategy, _progress(DemoPanel(described, reasons), reasons), reasons)
    code = _report(report, signal)
    print_message(f"the provider was {described}")
    return code


def _report(report: RunReport, signal: int | None) -> int:
    print_lines(report.batch.summary())
    print_advice(report)
    return exit_code(report, signal)


def _run(
    items: int, strategy: SimulatedStrategy, progress: Progress, reasons: PaceSteps
) -> tuple[RunReport, int | None]:
    """Run the prompts; return the report, and the signal that stopped it."""
    prompts = docstring_prompts(items)
    processor = ParallelBatchProcessor[Any](observers=[reasons])
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
        return run_on_trio(run), foreground.signal


def _progress(panel: DemoPanel, reasons: PaceSteps) -> Progress:
    return Display(panel, stays=True) if is_live(stdout_is_used=False) else Lines(_PERIOD, reasons)


class _Chronicled(Progress):
    """Shows what another one shows, and has the readings noted."""

    period = _OFTEN

    def __init__(self, progress: Progress, chronicle: Chronicle) -> None:
        self._progress = progress
        self._chronicle = chronicle

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the other's display."""
        self._progress.__exit__(kind, error, traceback)

    def show(self, reading: RunProgress) -> None:
        """Note the figures, and have them shown."""
        self._chronicle.note(reading)
        self._progress.show(reading)

    def end(self, reading: RunProgress) -> None:
        """Have the last figures shown; a batch that has ended has no pace to be noted."""
        self._progress.end(reading)

    def say(self, sentence: str) -> None:
        """Have the user told something."""
        self._progress.say(sentence)
