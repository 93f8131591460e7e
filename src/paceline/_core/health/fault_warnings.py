"""Fault warnings: decides which passing faults of a lane's calls are worth a warning in the log.

Rules owned here:

1. A passing fault amid calls that are served is daily life: the call is made again, and its count is in the statistics.
2. `REPEATED` of them in a row, without a call served in between, are worth a warning. A single one is if it says that the API could not
   be reached and the lane has served nothing yet: then its address is probably wrong.
3. After a warning the next one follows only after a minute, and that time doubles, as a million calls may fail so.
"""

from __future__ import annotations

import math

import attrs

from .systematic_failure import PASSING_KINDS, Ended

REPEATED = 3
"""Passing faults in a row: two may be chance in a healthy run of many calls."""
FIRST_GAP = 60.0
"""Seconds between the first warning and the second."""


@attrs.frozen
class FaultWarnings:
    """What is known of a lane."""

    in_a_row: int = 0
    """Passing faults since a call was served."""
    has_served: bool = False
    """Whether a call was served."""
    not_before: float = -math.inf
    """Time of the next warning, in seconds, at the earliest."""
    gap: float = FIRST_GAP
    """Seconds from the next warning to the one after it."""


NO_WARNINGS = FaultWarnings()
_ONLY_SERVED = FaultWarnings(has_served=True)
"""What is known of most lanes, of which there may be thousands."""


def step(state: FaultWarnings, event: Ended) -> tuple[FaultWarnings, bool]:
    """Return the state after the end of a call, and whether it is worth a warning.

    Args:
        state: What is known of the lane.
        event: End of one of its calls.
    """
    if event.is_served:
        if state.has_served and not state.in_a_row:
            return state, False
        return _ONLY_SERVED if state is NO_WARNINGS else attrs.evolve(state, in_a_row=0, has_served=True), False
    fault = event.fault
    if fault is None or fault.kind not in PASSING_KINDS:
        return state, False
    state = attrs.evolve(state, in_a_row=state.in_a_row + 1)
    is_repeated = state.in_a_row >= REPEATED or (fault.misses_api and not state.has_served)
    if not is_repeated or event.at < state.not_before:
        return state, False
    return attrs.evolve(state, not_before=event.at + state.gap, gap=2 * state.gap), True
