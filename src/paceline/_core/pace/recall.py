"""Where does a lane begin, if another one has learned the same quota before?

Rules owned here:

1. At the rates that were learned, as claims to be tested; the older they are, the further below.
2. At as many workers. By Little's law it shows whether those had been what held the calls back, or the rate: if they had,
   they are taken for a cap, which is probed soon; else they follow from the rate again.
"""

from __future__ import annotations

import math

from .handles import Handles
from .knee import Knee
from .signals import PaceKnowledge
from .workers import Workers

_LEAST_TRUST, _HALF_LIFE = 0.25, 12 * 3600.0  # share of a rate; seconds in which trust in it halves
_START = 0.5  # of the rate that the workers had made


def recall(now: float, known: PaceKnowledge, handles: Handles, knee: Knee, workers: Workers) -> None:
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
