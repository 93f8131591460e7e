"""Which calls did the provider admit, and how many were in flight when each was started?

Rules owned here:

1. Refusals come back fast and answers slowly, so an admission is confirmed by age: a call is judged once it has settled, or
   once it is older than a refusal would be.
2. Calls are judged in the order in which they started, each once. One that failed in another way is no evidence.
3. The number in flight at a call's start is exact: calls admitted before it, less those of them that had completed by then.
   Refused calls, however many were on their way, are not in it.
4. A refusal that comes later than expected was taken for an admission: the books are put right, and from then on calls
   are judged as late as that one would have needed.
"""

from __future__ import annotations

import enum
import math
from bisect import insort
from collections import deque

import attrs

_FIRST_AGE = 0.6  # seconds: a few round trips, as no refusal has been timed yet
_LEAST_AGE = 0.1
_MARGIN = 2.0  # times the slow refusals seen lately
_REMEMBERED = 20  # refusals
_QUANTILE = 0.9  # of their latencies: one stray straggler among many does not delay all evidence
_RATE_CALLS = 16  # admissions that a rate is measured over, at least


class Outcome(enum.Enum):
    """How a call ended, as far as limits go."""

    UNKNOWN = enum.auto()
    ADMITTED = enum.auto()
    REFUSED = enum.auto()
    NO_EVIDENCE = enum.auto()


# To look a member of an enumeration up costs more than to compare it, and each call is compared often.
_UNKNOWN, _REFUSED, _NO_EVIDENCE = Outcome.UNKNOWN, Outcome.REFUSED, Outcome.NO_EVIDENCE


@attrs.define(eq=False)
class Call:
    """One started call: the ticket that its end is reported with."""

    order: int
    """Calls started before it."""
    started: float
    tokens: float
    completed: int
    """Admitted calls that had completed when it started."""
    paced: bool
    """Whether the rate had held it back."""
    filled: bool
    """Whether it took the last of the workers."""
    outcome: Outcome = Outcome.UNKNOWN
    judged: bool = False


class Admissions:
    """The calls that were started, judged in that order."""

    def __init__(self) -> None:
        self.age = _FIRST_AGE
        """Seconds after which a call that was not refused counts as admitted."""
        self.round_trip = _FIRST_AGE / 3
        """Seconds that a refusal takes, about."""
        self.started = 0
        self.admitted = 0
        self.completed = 0
        self._unjudged: deque[Call] = deque()
        self._latencies: deque[float] = deque()
        self._sorted: list[float] = []
        self._recent: deque[tuple[float, float]] = deque()
        self._recent_tokens = 0.0

    def start(self, now: float, tokens: float, *, paced: bool, filled: bool) -> Call:
        """Note a call that starts now."""
        call = Call(self.started, now, tokens, self.completed, paced, filled)
        self.started += 1
        self._unjudged.append(call)
        return call

    def next(self, now: float) -> Call | None:
        """Return the next call that can be judged: admitted or refused."""
        unjudged = self._unjudged
        while unjudged:
            call = unjudged[0]
            outcome = call.outcome
            if outcome is _UNKNOWN and call.started > now - self.age:
                return None
            unjudged.popleft()
            call.judged = True
            if outcome is _NO_EVIDENCE:
                continue
            if outcome is not _REFUSED:
                self.admitted += 1
                self._note(call)
            return call
        return None

    def in_flight(self, call: Call) -> int:
        """Return how many admitted calls were in flight when a call, just judged, started; without itself."""
        admitted_before = self.admitted - (call.outcome is not _REFUSED)
        return max(0, admitted_before - call.completed)

    def verdict_at(self) -> float:
        """Return when the next call can be judged at the latest; inf: there is none."""
        return self._unjudged[0].started + self.age if self._unjudged else math.inf

    def served(self, call: Call) -> None:
        """Note that a call was answered."""
        call.outcome = Outcome.ADMITTED
        self.completed += 1

    def refused(self, call: Call, now: float) -> bool:
        """Note that a call was refused; return whether it had been taken for an admission."""
        call.outcome = Outcome.REFUSED
        if call.judged:
            self.completed += 1
            self._retract(call)
        self._time(now - call.started)
        return call.judged

    def failed(self, call: Call) -> None:
        """Note that a call ended in a way that says nothing of limits."""
        call.outcome = Outcome.NO_EVIDENCE
        if call.judged:
            self.completed += 1

    def rate(self) -> float:
        """Return the calls admitted a second, over the latest of them; 0 before there were two."""
        recent = self._recent
        if len(recent) < 2:  # noqa: PLR2004 - a rate needs two points
            return 0.0
        return (len(recent) - 1) / max(1e-9, recent[-1][0] - recent[0][0])

    def token_rate(self) -> float:
        """Return the tokens admitted a second, over the latest calls."""
        recent = self._recent
        if len(recent) < 2:  # noqa: PLR2004
            return 0.0
        return (self._recent_tokens - recent[0][1]) / max(1e-9, recent[-1][0] - recent[0][0])

    def forget_rate(self) -> None:
        """Measure what is admitted a second from here on."""
        self._recent.clear()
        self._recent_tokens = 0.0

    def _note(self, call: Call) -> None:
        recent = self._recent
        recent.append((call.started, call.tokens))
        self._recent_tokens += call.tokens
        oldest = call.started - self.age
        while len(recent) > _RATE_CALLS and recent[0][0] < oldest:
            self._recent_tokens -= recent.popleft()[1]

    def _retract(self, call: Call) -> None:
        """Take back an admission, and those after it: taken for admissions too, they may yet come back refused."""
        recent = self._recent
        while recent and recent[-1][0] >= call.started:
            self._recent_tokens -= recent.pop()[1]

    def _time(self, latency: float) -> None:
        latencies, ordered = self._latencies, self._sorted
        latencies.append(latency)
        insort(ordered, latency)
        if len(latencies) > _REMEMBERED:
            ordered.remove(latencies.popleft())
        slow = ordered[math.ceil(_QUANTILE * len(ordered)) - 1]
        self.age = max(_LEAST_AGE, _MARGIN * slow)
        self.round_trip = ordered[len(ordered) // 2]
