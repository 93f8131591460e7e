"""What is a refusal charged to, and what does that cost?

Rules owned here:

1. A refusal with as many in flight as the known cap is the cap's: it lowers no rate.
2. One of a call that started while the provider was closed says nothing new.
3. In the slow start a few refusals among the latest calls end nothing: where others share the limit, a newcomer is refused
   now and then long before it has its share.
4. Any other is charged to a rate first, as that can be given back, and it is evidence for a cap. Once that is proven, the rate
   gets back what it was charged.
5. Refusals over and over, while no limit is known, are charged as one.
"""

from __future__ import annotations

from collections import deque

from .admissions import Admissions, Call
from .breaker import Breaker
from .concurrency_cap import ConcurrencyCap
from .dimensions import Dimensions
from .history import PaceRecorder
from .pacer import Pacer

_LATEST, _REFUSED = 8, 2  # of the latest so many calls: fewer refusals do not end the slow start


class Attribution:
    """Refusals, charged."""

    def __init__(
        self, evidence: Admissions, handles: Dimensions, workers: ConcurrencyCap, gate: Breaker, telling: PaceRecorder
    ) -> None:
        self._evidence, self._handles, self._workers = evidence, handles, workers
        self._gate, self._telling = gate, telling
        self._judged: deque[bool] = deque(maxlen=_LATEST)
        self._row = 0  # refusals since the last admission
        self._last_tokens = 0.0  # of the call admitted last

    def admitted(self, call: Call) -> bool:
        """Hear of an admission; return whether it ended a row of refusals."""
        self._judged.append(False)
        self._last_tokens = call.tokens
        ended, self._row = self._row > 0, 0
        return ended

    def charge(self, now: float, call: Call, in_flight: int) -> None:
        """Charge a refused call to what is to blame, given how many were in flight when it started."""
        self._row += 1
        self._judged.append(True)
        self._handles.refused(call)
        workers, gate = self._workers, self._gate
        if workers.at_probe(in_flight):
            if workers.limit > in_flight:
                workers.probe_failed(max(1.0, float(in_flight)))
                self._telling.workers(now, f"refused with {in_flight} in flight, at the known cap")
            return
        if gate.closed and call.started > gate.since:
            return
        handle = self._handles.blame(call, self._last_tokens)
        if not handle.known and not self._is_young and sum(self._judged) < _REFUSED:
            return
        refund = workers.refused(in_flight, call.started, handle.rate.value)
        if refund is None:
            self._cut(now, handle, call, in_flight)
            return
        handle.rate.refund(refund)
        gate.open()
        limit = int(workers.limit)
        self._telling.all(now, f"refused only with {limit} or more in flight, never with fewer: a cap on concurrency")

    def flood(self, now: float, since: float) -> None:
        """Charge refusals over and over, since that time."""
        handle = self._handles.charged
        if handle.known or self._is_young:
            return
        handle.rate.cut(now, since, handle.rate.mean, self._row, handle.recent())
        handle.forget_claim()
        self._telling.rate(now, handle, "refused over and over: what was admitted till now")

    @property
    def _is_young(self) -> bool:
        return self._evidence.admitted < _LATEST

    def _cut(self, now: float, handle: Pacer, call: Call, in_flight: int) -> None:
        handle.rate.cut(now, call.started, handle.cost(call), self._row, handle.recent())
        handle.forget_claim()
        reason = f"refused with {in_flight} in flight, where more were admitted before: a limit on the rate"
        if not self._workers.belief:
            reason = f"refused with {in_flight} in flight: taken for a limit on the rate"
        self._telling.rate(now, handle, reason)
