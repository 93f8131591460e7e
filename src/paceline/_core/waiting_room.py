"""Waiting room: whether a single call may wait for its turn, or is refused at once because it would wait too long.

Rules owned here:

1. At most so many calls, with so many characters in their prompts, wait at once.
2. A call that others are ahead of is refused if, at the pace measured lately, its turn comes too late for a call of the usual duration to
   end before its own timeout: it would be paid for and cut off.
3. Who is refused learns how many calls are ahead, and after how many seconds it is worth trying again.
"""

from __future__ import annotations

import attrs

from .quantity import quantity, verb
from .validators import is_at_least_one

_UNKNOWN = 1.0  # seconds to wait where no pace was measured
_SLOW = 1.25  # times the usual duration: seven of eight calls take less, as their durations commonly spread (sigma 0.2)


@attrs.frozen
class RoomLimits:
    """Bounds of a waiting room.

    Raises:
        ConfigurationError: A bound is not a whole number, 1 or more.
    """

    calls: int = attrs.field(default=10_000, validator=is_at_least_one)
    """Calls that wait at once."""
    characters: int = attrs.field(default=256_000_000, validator=is_at_least_one)
    """Characters in the prompts of these calls, all together."""


@attrs.frozen
class Refusal:
    """Why a call may not wait."""

    reason: str
    retry_after: float
    """Seconds."""
    ahead: int
    """Calls that go before it."""


def refusal(  # noqa: PLR0913 - the numbers of one decision
    limits: RoomLimits,
    *,
    calls: int,
    characters: int,
    ahead: int,
    seconds: float | None,
    duration: float,
    timeout: float | None,
) -> Refusal | None:
    """Return why a call may not wait; None: it may.

    Args:
        limits: Bounds of the waiting room.
        calls: Calls that wait already.
        characters: Characters in their prompts and in that of the new call.
        ahead: Calls that go before it in its lane.
        seconds: Seconds that these take at the measured pace; None: no pace was measured.
        duration: Seconds that a call takes in flight, usually; 0: it is not known.
        timeout: Seconds after which the new call is given up; None: it waits for as long as it takes.
    """
    if calls >= limits.calls or (calls and characters > limits.characters):
        wait = seconds / 2 if seconds else _UNKNOWN  # half of those ahead have started by then
        full = (
            f"{quantity(calls, 'call')} {verb(calls, 'waits', 'wait')}"
            if calls >= limits.calls
            else f"prompts of {quantity(characters, 'character')} wait"
        )
        return Refusal(f"the waiting room is full: {full}", max(wait, _UNKNOWN), ahead)
    if timeout is not None and seconds and (late := seconds + _SLOW * duration - timeout) > 0:
        before = f"{quantity(ahead, 'call')} {verb(ahead)} ahead, for about {seconds:.1f} s"
        itself = f", the call itself takes about {duration:.1f} s" if duration else ""
        return Refusal(f"{before}{itself}, and its timeout is {timeout:g} s", late, ahead)
    return None
