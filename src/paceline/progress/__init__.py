"""Progress of a batch: what `progress=True` shows, and what `progress=callback` receives.

Rules owned here:

1. A notebook shows HTML below the cell, a terminal a live picture on stderr, and anything else a line every ten seconds.
2. What is shown is closed with the last figures, however the batch ends.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias

from .._core.exceptions import ConfigurationError
from .._core.progress import RunProgress
from .._engine.progress import ProgressHook

if TYPE_CHECKING:
    from ..abc import BaseObserver
    from .display import Progress

ProgressOption: TypeAlias = bool | Callable[[RunProgress], object] | None
"""True: show the progress. A function: call it with the figures, at the start, once a second, and at the end. None, False: neither."""


def hook_of(progress: ProgressOption) -> tuple[ProgressHook | None, Sequence[BaseObserver]]:
    """Return what receives the figures of a batch, and the observers that it needs.

    Raises:
        ConfigurationError: `progress` is neither a bool nor a function, or an async function.
    """
    if progress is None or progress is False:
        return None, ()
    if progress is not True:
        given: object = progress
        if not callable(given) or inspect.iscoroutinefunction(given):
            raise ConfigurationError(
                f"progress must be True or a function that is not async and takes the figures, not {progress!r}"
            )
        return ProgressHook(progress), ()
    from .notebook import PERIOD, NotebookDisplay, is_notebook  # noqa: PLC0415 - only where it is wanted

    if is_notebook():
        return ProgressHook(NotebookDisplay(), PERIOD), ()
    from .display import Display, Lines, can_draw  # noqa: PLC0415 - as above
    from .steps import PaceSteps  # noqa: PLC0415 - as above

    steps = PaceSteps()
    if not can_draw(stdout_is_used=False):
        lines = Lines(steps=steps, with_last=True)
        return ProgressHook(_Shown(lines), lines.period), [steps]
    from .panel import PacePanel  # noqa: PLC0415 - as above

    display = Display(PacePanel(steps), stays=True)
    return ProgressHook(_Shown(display), display.period), [steps]


class _Shown:
    """Shows the figures of one batch, from the first to the last."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._stack: ExitStack | None = None

    def __call__(self, progress: RunProgress) -> None:
        if self._stack is None:
            self._stack = ExitStack()
            self._stack.enter_context(self._display)
        try:
            (self._display.finish if progress.is_finished else self._display.show)(progress)
        except BaseException:
            self._stack.close()
            raise
        if progress.is_finished:
            self._stack.close()
