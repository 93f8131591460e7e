"""How a rival's call ends, and how it is made: with a client's timeout, and the provider's hint taken from the reply."""

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
    """A prompt on its way."""

    prompt: str
    tries: int = 0
    """Calls made."""
    failures: int = 0
    """Those of them that failed, and were not refused."""


async def call(client: Client, item: Item) -> tuple[Ending, float | None]:
    """Make one call; return how it ended, and the seconds that the provider asked to wait.

    A call that was refused meets the same chance again, as in paceline's engine; one that failed meets another.
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
