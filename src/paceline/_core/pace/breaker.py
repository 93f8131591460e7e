"""Breaker: a circuit breaker that opens when a provider refuses or fails everything, and probes until it recovers.

While the breaker is *closed* calls start; while it is *open* nothing starts, except one probe at a time (*half-open*).

When it opens (`Streaks`):

1. After some refusals in a row that make up most of the calls between the first and the last of them. While few calls were ever
   admitted one refusal is enough, because nothing known speaks against it.
2. After some fast faults in a row; or after some calls in a row that took longer than nearly all do, if they had started after the latest
   answer, and none has come since: then nothing is answered any more, as by a server that hangs.
3. Faults of more than a fifth of the latest calls do not open it; the provider is degraded, and the pace goes down. Only calls
   that started after the last such slowdown count, so that one degradation causes one slowdown.

When it probes, and closes (`Breaker`):

4. When the wait is over one call starts, the probe. An admitted probe closes the breaker, a refused one starts the next wait. A
   probe that ends without evidence is followed by another at once. Where faults opened the breaker, a probe has to be answered, or to
   last for twice as long as they did.
5. The wait is a part of the time the breaker has been open, so it grows geometrically. It is at least a round trip, and at most
   what a number of calls would have taken: a probe costs one refusal, a wait costs all calls that were not made meanwhile. After
   refusals it is half a minute at most: a provider that is down for minutes is back within that time.
6. A wait that the provider asks for, of up to TRUST seconds, is believed if it counts down. Many servers name a constant that is far too
   long. So the first probe starts after a part of the wait. If it is refused, and is asked to wait for what is left, that is obeyed, and
   so are the waits of the next 8 outages. If it is asked for as much again, the waits are those of rule 5, and no less than asked for once
   that has passed: if only that helps, as with a ban that each call renews, it is obeyed in the next 8 outages, too. A wait that was not true is tried after a third of the part the next time. A longer one than TRUST is ignored: if it is
   true, finding out costs a probe now and then; if it is not, it would cost all that time.
7. Unless the provider asked for a wait that is obeyed, one probe may start at the first answer that comes in: that is how a
   concurrency cap shows.
"""

from __future__ import annotations

import math

import attrs

from ..quota import positive_number

_REFUSALS, _SHARE = 3, 0.6  # refusals in a row; share of the calls between the first and the last of them
FEW = 20  # calls ever admitted: while there are fewer, one refusal is enough
_FAULTS = 5  # faults in a row
_LATEST, _MIN_LATEST = 50, 20  # latest calls that ended; fewest that a share is taken of
_DEGRADED = 0.2  # share of faults among them


@attrs.define(eq=False)
class Streaks:
    """Refusals and faults in a row, and the share of faults among the latest calls."""

    refused_since: float = math.inf
    """Earliest start of the refused calls of the row, in seconds."""
    failed_since: float = math.inf
    """Start of the first faulted call of the row, in seconds."""
    _refusals: int = 0
    _first: int = 0  # lowest and highest order of the refused calls
    _last: int = 0
    _faults: int = 0
    latest_faults: int = 0
    """Faults among the latest calls."""
    answered_at: float = -math.inf
    """When the latest answer came, in seconds."""
    _silent: int = 0  # overdue calls that started since then
    _latest: int = 0  # a bit for each of the latest calls that ended, 1 if it was a fault, and their number
    _latest_ended: int = 0
    _slowed_at: float = -math.inf

    def record_admission(self, started: float) -> None:
        """Record an admission: it ends a row of refusals."""
        if self._refusals and started >= self.refused_since:
            self._refusals = 0

    def record_refusal(self, order: int, started: float) -> None:
        """Record a refusal."""
        if not self._refusals:
            self._first = self._last = order
            self.refused_since = started
        self._refusals += 1
        self._first, self._last = min(self._first, order), max(self._last, order)
        self.refused_since = min(self.refused_since, started)

    def is_refusing(self, ever_admitted: int) -> bool:
        """Whether the row of refusals shows that the provider admits nothing."""
        enough = _REFUSALS if ever_admitted >= FEW else 1
        return self._refusals >= enough and self._refusals >= _SHARE * (self._last - self._first + 1)

    def record_answer(self, started: float, now: float) -> None:
        """Record the answer to a call that started at `started`: it ends a row of faults."""
        self.answered_at = now
        if self._faults:
            self._silent = 0
            if started >= self.failed_since:
                self._faults = 0
        if self.latest_faults:
            self._record_end(fault=False)
        elif self._latest_ended < _LATEST:
            self._latest_ended += 1

    def record_fault(self, started: float, *, counts: bool, overdue: bool = False) -> None:
        """Record a fault.

        Args:
            started: When its call had started, in seconds.
            counts: Whether it is a sign of degradation, too (not while the breaker is open).
            overdue: Whether its call took longer than nearly all do.
        """
        if not self._faults:
            self.failed_since = started
        self._faults += 1
        self._silent += overdue and started >= self.answered_at
        if counts and started >= self._slowed_at:
            self._record_end(fault=True)

    def _record_end(self, *, fault: bool) -> None:
        self.latest_faults += fault - (self._latest >> (_LATEST - 1))
        self._latest = (self._latest << 1 | fault) & (1 << _LATEST) - 1
        self._latest_ended = min(_LATEST, self._latest_ended + 1)

    def is_failing(self) -> bool:
        """Whether the row of faults shows that the provider answers nothing."""
        return self._faults >= _FAULTS

    def is_silent(self) -> bool:
        """Whether many calls that started since the latest answer are overdue."""
        return self._silent >= _FAULTS

    def is_degraded(self, started: float) -> bool:
        """Whether too many of the latest calls failed, as judged at the answer to a call that started at `started`."""
        faults = self.latest_faults
        return bool(faults) and faults > _DEGRADED * max(_MIN_LATEST, self._latest_ended) and started > self._slowed_at

    def restart_share(self, now: float) -> None:
        """Start the share of faults from zero: the pace went down for what was counted so far."""
        self._latest = self._latest_ended = self.latest_faults = 0
        self._slowed_at = now

    def end_rows(self) -> None:
        """End the rows of refusals and of faults: the breaker has closed."""
        self._refusals = self._faults = self._silent = 0


TRUST = 75.0  # seconds: a window of a minute, and a margin
_PART, _YOUNG_PART = 0.6, 1.5  # of the time open; while little is known
_LONGEST = 30.0  # seconds that a wait for a provider that refuses takes, at most, unless it asks for more
_MAX_CALLS = 50.0  # calls that a wait may cost
_EARLY_PROBE = 1 / 9  # of a wait that a provider asks for: it may be shorter
_FALSE = 1 / 3  # times that part, if it was
_LEAST_PART = 1 / 243  # of the wait
_COUNTED = 0.5  # of the time since it asked first: by as much less, at least, it asks for if it counts down, in whole seconds perhaps
_TRUE_FOR = 8  # outages for which a wait that proved true is obeyed without an early probe: it costs a refusal
_MIN_WAIT = 0.05  # seconds: a provider that refuses faster is near, and need not be probed more often
_OUTLIVED = 2.0  # times the seconds of a fault: a probe that lasts for longer is presumably being answered
TICK = 1e-3  # seconds: no time is measured or waited for more exactly


@attrs.define(eq=False)
class Breaker:
    """The circuit breaker of one lane; half-open while `probe_started` is set."""

    is_open: bool = False
    by_faults: bool = False
    """Whether faults opened it, not refusals."""
    since: float = math.inf
    """When the first call of the row that opened it had started, in seconds."""
    probe_at: float = -math.inf
    """When the next probe may start, in seconds."""
    probe_started: float | None = None
    """When the probe in flight started, in seconds; None: no probe is in flight."""
    fault_seconds: float = 0.0
    """Seconds that the latest faulted call took, where faults opened it."""
    obeyed: bool = False
    """Whether it waits for as long as the provider asked for, because that counts down, or was true before."""
    _probe_on_answer: bool = False
    _asked: float = 0.0  # seconds that the provider asked to wait since it opened, and when; 0: it did not ask
    _asked_at: float = 0.0
    _was_refused: bool = False  # whether a probe was refused
    _part: float = _EARLY_PROBE  # of a wait, after which the first probe starts
    _true_for: int = 0  # outages until an early probe starts again

    def trip(self, since: float, *, by_faults: bool, asked: float | None) -> None:
        """Open; `schedule_probe` sets the wait."""
        self.is_open, self.by_faults, self.since = True, by_faults, since
        self._probe_on_answer = not by_faults and not trusted_wait(asked)
        self._asked, self.obeyed, self._was_refused = 0.0, False, False

    def schedule_probe(  # noqa: PLR0913 - what a wait is weighed against
        self, now: float, asked: float | None, *, refusal_latency: float, gap: float, average_gap: float, young: bool
    ) -> None:
        """Set when the next probe may start.

        Args:
            now: Current time, in seconds.
            asked: Seconds that the provider asked to wait; None if it did not.
            refusal_latency: Seconds that a refusal takes.
            gap: Seconds between two starts at the known rate.
            average_gap: Seconds between two starts on average since the breaker was last closed; bounds what a wait may cost.
            young: Whether few calls were admitted so far.
        """
        open_for = now - self.since
        least = max(_MIN_WAIT, refusal_latency, gap)
        most = _MAX_CALLS * average_gap
        if not self.by_faults:
            most = min(_LONGEST, most)
        part = _YOUNG_PART if young and not self.by_faults else _PART
        wait = max(least, min(part * open_for, most))
        self._was_refused = self._was_refused or self.probe_started is not None
        if hint := trusted_wait(asked):
            wait = self._heeded(now, hint, wait, least)
        self.probe_at = now + wait
        self.probe_started = None

    def _heeded(self, now: float, hint: float, wait: float, least: float) -> float:
        """Return the seconds to wait where the provider asks for `hint`, and it would be `wait` otherwise, at least `least`."""
        if not self._asked:
            self._asked, self._asked_at, self.obeyed = hint, now, self._true_for > 0
            return hint if self.obeyed else max(least, self._part * hint)
        passed = now - self._asked_at
        is_minimum = passed > self._asked
        self.obeyed = hint >= wait if is_minimum else hint <= self._asked - _COUNTED * passed
        return hint if self.obeyed else wait

    def exclude(self, seconds: float) -> None:
        """Exclude an idle time: the breaker was open, but no caller had anything to start."""
        self.since += seconds

    def record_answer(self, now: float) -> None:
        """Record that a call was answered: the first answer may let a probe start at once."""
        if self.is_open and self._probe_on_answer and self.probe_started is None:
            self._probe_on_answer = False
            self.probe_at = min(self.probe_at, now)

    @property
    def is_measured(self) -> bool:
        """Whether the end of the outage is known: not if the first probe is admitted, after a part of the wait that the provider asked for."""
        return not self._asked or self._was_refused or self.obeyed

    def learn_wait(self) -> None:
        """Learn from the outage that ends whether the wait was true that the provider asked for, if it did."""
        if not self._asked:
            return
        if self.obeyed:
            self._true_for = _TRUE_FOR if self._was_refused else self._true_for - 1
        else:
            self._part, self._true_for = max(_LEAST_PART, _FALSE * self._part), 0

    def start_probe(self, now: float) -> None:
        """Start the probe."""
        self.probe_started = now

    def lose_probe(self, now: float) -> None:
        """End the probe without evidence: another one may start now."""
        self.probe_started, self.probe_at = None, now

    def is_probe(self, started: float) -> bool:
        """Whether a call that started at `started` is the probe in flight."""
        return self.probe_started is not None and started >= self.probe_started

    def admit_at(self, confirmation_age: float) -> float:
        """Return when the next call may start while open; a probe older than `confirmation_age` seconds counts as admitted."""
        if self.probe_started is None:
            return self.probe_at
        age = max(confirmation_age, _OUTLIVED * self.fault_seconds) if self.by_faults else confirmation_age
        return self.probe_started + age + TICK

    def is_outlived(self, now: float) -> bool:
        """Whether the probe lasts so much longer than the faults did that opened the breaker that it counts as admitted."""
        return (
            self.by_faults
            and self.probe_started is not None
            and now > self.probe_started + _OUTLIVED * self.fault_seconds
        )

    def reset(self) -> None:
        """Close."""
        self.is_open, self.since, self.probe_at, self.probe_started = False, math.inf, -math.inf, None


def trusted_wait(asked: float | None) -> float:
    """Return the seconds to wait because a provider asked for them; 0 if it did not, or asked for more than TRUST."""
    wait = positive_number(asked)
    return wait if wait is not None and wait <= TRUST else 0.0
