"""A rival's call: made with the client's timeout; its outcome has the provider's hint."""

from __future__ import annotations

import enum

import anyio
import attrs

from paceline.testing import SimulatedError

from ..world import Client

_TOO_MANY_REQUESTS = 429


class Ending(enum.Enum):
    """How a call ended."""

    SERVED = enum.auto()
    REFUSED = enum.auto()
    FAILED = enum.auto()
    """Another error, or a timeout."""


@attrs.define
class Item:
    """A prompt in work."""

    prompt: str
    tries: int = 0
    """Calls made."""
    failures: int = 0
    """Calls that failed and were not refused."""


async def call(client: Client, item: Item) -> tuple[Ending, float | None]:
    """Make one call; return how it ended, and the seconds that the provider asked to wait.

    A refused call has the same random draws when it is repeated, as in paceline's engine; a failed one has others.
    """
    item.tries += 1
    try:
        with anyio.move_on_after(client.trial.timeout):
            await client.call(item.prompt, 1 + item.failures)
            return Ending.SERVED, None
    except SimulatedError as error:
        if error.code == _TOO_MANY_REQUESTS:
            hint = error.response.headers.get("retry-after")
            return Ending.REFUSED, None if hint is None else float(hint)
    item.failures += 1
    return Ending.FAILED, None
