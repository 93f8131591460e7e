"""What the command lines of this package share: names of trials, and progress."""

from __future__ import annotations

import argparse
import sys
import time

from .families import FAMILIES
from .jobs import Result
from .scenarios import SCENARIOS

_EVERY = 60.0  # seconds between two lines of progress
GROUPS = {
    "all": (*SCENARIOS, *FAMILIES),
    "S": tuple(name for name in SCENARIOS if name.startswith("S")),
    "H": tuple(name for name in SCENARIOS if name.startswith("H")),
    "R": tuple(name for name in SCENARIOS if name.startswith("R")),
    "families": tuple(FAMILIES),
}
"""Trials by the name of their group."""


def trial_names(text: str) -> tuple[str, ...]:
    """Return the trials that an option names, such as `S1,R,win`.

    Raises:
        ArgumentTypeError: There is no such trial or group.
    """
    names = [name for part in text.split(",") for name in GROUPS.get(part, (part,))]
    for name in names:
        if name not in SCENARIOS and name not in FAMILIES:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join((*GROUPS, *SCENARIOS, *FAMILIES))}")
    return tuple(dict.fromkeys(names))


class Progress:
    """Shows progress: on one line if the output is a terminal, otherwise a line now and then."""

    def __init__(self, jobs: int) -> None:
        self._left = self._jobs = jobs
        self._began = self._shown = time.monotonic()

    def say(self, result: Result) -> None:
        """Count a result, and show it."""
        self._left -= 1
        word = "failed" if "error" in result else f"{result['good']:.3f}"
        line = (
            f"{self._jobs - self._left}/{self._jobs} {result['trial']} {result['seed']} {result['contender']}: {word}"
        )
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="" if self._left else "\n", file=sys.stderr, flush=True)
        elif not self._left:
            print(f"{self._jobs} runs, {time.monotonic() - self._began:.0f} s", file=sys.stderr)
        elif time.monotonic() - self._shown > _EVERY:
            self._shown = time.monotonic()
            print(line, file=sys.stderr, flush=True)
