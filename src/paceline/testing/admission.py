"""Admission: whether a call passes, where several limits hold at once.

1. All limits or none: a call that one limit refuses is charged to no other limit, except for the cost of a refusal.
2. A change of limits takes effect at its own time, whenever it is noticed: the old limits refill until then, the new ones after.
3. A new limit takes over the count of the old limit of its kind and measure, in order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from .limits import ConcurrencyCap, Limit, LimitStatus, Meter


@attrs.frozen
class Refusal:
    """Why a call was not admitted."""

    limit: Limit | None
    """The first limit that refused it; None: it was refused by chance."""
    wait: float
    """Seconds until it would be admitted if no other call were; inf if that depends on the calls in flight."""


class Admission:
    """The meters of all limits.

    Args:
        limits: Limits that hold at first.
    """

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._meters: list[Meter] = [limit.meter() for limit in limits]

    def admit(self, now: float, tokens: int, in_flight: int) -> Refusal | None:
        """Admit a call and charge it to all limits; return why if it is refused."""
        for meter in self._meters:
            if meter.wait(now, tokens, in_flight):
                return self._refuse(meter.limit, now, tokens)
        for meter in self._meters:
            meter.charge(now, tokens)
        return None

    def statuses(self, now: float, refusal: Refusal | None = None) -> list[LimitStatus]:
        """Return the status of the limits that a provider reports.

        Args:
            now: Seconds.
            refusal: Refusal of the call that is answered; None: it was admitted.
        """
        refused = None if refusal is None else refusal.limit
        known = [(meter.limit is refused, meter.status(now)) for meter in self._meters]
        return [attrs.evolve(each, refused=by_it) for by_it, each in known if each is not None]

    def change(self, limits: Sequence[Limit], now: float) -> None:
        """Replace the limits at `now`."""
        old: dict[tuple[type[Limit], str], list[Meter]] = {}
        for meter in reversed(self._meters):
            old.setdefault(_kind(meter.limit), []).append(meter)
        self._meters = [
            predecessors.pop().replaced_by(limit, now) if (predecessors := old.get(_kind(limit))) else limit.meter()
            for limit in limits
        ]

    def _refuse(self, limit: Limit, now: float, tokens: int) -> Refusal:
        for meter in self._meters:
            meter.refuse(now, tokens)
        # As if no calls were in flight: a cap has no time of its own, and must not hide the waits of the others; a cap of 0 never opens.
        waits = [meter.wait(now, tokens, 0) for meter in self._meters]
        return Refusal(limit, max(waits) or math.inf)


def _kind(limit: Limit) -> tuple[type[Limit], str]:
    return type(limit), "" if isinstance(limit, ConcurrencyCap) else limit.per
