"""At what rate may calls start, if a provider allows so many of something a second?

Rules owned here:

1. There is no rate before the first exhaustion. It sets the rate to what was being admitted.
2. Between two exhaustions of a limit, what was admitted over the time that passed *is* its rate, for token buckets and for
   windows alike. A refusal sets the rate a little below that: what is left unused refills the limit. Where the rate has grown
   far beyond that measure, the limit may have risen meanwhile, and the latest calls count for more.
3. A refusal of a call that had started before the last cut is of the same exhaustion: it may sharpen the measure, no more.
   No cut goes below half of what is being admitted, nor, on the word of a few calls, below half of what the rate was.
4. The rate grows only with calls that it held back, a few per cent in each growth cycle, faster the longer nothing is
   refused, and quickly below the best rate that was measured. Best is a memory: the more measures support it, the slower
   it is forgotten.
5. A cycle is counted in calls, in proportion to the rate: all who share a limit grow by the same share in the same time,
   and the larger are refused more often. That makes strangers fair to each other.
6. Patience stretches the cycles until exhaustions, each at the price of the refusals that it costs, are rare enough. A refusal
   that came early in a cycle was not of our own making: it takes patience back.

Prior art: the sawtooth is TCP's (Chiu and Jain, 1989); that a bottleneck's delivery rate measures it, is BBR's insight
(Cardwell et al., 2016).
"""

from __future__ import annotations

import math

import attrs

AIM = 0.97  # of the measured rate
LEAST = 1 / 600  # calls a second: a call in ten minutes, within anybody's patience
_HALF = 0.5
_BRIEF = 0.2  # seconds: a shorter time measures nothing
_SAME_BURST = 0.91

_GROWTH = 0.06  # of the rate, in the first cycle after a cut
_LATER_GROWTH, _LATER_STEEPNESS = 0.25, 60.0  # in later cycles: growing up to this, by this factor in a cycle
_AGREES = 0.1  # of the best rate: a measure so near supports it
# Below this part of the best rate, so never after a measure that supports it, the way back is quick, after so many cycles.
_BACK_BELOW, _BACK_AFTER = AIM * (1 - _AGREES), 0.7
_BACK_GROWTH, _BACK_STEEPNESS = 2.0, 2000.0  # growing up to this then, by this factor in a cycle
_FAR_BELOW = 0.25  # of the best: a window's calls, at that rate, would take it many windows
_FIRST_GROWTH = 0.5  # while nothing sound was measured
_UNSURE_GROWTH = 0.12  # while the last measure was a rough one

_CYCLE, _FIRST_CYCLE = 5.0, 2.0  # seconds of the rate; while nothing sound was measured
_LEAST_CALLS, _MOST_CALLS = 12.0, 120.0  # in a cycle; patience does not stretch it further than this, or 6 times
_MOST_PATIENCE, _MOST_STRETCH = 12.0, 6.0
_PRICE = 0.006  # refusals for each call: what exhaustions may cost
_OWN_MAKING = 0.25  # cycles

_STALE = 1.15  # times the measure: the rate has outgrown it
_FRESH_WEIGHT = 0.7  # of the latest calls' rate then
_ROUGH = 0.85  # of the rate: what has grown from below this since the last cut may have let the limit overflow
_LONGEST = 4.0  # cycles that a measure may span
_SOUND, _SMALL, _TINY = 20.0, 8.0, 3.0  # calls in a measure: to be remembered; to be believed; to be used as it is
_CONSUMED_LEAST, _CONSUMED_MOST = 3.0, 0.15  # calls; of the admitted: refusals between may have used up the limit, too
_NEAR = 3  # refusals in a row: the earlier ones came near the limit, this one beyond
_LAST = 0.5  # of the refused call: what of it the limit had left, on average

_SUPPORT, _FORGET = (
    10,
    0.3,
)  # measures, at most; what a measure below the best takes of the difference, over the support

_DEARER, _CHEAPER = 4.0, 0.7  # times the patience, at one exhaustion
_WINDOW_EARLY, _WINDOW_SHRINKS = 0.3, 0.7  # of a window: a refusal before that shows it to be shorter; times
_WINDOW_GROWS = 3.0  # times: a window of more calls than that is no longer the same


@attrs.define(eq=False)
class Rate:
    """The rate of one unit."""

    value: float = math.inf
    """Units a second; inf: no limit is known."""
    mean: float = 1.0
    """Units of one call, on average."""
    best: float = 0.0
    """The best rate measured; 0: nothing sound was measured."""
    cycle: float = _MOST_CALLS
    """Calls that one growth cycle takes."""
    patience: float = 1.0
    """By how much a cycle is stretched."""
    window: float = 0.0
    """Calls of one window, if the limit is one: no cycle is shorter."""
    admitted: float = 0.0
    """Units admitted so far."""
    refused: float = 0.0
    """Units refused so far."""
    last_cut: float = -math.inf
    _cycles: float = 0.0  # of growth since the last cut
    _grown_from: float = 0.0  # the rate that it has grown from
    _rough: bool = False
    _burst_floor: float = 0.0  # what later refusals of the same exhaustion may lower the rate to
    _support: int = 1
    _anchor: tuple[float, float, float] = (0.0, 0.0, 0.0)  # the last exhaustion; admitted and refused until then
    _weighed: tuple[float, float] = (0.0, 0.0)  # admitted and refused until the last exhaustion that was weighed

    # ---------------------------------------------------------------------------------------- measuring

    def anchor(self, time: float) -> None:
        """Measure from here: the limit was exhausted."""
        self._anchor = (time, self.admitted, self.refused)

    def pause(self, seconds: float) -> None:
        """Leave out a time in which less was called than the rate allows: the limit may have overflowed."""
        time, admitted, refused = self._anchor
        self._anchor = (time + seconds, admitted, refused)

    def _measure(self, time: float) -> tuple[float, float]:
        """Return the units that were used since the last exhaustion, and the seconds that passed."""
        since, admitted, refused = self._anchor
        units, lost = max(0.0, self.admitted - admitted), self.refused - refused
        if _CONSUMED_LEAST * self.mean <= lost < _CONSUMED_MOST * units:
            units += lost  # many providers count refused calls; where they do not, this is less than is forgiven
        return units, time - since

    def _remember(self, rate: float) -> None:
        best = self.best
        if rate > (1 + _AGREES) * best:
            self.best, self._support = rate, 1
        elif rate > (1 - _AGREES) * best:
            self._support = min(_SUPPORT, self._support + 1)
            self.best = max(rate, best + _FORGET / _SUPPORT * (rate - best))
        else:
            self.best = best + _FORGET / self._support * (rate - best)

    # ---------------------------------------------------------------------------------------- growing

    def grow(self, cost: float) -> None:
        """Grow for an admission that the rate had held back."""
        part = cost / (self.mean * self.cycle)
        self._cycles += part
        self.value *= 1 + part * self._growth(self._cycles)

    def _growth(self, cycles: float) -> float:
        if self.value < _BACK_BELOW * self.best:
            if cycles < _BACK_AFTER:
                return _GROWTH
            return min(_BACK_GROWTH, _GROWTH * math.pow(_BACK_STEEPNESS, min(1.0, cycles - _BACK_AFTER)))
        if not self.best:
            return _FIRST_GROWTH
        if self._rough:
            return _UNSURE_GROWTH
        return _GROWTH if cycles < 1 else min(_LATER_GROWTH, _GROWTH * math.pow(_LATER_STEEPNESS, min(1.0, cycles - 1)))

    def begin_cycle(self) -> None:
        """Begin a growth cycle."""
        self._cycles, self._grown_from = 0.0, self.value
        if self.value == math.inf:
            return
        least = max(_LEAST_CALLS, (_CYCLE if self.best else _FIRST_CYCLE) * self.value / self.mean)
        patience = 1.0 if self._rough or self.value < _BACK_BELOW * self.best else self.patience
        window = self.window if self.value >= _FAR_BELOW * self.best else 0.0
        self.cycle = max(least, min(patience * least, max(_MOST_CALLS, _MOST_STRETCH * least)), window)

    # ---------------------------------------------------------------------------------------- cutting

    def cut(self, now: float, started: float, cost: float, row: int, recent: float) -> None:
        """Lower the rate for a refusal.

        Args:
            now: seconds.
            started: when the refused call had started.
            cost: the units it would have cost.
            row: how many refusals there were in a row, with this one.
            recent: units admitted a second, over the latest calls.
        """
        before, fresh = self.value, started >= self.last_cut
        units, seconds = self._measure(started)
        if before == math.inf:
            self.value = recent or max(units, self.mean) / max(_BRIEF, seconds)
            self.anchor(started)
        elif seconds > 0 and self._cycles > 1 and before > _STALE * units / seconds:
            self.value = min(AIM * before, _mixed(recent or before, units / seconds))
            self.anchor(started)
        elif units <= _LONGEST * self.cycle * self.mean:
            self._cut_to_measure(units, seconds, started, cost, row=row, fresh=fresh)
        else:
            if fresh:
                self.value *= AIM
            self.anchor(started)
        self._bound(before, recent, units)
        if fresh:
            self._burst_floor = _SAME_BURST * self.value
        else:
            self.value = max(self.value, min(before, self._burst_floor))
        if fresh:
            self.last_cut = now
            if before < math.inf:
                self._weigh(before)
        self.begin_cycle()

    def _cut_to_measure(  # noqa: PLR0913 - the measure, and what it is of
        self, units: float, seconds: float, started: float, cost: float, *, row: int, fresh: bool
    ) -> None:
        call = max(cost, self.mean)
        if seconds > 0 and row < _NEAR:
            last = _LAST * cost if units >= _TINY * call or not self.best else cost + call
            self.value = min(self.value, AIM * (units + last) / seconds)
        if units >= _SOUND * call:
            if fresh and seconds > 0:
                self._remember(units / seconds)
            self.anchor(started)

    def _bound(self, before: float, recent: float, units: float) -> None:
        floor = max(LEAST * self.mean, _HALF * recent)
        if before < math.inf and units < _SMALL * self.mean:
            floor = max(floor, _HALF * before)
        self.value = max(self.value, min(floor, before))

    def _weigh(self, before: float) -> None:
        """Learn what an exhaustion costs."""
        admitted, refused = self._weighed
        calls, refusals = (self.admitted - admitted) / self.mean, (self.refused - refused) / self.mean
        self._weighed = (self.admitted, self.refused)
        self._rough = self._grown_from < _ROUGH * before
        if self._window_was_early():
            self.window *= _WINDOW_SHRINKS
        if self.value < _ROUGH * self.best:
            return  # the limit has fallen: no price of probing
        if self._cycles < _OWN_MAKING:
            self.patience = max(1.0, self.patience / 2)
            return
        factor = math.sqrt(max(1.0, refusals) / max(1.0, calls) / _PRICE)
        self.patience = min(_MOST_PATIENCE, max(1.0, self.patience * min(_DEARER, max(_CHEAPER, factor))))

    def _window_was_early(self) -> bool:
        return self._cycles * self.cycle < _WINDOW_EARLY * self.window

    def shrink(self, factor: float) -> None:
        """Go down by a factor, for a reason that is not a limit."""
        if self.value < math.inf:
            self.value = max(LEAST * self.mean, self.value * factor)
            self.begin_cycle()

    def refund(self, value: float) -> None:
        """Take back what was charged by mistake."""
        self.value = value
        self.begin_cycle()

    def learn_window(self, units: float, seconds: float, closed: float) -> None:
        """Learn from a window that was spent, and is whole again.

        Args:
            units: admitted in it.
            seconds: from its opening to the next.
            closed: seconds for which it was spent.
        """
        rate, calls = units / seconds, units / self.mean
        if calls >= _SOUND:
            self._remember(rate)
        if not self.window or calls <= _WINDOW_GROWS * max(self.window, 1):
            self.value, self.window = rate, calls
        else:
            value = self.value if self.value < math.inf else rate
            spent = self.window * self.mean / value
            self.value = max(rate, value * max(_HALF, 1 - closed / spent))
        self.value = max(self.value, LEAST * self.mean)


def _mixed(fresh: float, stale: float) -> float:
    if 0 < stale < fresh:
        return math.exp(_FRESH_WEIGHT * math.log(fresh) + (1 - _FRESH_WEIGHT) * math.log(stale))
    return fresh
