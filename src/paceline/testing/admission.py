"""Whether a call is admitted, where several limits hold at once.

1. All of them or none: a call that one limit refuses is charged to no other, save for what a refusal costs.
2. A change of limits happens at its own time, whenever it is noticed: until then the old limits refill, from then on the
   new ones.
3. A new limit takes over the books of the old one of its kind and measure, in the order in which they stand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from .limits import ConcurrencyCap, Limit, Meter, Standing


@attrs.frozen
class Refusal:
    """A call was not admitted."""

    limit: Limit
    """The first limit that refused it."""
    wait: float
    """Seconds until it would be admitted if nothing else were; inf where that depends on calls in flight."""


class Admission:
    """The meters of all limits."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._meters: list[Meter] = [limit.meter() for limit in limits]

    def ask(self, now: float, tokens: int, in_flight: int) -> Refusal | None:
        """Admit a call and charge it, or say why not."""
        for meter in self._meters:
            if meter.wait(now, tokens, in_flight):
                return self._refuse(meter.limit, now, tokens)
        for meter in self._meters:
            meter.charge(now, tokens)
        return None

    def standings(self, now: float, refusal: Refusal | None = None) -> list[Standing]:
        """Return how the limits stand that a provider tells; `refusal`: of a call that was just refused."""
        refused = None if refusal is None else refusal.limit
        known = [(meter.limit is refused, meter.standing(now)) for meter in self._meters]
        return [attrs.evolve(each, refused=by_it) for by_it, each in known if each is not None]

    def change(self, limits: Sequence[Limit], now: float) -> None:
        """Put other limits in force at `now`."""
        old: dict[tuple[type[Limit], str], list[Meter]] = {}
        for meter in reversed(self._meters):
            old.setdefault(_kind(meter.limit), []).append(meter)
        self._meters = [
            predecessors.pop().carried_to(limit, now) if (predecessors := old.get(_kind(limit))) else limit.meter()
            for limit in limits
        ]

    def _refuse(self, limit: Limit, now: float, tokens: int) -> Refusal:
        for meter in self._meters:
            meter.refuse(now, tokens)
        # As if none were in flight: a cap knows no time, and must not hide what the others say; one of 0 never opens.
        waits = [meter.wait(now, tokens, 0) for meter in self._meters]
        return Refusal(limit, max(waits) or math.inf)


def _kind(limit: Limit) -> tuple[type[Limit], str]:
    return type(limit), "" if isinstance(limit, ConcurrencyCap) else limit.per
