"""Shared context cache: the machine that decides whether a call may use the cache, and what its worker must do about it.

Pure: `step(policy, state, event, now)` returns the next state and one effect, which the worker that brought the event carries out.

Rules owned here:

1. One operation runs at a time. The worker that receives `Search`, `Create` or `Renew` carries it out; the others use the
   cache they have, or wait.
2. A cache is used only while it certainly exists. Its lifetime counts from when the request for it was sent, so its end is
   early rather than late; in its last `guard` seconds no call starts that might arrive too late.
3. The first call in the last `early` seconds renews the cache. If renewal fails, a later call tries again, and meanwhile the
   cache is used. A cache that should have expired is renewed too, as the attempt is free; if it does not exist, one is created.
4. `Gone` counts only for the cache in use; it is ignored for an older name.
5. Before a cache is created, the service is searched if an unknown one may exist: left by an earlier run, or made by a request
   whose answer was lost.
6. Creating a cache costs money. After `max_losses` caches in a row that disappeared before they served a call, no more are created.
7. On closing, the cache is deleted unless `keep` is set; one that may exist but is unknown is searched for and deleted.

                    NotFound ┌────────────┐ Created
    Absent ──► Searching ────► Creating   ├─────────► Ready ◄──► Renewing
      ▲  ▲         │ Found   └────────────┘              │           │
      │  │         └──────────────────────► Renewing     │           │
      │  └── Failed: the next call starts again          │           │
      └── Gone: the next call creates ───────────────────┴───────────┘

    Creating ── TooSmall ──► Unusable: every call sends the context itself          any ── Closing ──► Closed
"""

from __future__ import annotations

import enum
import math
from typing import TypeAlias, assert_never

import attrs

from ..._core.exceptions import ConfigurationError, IllegalTransitionError
from .cache_signals import (
    AskAgain,
    Closing,
    Create,
    Created,
    Delete,
    Effect,
    Event,
    FailCall,
    Failed,
    Found,
    Gone,
    Missing,
    NotFound,
    Nothing,
    Outcome,
    Renew,
    Renewed,
    Search,
    SendContext,
    Served,
    Sweep,
    TooSmall,
    Use,
    Wait,
    Wanted,
)

_SHORTEST_TTL = 60.0  # seconds


def _is_ttl(_: object, __: object, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _SHORTEST_TTL <= value < math.inf:
        raise ConfigurationError(f"ttl must be a number of seconds, 60 or more, not {value!r}")


@attrs.frozen(kw_only=True)
class CachePolicy:
    """How long a cache lives, and when it is renewed.

    Raises:
        ConfigurationError: `ttl` is not a finite number of at least 60.
    """

    ttl: float = attrs.field(default=3600.0, validator=_is_ttl)
    """Lifetime of a cache after it is created or renewed, in seconds."""
    keep: bool = False
    """Whether the cache is left to expire on closing."""
    max_losses: int = 3
    """Caches in a row that may disappear before they served a call."""

    @property
    def early(self) -> float:
        """Seconds before its end from which a cache is renewed."""
        return min(self.ttl / 4, 300.0)

    @property
    def guard(self) -> float:
        """Seconds before its end from which a cache is not used."""
        return min(self.ttl / 20, 5.0)


class Trace(enum.Enum):
    """Why a cache may exist at the service whose name is not known."""

    EARLIER = "an earlier run may have left one"
    LOST = "a request to create one may have been received"
    NONE = "no cache can exist"


# States


@attrs.frozen
class Absent:
    """No cache is known, and no operation runs."""

    trace: Trace = Trace.EARLIER
    losses: int = 0
    """Caches in a row that disappeared before they served a call; in every state."""


@attrs.frozen
class Searching:
    """A worker searches for an existing cache."""

    trace: Trace
    losses: int = 0


@attrs.frozen
class Creating:
    """A worker creates a cache."""

    losses: int = 0


@attrs.frozen
class Ready:
    """A cache exists."""

    name: str
    expires: float
    renew_at: float
    """Time of the earliest renewal."""
    losses: int = 0


@attrs.frozen
class Renewing:
    """A worker renews the cache; with `expires=-inf` it must not be used until that succeeds."""

    name: str
    expires: float = -math.inf
    losses: int = 0


@attrs.frozen
class Unusable:
    """No cache will be created: every call sends the context."""


@attrs.frozen
class Closed:
    """No further call will be made."""


State: TypeAlias = Absent | Searching | Creating | Ready | Renewing | Unusable | Closed
NEW: State = Absent()


Step: TypeAlias = tuple[State, Effect]


def step(policy: CachePolicy, state: State, event: Event, now: float) -> Step:
    """Return the next state and the one effect that the bringer of the event carries out.

    Args:
        policy: Lifetime and renewal of a cache.
        state: Present state.
        event: What happened.
        now: Seconds of a monotonic clock.

    Raises:
        IllegalTransitionError: An operation ended that was not in flight, or a call is made after closing.
    """
    match event:
        case Wanted():
            return _on_wanted(policy, state, now)
        case Gone(name):
            return _after_gone(policy, state, name), Nothing()
        case Served(name):
            return _after_served(state, name), Nothing()
        case Closing():
            return Closed(), Nothing() if policy.keep else _cleanup_of(state)
        case Created(name) if isinstance(state, Closed):  # no other worker knows this cache
            return state, Nothing() if policy.keep else Delete(name)
        case Found() | NotFound() | Created() | TooSmall() | Renewed() | Missing() | Failed():
            return (state, FailCall()) if isinstance(state, Closed) else _on_outcome(policy, state, event, now)
        case _:
            assert_never(event)


def _on_wanted(  # noqa: PLR0911 - a table with a row for each state
    policy: CachePolicy, state: State, now: float
) -> Step:
    match state:
        case Absent(Trace.NONE, losses):
            return Creating(losses), Create()
        case Absent(trace, losses):
            return Searching(trace, losses), Search()
        case Ready(name, expires, renew_at) if now < min(renew_at, expires - policy.guard):
            return state, Use(name)
        case Ready(name, expires, _, losses):
            return Renewing(name, expires, losses), Renew(name)
        case Renewing(name, expires) if now < expires - policy.guard:
            return state, Use(name)
        case Searching() | Creating() | Renewing():
            return state, Wait()
        case Unusable():
            return state, SendContext()
        case Closed():
            raise IllegalTransitionError("a call was made after the cache was closed")
        case _:
            assert_never(state)


def _on_outcome(  # noqa: C901, PLR0911 - a table with a row for each outcome of each operation
    policy: CachePolicy, state: State, event: Outcome, now: float
) -> Step:
    match state, event:
        case Searching(_, losses), Found(name):
            return Renewing(name, losses=losses), Renew(name)  # to set its lifetime, and to prove that it exists
        case Searching(_, losses), NotFound():
            return Creating(losses), Create()
        case Searching(trace, losses), Failed():
            return Absent(trace, losses), FailCall()
        case Creating(losses), Created(name, since):
            return _ready(policy, name, since, losses), AskAgain()
        case Creating(), TooSmall():
            return Unusable(), AskAgain()
        case Creating(losses), Failed(lost):
            return Absent(Trace.LOST if lost else Trace.NONE, losses), FailCall()
        case Renewing(name, _, losses), Renewed(since):
            return _ready(policy, name, since, losses), AskAgain()
        case Renewing(_, _, losses), Missing():
            return Creating(losses), Create()
        case Renewing(name, expires, losses), Failed():
            if expires == -math.inf:
                return Absent(losses=losses), FailCall()
            usable = Ready(name, expires, now + policy.early / 4, losses)
            return usable, AskAgain() if now < expires - policy.guard else FailCall()
        case _:
            raise IllegalTransitionError(f"{event} when the cache was {state}")


def _ready(policy: CachePolicy, name: str, since: float, losses: int) -> Ready:
    expires = since + policy.ttl
    return Ready(name, expires, expires - policy.early, losses)


def _after_gone(policy: CachePolicy, state: State, name: str) -> State:
    if not isinstance(state, Ready | Renewing) or state.name != name:
        return state
    losses = state.losses + 1
    if isinstance(state, Renewing):  # the renewal in flight will show whether it exists
        return Renewing(name, losses=losses)
    return Unusable() if losses >= policy.max_losses else Absent(Trace.NONE, losses)


def _after_served(state: State, name: str) -> State:
    if isinstance(state, Ready) and state.name == name and state.losses:
        return attrs.evolve(state, losses=0)
    return state


def _cleanup_of(state: State) -> Effect:
    """Return what leaves nothing at the service."""
    match state:
        case Ready(name) | Renewing(name):
            return Delete(name)
        case Creating() | Absent(Trace.LOST) | Searching(Trace.LOST):
            return Sweep()
        case _:
            return Nothing()
