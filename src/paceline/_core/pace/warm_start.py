"""Whether what is given as knowledge of a quota can be that: it may come from a file, which anybody may have written.

Where does a lane begin, if another one has learned the same quota before?

Rules owned here:

1. At the rates that were learned, as claims to be tested; the older they are, the further below.
2. At as many workers. By Little's law it shows whether those had been what held the calls back, or the rate: if they had,
   they are taken for a cap, which is probed soon; else they follow from the rate again.
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

_MOST_WORKERS = 10**6


def checked(knowledge: object) -> dict[str, PaceKnowledge]:
    """Return a copy of a mapping from quotas to what is known of them.

    Raises:
        ConfigurationError: it is none, or a value is out of its bounds; the message has the field, the value, the bound.
    """
    if not isinstance(knowledge, Mapping):
        raise ConfigurationError(f"knowledge must map quotas to PaceKnowledge, not {type(knowledge).__name__}")
    for quota, known in knowledge.items():
        if not isinstance(quota, str):
            raise ConfigurationError(f"knowledge must map quotas to PaceKnowledge; {quota!r} is no quota's name")
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
    """Return what the value should be and is not."""
    if field == "limit":
        fits = type(value) is int and 1 <= value <= _MOST_WORKERS
        return None if fits else f"a whole number from 1 to {_MOST_WORKERS:,}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return "a number"
    if field in {"rate", "token_rate"}:
        return None if value > 0 else "a number above 0"
    return None if 0 <= value < math.inf else "a finite number, 0 or more"


_LEAST_TRUST, _HALF_LIFE = 0.25, 12 * 3600.0  # share of a rate; seconds in which trust in it halves
_START = 0.5  # of the rate that the workers had made


def recall(now: float, known: PaceKnowledge, handles: Dimensions, knee: Knee, workers: ConcurrencyCap) -> None:
    """Begin near what was learned before."""
    trust = max(_LEAST_TRUST, math.pow(0.5, max(0.0, now - known.learned) / _HALF_LIFE))
    handles.recall(now, known.rate * trust, known.token_rate * trust)
    if known.latency <= 0:
        return
    knee.recall(known.latency, known.limit)
    workers.most = knee.bound
    limit = max(1.0, min(workers.most, float(known.limit)))
    rate = min(known.rate, known.token_rate / handles.tokens.rate.mean)
    if known.limit > rate * known.latency:
        workers.limit = limit
    else:
        workers.recall(limit)
        handles.requests.start = max(handles.requests.start, _START * limit / known.latency)
