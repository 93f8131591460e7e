"""Admissions: which calls the provider admitted, and how many were in flight when each started.

Rules owned here:

1. Refusals come back fast and answers slowly, so an admission is confirmed by age: a call is judged once it has settled, or once
   it is older than a refusal would be.
2. Calls are judged in the order of their starts, each once. A call that failed for another reason is no evidence. One that was refused
   for the sake of its item counts in the rate of admission alone: the provider had room to look at it.
3. The number in flight at a call's start is exact: calls admitted before it, less those of them that had completed by then.
   Refused calls are not counted, however many were on their way.
4. A refusal that comes later than expected had been counted as an admission. The count is corrected, and from then on calls are
   judged as late as that one would have needed.
5. The rates of admission are measured over as long as a verdict takes. Before the first refusal that is two round trips, if these are
   short: a pace that is doubled by each measure then grows with the round trips, as TCP's slow start does.
"""

from __future__ import annotations

import enum
import math
from bisect import insort
from collections import deque

import attrs

_FIRST_AGE = 0.6  # seconds: a few round trips, as no refusal has been timed yet
_MIN_AGE = 0.1  # seconds
_AGE_MARGIN = 2.0  # times the slow quantile of the latest refusals' latencies
_TIMED_REFUSALS = 20  # latest refusals whose latencies are kept
_SLOW_QUANTILE = 0.9  # of their latencies: one straggler among many does not delay all evidence
MIN_RATE_CALLS = 16  # admissions or answers, at least, that a rate is measured over
_SPAN, _WEIGHT = 2.0, 0.1  # times the latency of the latest answers; weight of each in its moving average


_NO_LATENCIES: deque[float] = deque()  # of a lane that refuses nothing, as most do; nothing is ever put in here


class Outcome(enum.Enum):
    """How a call ended, as far as limits are concerned."""

    UNKNOWN = enum.auto()
    ADMITTED = enum.auto()
    REFUSED = enum.auto()
    EXCUSED = enum.auto()
    NO_EVIDENCE = enum.auto()


# Looking up a member of an enumeration costs more than comparing it, and each call is compared several times.
_UNKNOWN, _ADMITTED, _REFUSED = Outcome.UNKNOWN, Outcome.ADMITTED, Outcome.REFUSED
_EXCUSED, _NO_EVIDENCE = Outcome.EXCUSED, Outcome.NO_EVIDENCE


@attrs.define(eq=False)
class Call:
    """One started call: the ticket with which its end is reported."""

    order: int
    """Number of calls started before it."""
    started: float
    """When it started, in seconds."""
    tokens: float
    """Tokens it was expected to cost."""
    completed: int
    """Number of admitted calls that had completed when it started."""
    paced: bool
    """Whether the rate had delayed it."""
    filled: bool
    """Whether it brought the calls in flight up to the limit."""
    spare: bool = False
    """Whether it started at once, from the reserve."""
    in_burst: bool = False
    """Whether it started at once too, to test what the refusal before it was for."""
    outcome: Outcome = Outcome.UNKNOWN
    judged: bool = False


class Admissions:
    """The started calls, judged in the order of their starts."""

    def __init__(self) -> None:
        self.confirmation_age = _FIRST_AGE
        """Seconds after which a call that was not refused counts as admitted."""
        self.refusal_latency = _FIRST_AGE / 3
        """Median seconds that a refusal takes: about a round trip."""
        self.started = 0
        self.latest_start = 0.0
        """When the latest call started, in seconds."""
        self.first_start = 0.0
        """When the first call started, in seconds."""
        self.admitted = self.refused = 0
        self.completed = 0
        self._unjudged: deque[Call] = deque()
        self._latencies = _NO_LATENCIES  # of the latest refusals, in order of arrival
        self._sorted_latencies: list[float] = []
        self._recent: deque[tuple[float, float]] = deque()  # start and tokens of the latest admissions
        self._recent_tokens = 0.0
        self._latency = 0.0  # seconds that an answer takes lately, before the first refusal; 0: none came
        self._span = _FIRST_AGE  # seconds, at least, that the rates of admission are measured over

    def record_start(self, now: float, tokens: float, *, paced: bool, filled: bool) -> Call:
        """Record a call that starts now, and return its ticket."""
        if not self.started:
            self.first_start = now
        call = Call(self.started, now, tokens, self.completed, paced, filled)
        self.started += 1
        self.latest_start = now
        self._unjudged.append(call)
        return call

    def next_judged(self, now: float) -> Call | None:
        """Return the next call that can be judged, admitted or refused; None: no call can be judged yet."""
        unjudged = self._unjudged
        while unjudged:
            call = unjudged[0]
            outcome = call.outcome
            if outcome is _UNKNOWN and call.started > now - self.confirmation_age:
                return None
            unjudged.popleft()
            call.judged = True
            if outcome is _NO_EVIDENCE:
                continue
            if outcome is _EXCUSED:
                self._add_to_rate(call)
                continue
            if outcome is not _REFUSED:
                self.admitted += 1
                self._add_to_rate(call)
            return call
        return None

    def in_flight(self, call: Call) -> int:
        """Return how many admitted calls, without itself, were in flight when a call that was just judged started."""
        others = self.admitted - (call.outcome is not _REFUSED) - call.completed
        return others if others > 0 else 0  # noqa: FURB136 - a condition is faster than max(), and this runs for each call

    def in_flight_before(self, call: Call) -> int:
        """Return about how many admitted calls were in flight when a call started that was counted as admitted, and refused late."""
        return max(0, min(self.admitted, call.order - self.refused) - call.completed)

    def verdict_at(self) -> float:
        """Return the latest time at which the next call can be judged; inf if no call is waiting."""
        return self._unjudged[0].started + self.confirmation_age if self._unjudged else math.inf

    def record_answer(self, call: Call, now: float) -> None:
        """Record that a call was answered."""
        call.outcome = _ADMITTED
        self.completed += 1
        if not self._latencies:  # before the first refusal
            self._latency += (now - call.started - self._latency) * (_WEIGHT if self._latency else 1.0)
            self._span = min(self.confirmation_age, _SPAN * self._latency)

    def record_refusal(self, call: Call, now: float) -> bool:
        """Record that a call was refused; return whether it had been counted as admitted."""
        call.outcome = _REFUSED
        self.refused += 1
        if call.judged:
            self.completed += 1
            self._remove_from_rate(call)
        self._time_refusal(now - call.started)
        return call.judged

    def record_no_evidence(self, call: Call, *, excused: bool = False) -> None:
        """Record that a call ended in a way that says nothing about limits; `excused`: it was refused for the sake of its item."""
        call.outcome = _EXCUSED if excused else _NO_EVIDENCE
        if call.judged:
            self.completed += 1

    @staticmethod
    def excuse(call: Call) -> None:
        """Record that a refused call was refused for the sake of its item, in case it is not judged yet."""
        call.outcome = _EXCUSED

    def rate(self) -> float:
        """Return the calls admitted per second, over the latest admissions; 0 before there were two."""
        recent = self._recent
        if len(recent) < 2:  # noqa: PLR2004 - a rate needs two points
            return 0.0
        return (len(recent) - 1) / max(1e-9, recent[-1][0] - recent[0][0])

    def token_rate(self) -> float:
        """Return the tokens admitted per second, over the latest admissions; 0 before there were two."""
        recent = self._recent
        if len(recent) < 2:  # noqa: PLR2004 - a rate needs two points
            return 0.0
        return (self._recent_tokens - recent[0][1]) / max(1e-9, recent[-1][0] - recent[0][0])

    def restart_rate(self) -> None:
        """Measure the rates of admission from here on."""
        self._recent.clear()
        self._recent_tokens = 0.0

    def _add_to_rate(self, call: Call) -> None:
        if call.spare:
            return
        recent = self._recent
        recent.append((call.started, call.tokens))
        self._recent_tokens += call.tokens
        oldest = call.started - self._span
        while len(recent) > MIN_RATE_CALLS and recent[0][0] < oldest:
            self._recent_tokens -= recent.popleft()[1]

    def _remove_from_rate(self, call: Call) -> None:
        """Remove an admission and all later ones: those too were only presumed, and may yet be refused."""
        recent = self._recent
        while recent and recent[-1][0] >= call.started:
            self._recent_tokens -= recent.pop()[1]

    def _time_refusal(self, latency: float) -> None:
        if self._latencies is _NO_LATENCIES:
            self._latencies = deque()
        latencies, ordered = self._latencies, self._sorted_latencies
        latencies.append(latency)
        insort(ordered, latency)
        if len(latencies) > _TIMED_REFUSALS:
            ordered.remove(latencies.popleft())
        slow = ordered[math.ceil(_SLOW_QUANTILE * len(ordered)) - 1]
        self.confirmation_age = max(_MIN_AGE, _AGE_MARGIN * slow)
        self.refusal_latency = ordered[len(ordered) // 2]
        self._span = self.confirmation_age
