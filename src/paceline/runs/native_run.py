"""Native run: what a run through a provider's batch API needs, gathered before its first job."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from .._core.accounting import Price
from .._core.budget import Budget
from .._core.exceptions import ConfigurationError
from .._core.native import job
from ..abc import LLMCallStrategy, NativeBatch
from ..files import InputRecord
from ..journal.writer import JournalWriter

GRACE_NAME = "PACELINE_BATCH_GRACE"
"""Environment variable with the seconds in which a job may appear whose creation was not answered; fewer for a server that lists at once."""
_MOST_GRACE = 86_400.0  # seconds

Prompts = Callable[[Callable[[int], bool]], Iterator[InputRecord]]
"""Yields the input records at the places for which the argument is true."""


@attrs.frozen(kw_only=True)
class NativeRun:
    """What a run through a batch API needs."""

    batch: NativeBatch
    strategy: LLMCallStrategy[Any]
    store: JournalWriter
    prompts: Prompts
    dedupe: bool
    """Whether equal prompts share a call."""
    price: Price | None
    """Price of tokens in a native batch."""
    budget: Budget | None
    deadline: float | None
    """When all rows are to be answered, in seconds since 1970; None: no row is called online."""
    on_message: Callable[[str], None]
    grace: float = job.GRACE
    """Seconds in which a job may appear whose creation was not answered."""


def grace_of_environment() -> float:
    """Return the seconds in which a job may appear whose creation was not answered.

    Raises:
        ConfigurationError: The environment variable does not hold a number of seconds.
    """
    text = os.environ.get(GRACE_NAME, "").strip()
    try:
        seconds = float(text) if text else job.GRACE
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_GRACE:
        raise ConfigurationError(
            f"{GRACE_NAME} must be a number of seconds from 0 to {_MOST_GRACE:,.0f}, not {text[:40]!r}"
        )
    return seconds
