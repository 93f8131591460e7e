"""Learned quotas: what a pool knows of each quota: from before, from its lanes, and from the latest lanes that it has dropped.

It outlives batches and lanes. Of lanes that were dropped a bounded number is kept, so that a service with a lane for each of its tenants
does not grow for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import TypeAlias

import attrs
from anyio import current_time

from ..._core.health.overloads import LaneOverloads
from ..._core.pace import PaceKnowledge
from ..._core.pace.history import UnreadChanges
from ..._core.pace.warm_start import checked
from ..._core.token_estimate import TokenCosts
from ...abc import RateController

NewPace: TypeAlias = Callable[[PaceKnowledge | None], RateController]
"""Creates the rate controller of a quota key, from what is known of the quota or None."""
_MOST_ASIDE = 1_000  # quotas without a lane that are remembered: 12 MB


@attrs.frozen
class LearnedQuota:
    """What is learned about a quota."""

    pace: RateController
    costs: TokenCosts = attrs.field(factory=TokenCosts)
    overloads: LaneOverloads = attrs.field(factory=LaneOverloads)
    unreported: UnreadChanges = attrs.field(factory=UnreadChanges)
    """The observers' position in the history of the pace."""
    unrecorded: UnreadChanges = attrs.field(factory=UnreadChanges)
    """The journal's position in it."""


class LearnedQuotas:
    """What one pool knows of quotas, by quota key.

    Args:
        new_pace: Creates the rate controller of a quota.
        known: What is known from before.

    Raises:
        ConfigurationError: A number in `known` is out of its bounds.
    """

    def __init__(self, new_pace: NewPace, known: Mapping[str, PaceKnowledge]) -> None:
        self._new_pace = new_pace
        self._known = checked(known)
        self._of_lanes: dict[str, LearnedQuota] = {}
        self._aside: dict[str, LearnedQuota] = {}
        """Of quotas without a lane, the latest last."""

    def add_stored(self, stored: Mapping[str, PaceKnowledge]) -> None:
        """Add what a journal knows; what was given has precedence."""
        self._known = {**checked(stored), **self._known}

    def of(self, quota: str) -> LearnedQuota:
        """Return what is learned about a quota that has a lane."""
        learned = self._of_lanes.get(quota)
        if learned is None:
            learned = self._aside.pop(quota, None) or LearnedQuota(self._new_pace(self._known_of(quota)))
            self._of_lanes[quota] = learned
        return learned

    def set_aside(self, quota: str) -> None:
        """Keep what was learned about a quota whose lane was dropped; forget the one that was set aside first if they are too many."""
        self._aside[quota] = self._of_lanes.pop(quota)
        if len(self._aside) > _MOST_ASIDE:
            del self._aside[next(iter(self._aside))]

    def _known_of(self, quota: str) -> PaceKnowledge | None:
        """Return what is known of a quota that is not used yet, its time converted to the event loop's clock."""
        known = self._known.get(quota)
        if known is None:
            return None
        age = max(0.0, time.time() - known.learned)
        return attrs.evolve(known, learned=current_time() - age)

    def knowledge(self, now: float) -> dict[str, PaceKnowledge]:
        """Return what is known of each quota at a time of the event loop's clock; of quotas not used here it is unchanged."""
        known, wall_time = dict(self._known), time.time()
        for quota, learned in self:
            new = learned.pace.knowledge(now)
            if new is not None:
                known[quota] = attrs.evolve(new, learned=wall_time)
        return known

    def __iter__(self) -> Iterator[tuple[str, LearnedQuota]]:
        return chain(self._aside.items(), self._of_lanes.items())
