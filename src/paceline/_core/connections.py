"""Connections: how many calls the client of a strategy can make at once, if its user has limited that.

A call that waits for a connection in the client's pool uses up its own time, and may end with the client's `PoolTimeout` although the
provider was never asked. So the engine starts no more calls than there are connections: the others wait before their time starts.
"""

from __future__ import annotations

import attrs

from .validators import is_at_least_one


@attrs.frozen(eq=False)
class Connections:
    """The connections of one client. Strategies that share the client share this object, whatever their lanes.

    Raises:
        ConfigurationError: The number is not a whole number, 1 or more.
    """

    limit: int = attrs.field(validator=is_at_least_one)
    """Calls that can be made at once."""
