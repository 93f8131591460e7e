"""Control requests: what can be asked of a run from elsewhere, checked, as they come from a file that others may write."""

from __future__ import annotations

import enum

import attrs

MOST_WORKERS = 100_000
"""Calls in flight that can be asked for: more is a mistake."""


class ControlCommand(enum.StrEnum):
    """What a run is asked to do. Journals store the values."""

    PAUSE = "pause"
    """Start no calls; those in flight finish."""
    CONTINUE = "continue"
    """Start calls again."""
    MAX_WORKERS = "max_workers"
    """Change the bound on calls in flight."""
    DRAIN = "drain"
    """Start no more calls, and end once those in flight have finished."""


@attrs.frozen
class ControlRequest:
    """What a run is asked to do."""

    command: ControlCommand
    workers: int | None = None
    """Of MAX_WORKERS: the new bound, 1 or more."""


def checked_request(command: object, workers: object) -> ControlRequest | str:
    """Return a request that was read from a file; if no run can obey it, why, in words."""
    known = next((each for each in ControlCommand if each == command and type(command) is str), None)
    if known is None:
        return f"not done: the command must be {', '.join(ControlCommand)}"
    if known is not ControlCommand.MAX_WORKERS:
        return ControlRequest(known) if workers is None else f"not done: {known} has no number of workers"
    if type(workers) is not int or not 1 <= workers <= MOST_WORKERS:
        return f"not done: max_workers must be a whole number from 1 to {MOST_WORKERS:,}"
    return ControlRequest(known, workers)
