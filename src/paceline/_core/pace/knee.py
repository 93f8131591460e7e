"""How many calls are of use, where a busy server never refuses but grows slow?

By Little's law a server that delivers x calls a second, each in L seconds when unloaded, is kept busy by x L calls. More
only wait inside it. BBR keeps TCP's flows near that product in the same way.

Rules owned here:

1. L is the median of the first calls, in the order of their starts, a fifth more as a mean is above a median: they met the
   least load of ours. Until it is known, calls in flight grow with those that were answered, so that a small server is not
   buried before it could be measured.
2. During start-up up to 3 times x L calls, and at least 40, are of use; afterwards 1.5 times, and at least 8.
3. Start-up ends when the delivery rate is flat for three rounds while the latency rose, or when many calls fail. A round is
   40 completions, and L.
4. Three unloaded rounds in a row, with all workers busy, begin it anew: the server has grown.
5. If the limit fell by a third and the delivery rate with it, the calls had been of use: the work has changed, not the load.
   The limit is restored, and L follows.
6. Where the bound holds calls back and they take steadily longer than L, half as many more are tried for a while. If each
   still takes as long, the load was not to blame: L follows. If not, the next trial waits twice as long. L follows at once
   where calls become quicker, unless the limit grows: then the quick ones are merely the first to be answered.
"""

from __future__ import annotations

from bisect import insort
from collections import deque

import attrs

_FIRST = 20  # calls that L is the median of
_SKEW, _SKEW_WEIGHT = 1.2, 0.3  # times the median: the mean, at first; weight of a round's
_ROUND = 40  # completions
_IN_A_ROW = 3  # rounds

_FEW, _PER_ANSWER = 20.0, 4.0  # calls in flight, while L is not known
_STARTING, _LEAST = 40.0, 8.0  # calls that are of use at least: in start-up, and later
_START_GAIN, _AGAIN_GAIN, _GAIN = 3.0, 2.0, 1.5  # times x L: in start-up, when it begins anew, and later
_CALM_OF, _CALM = (
    16,
    1.6,
)  # latest calls; times L: where they take longer on average, no more than the later gain is of use

_FLAT = 1.25  # times the best delivery rate: less is no growth
_LOADED, _BURIED = 1.5, 3.0  # times L: the load shows; it is far too high
_SLOW = 2.0  # times L: a start-up in which calls take that long does not grow
_UNLOADED = 1.15  # times L: the load does not show
_ABOVE = 1.02  # times what is of use: what is above is taken down
_LOWER, _LOWER_BURIED = 0.8, 0.5  # times the limit, in a round
_FELL, _DELIVERED_LESS = 0.65, 0.82  # times the limit, and the delivery rate, before a cut: those calls had been of use

_TRIAL, _AS_FAST = 1.5, 1.2  # times the limit; times the latency: what load explains is midway, the square root of 1.5
_FIRST_WAIT, _LONGEST_WAIT = 2, 32  # rounds between trials
_FILLED_WITHIN = 6  # rounds: else something other than the knee holds the calls back
_FASTER = 0.8  # times L: more than chance in a round

_RATE_CALLS = 16  # completions that a delivery rate is measured over, at least
_SPAN_STARTING, _SPAN = (1.0, 0.25), (2.0, 2.0)  # seconds, and times L, that it is measured over, at least
_GUESS = 2.0  # seconds: L, while it is not known
_BEST_OF, _BEST_OF_CALLS = 10.0, 2.0  # seconds, or times L, that the best delivery rate is remembered


@attrs.define(eq=False)
class _Cut:
    limit: float
    delivered: float


@attrs.define(eq=False)
class _Trial:
    """More calls than are thought to be of use, to see whether each then takes longer."""

    limit: float
    """Before it."""
    latency: float
    """Of a call, before it."""
    target: float
    """Calls in flight to be tried."""
    rounds: int = 0
    loaded: bool = False
    """Whether the latest round ran under all of them."""


class Knee:
    """The number of calls in flight that are of use: `bound`."""

    def __init__(self, ceiling: float) -> None:
        self.ceiling = ceiling
        self.bound = min(ceiling, _FEW)
        self.latency = 0.0
        """L; 0: not known."""
        self.starting = True
        self._median = 0.0
        self._recent: deque[float] = deque(maxlen=_CALM_OF)
        self._skew = _SKEW
        self._latencies: list[float] = []
        self._first: dict[int, float] = {}  # when the first calls had started, those on their way
        self._first_latencies: list[float] = []
        self._answered = 0
        self._completions: deque[float] = deque()
        self._rates: deque[tuple[float, float]] = deque()  # delivery rates, falling: a running maximum
        self._top = 0.0
        self._reference = 0.0
        self._flat = 0
        self._free = 0
        self._gain = _START_GAIN
        self._began = 0.0
        self._cut: _Cut | None = None
        self._before = 0.0  # the limit, a round ago
        self._took = 0.0  # seconds that a call of the latest round took
        self._trial: _Trial | None = None
        self._trial_due = self._trial_wait = _FIRST_WAIT

    @property
    def _useful(self) -> float:
        return min(self.ceiling, max(_LEAST, _GAIN * self._top * self.latency))

    def started(self, now: float, order: int) -> None:
        """Hear of a start, while L is not known."""
        if len(self._first) + len(self._first_latencies) < _FIRST:
            self._first[order] = now

    def lost(self, order: int) -> None:
        """Hear that a call was not answered: another one is measured in its place."""
        self._first.pop(order, None)

    def recall(self, latency: float, limit: int) -> None:
        """Start from what was learned before."""
        self.latency, self._median = latency, latency / self._skew
        self.bound = min(self.ceiling, max(_STARTING, float(limit)))

    def spare(self, now: float) -> None:
        """Hear that many calls failed: a server that is buried lets them time out, and the start-up may have buried it."""
        self.starting = False
        self._latencies, self._began = [], now + self.latency  # the calls of before say nothing of what follows

    def _measure_first(self, now: float, order: int, latency: float) -> None:
        self._answered += 1
        if self._first.pop(order, None) is None:
            return
        insort(self._first_latencies, latency)
        if len(self._first_latencies) <= _FIRST // 2:
            return
        median = self._first_latencies[_FIRST // 2]
        if all(now - started >= median for started in self._first.values()):
            self._median, self._began = median, now
            self.latency = self._skew * median

    def completed(self, now: float, order: int, started: float) -> bool:
        """Hear of an answer; return whether a round has ended."""
        latency = now - started
        completions, rates = self._completions, self._rates
        least, times = _SPAN_STARTING if self.starting else _SPAN
        span = max(least, times * (self.latency or _GUESS))
        completions.append(now)
        while len(completions) > _RATE_CALLS and completions[0] < now - span:
            completions.popleft()
        if not self.latency:
            self._measure_first(now, order, latency)
        rate = (len(completions) - 1) / max(span, now - completions[0])
        while rates and rates[-1][1] <= rate:
            rates.pop()
        rates.append((now, rate))
        while rates[0][0] < now - max(_BEST_OF, _BEST_OF_CALLS * self.latency):
            rates.popleft()
        self._top = rates[0][1]
        if not self.latency:
            self.bound = min(self.ceiling, _FEW + _PER_ANSWER * self._answered)
            return False
        if self.starting:
            self._recent.append(latency)
            calm = sum(self._recent) < _CALM * self.latency * len(self._recent)
            gain = self._gain if calm else _GAIN
            self.bound = min(self.ceiling, max(_STARTING, gain * self._top * self.latency))
        else:
            self.bound = self._useful
        if self._trial is not None:
            self.bound = min(self.ceiling, max(self.bound, self._trial.target))
        if now < self._began:
            return False
        self._latencies.append(latency)
        return len(self._latencies) >= _ROUND and now - self._began >= max(self.latency, span)

    def round(self, now: float, limit: float, *, alone: bool, binding: bool) -> float:
        """End a round; return the limit that is of use now.

        Args:
            now: seconds.
            limit: of the workers.
            alone: whether nothing else limits them: no rate, no cap.
            binding: whether all workers were busy lately.
        """
        latencies = sorted(self._latencies)
        delivered = len(latencies) / max(1e-9, now - self._began)
        self._latencies, self._began = [], now
        latency = sum(latencies) / len(latencies)
        skew = latency / max(1e-9, latencies[len(latencies) // 2])
        self._skew += _SKEW_WEIGHT * (max(1.0, skew) - self._skew)
        self.latency = self._skew * self._median
        if limit <= self._before and latency < _FASTER * self.latency:
            self._learn(latency)  # while the limit grows, the quick calls are the first to be answered
        self._before = limit
        limit = self._try_more(now, limit, latency, binding=binding)
        if self._trial is not None:
            return limit
        if alone and self.starting:
            self._flat = self._flat + 1 if self._top < _FLAT * self._reference or latency > _SLOW * self.latency else 0
            self._reference = max(self._reference, self._top)
            if self._flat >= _IN_A_ROW and latency > _LOADED * self.latency:
                self.starting, self._cut = False, None
        if self.starting:
            return limit
        return self._lower(now, limit, latency, delivered, binding=binding)

    def _learn(self, latency: float) -> None:
        """Take this for the latency of an undisturbed call."""
        self._median = latency / self._skew
        self.latency = latency

    def _try_more(self, now: float, limit: float, latency: float, *, binding: bool) -> float:
        """Try whether more calls are of use after all, where they seem not to be; return the limit."""
        trial = self._trial
        if trial is None:
            steady = self._took / _AS_FAST < latency < self._took * _AS_FAST
            self._took = latency
            held_back = binding and limit >= int(self.bound) and latency > _LOADED * self.latency
            self._trial_due = self._trial_due - 1 if held_back and steady else self._trial_wait
            if self._trial_due <= 0:
                self._trial = _Trial(limit, latency, _TRIAL * limit)
            return limit
        trial.rounds += 1
        if trial.loaded:
            self._trial = None
            if latency < _AS_FAST * trial.latency:
                self._learn(latency)
                self._cut, self._trial_wait = None, _FIRST_WAIT
            else:
                self._trial_wait = min(_LONGEST_WAIT, 2 * self._trial_wait)
                limit = self.bound = trial.limit
            self._trial_due = self._trial_wait
        elif limit >= int(trial.target) and binding:
            trial.loaded, self._began = True, now + latency
        elif trial.rounds > _FILLED_WITHIN:
            self._trial = None
        return limit

    def _lower(self, now: float, limit: float, latency: float, delivered: float, *, binding: bool) -> float:
        cut, useful = self._cut, self._useful
        if cut is not None and limit <= _FELL * cut.limit:
            self._cut = None
            if binding and delivered < _DELIVERED_LESS * cut.delivered:
                self._median = max(self._median, latency / self._skew)
                self.latency = self._skew * self._median
                return cut.limit
        if limit > _ABOVE * useful and latency > _LOADED * self.latency:
            if self._cut is None:
                self._cut = _Cut(limit, delivered)
            self._began = now + latency  # what follows from the cut shows when the calls of before it have ended
            return max(useful, limit * (_LOWER_BURIED if latency > _BURIED * self.latency else _LOWER))
        self._free = self._free + 1 if latency < _UNLOADED * self.latency and binding else 0
        if self._free >= _IN_A_ROW:
            self.starting, self._flat, self._free, self._gain = True, 0, 0, _AGAIN_GAIN
            self._reference = self._top
        return limit
