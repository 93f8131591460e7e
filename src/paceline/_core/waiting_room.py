"""Waiting room: whether a single call may wait for its turn. If it would wait too long, it is refused at once.

Rules owned here:

1. The number of calls that wait at once is bounded, and so is the number of characters in their prompts.
2. A call with others ahead of it is refused if, at the pace measured lately, its turn comes too late for a call of the usual duration to
   end before its timeout: it would be paid for and cut off.
3. A refusal says how many calls are ahead, and after how many seconds it is worth trying again.
"""

from __future__ import annotations

import attrs

from .quantity import quantity, verb
from .validators import is_at_least_one

_SOONEST = 1.0  # seconds; the header Retry-After has whole seconds
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
    """Seconds after which it is worth trying again; at least 1."""
    ahead: int
    """Calls that go before it."""


def refusal(  # noqa: PLR0913 - the numbers of one decision
    limits: RoomLimits,
    *,
    calls: int,
    characters: int,
    ahead: int,
    rate: float | None,
    duration: float,
    timeout: float | None,
) -> Refusal | None:
    """Return why a call may not wait; None: it may.

    Args:
        limits: Bounds of the waiting room.
        calls: Calls that wait already.
        characters: Characters in their prompts and in that of the new call.
        ahead: Jobs that go before it in its lane.
        rate: Calls that the lane starts in a second, above 0; None: it is not known.
        duration: Seconds that a call takes in flight, usually; 0: it is not known.
        timeout: Seconds after which the new call is given up; None: it waits for as long as it takes.
    """
    seconds = 0.0 if rate is None else ahead / rate
    full = _full(limits, calls, characters)
    if full:
        # by then, half of those ahead have started
        return Refusal(f"the waiting room is full: {full}", max(seconds / 2, _SOONEST), ahead)
    if timeout is not None and seconds and (late := seconds + _SLOW * duration - timeout) > 0:
        before = f"{quantity(ahead, 'call')} {verb(ahead)} ahead, for about {seconds:.1f} s"
        itself = f", the call itself takes about {duration:.1f} s" if duration else ""
        return Refusal(f"{before}{itself}, and its timeout is {timeout:g} s", max(late, _SOONEST), ahead)
    return None


def _full(limits: RoomLimits, calls: int, characters: int) -> str:
    """Return what fills the room; empty: it has room. An empty room has room for a prompt of any length."""
    if calls >= limits.calls:
        return f"{quantity(calls, 'call')} {verb(calls, 'waits', 'wait')}"
    if calls and characters > limits.characters:
        return f"with this prompt, {quantity(characters, 'character')} would wait"
    return ""
