"""Waiting room: whether a single call may wait for its turn. If it would wait too long, it is refused at once.

Rules owned here:

1. The number of calls that wait at once is bounded, and so are the bytes of their prompts.
2. A call with others ahead of it is refused if, at the pace measured lately, its turn comes so late that the call might not end before
   its timeout: it would be paid for and cut off.
3. So is a call whose lane is shut, as its provider refuses or fails everything, if the lane opens too late for it.
4. A refusal says how many calls are ahead, and after how many seconds it is worth trying again. This time has a jitter, and is never shorter
   than without it: a thousand calls that are refused at once do not come back at once.
5. A call of what is shut, or of a pool that takes no more, is refused in the same way: whoever calls has one thing to catch.
"""

from __future__ import annotations

import math

import attrs

from ..fault import Fault
from ..quantity import quantity, verb
from ..validators import is_at_least_one

_SOONEST = 1.0  # seconds; the header Retry-After has whole seconds
_SPREAD = 4.0  # seconds over which refused calls come back, at least: in whole seconds a second would be no spread
_LATER = 1.1  # times the wait at the measured pace: other priorities get their share, and calls are repeated


@attrs.frozen
class RoomLimits:
    """Bounds of a waiting room.

    Raises:
        ConfigurationError: A bound is not a whole number, 1 or more.
    """

    calls: int = attrs.field(default=10_000, validator=is_at_least_one)
    """Calls that wait at once."""
    bytes: int = attrs.field(default=256_000_000, validator=is_at_least_one)
    """Bytes of the prompts of these calls, all together."""


@attrs.frozen
class Refusal:
    """Why a call may not wait."""

    reason: str
    retry_after: float
    """Seconds after which it is worth trying again, with a jitter; at least 1."""
    ahead: int
    """Calls that go before it."""


def refusal(  # noqa: PLR0913 - the numbers of one decision
    limits: RoomLimits,
    *,
    calls: int,
    size: int,
    ahead: int,
    rate: float | None,
    shut: float,
    slow: float,
    timeout: float | None,
    chance: float,
) -> Refusal | None:
    """Return why a call may not wait; None: it may.

    Args:
        limits: Bounds of the waiting room.
        calls: Calls that wait already.
        size: Bytes of their prompts and of that of the new call.
        ahead: Jobs that go before it in its lane.
        rate: Calls that the lane starts in a second, above 0; None: it is not known.
        shut: Seconds until the lane starts calls again; 0: it does.
        slow: Seconds that a call may take in flight, by those measured lately; 0: it is not known.
        timeout: Seconds after which the new call is given up; None: it waits for as long as it takes.
        chance: Random number from 0 to 1, for the jitter.
    """
    seconds = shut if rate is None else shut + _LATER * ahead / rate
    full = _full(limits, calls, size)
    if full:
        # by then, half of those ahead have started
        return Refusal(f"the waiting room is full: {full}", _with_jitter(max(shut, seconds / 2), chance), ahead)
    if timeout is None or not seconds or seconds + slow <= timeout:
        return None
    why: list[str] = []
    if shut:
        why.append(f"no call starts for about {shut:.1f} s, as the provider refused or failed all calls lately")
    if ahead:
        why.append(f"{quantity(ahead, 'call')} {verb(ahead)} ahead" + _for_about(seconds - shut))
    if slow:
        total = math.ceil(100 * (seconds + slow)) / 100  # rounded up, so that it is never the timeout
        why.append(f"a call may take {slow:.1f} s, which is {total:.2f} s in all")
    late = max(shut, min(seconds, seconds + slow - timeout))
    return Refusal(f"{', '.join(why)}, and its timeout is {timeout:g} s", _with_jitter(late, chance), ahead)


def _for_about(seconds: float) -> str:
    return f", for about {seconds:.1f} s" if seconds else ""


def closed_refusal(reason: str, chance: float) -> Refusal:
    """Return why a pool that was drained, or is being left, takes no call: another process may.

    Args:
        reason: Why it takes no more.
        chance: Random number from 0 to 1, for the jitter.
    """
    return Refusal(f"the pool takes no more calls: {reason}", _with_jitter(0.0, chance), 0)


def shut_refusal(reason: Fault, chance: float) -> Refusal:
    """Return why no call of a strategy is made for a while.

    Args:
        reason: Fault of its calls, with the seconds until one is tried again.
        chance: Random number from 0 to 1, for the jitter.
    """
    return Refusal(reason.message, max(reason.retry_after or 0.0, _SOONEST) + chance * _SPREAD, 0)


def _with_jitter(seconds: float, chance: float) -> float:
    soonest = max(seconds, _SOONEST)
    return soonest + chance * max(soonest, _SPREAD)


def _full(limits: RoomLimits, calls: int, size: int) -> str:
    """Return what fills the room; empty: it has room. An empty room has room for a prompt of any length."""
    if calls >= limits.calls:
        return f"{quantity(calls, 'call')} {verb(calls, 'waits', 'wait')}"
    if calls and size > limits.bytes:
        return f"with this prompt, {quantity(size, 'byte')} would wait"
    return ""
