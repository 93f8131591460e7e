"""Rate: how many units a second may start under a limit on them, as measured, lowered, raised and remembered.

Rules owned here:

1. There is no rate before the first exhaustion of the limit. That sets the rate to what was being admitted.
2. What was admitted between two exhaustions, divided by the time between them, *is* the limit's rate, for token buckets and for
   windows alike. A refusal sets the rate slightly below it: what is left unused refills the limit. Where the rate has grown far
   beyond that measure, the limit may have risen meanwhile, and the latest calls count for more.
3. A refusal of a call that had started before the last cut belongs to the same exhaustion: it may sharpen the measure, no more.
   No cut goes below half of what is being admitted, nor, for a measure over few calls, below half of the rate before.
4. The rate grows only with calls that it delayed: a few per cent in each growth cycle, faster the longer nothing is refused, and
   quickly below the best rate measured. The best rate is a memory: the more measures support it, the slower it is forgotten.
   It does not grow by more than a growth step beyond what is started.
5. A cycle is counted in calls, in proportion to the rate: all clients that share a limit grow by the same share in the same time,
   and the larger ones are refused more often. That makes clients fair to each other that do not communicate.
6. Patience stretches the cycles until exhaustions, each at the price of the refusals it costs, are rare enough. A refusal early in a
   cycle was not caused by growth, but presumably by others who share the limit: it ends patience, so that small clients do not grow slower.
   With few calls in a cycle it only lowers patience, and only if it came very early. Nor does it end patience where an exhaustion costs many
   refusals, as those may go on into the next cycle.

Prior art: the sawtooth is TCP's (Chiu and Jain, 1989); that the delivery rate at a bottleneck measures it is BBR's insight
(Cardwell et al., 2016).
"""

from __future__ import annotations

import math

import attrs

AIM = 0.97  # of the measured rate
MIN_RATE = 1 / 600  # calls a second: one in ten minutes, which a user still waits for
_HALF = 0.5  # of the rate: the deepest cut
_BRIEF = 0.2  # seconds: a shorter time is too short for a measure
_SAME_BURST = 0.91  # of the rate after a cut: how far later refusals of the same exhaustion may lower it

_GROWTH = 0.06  # of the rate, in the first cycle after a cut
_LATER_GROWTH, _LATER_STEEPNESS = 0.25, 60.0  # in later cycles: growing up to this, by this factor in a cycle
_AGREES = 0.1  # of the best rate: a measure that near supports it
# Below this part of the best rate, so never after a measure that supports it, growth is quick after 0.7 cycles.
_BACK_BELOW, _BACK_AFTER = AIM * (1 - _AGREES), 0.7
_BACK_GROWTH, _BACK_STEEPNESS = 2.0, 2000.0  # quick growth: up to this, by this factor in a cycle
_FAR_BELOW = 0.25  # of the best: at that rate the calls of one window would take many windows
_FIRST_GROWTH = 0.5  # of the rate, while nothing sound was measured
_UNSURE_GROWTH = 0.12  # of the rate, while the last measure was a rough one

_CYCLE, _FIRST_CYCLE = 5.0, 2.0  # seconds of the rate; while nothing sound was measured
_VERDICTS = 3.0  # in a cycle, at least: growth does not see what it does before refusals come
_MIN_CALLS, _MAX_CALLS = 12.0, 120.0  # in a cycle; patience stretches it up to this, or up to 6 times
_MAX_PATIENCE, _MAX_STRETCH = 12.0, 6.0
_PRICE = 0.006  # refusals per call that exhaustions may cost
_EARLY = 0.7  # cycles: a refusal before that was hardly caused by growth, if a cycle is not of very few calls
_VERY_EARLY = 0.25  # cycles: one before that was not
_CHEAP = 10.0  # refusals of an exhaustion: more of them are its own
_SHARED = 24.0  # calls of a cycle: with fewer, refusals are early by chance

_STALE = 1.15  # times the measure: the rate has outgrown it
_FRESH_WEIGHT = 0.7  # of the latest calls' rate then; the measure has the rest
_ROUGH = 0.85  # of the rate: grown from below this since the last cut, it may have let the limit overflow
_MAX_SPAN = 4.0  # cycles that a measure may span
# Calls in a measure that is remembered; that may lower the rate below half; that is used as it is.
_SOUND, _SMALL, _TINY = 20.0, 8.0, 3.0
# Calls, and share of the admitted: as many refusals as lie between these may have used up the limit, too.
_MIN_CONSUMED, _MAX_CONSUMED = 3.0, 0.15
_NEAR = 3  # refusals in a row: earlier ones came at the limit, this one beyond it
_LAST = 0.5  # of the refused call: what the limit had left for it, on average

_MAX_SUPPORT = 10  # measures
_FORGET = 0.3  # of the difference, divided by the support: by how much a measure below the best lowers it

_MAX_FACTOR, _MIN_FACTOR = 4.0, 0.7  # on patience, at one exhaustion
_WINDOW_EARLY, _WINDOW_SHRINKS = 0.3, 0.7  # of a window: a refusal before that shows it to be smaller; by this factor
_WINDOW_GROWS = 3.0  # times the calls: what holds more than that were several windows


@attrs.define(eq=False)
class Rate:
    """The rate of one dimension, in units (requests or tokens) per second."""

    value: float = math.inf
    """Units per second that may start; inf: no limit is known."""
    mean: float = 1.0
    """Mean units of one call."""
    best: float = 0.0
    """Best rate measured, in units per second; 0: nothing sound was measured."""
    cycle: float = _MAX_CALLS
    """Calls in one growth cycle."""
    patience: float = 1.0
    """Factor by which a cycle is stretched."""
    window: float = 0.0
    """Calls of one window, if the limit is a window: no cycle is shorter; 0: it is not, as far as is known."""
    verdict: float = 0.0
    """Seconds until a call is judged, at most."""
    admitted: float = 0.0
    """Units admitted so far."""
    refused: float = 0.0
    """Units refused so far."""
    last_cut: float = -math.inf
    """When the rate was last cut, in seconds: refusals of calls that started earlier belong to the same exhaustion."""
    _cycles: float = 0.0  # of growth since the last cut
    _grown_from: float = 0.0  # the rate after the last cut
    _rough: bool = False
    _burst_floor: float = 0.0  # the lowest rate that later refusals of the same exhaustion may set
    _support: int = 1  # measures near the best
    # Time of the last exhaustion; units admitted and refused until then.
    _anchor: tuple[float, float, float] = (0.0, 0.0, 0.0)
    # Units admitted and refused until the last exhaustion that patience learned from.
    _priced: tuple[float, float] = (0.0, 0.0)

    # ---------------------------------------------------------------------------------------- measuring

    def anchor(self, time: float) -> None:
        """Measure from `time` on: the limit was exhausted."""
        self._anchor = (time, self.admitted, self.refused)

    def exclude(self, seconds: float) -> None:
        """Exclude a time from the measure in which the rate was not used: the limit may have overflowed."""
        time, admitted, refused = self._anchor
        self._anchor = (time + seconds, admitted, refused)

    def _measure(self, time: float) -> tuple[float, float]:
        """Return the units used since the last exhaustion, and the seconds that passed."""
        since, admitted, refused = self._anchor
        units, lost = max(0.0, self.admitted - admitted), self.refused - refused
        if _MIN_CONSUMED * self.mean <= lost < _MAX_CONSUMED * units:
            units += lost  # many providers count refused calls; where they do not, the error is small
        return units, time - since

    def _remember(self, rate: float) -> None:
        best = self.best
        if rate > (1 + _AGREES) * best:
            self.best, self._support = rate, 1
        elif rate > (1 - _AGREES) * best:
            self._support = min(_MAX_SUPPORT, self._support + 1)
            self.best = max(rate, best + _FORGET / _MAX_SUPPORT * (rate - best))
        else:
            self.best = best + _FORGET / self._support * (rate - best)

    @property
    def is_early(self) -> bool:
        """Whether a refusal now would come too early in a growth cycle to be caused by growth."""
        return self._cycles < _EARLY

    # ---------------------------------------------------------------------------------------- growing

    def grow(self, cost: float, recent: float = math.inf) -> None:
        """Grow for an admission of `cost` units that the rate had delayed; `recent`: units admitted per second lately, 0: not known."""
        part = cost / (self.mean * self.cycle)
        self._cycles += part
        growth = self._growth(self._cycles)
        if not recent or self.value <= (1 + max(growth, _LATER_GROWTH)) * max(recent, self._grown_from):
            self.value *= 1 + part * growth

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

    def start_cycle(self) -> None:
        """Start a growth cycle."""
        self._cycles, self._grown_from = 0.0, self.value
        if self.value == math.inf:
            return
        seconds = max(_VERDICTS * self.verdict, _CYCLE if self.best else _FIRST_CYCLE)
        least = max(_MIN_CALLS, seconds * self.value / self.mean)
        patience = 1.0 if self._rough or self.value < _BACK_BELOW * self.best else self.patience
        window = self.window if self.value >= _FAR_BELOW * self.best else 0.0
        self.cycle = max(least, min(patience * least, max(_MAX_CALLS, _MAX_STRETCH * least)), window)

    # ---------------------------------------------------------------------------------------- cutting

    def cut(self, now: float, started: float, cost: float, consecutive: int, recent: float) -> None:
        """Lower the rate for a refusal.

        Args:
            now: Current time, in seconds.
            started: When the refused call had started, in seconds.
            cost: Units that the call would have cost.
            consecutive: Number of refusals in a row, with this one.
            recent: Units admitted per second, over the latest calls.
        """
        before, fresh = self.value, started >= self.last_cut
        units, seconds = self._measure(started)
        if before == math.inf:
            self.value = recent or max(units, self.mean) / max(_BRIEF, seconds)
            self.anchor(started)
        elif seconds > 0 and self._cycles > 1 and before > _STALE * units / seconds:
            self.value = min(AIM * before, _mixed(recent or before, units / seconds))
            self.anchor(started)
        elif units <= _MAX_SPAN * self.cycle * self.mean:
            self._cut_to_measure(units, seconds, started, cost, consecutive=consecutive, fresh=fresh)
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
                self._learn_price(before, consecutive)
        self.start_cycle()

    def _cut_to_measure(  # noqa: PLR0913 - the measure, and the refusal that ended it
        self, units: float, seconds: float, started: float, cost: float, *, consecutive: int, fresh: bool
    ) -> None:
        call = max(cost, self.mean)
        if seconds > 0 and consecutive < _NEAR:
            last = _LAST * cost if units >= _TINY * call or not self.best else cost + call
            self.value = min(self.value, AIM * (units + last) / seconds)
        if units >= _SOUND * call:
            if fresh and seconds > 0:
                self._remember(units / seconds)
            self.anchor(started)

    def _bound(self, before: float, recent: float, units: float) -> None:
        floor = max(MIN_RATE * self.mean, _HALF * recent)
        if before < math.inf and units < _SMALL * self.mean:
            floor = max(floor, _HALF * before)
        self.value = max(self.value, min(floor, before))

    def _learn_price(self, before: float, consecutive: int) -> None:
        """Adjust patience to the refusals per call that this exhaustion cost."""
        admitted, refused = self._priced
        calls, refusals = (self.admitted - admitted) / self.mean, (self.refused - refused) / self.mean
        self._priced = (self.admitted, self.refused)
        self._rough = self._grown_from < _ROUGH * before
        if consecutive == 1 and self._is_early_in_window():
            self.window *= _WINDOW_SHRINKS
        if self.value < _ROUGH * self.best:
            return  # the limit has fallen: the refusals are not the price of growth
        if self.is_early and refusals <= _CHEAP and before * _CYCLE >= _SHARED * self.mean:
            self.patience = 1.0
            return
        if self._cycles < _VERY_EARLY:
            self.patience = max(1.0, self.patience / 2)
            return
        factor = math.sqrt(max(1.0, refusals) / max(1.0, calls) / _PRICE)
        self.patience = min(_MAX_PATIENCE, max(1.0, self.patience * min(_MAX_FACTOR, max(_MIN_FACTOR, factor))))

    def _is_early_in_window(self) -> bool:
        return self._cycles * self.cycle < _WINDOW_EARLY * self.window

    def shrink(self, factor: float) -> None:
        """Lower a known rate by a factor, for a reason that is not a limit."""
        if self.value < math.inf:
            self.value = max(MIN_RATE * self.mean, self.value * factor)
            self.start_cycle()

    def restore(self, value: float) -> None:
        """Set the rate back to what it was before refusals were charged to it by mistake."""
        self.value = value
        self.start_cycle()

    def learn_window(self, units: float, seconds: float, exhausted: float, *, measured: bool = True) -> None:
        """Learn from a window that was used up, now that the next one admits calls.

        Args:
            units: Units admitted in the window.
            seconds: Seconds from its start to the start of the next one.
            exhausted: Seconds for which it was used up.
            measured: Whether these times are those of the window. Otherwise it may have been shorter, and the rate higher.
        """
        rate, calls = units / seconds, units / self.mean
        if measured and calls >= _SOUND:
            self._remember(rate)
        if not self.window or calls <= _WINDOW_GROWS * max(self.window, 1):
            self.value, self.window = rate, calls
        else:
            value = self.value if self.value < math.inf else rate
            spent = self.window * self.mean / value
            self.value = max(rate, value * max(_HALF, 1 - exhausted / spent))
        self.value = max(self.value, MIN_RATE * self.mean)


def _mixed(fresh: float, stale: float) -> float:
    """Return the geometric mean of the latest rate and the measure, weighted for the former if the measure is lower."""
    if 0 < stale < fresh:
        return math.exp(_FRESH_WEIGHT * math.log(fresh) + (1 - _FRESH_WEIGHT) * math.log(stale))
    return fresh
