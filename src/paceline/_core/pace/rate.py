"""At what rate may calls start, if a provider allows so many of something a second?

One handle for each thing that is counted: requests, and tokens where a provider counts those.

Rules owned here:

1. There is no rate before the first refusal. The first one sets it to what was being admitted.
2. Between two exhaustions of a limit, what was admitted over the time that passed *is* its rate, for token buckets and for
   windows alike. A refusal sets the rate a little below that, so that the limit refills; the aim is AIM.
3. A burst of refusals is one exhaustion.
4. The rate grows only with calls that it held back, a few per cent in each growth cycle, faster the longer nothing is
   refused, and quickly below the best rate that was measured.
5. A cycle is counted in calls, in proportion to the rate. So all who share a limit meet it equally often for each of their
   calls, and a small one catches up: that is what makes strangers fair to each other.

Prior art: the sawtooth is TCP's (Chiu and Jain 1989); that the delivery rate at a bottleneck measures it, is BBR's insight
(Cardwell et al. 2016).
"""

from __future__ import annotations

import math

import attrs

AIM = 0.97  # of the measured rate: the rest refills the limit between two refusals
_LEAST_CYCLE = 12.0  # calls
_CYCLE_SECONDS = 6.0  # and at least the calls of so many seconds
_GROWTH = 0.06  # of the rate, in the first cycle after a cut
_LATER_GROWTH, _LATER_FACTOR = 0.25, 60.0  # after it: e-folding up to this
_BACK_AFTER, _BACK_GROWTH, _BACK_FACTOR = 0.7, 2.0, 2000.0  # cycles; below the best rate measured
_BACK_BELOW = 0.9  # of the best
_STALE = 1.15  # cycles: the calls since the last exhaustion no longer measure today's limit
_FRESH_WEIGHT = 0.7  # of the latest calls' rate, against the stale measure
_LONGEST_MEASURE = 4.0  # cycles
_SOUND = 20.0  # calls: a measure over fewer is not worth remembering
_FEW = 3.0  # calls: a measure over fewer has the error of a whole call
_PRICE, _MOST_PATIENCE, _LONG_CYCLE, _DROP = 0.008, 12.0, 120.0, 0.85
_LEAST_RATE = 1 / 600  # calls a second
_FORGET, _SUPPORT = 0.3, 10
_UNSURE_GROWTH = 0.12
_MEMORY = 0.03  # of each new measure, if it is below the best
_QUICK_CYCLE, _QUICK_SECONDS, _QUICK_GROWTH = 16.0, 2.0, 0.25  # while no sound measure was made


@attrs.define(eq=False)
class Rate:
    """The rate of one unit."""

    value: float = math.inf
    """Units a second; inf: no limit is known."""
    mean: float = 1.0
    """Units of one call, on average."""
    best: float = 0.0
    """The best rate measured, slowly forgotten."""
    cycles: float = 0.0
    """Growth cycles since the last cut."""
    cycle: float = 100.0
    """Calls that one growth cycle takes."""
    window: float = 0.0
    """Calls of one window, if the limit is one."""
    admitted: float = 0.0
    """Units admitted so far."""
    refused: float = 0.0
    last_cut: float = -math.inf
    patience: float = 1.0
    """How many times as long as need be a growth cycle takes, so that refusals stay rare."""
    precise: bool = True
    _support: int = 0
    _began_at: float = 0.0
    _admitted_at_cut: float = 0.0
    _refused_at_cut: float = 0.0
    _since: float = 0.0
    _admitted_then: float = 0.0
    _refused_then: float = 0.0

    def anchor(self, time: float) -> None:
        """Measure from here: the limit was exhausted."""
        self._since, self._admitted_then, self._refused_then = time, self.admitted, self.refused

    def pause(self, seconds: float) -> None:
        """Leave out a time in which nobody wanted to call."""
        self._since += seconds

    def measured(self, time: float) -> tuple[float, float]:
        """Return the units admitted since the last exhaustion, and the seconds that passed."""
        units, refused = self.admitted - self._admitted_then, self.refused - self._refused_then
        if 3 * self.mean <= refused < 0.15 * units:
            units += refused
        return units, time - self._since

    def admit(self, cost: float, *, paced: bool) -> None:
        """Count an admission; grow if the rate had held it back."""
        self.admitted += cost
        if paced and self.value < math.inf:
            self._grow(cost)

    def _grow(self, cost: float) -> None:
        part = cost / (self.mean * self.cycle)
        self.cycles = u = self.cycles + part
        if self.value < _BACK_BELOW * self.best:
            growth = _GROWTH if u < _BACK_AFTER else min(_BACK_GROWTH, _GROWTH * _BACK_FACTOR ** (u - _BACK_AFTER))
        elif not self.best or not self.precise:
            growth = _QUICK_GROWTH if not self.best else _UNSURE_GROWTH
        else:
            growth = _GROWTH if u < 1 else min(_LATER_GROWTH, _GROWTH * _LATER_FACTOR ** (u - 1))
        self.value *= 1 + growth * part

    def cut(self, now: float, started: float, cost: float, row: int, recent: float) -> None:
        """Lower the rate for a refusal of a call that `started` then and would have cost this.

        Args:
            now: seconds.
            started: when the refused call had started.
            cost: its units.
            row: how many refusals there were in a row, with this one.
            recent: units admitted a second, over the latest calls.
        """
        before, fresh, cycles = self.value, started >= self.last_cut, self.cycles
        call = max(cost, self.mean)
        units, seconds = self.measured(started)
        if self.value == math.inf:
            self.value = recent or self.mean / max(0.2, seconds)
            self.anchor(started)
        elif seconds > 0 and self.value > _STALE * units / seconds and self.cycles > 1:
            rate = recent or self.value
            if seconds > 0 and 0 < units / seconds < rate:
                rate = rate**_FRESH_WEIGHT * (units / seconds) ** (1 - _FRESH_WEIGHT)
            self.value = min(AIM * self.value, rate)
            self.anchor(started)
        elif units <= _LONGEST_MEASURE * self.cycle * self.mean:
            if seconds > 0 and row < 3:
                last = 0.5 * cost if units >= _FEW * call or not self.best else cost + call
                self.value = min(self.value, AIM * (units + last) / seconds)
            if units >= _SOUND * call:
                self._remember(units / seconds if seconds > 0 else self.value)
                self.anchor(started)
        else:
            if started >= self.last_cut:
                self.value *= AIM
            self.anchor(started)
        if self.cycles * self.cycle < 0.3 * self.window and started >= self.last_cut:
            self.window *= 0.7
        self.value = max(self.value, _LEAST_RATE * self.mean)
        self.last_cut = now
        if fresh and before < math.inf:
            self._weigh(before, cycles)
        self._began_at = self.value
        self.begin_cycle()

    def _remember(self, rate: float) -> None:
        best = self.best
        if rate > 1.1 * best:
            self.best, self._support = rate, 1
        elif rate > 0.9 * best:
            self._support = min(_SUPPORT, self._support + 1)
            self.best = rate if rate > best else best + _FORGET / _SUPPORT * (rate - best)
        else:
            self.best = best + _FORGET / self._support * (rate - best)

    def begin_cycle(self) -> None:
        """Begin a growth cycle, in proportion to the rate."""
        self.cycles = 0.0
        seconds = _CYCLE_SECONDS if self.best else _QUICK_SECONDS
        base = max(_LEAST_CYCLE, seconds * self.value / self.mean)
        patience = self.patience if self.precise and self.value > _BACK_BELOW * self.best else 1.0
        self.cycle = max(base, min(patience * base, max(_LONG_CYCLE, 4 * base)), self.window)

    def _weigh(self, before: float, cycles: float) -> None:
        """Learn what an exhaustion costs: the calls between two are to be in proportion."""
        calls = (self.admitted - self._admitted_at_cut) / self.mean
        refused = (self.refused - self._refused_at_cut) / self.mean
        self._admitted_at_cut, self._refused_at_cut = self.admitted, self.refused
        self.precise = self._began_at >= 0.85 * before
        if self.value < _DROP * self.best:
            return
        if cycles < 0.25:
            self.patience = max(1.0, 0.5 * self.patience)
            return
        ratio = max(1.0, refused) / max(1.0, calls)
        self.patience = min(_MOST_PATIENCE, max(1.0, self.patience * min(4.0, max(0.7, math.sqrt(ratio / _PRICE)))))

    def reopened_window(self, units: float, seconds: float, closed: float) -> None:
        """Learn from a window that was spent, and is whole again.

        Args:
            units: admitted in it.
            seconds: from its opening to the next.
            closed: seconds for which it was spent.
        """
        rate, calls = units / seconds, units / self.mean
        if calls >= _SOUND:
            self._remember(rate)
        if calls < _FEW:
            rate = math.sqrt(rate * self.mean / closed)
        if not self.window or calls <= 3 * max(self.window, 1):
            self.value, self.window = rate, calls
        else:
            value = self.value if self.value < math.inf else rate
            self.value = max(rate, value * max(0.5, 1 - closed / (self.window * self.mean / value)))
