"""Budget of a check: how much work the check of one answer under a user's schema may take.

Apart from `bounded_check`, which spends it, because that needs an extra.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import attrs

MOST_STEPS: Final = 200_000
"""Rules that may be applied to values: of 20 to 40 microseconds each, as jsonschema resolves references slowly."""
MOST_SECONDS: Final = 1.0
"""Seconds of CPU in which patterns may be matched, all of a check together."""


class CheckTooLong(Exception):  # noqa: N818 - an end of the work, not an error
    """A check was ended because its budget was spent."""


@attrs.define
class Budget:
    """What a check may still do."""

    steps: int
    seconds: float

    def spend(self, steps: int) -> None:
        """Take steps.

        Raises:
            CheckTooLong: None are left.
        """
        self.steps -= steps
        if self.steps < 0:
            raise CheckTooLong


_budget: ContextVar[Budget | None] = ContextVar("_budget", default=None)


def budget() -> Budget | None:
    """Return the budget of the present task or thread; None outside `at_most`."""
    return _budget.get()


@contextmanager
def at_most(steps: int, seconds: float) -> Iterator[None]:
    """Give the checks in the block a budget.

    Args:
        steps: Rules that may be applied to values.
        seconds: Seconds of CPU in which patterns may be matched.
    """
    token = _budget.set(Budget(steps, seconds))
    try:
        yield
    finally:
        _budget.reset(token)
