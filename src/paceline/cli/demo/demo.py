"""The command `demo`: a batch of real text finds the pace of a simulated provider while the user looks on."""

from __future__ import annotations

from functools import partial
from types import TracebackType
from typing import Any, Self

import anyio

from ..._engine.processor import ParallelBatchProcessor
from ...testing import SimulatedStrategy, parse_model
from ..running.conduct import Ending, conduct
from ..running.ended import Ended
from ..running.items import Items
from ..running.report import conclude
from ..showing.gauge import Gauge, Reading
from ..showing.logs import shown_logs
from ..showing.panel import DemoPanel
from ..showing.progress import Display, Lines, Progress, is_live
from ..showing.reasons import Reasons
from ..telling import print_lines, tell
from .prompts import docstring_prompts
from .story import ITEMS, Chronicle, chapter_at, storyteller

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
    tell(f"{items:,} prompts, to a simulated provider whose limit changes; paceline is told nothing of it")
    chronicle, reasons = Chronicle(), Reasons()
    panel = DemoPanel("the provider is simulated", reasons, allowed=lambda seconds: chapter_at(seconds).rate)
    ending = _run(items, storyteller(seed), _Chronicled(_progress(panel, reasons), chronicle), reasons)
    code = _report(ending)
    for line in chronicle.told():
        tell(line)
    refused = ending.batch.refusals / max(1, ending.batch.succeeded)
    tell(f"in all {100 * refused:.1f} refusals for each 100 calls served")
    return code


def _model(items: int, model: str, seed: int | None) -> int:
    described = model if seed is None else f"{model}{',' if ':' in model else ':'}seed={seed}"
    strategy = parse_model(described)
    tell(f"{items:,} prompts, to a provider whose limits it is not told")
    reasons = Reasons()
    ending = _run(items, strategy, _progress(DemoPanel(described, reasons), reasons), reasons)
    code = _report(ending)
    tell(f"the provider was {described}")
    return code


def _report(ending: Ending) -> int:
    print_lines(ending.batch.summary())
    return conclude(Ended(ending=ending), output=None)


def _run(items: int, strategy: SimulatedStrategy, progress: Progress, reasons: Reasons) -> Ending:
    prompts = docstring_prompts(items)
    processor = ParallelBatchProcessor[Any](observers=[reasons])
    with progress, shown_logs(progress.say, verbose=False):
        return anyio.run(
            partial(
                conduct,
                Items(prompts, strategy),
                Gauge(len(prompts), processor.config.max_workers),
                processor=processor,
                keep=lambda _: None,
                progress=progress,
            ),
            backend="trio",
        )


def _progress(panel: DemoPanel, reasons: Reasons) -> Progress:
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

    def show(self, reading: Reading) -> None:
        """Note the figures, and have them shown."""
        self._chronicle.note(reading)
        self._progress.show(reading)

    def end(self, reading: Reading) -> None:
        """Have the last figures shown; a batch that has ended has no pace to be noted."""
        self._progress.end(reading)

    def say(self, sentence: str) -> None:
        """Have the user told something."""
        self._progress.say(sentence)
