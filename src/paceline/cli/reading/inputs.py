"""The input that a run's options name: the one place where they are handed to the reader."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from ..._core.request import Request
from ...abc import LLMCallStrategy
from ...llm_strategies.registry import provider_of
from ..asking.options import RunOptions
from . import Input, Prompt, open_input


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
        objection=partial(_objection, strategy, as_they_are=() if options.system is None else _providers(options)),
    )


def _providers(options: RunOptions) -> Collection[str]:
    return {provider_of(model) for model in options.models}


def _objection(strategy: LLMCallStrategy[Any], prompt: Prompt, *, as_they_are: Collection[str]) -> str | None:
    """Return why a prompt cannot be taken, if so.

    Args:
        strategy: that is to answer it.
        prompt: of the input.
        as_they_are: the providers whose own requests have no place for a system instruction that is asked for.
    """
    request = prompt.prompt
    if not isinstance(request, Request):
        return None
    if request.dialect in as_they_are:
        return "is sent as it is, and has no place for what --system says: put it into the line"
    return strategy.objection(request)
