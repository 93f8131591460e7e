"""The command `demo`: a batch of real text finds the pace of a simulated provider while the user looks on."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio

from .._engine.processor import ParallelBatchProcessor
from ..testing import parse_model
from .conduct import conduct
from .logs import shown_logs
from .panel import DemoPanel, Reasons
from .progress import Display, Lines, Progress, is_live
from .prompts import docstring_prompts
from .report import report
from .telling import tell

MODEL = "sim:rate=30,burst=60,latency=1.5,sigma=0.3,hint=exact"
ITEMS = 600
_PERIOD = 2.0  # seconds between two lines of progress


def demo(*, items: int = ITEMS, model: str = MODEL, seed: int | None = None) -> int:
    """Run the demo; return the exit code.

    Raises:
        ConfigurationError: `model` is no simulated one.
    """
    described = model if seed is None else f"{model}{',' if ':' in model else ':'}seed={seed}"
    strategy = parse_model(described)
    prompts = docstring_prompts(items)
    tell(f"{items:,} prompts, to a provider whose limits it is not told")
    reasons = Reasons()
    with _progress(described, reasons) as progress, shown_logs(progress.say, verbose=False):
        ending = anyio.run(
            partial(
                conduct,
                prompts,
                strategy,
                processor=ParallelBatchProcessor[Any](observers=[reasons]),
                keep=lambda _: None,
                progress=progress,
            ),
            backend="trio",
        )
    code = report(ending, output=None)
    tell(f"the provider was {described}")
    return code


def _progress(provider: str, reasons: Reasons) -> Progress:
    if is_live(stdout_is_used=False):
        return Display(DemoPanel(provider, reasons), stays=True)
    return Lines(_PERIOD)
