"""What the machine of the shared context cache is made of: its policy, states, events and effects."""

from __future__ import annotations

import enum
import math
from typing import TypeAlias

import attrs

from .exceptions import ConfigurationError

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


# ------------------------------------------------------------------------------------------------ states


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

# ------------------------------------------------------------------------------------------------ events


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

# ------------------------------------------------------------------------------------------------ effects


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
