"""How long to wait before an item is called again.

Full jitter, as in M. Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015): uniform between zero and an
exponentially growing bound, which spreads the retries of many items evenly. The caller draws the chance.
"""

from __future__ import annotations

import math
from typing import Any

import attrs

from .exceptions import ConfigurationError


def is_seconds(_: object, attribute: attrs.Attribute[float], value: object) -> None:
    """Refuse a field's value that is no number of seconds above 0; infinity is one.

    Raises:
        ConfigurationError: names the field and the value.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ConfigurationError(f"{attribute.name} must be a number of seconds above 0, not {value!r}")


def _is_not_below_base(backoff: Any, _: object, value: float) -> None:
    if not math.isfinite(value) or value < backoff.base:
        raise ConfigurationError(f"longest ({value}) must be finite and not below base ({backoff.base})")


@attrs.frozen(kw_only=True)
class Backoff:
    """The bounds of the wait after a failed call.

    Raises:
        ConfigurationError: a bound is no number of seconds above 0, or `longest` is infinite or below `base`.
    """

    base: float = attrs.field(default=1.0, validator=is_seconds)
    """Seconds: the bound after the first failure; it doubles with each further one."""
    longest: float = attrs.field(default=60.0, validator=[is_seconds, _is_not_below_base])
    """Seconds: no wait is longer, whatever the number of failures or the provider's hint."""


def delay(policy: Backoff, failures: int, chance: float, retry_after: float | None = None) -> float:
    """Return the seconds to wait after `failures` failures in a row (1 or more).

    Args:
        policy: the bounds.
        failures: how often the item has failed so far.
        chance: a number drawn uniformly from [0, 1].
        retry_after: what the provider asked for; a minimum, never beyond `policy.longest`.
    """
    doublings = min(failures - 1, 1_000)  # 2.0**1024 overflows
    wait = chance * min(policy.longest, policy.base * 2.0**doublings)
    hint = retry_after if retry_after is not None and retry_after > 0 else 0.0
    return max(wait, min(hint, policy.longest))
