"""Signals of a shared context cache: the events that its machine receives, and the effects that a worker carries out for it.

`cache_state` decides which effect follows from which event.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

# Events


@attrs.frozen
class Wanted:
    """A call is about to be made."""


@attrs.frozen
class Found:
    """The search found a cache."""

    name: str


@attrs.frozen
class NotFound:
    """The search found no cache."""


@attrs.frozen
class Created:
    """The creation succeeded."""

    name: str
    since: float
    """When the request was sent."""


@attrs.frozen
class TooSmall:
    """The creation was refused: the service does not cache a context this small, or not this one."""


@attrs.frozen
class Renewed:
    """The renewal succeeded."""

    since: float
    """When the request was sent."""


@attrs.frozen
class Missing:
    """The renewal found that the cache does not exist."""


@attrs.frozen
class Failed:
    """The operation failed, or its worker was cancelled."""

    lost: bool = False
    """Whether the service may have carried it out nevertheless."""


@attrs.frozen
class Gone:
    """A call was refused because the cache does not exist."""

    name: str


@attrs.frozen
class Served:
    """A call succeeded with the cache."""

    name: str


@attrs.frozen
class Closing:
    """No further call will be made."""


Outcome: TypeAlias = Found | NotFound | Created | TooSmall | Renewed | Missing | Failed
"""How an operation ended."""
Event: TypeAlias = Wanted | Outcome | Gone | Served | Closing


# Effects


@attrs.frozen
class Use:
    """Make the call with the cache."""

    name: str


@attrs.frozen
class SendContext:
    """Make the call with the context itself."""


@attrs.frozen
class Wait:
    """Wait until the operation in flight ends, then send `Wanted` again."""


@attrs.frozen
class Search:
    """Search for a cache of this context."""


@attrs.frozen
class Create:
    """Create a cache."""


@attrs.frozen
class Renew:
    """Renew the cache."""

    name: str


@attrs.frozen
class AskAgain:
    """Send `Wanted` again for the call."""


@attrs.frozen
class FailCall:
    """Fail the call with the operation's failure."""


@attrs.frozen
class Delete:
    """Delete the cache."""

    name: str


@attrs.frozen
class Sweep:
    """Search for caches of this context, and delete them."""


@attrs.frozen
class Nothing:
    """Do nothing."""


Effect: TypeAlias = Use | SendContext | Wait | Search | Create | Renew | AskAgain | FailCall | Delete | Sweep | Nothing
