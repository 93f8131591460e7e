"""How long is a provider left alone that refuses everything, and what had it been, once it admits calls again?

Rules owned here:

1. The wait for the next probe is measured against the known pace: what is lost by waiting is what would have been called.
2. A closure of a few calls' time is an exhaustion like others. A longer one was a *window* if nothing had been refused
   amid admissions since the last opening, and no cap is known: the time from opening to opening, with the calls in it, is a
   measure of its rate. Else it was an *outage*, which says nothing of limits.
3. A window of hardly any calls, with nothing measured before, tells nothing: the start begins anew.
4. A closure by faults, and a time without any call, are left out of the books.
"""

from __future__ import annotations

import math

from .admissions import Admissions, Call
from .breaker import Breaker, Streaks
from .concurrency_cap import ConcurrencyCap
from .dimensions import Dimensions
from .history import PaceRecorder

_BRIEF_GAPS, _BRIEF_AGES = 8.0, 4.0  # calls' time; times the age of evidence: a closure shorter than both is brief
_YOUNG = 20  # admissions
_QUICK = 10.0  # round trips that a wait of one call's time is taken for, at most, while young
_TELLING = 8.0  # calls: a closure after fewer tells nothing of a window
_SHORTEST = 1e-3  # seconds


class Outage:
    """Closed, and open again."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts that a closure concerns
        self,
        evidence: Admissions,
        handles: Dimensions,
        workers: ConcurrencyCap,
        gate: Breaker,
        telling: PaceRecorder,
        streaks: Streaks,
    ) -> None:
        self._evidence, self._handles, self._workers = evidence, handles, workers
        self._streaks, self._gate, self._telling = streaks, gate, telling
        self._opened = 0.0  # when the latest opening was; later where time was left out
        self._admitted_before = (0.0, 0.0)  # until that opening: requests and tokens
        self._refused_amid = False  # whether refusals were followed by admissions since then

    def begin(self, now: float) -> None:
        """Begin open."""
        self._opened = now

    def leave_out(self, seconds: float) -> None:
        """Leave a time out of the books, in which nothing was learned of limits."""
        self._opened += seconds

    def refused_amid_admissions(self) -> None:
        """Hear that an admission has followed refusals: what limits is not spent, or not all of it."""
        if not self._gate.closed:
            self._refused_amid = True

    def close(self, now: float, since: float, asked: float | None, *, by_faults: bool) -> None:
        """Close, and wait for the first probe."""
        self._gate.close(since, by_faults=by_faults, asked=asked)
        self.wait(now, asked)

    def wait(self, now: float, asked: float | None) -> None:
        """Set when the next probe may start."""
        evidence, gate = self._evidence, self._gate
        rate, recent = self._handles.charged.rate, self._handles.charged.recent()
        pace = rate.value if rate.value < math.inf else max(recent, rate.mean)
        average = self._used / max(_SHORTEST, now - self._opened)
        young, gap = evidence.admitted < _YOUNG, rate.mean / pace
        if young:
            gap = min(gap, _QUICK * evidence.round_trip)
        gaps = rate.mean / max(1e-9, min(pace, average))
        gate.wait(now, asked, round_trip=evidence.round_trip, gap=gap, gaps=gaps, young=young)
        why = "fault" if gate.by_faults else "refusal"
        self._telling.gate(now, f"closed since {now - gate.since:.3g} s, {why} upon {why}")

    def reopen(self, now: float, call: Call) -> None:
        """Open for an admitted call."""
        gate, handles = self._gate, self._handles
        closed, by_faults = call.started - gate.since, gate.by_faults
        gate.open()
        self._streaks.restart()
        handles.restart_spacing(now)
        self._telling.gate(now, "a call was admitted again")
        if by_faults:
            self._streaks.spare(now)
            self.leave_out(closed)
            handles.exhausted(now, call.started)
        elif self._is_brief(closed):
            self._refused_amid = True
        else:
            if not self._refused_amid and self._workers.ceiling == math.inf:
                self._learn_window(now, call, closed)
            self._opened, self._refused_amid = call.started, False
            requests, tokens = handles.requests.rate, handles.tokens.rate
            self._admitted_before = (requests.admitted - 1.0, tokens.admitted - call.tokens)
            handles.exhausted(now, call.started)
            handles.charged.rate.begin_cycle()

    @property
    def _used(self) -> float:
        """Units admitted since the opening, of what is charged."""
        handles = self._handles
        return handles.charged.rate.admitted - self._admitted_before[handles.charged is handles.tokens]

    def _is_brief(self, closed: float) -> bool:
        rate, recent = self._handles.charged.rate, self._handles.charged.recent()
        pace = rate.value if rate.value < math.inf else max(recent, 1e-9)
        return closed < max(_BRIEF_GAPS * rate.mean / pace, _BRIEF_AGES * self._evidence.age)

    def _learn_window(self, now: float, call: Call, closed: float) -> None:
        handle, seconds = self._handles.charged, max(_SHORTEST, closed)
        rate, own = handle.rate, handle.cost(call)
        used = self._used - own
        if used < _TELLING * rate.mean and not rate.best:
            self._evidence.forget_rate()
            handle.begin_again(now, seconds)
        else:
            rate.learn_window(max(own, used), max(_SHORTEST, call.started - self._opened), seconds)
        self._workers.test = None
        self._telling.rate(now, handle, f"closed for {closed:.3g} s: a window was spent")
