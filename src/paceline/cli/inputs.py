"""The input that a run's options name: the one place where they are handed to the reader."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from .._core.request import Request
from ..abc import LLMCallStrategy
from .options import RunOptions
from .reading import Input, Prompt, open_input


def opened(
    options: RunOptions, strategy: LLMCallStrategy[Any], *, visit: Callable[[Prompt], None] | None = None
) -> AbstractContextManager[Input]:
    """Open and check the input of a run.

    Args:
        options: of the run.
        strategy: that is to answer it, and may object to a prompt.
        visit: is given every prompt once.

    Raises:
        InputError: it cannot be read, or has nothing that can be run.
    """
    return open_input(
        options.source,
        kind=options.format,
        template=options.prompt,
        limit=options.limit,
        sample=options.sample,
        strict=options.strict,
        visit=visit,
        objection=partial(_objection, strategy),
    )


def _objection(strategy: LLMCallStrategy[Any], prompt: Prompt) -> str | None:
    return strategy.objection(prompt.prompt) if isinstance(prompt.prompt, Request) else None
