"""Warm start: where a lane starts if its quota was learned before, and the validation of that knowledge.

Rules owned here:

1. The learned rates are claims, which calls test. A lane starts at a share of them that halves every 12 hours, down to a quarter.
2. A lane starts with the learned number of calls in flight. By Little's law a rate needs rate x latency calls in flight. If more were
   allowed, the rate was the limit, and the number follows from the rate again. If not, the number was the limit: it is taken for a
   concurrency cap, which is probed soon.
3. Knowledge may come from a file that any program may have written, so each field is checked against its bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from ..exceptions import ConfigurationError
from .concurrency_cap import ConcurrencyCap
from .dimensions import Dimensions
from .knee import Knee
from .signals import PaceKnowledge

_MAX_LIMIT = 10**6  # calls in flight


def checked(knowledge: object) -> dict[str, PaceKnowledge]:
    """Return a copy of a mapping from quotas to what is known about them.

    Raises:
        ConfigurationError: It is not such a mapping, or a value is out of bounds; names the field, the bound and the value.
    """
    if not isinstance(knowledge, Mapping):
        raise ConfigurationError(f"knowledge must map quotas to PaceKnowledge, not {type(knowledge).__name__}")
    for quota, known in knowledge.items():
        if not isinstance(quota, str):
            raise ConfigurationError(f"knowledge must map names of quotas to PaceKnowledge; {quota!r} is not a string")
        if not isinstance(known, PaceKnowledge):
            raise ConfigurationError(f"knowledge[{quota!r}] must be a PaceKnowledge, not {type(known).__name__}")
        _check(quota, known)
    return dict(knowledge)


def _check(quota: str, known: PaceKnowledge) -> None:
    for field in attrs.fields(PaceKnowledge):
        value = getattr(known, field.name)
        bound = _broken_bound(field.name, value)
        if bound is not None:
            raise ConfigurationError(f"knowledge[{quota!r}].{field.name} must be {bound}, not {value!r}")


def _broken_bound(field: str, value: Any) -> str | None:
    """Return the bound that a field's value breaks, in words such as "a number above 0"; None: the value is valid."""
    if field == "limit":
        fits = type(value) is int and 1 <= value <= _MAX_LIMIT
        return None if fits else f"a whole number from 1 to {_MAX_LIMIT:,}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return "a number"
    if field in {"rate", "token_rate"}:
        return None if value > 0 else "a number above 0"
    return None if 0 <= value < math.inf else "a finite number, 0 or more"


_MIN_TRUST, _HALF_LIFE = 0.25, 12 * 3600.0  # share of a rate; seconds in which it halves
_START = 0.5  # of the rate that the calls in flight had made


def warm_start(now: float, known: PaceKnowledge, dimensions: Dimensions, knee: Knee, cap: ConcurrencyCap) -> None:
    """Start the parts near what was learned before."""
    trust = max(_MIN_TRUST, math.pow(0.5, max(0.0, now - known.learned) / _HALF_LIFE))
    dimensions.warm_start(now, known.rate * trust, known.token_rate * trust)
    if known.latency <= 0:
        return
    knee.warm_start(known.latency, known.limit)
    cap.maximum = knee.bound
    limit = max(1.0, min(cap.maximum, float(known.limit)))
    rate = min(known.rate, known.token_rate / dimensions.tokens.rate.mean)
    if known.limit > rate * known.latency:
        cap.limit = limit
    else:
        cap.warm_start(limit)
        dimensions.requests.start_rate = max(dimensions.requests.start_rate, _START * limit / known.latency)
