"""What the machine of the shared context cache is made of: its policy, states, events and effects.

Whether a call may use the shared context cache, and what its worker must do about it: one machine for each cache.

Rules owned here:

1. One operation at a time. Who is told to search, create or renew does so; the others use what there is, or wait.
2. A cache is used only while it lives for certain. Its life is counted from when the request for it was sent, so its end is
   early if anything; in its last `guard` seconds no call begins that might arrive too late.
3. It is renewed by the first call of its last `early` seconds. If that fails it is tried again after a while, by another call;
   meanwhile the cache is used. One that should have expired is renewed as well, as that is tried for nothing: where it is
   gone, another is created.
4. That a cache is gone is believed of the one in use. Of an older one it is no news.
5. Before one is created, it is searched for where one may exist unseen: left by an earlier run, or made by a request whose
   answer was lost.
6. A cache costs when it is created. After `most_losses` in a row that were gone before they served a call, there is none.
7. At the end the cache is deleted, unless it is to be kept; one that may exist unseen is searched for and deleted.

                    NotFound ┌────────────┐ Created
    Absent ──► Searching ────► Creating   ├─────────► Ready ◄──► Renewing
      ▲  ▲         │ Found   └────────────┘              │           │
      │  │         └──────────────────────► Renewing     │           │
      │  └── Failed: the next call begins anew           │           │
      └── Gone: the next call creates ───────────────────┴───────────┘

    Creating ── TooSmall ──► Unusable: every call sends the context itself          any ── Closing ──► Closed
"""

from __future__ import annotations

import enum
import math
from typing import TypeAlias, assert_never

import attrs

from ..._core.exceptions import ConfigurationError, IllegalTransitionError

_SHORTEST_TTL = 60.0


def _is_ttl(_: object, __: object, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _SHORTEST_TTL <= value < math.inf:
        raise ConfigurationError(f"ttl must be a number of seconds, 60 or more, not {value!r}")


@attrs.frozen(kw_only=True)
class CachePolicy:
    """How long a cache lives, and when it is renewed.

    Raises:
        ConfigurationError: `ttl` is no finite number, 60 or more.
    """

    ttl: float = attrs.field(default=3600.0, validator=_is_ttl)
    """Seconds that a cache lives after it is created or renewed."""
    keep: bool = False
    """Whether it is left to expire by itself at the end."""
    most_losses: int = 3
    """Caches in a row that may be gone before they served a call."""

    @property
    def early(self) -> float:
        """Seconds before its end from which on a cache is renewed."""
        return min(self.ttl / 4, 300.0)

    @property
    def guard(self) -> float:
        """Seconds before its end from which on a cache is not used."""
        return min(self.ttl / 20, 5.0)


class Trace(enum.Enum):
    """Why a cache may exist that is not known here."""

    EARLIER = "an earlier run may have left one"
    LOST = "a request to create one may have been heard"
    NONE = "there is none"


@attrs.frozen
class Absent:
    """No cache is known, and nobody sees to it."""

    trace: Trace = Trace.EARLIER
    losses: int = 0


@attrs.frozen
class Searching:
    """Somebody looks for a cache that may exist."""

    trace: Trace
    losses: int = 0


@attrs.frozen
class Creating:
    """Somebody creates one."""

    losses: int = 0


@attrs.frozen
class Ready:
    """There is one."""

    name: str
    expires: float
    renew_at: float
    """Not to be renewed before."""
    losses: int = 0


@attrs.frozen
class Renewing:
    """Somebody renews it; -inf: it is not to be used before."""

    name: str
    expires: float = -math.inf
    losses: int = 0


@attrs.frozen
class Unusable:
    """There is to be none."""


@attrs.frozen
class Closed:
    """It is over."""


State: TypeAlias = Absent | Searching | Creating | Ready | Renewing | Unusable | Closed


@attrs.frozen
class Wanted:
    """A call is about to be made."""


@attrs.frozen
class Found:
    """The search: there is one."""

    name: str


@attrs.frozen
class NotFound:
    """The search: there is none."""


@attrs.frozen
class Created:
    """The creation succeeded."""

    name: str
    since: float
    """When it was asked for."""


@attrs.frozen
class TooSmall:
    """The creation: the service does not cache so little, or not this."""


@attrs.frozen
class Renewed:
    """The renewal succeeded."""

    since: float
    """When it was asked for."""


@attrs.frozen
class Missing:
    """The renewal: there is no such cache."""


@attrs.frozen
class Failed:
    """The operation came to nothing, or its worker was cancelled."""

    lost: bool = False
    """Whether it may have been done all the same."""


@attrs.frozen
class Gone:
    """A call was told that there is no such cache."""

    name: str


@attrs.frozen
class Served:
    """A call was served with the cache."""

    name: str


@attrs.frozen
class Closing:
    """No further call will be made."""


Event: TypeAlias = Wanted | Found | NotFound | Created | TooSmall | Renewed | Missing | Failed | Gone | Served | Closing


@attrs.frozen
class Use:
    """Make the call with the cache."""

    name: str


@attrs.frozen
class SendContext:
    """Make the call with the context itself."""


@attrs.frozen
class Wait:
    """Wait for the end of the operation in flight, then ask again."""


@attrs.frozen
class Search:
    """Look for a cache of this context."""


@attrs.frozen
class Create:
    """Create one."""


@attrs.frozen
class Renew:
    """Renew it."""

    name: str


@attrs.frozen
class AskAgain:
    """Ask again for the call."""


@attrs.frozen
class FailCall:
    """The operation's failure is the call's."""


@attrs.frozen
class Delete:
    """Delete the cache."""

    name: str


@attrs.frozen
class Sweep:
    """Look for caches of this context, and delete them."""


@attrs.frozen
class Nothing:
    """Do nothing."""


Effect: TypeAlias = Use | SendContext | Wait | Search | Create | Renew | AskAgain | FailCall | Delete | Sweep | Nothing

Step: TypeAlias = tuple[State, Effect]

_UNUSABLE, _CLOSED = Unusable(), Closed()
_SEND, _WAIT, _SEARCH, _CREATE, _NOTHING = SendContext(), Wait(), Search(), Create(), Nothing()
_ASK_AGAIN, _FAIL = AskAgain(), FailCall()
NEW: State = Absent()


def step(policy: CachePolicy, state: State, event: Event, now: float) -> Step:
    """Return the next state and the one thing that must now be done, by whoever brought the event.

    Args:
        policy: how long a cache lives.
        state: the state.
        event: what happened.
        now: seconds of a clock that does not go back.

    Raises:
        IllegalTransitionError: an operation ends that is not in flight, or a call is made after the end.
    """
    match event:
        case Wanted():
            return _wanted(policy, state, now)
        case Gone(name):
            return _gone(policy, state, name), _NOTHING
        case Served(name):
            return _served(state, name), _NOTHING
        case Closing():
            return _CLOSED, _NOTHING if policy.keep else _remains(state)
        case Created(name) if isinstance(state, Closed):  # nobody else knows of it
            return state, _NOTHING if policy.keep else Delete(name)
        case Found() | NotFound() | Created() | TooSmall() | Renewed() | Missing() | Failed():
            return (state, _FAIL) if isinstance(state, Closed) else _ended(policy, state, event, now)
        case _:
            assert_never(event)


def _wanted(  # noqa: PLR0911 - a table, a row for each state
    policy: CachePolicy, state: State, now: float
) -> Step:
    match state:
        case Absent(Trace.NONE, losses):
            return Creating(losses), _CREATE
        case Absent(trace, losses):
            return Searching(trace, losses), _SEARCH
        case Ready(name, expires, renew_at) if now < min(renew_at, expires - policy.guard):
            return state, Use(name)
        case Ready(name, expires, _, losses):
            return Renewing(name, expires, losses), Renew(name)
        case Renewing(name, expires) if now < expires - policy.guard:
            return state, Use(name)
        case Searching() | Creating() | Renewing():
            return state, _WAIT
        case Unusable():
            return state, _SEND
        case Closed():
            raise IllegalTransitionError("a call was made after the end")
        case _:
            assert_never(state)


def _ended(  # noqa: C901, PLR0911 - a table, a row for each end of each operation
    policy: CachePolicy,
    state: State,
    event: Found | NotFound | Created | TooSmall | Renewed | Missing | Failed,
    now: float,
) -> Step:
    match state, event:
        case Searching(_, losses), Found(name):
            return Renewing(name, losses=losses), Renew(name)  # so that it lives long enough, and is there for certain
        case Searching(_, losses), NotFound():
            return Creating(losses), _CREATE
        case Searching(trace, losses), Failed():
            return Absent(trace, losses), _FAIL
        case Creating(losses), Created(name, since):
            return _ready(policy, name, since, losses), _ASK_AGAIN
        case Creating(), TooSmall():
            return _UNUSABLE, _ASK_AGAIN
        case Creating(losses), Failed(lost):
            return Absent(Trace.LOST if lost else Trace.NONE, losses), _FAIL
        case Renewing(name, _, losses), Renewed(since):
            return _ready(policy, name, since, losses), _ASK_AGAIN
        case Renewing(_, _, losses), Missing():
            return Creating(losses), _CREATE
        case Renewing(name, expires, losses), Failed():
            if expires == -math.inf:
                return Absent(losses=losses), _FAIL
            again = Ready(name, expires, now + policy.early / 4, losses)
            return again, _ASK_AGAIN if now < expires - policy.guard else _FAIL
        case _:
            raise IllegalTransitionError(f"{event} when the cache was {state}")


def _ready(policy: CachePolicy, name: str, since: float, losses: int) -> Ready:
    expires = since + policy.ttl
    return Ready(name, expires, expires - policy.early, losses)


def _gone(policy: CachePolicy, state: State, name: str) -> State:
    if not isinstance(state, Ready | Renewing) or state.name != name:
        return state
    losses = state.losses + 1
    if isinstance(state, Renewing):  # the renewal will tell
        return Renewing(name, losses=losses)
    return _UNUSABLE if losses >= policy.most_losses else Absent(Trace.NONE, losses)


def _served(state: State, name: str) -> State:
    if isinstance(state, Ready) and state.name == name and state.losses:
        return attrs.evolve(state, losses=0)
    return state


def _remains(state: State) -> Effect:
    """Return what must be done so that nothing remains at the service."""
    match state:
        case Ready(name) | Renewing(name):
            return Delete(name)
        case Creating() | Absent(Trace.LOST) | Searching(Trace.LOST):
            return Sweep()
        case _:
            return _NOTHING
