"""Attribution: what a refusal is charged to, and what that costs.

Rules owned here:

1. A refusal with as many calls in flight as the known concurrency cap is charged to the cap; it lowers no rate.
2. A refusal of a call that started while the breaker was open says nothing new.
3. During slow start a few refusals among the latest calls do not end it: where others share the limit, a newcomer is refused now
   and then long before it has its share.
4. Any other refusal is charged to a rate first, because that can be refunded, and counts as evidence for a cap. Once the cap is
   proven, the rate is refunded.
5. An unbroken series of refusals, while no limit is known, is charged as one.
6. A refusal that chance explains, where a share of all calls is refused whatever the pace (`shedding`), is not charged. Once bursts have
   proved that this is so, the rate is refunded. A limit on tokens refuses large calls rather than small ones, so not by chance.
7. What a refusal was charged is taken back if its item turns out to be refused for its own sake.
"""

from __future__ import annotations

import math

from ..durations import format_wait
from .admissions import Admissions, Call
from .breaker import Breaker
from .charges import Charges, Cut
from .concurrency_cap import ConcurrencyCap
from .dimensions import Dimensions
from .pacer import Pacer
from .recorder import PaceRecorder
from .shedding import BURST, Shedding

_LATE = 0.5  # of the rate of admission, which is what a first refusal sets the rate to if it comes late
_LATEST, _MIN_REFUSED = 8, 2  # fewer refusals than that among the latest 8 calls do not end the slow start

_TESTED = 2.0  # calls a second: at a slower pace a burst would be a large share of the calls


class Attribution:
    """Charges refusals to a rate or to the concurrency cap."""

    def __init__(
        self,
        admissions: Admissions,
        dimensions: Dimensions,
        cap: ConcurrencyCap,
        breaker: Breaker,
        recorder: PaceRecorder,
    ) -> None:
        self._admissions, self._dimensions, self._cap = admissions, dimensions, cap
        self._breaker, self._recorder = breaker, recorder
        self._charges = Charges()
        self._shedding = Shedding()
        self._latest_refused = 0  # a bit for each of the latest calls, 1 if it was refused
        self._consecutive = 0  # refusals since the last admission
        self._last_tokens = 0.0  # of the call admitted last

    def record_admission(self, now: float, call: Call) -> bool:
        """Record an admission; return whether refusals came just before it."""
        if call.in_burst:
            self._record_burst(now, refused=False)
        else:
            self._shedding.record_admission()
        self._latest_refused = self._latest_refused << 1 & (1 << _LATEST) - 1
        self._last_tokens = call.tokens
        after_refusals, self._consecutive = self._consecutive > 0, 0
        return after_refusals

    def charge(self, now: float, call: Call, in_flight: int, *, late: bool = False) -> None:
        """Charge a refused call, given the number of calls in flight when it started; `late`: it had been counted as admitted."""
        if call.in_burst:
            self._dimensions.record_refusal(call)
            self._record_burst(now, refused=True)
            return
        self._consecutive += 1
        self._latest_refused = (self._latest_refused << 1 | 1) & (1 << _LATEST) - 1
        self._dimensions.record_refusal(call)
        cap, breaker = self._cap, self._breaker
        if cap.is_reached(in_flight, first=self._consecutive == 1):
            if cap.limit > in_flight >= cap.least:
                cap.fail_probe(float(in_flight))
                self._recorder.record_limit(now, f"refused with {in_flight} in flight, at the known cap")
            return
        if breaker.is_open and call.started > breaker.since:
            return
        if self._shedding.record_refusal():
            return
        # The call admitted last started later than one that was refused late: its estimate is from another time.
        pacer = self._dimensions.charge(call, call.tokens if late else self._last_tokens)
        if (
            not pacer.is_known
            and not self._is_young
            and not self.is_shed
            and self._latest_refused.bit_count() < _MIN_REFUSED
        ):
            return
        proof = cap.record_refusal(in_flight, call.started, pacer.rate.value)
        if proof is None:
            self._test_chance(now, pacer, call)
            self._cut(now, pacer, call, in_flight, late=late)
            return
        pacer.rate.restore(proof.rate)
        pacer.yield_to_cap()
        self._charges.forget(proof.since)
        breaker.reset()
        limit = int(cap.limit)
        self._recorder.record_all(
            now, f"refused only with {limit} or more in flight, never with fewer: a cap on concurrency"
        )

    def _test_chance(self, now: float, pacer: Pacer, call: Call) -> None:
        """Start a burst if the refusal of a call, the first one of an exhaustion, may be by chance."""
        if not _TESTED <= pacer.rate.value < math.inf or call.started < pacer.rate.last_cut or self._is_by_size:
            return
        until = now + self._admissions.confirmation_age
        if self._shedding.record_cut(call.started, until, early=pacer.rate.is_early):
            self._dimensions.start_burst(BURST, until)

    @property
    def _is_by_size(self) -> bool:
        return self._dimensions.charged is self._dimensions.tokens

    def _record_burst(self, now: float, *, refused: bool) -> None:
        if not self._is_by_size and self._shedding.record_burst(refused=refused):
            pacer = self._dimensions.charged
            pacer.rate.restore(math.inf)
            self._charges.forget(-math.inf)
            self._cap.test = None
            self._recorder.record_rate(
                now, pacer, "after refusals several calls at once were admitted: calls are refused by chance"
            )

    def charge_series(self, now: float, since: float, call: Call) -> None:
        """Charge an unbroken series of refusals as one: from that of a call that started at `since` to that of `call`."""
        pacer = self._dimensions.charged
        if pacer.is_known or self._is_young or self.is_shed or self._cap.probed < math.inf:
            return
        cut = Cut(now, since, pacer.rate.mean, self._consecutive, pacer.recent_rate())
        self._charges.charge(call.order, pacer, cut)
        pacer.drop_claim()
        self._recorder.record_rate(
            now, pacer, "call after call was refused: the rate is set to what was admitted until then"
        )

    def excuse(self, now: float, call: Call) -> None:
        """Take back what the refusal of a call was charged: it said nothing about the limit."""
        pacer = self._charges.take_back(call.order)
        if pacer is not None:
            self._recorder.record_rate(now, pacer, "a call was refused for its own sake: its charge is taken back")

    @property
    def is_shed(self) -> bool:
        """Whether a share of the calls is refused by chance, as far as is known."""
        return self._shedding.share > 0

    @property
    def _is_young(self) -> bool:
        return self._admissions.admitted < _LATEST

    def _cut(self, now: float, pacer: Pacer, call: Call, in_flight: int, *, late: bool) -> None:
        recent = pacer.recent_rate()
        if late and not pacer.is_known:
            began = self._admissions.first_start
            recent = _LATE * recent or pacer.rate.mean * call.order / max(1.0, call.started - began)
        cut = Cut(now, call.started, pacer.cost(call), self._consecutive, recent)
        self._charges.charge(call.order, pacer, cut)
        pacer.drop_claim()
        self._recorder.record_rate(now, pacer, self._reason_of_cut(call, in_flight))

    def _reason_of_cut(self, call: Call, in_flight: int) -> str:
        refused, (most, at) = f"refused with {in_flight} in flight", self._cap.admitted
        if not self._cap.belief:
            return f"{refused}: presumably a limit on the rate"
        if most < in_flight or at >= call.started:
            return f"{refused}, where more were admitted before: a limit on the rate"
        return f"{refused}, but {most} were admitted {format_wait(call.started - at)} before: a limit on the rate"
