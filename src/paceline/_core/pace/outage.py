"""Outage: how long a provider that refuses everything is left alone, and what that time was, once it admits calls again.

Rules owned here:

1. The wait for the next probe is weighed against the known rate: waiting loses the calls that could have been made.
2. A time of a few calls with the breaker open is an exhaustion like others. A longer one was a *window* if nothing had been refused
   amid admissions since the breaker was last closed, and no concurrency cap is known: the time from the start of one
   window to that of the next, with the calls in it, measures its rate. Otherwise it was an *outage*, which says nothing about limits.
   Where the breaker was open for no other reason than the wait that the provider asked for, the window may have been shorter: then the rate is
   the least that is possible, and not remembered.
3. The first such time, and one after hardly any calls, may just as well have been an outage, unless a wait that counted down ended it: the
   slow start restarts at the rate that such a window would have. It is used up early then, and the second one measures it. If no call was
   admitted before, it was an outage.
4. A time in which faults had opened the breaker, and an idle time, are excluded from the measures.
"""

from __future__ import annotations

import math

from ..quota import positive_number
from .admissions import Admissions, Call
from .breaker import FEW, TICK, Breaker, Streaks
from .concurrency_cap import ConcurrencyCap
from .dimensions import Dimensions
from .recorder import PaceRecorder

_BRIEF_CALLS, _BRIEF_AGES = 8.0, 4.0  # calls' time, and confirmation ages: an outage shorter than both is brief
_MAX_GAP = 10.0  # refusal latencies that one call's time counts as, at most, while young
_MIN_WINDOW = 8.0  # calls: an outage after fewer says nothing of a window


class Outage:
    """Opens and closes the breaker, and learns from the time between."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts that an outage concerns
        self,
        admissions: Admissions,
        dimensions: Dimensions,
        cap: ConcurrencyCap,
        breaker: Breaker,
        recorder: PaceRecorder,
        streaks: Streaks,
    ) -> None:
        self._admissions, self._dimensions, self._cap = admissions, dimensions, cap
        self._streaks, self._breaker, self._recorder = streaks, breaker, recorder
        self._recovered_at = 0.0  # when the latest outage ended, moved on by the times that are excluded
        self._admitted_before = (0.0, 0.0)  # requests and tokens admitted until then
        self._was_tried = False  # whether the rate was set free after an outage that might be a window
        self._refused_amid = False  # whether refusals were followed by admissions since then

    def start(self, now: float) -> None:
        """Start, with the breaker closed."""
        self._recovered_at = now

    def exclude(self, seconds: float) -> None:
        """Exclude a time in which nothing was learned about limits from the measures."""
        self._recovered_at += seconds

    def record_refused_amid(self) -> None:
        """Record that an admission followed refusals: the limit is not exhausted, or not all of it."""
        if not self._breaker.is_open:
            self._refused_amid = True

    def begin(self, now: float, since: float, asked: float | None, *, by_faults: bool) -> None:
        """Open the breaker, and schedule the first probe."""
        self._breaker.trip(since, by_faults=by_faults, asked=asked)
        self.schedule_probe(now, asked)

    def schedule_probe(self, now: float, asked: float | None) -> None:
        """Set when the next probe may start; `asked`: seconds that the provider asked to wait, if it did."""
        admissions, breaker = self._admissions, self._breaker
        rate, recent = self._dimensions.charged.rate, self._dimensions.charged.recent_rate()
        pace = rate.value if rate.value < math.inf else max(recent, rate.mean)
        average = self._used / max(TICK, now - self._recovered_at)
        young, gap = admissions.admitted < FEW, rate.mean / pace
        if young:
            gap = min(gap, _MAX_GAP * admissions.refusal_latency)
        average_gap = rate.mean / max(1e-9, min(pace, average))
        latency = admissions.refusal_latency
        breaker.schedule_probe(now, asked, refusal_latency=latency, gap=gap, average_gap=average_gap, young=young)
        what = "failed" if breaker.by_faults else "was refused"
        seconds = positive_number(asked)
        wait = "" if seconds is None else f", and {seconds:.3g} s were asked for"
        self._recorder.record_breaker(now, f"every call {what} for {now - breaker.since:.3g} s{wait}")

    def end(self, now: float, call: Call) -> None:
        """Close the breaker for an admitted call."""
        breaker, dimensions = self._breaker, self._dimensions
        open_for, by_faults = call.started - breaker.since, breaker.by_faults
        breaker.learn_wait()
        breaker.reset()
        self._streaks.end_rows()
        dimensions.empty_buckets(now)
        self._recorder.record_breaker(now, "a call was admitted again")
        if by_faults:
            self._admissions.restart_rate()  # or the outage would be a part of it
            self._streaks.restart_share(now)
            self.exclude(open_for)
            dimensions.restart_measures(now, call.started)
        elif self._is_brief(open_for):
            self._refused_amid = True
        else:
            if not self._refused_amid and self._cap.probed == math.inf:
                self._learn_window(now, call, open_for)
            self._recovered_at, self._refused_amid = call.started, False
            requests, tokens = dimensions.requests.rate, dimensions.tokens.rate
            self._admitted_before = (requests.admitted - 1.0, tokens.admitted - call.tokens)
            dimensions.restart_measures(now, call.started)
            dimensions.charged.rate.start_cycle()

    @property
    def _used(self) -> float:
        """Units of the charged dimension admitted since the latest outage ended."""
        dimensions = self._dimensions
        return dimensions.charged.rate.admitted - self._admitted_before[dimensions.charged is dimensions.tokens]

    def _is_brief(self, open_for: float) -> bool:
        rate, recent = self._dimensions.charged.rate, self._dimensions.charged.recent_rate()
        pace = rate.value if rate.value < math.inf else max(recent, 1e-9)
        return open_for < max(_BRIEF_CALLS * rate.mean / pace, _BRIEF_AGES * self._admissions.confirmation_age)

    def _learn_window(self, now: float, call: Call, open_for: float) -> None:
        pacer, breaker = self._dimensions.charged, self._breaker
        rate, own = pacer.rate, pacer.cost(call)
        used, seconds = self._used - own, max(TICK, call.started - self._recovered_at)
        is_small = used < _MIN_WINDOW * rate.mean
        cause = "a window was used up"
        if not rate.best and (is_small or not (self._was_tried or breaker.obeyed)):
            cause = "an outage, or a small window" if used else "an outage"
            self._was_tried = not is_small
            self._admissions.restart_rate()
            pacer.restart(now, used / seconds if used else math.inf)
        else:
            rate.learn_window(max(own, used), seconds, max(TICK, open_for), measured=breaker.is_measured)
        self._cap.test = None
        self._recorder.record_rate(now, pacer, f"refused everything for {open_for:.3g} s: {cause}")
