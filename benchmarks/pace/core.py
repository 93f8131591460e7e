"""Core: a trial with the controller alone, without the engine and without an event loop: several times as fast.

1. Provider, chance, limits and retries are those of the real runs: the pure parts of `paceline.testing` and `paceline._core`, driven from
   one heap of events. So is the order in which a client starts calls: refused items first, then new ones.
2. A refused item is not put back as far as the engine puts it, and costs are exact. Results therefore differ a little from those of real
   runs. They are for comparing controllers with each other.
3. Dialects and faults of answers are not supported.
"""

from __future__ import annotations

import heapq
import math
import random
import zlib
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

import attrs

from paceline._core.fault import Fault, FaultKind
from paceline._core.health.overloads import LaneOverloads
from paceline._core.health.refusals import NOT_REFUSED, Blame, LaneRefusals, RefusalRecord
from paceline._core.pace import ABANDONED, SERVED, Excused, PaceController, Served, Signal, Throttled
from paceline._core.retry import NEW, CallAgain, Open, RetryPolicy, event_of, step
from paceline._core.token_estimate import TokenCosts
from paceline._core.usage import TokenUsage
from paceline._engine.calls.calls import fault_signal
from paceline.abc import DefaultErrorClassifier, RateController
from paceline.testing.admission import Admission, Refusal
from paceline.testing.replies import fault_error, refusal_error
from paceline.testing.saturation import ProcessorSharing, SharedCall
from paceline.testing.service import ARRIVAL_FAULTS, Dice, Service

from .by_engine import CEILING
from .log import Log, Series
from .trial import Totals, Trial
from .world import Gauge, lateness_of, prompts_of, series_of, totals_of, units_of

_NO_TOKENS = TokenUsage()
_COSTS = TokenCosts()
_LATE = 1e-6  # seconds: as the clock of an event loop, no event is earlier by less


@attrs.define(eq=False)
class _Item:
    """A prompt, and the call of it that is in flight."""

    client: _Client
    prompt: str
    units: float
    state: Open = NEW  # type: ignore[assignment]  # the state of an item that is not settled
    ticket: Any = None
    started: float = 0.0
    at_provider: bool = False
    shared: SharedCall | None = None
    is_working: bool = False
    calls: int = 0
    order: int = 0
    refused: RefusalRecord = NOT_REFUSED
    charged: tuple[Any, ...] = ()  # tickets of its refusals that were reported as evidence
    overloaded_at: float | None = None


class _Client:
    """One caller with one controller."""

    def __init__(self, world: CoreWorld, number: int, pace: RateController) -> None:
        self.log = Log()
        self.pace = pace
        self.in_flight: dict[_Item, None] = {}  # in the order of the starts
        self.refusals: LaneRefusals = LaneRefusals()
        self.overloads = LaneOverloads()
        self.refused_since = math.inf
        self.lateness = lateness_of(world.trial, number)
        self.chance = random.Random(f"{world.trial.name}-{world.trial.seed}-client-{number}")
        self.next: _Item | None = None
        self.wake_at = math.inf
        self.refused: deque[_Item] = deque()  # to be called again as soon as the controller allows
        self.later: list[tuple[float, int, _Item]] = []  # to be called again at a time
        self._fresh = prompts_of(world.trial, number)
        self._units = world.units_of

    def take(self, now: float) -> _Item | None:
        """Return the item to call next; None: nothing is left to call now."""
        later = self.later
        while later and later[0][0] <= now + _LATE:
            self.refused.append(heapq.heappop(later)[2])
        if self.refused:
            return self.refused[0]
        if self.next is None and (prompt := next(self._fresh, None)) is not None:
            self.next = _Item(self, prompt, self._units(prompt))
        return self.next

    def remove(self, item: _Item) -> None:
        """Remove the item that is called now."""
        if self.refused and self.refused[0] is item:
            self.refused.popleft()
        else:
            self.next = None

    def gauge(self, *, tokens: bool) -> Gauge:
        """Return the values of the handles."""
        return Gauge(min(CEILING, self.pace.limit), self.pace.token_rate if tokens else self.pace.rate)


class CoreWorld:
    """One run of a trial.

    Args:
        trial: The trial.
        pace: Function that makes a client's controller.
    """

    origin = 0.0
    stopped_at = None

    def __init__(self, trial: Trial, pace: Callable[[Any], RateController] = PaceController) -> None:
        self.trial = trial
        self.series: Series = series_of(trial)
        self.clients = [_Client(self, number, pace(None)) for number in range(len(trial.starts))]
        self._now = 0.0
        self._heap: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._order = count()
        self._left = trial.items or math.inf
        self._policy = RetryPolicy()
        self._classifier = DefaultErrorClassifier()
        # the provider
        self._service = trial.service
        self._dice = Dice(zlib.crc32(f"{trial.name}-{trial.seed}".encode()))
        self._admission = Admission(trial.service.limits)
        self._in_service = 0
        self._line: deque[tuple[_Item, float]] = deque()
        self._working = 0
        self._admitted = self._admitted_tokens = 0
        self._shed: dict[tuple[str, int], int] = {}
        knees = [(at, float(each.knee or math.inf)) for at, each in ((0.0, trial.service), *trial.steps)]
        self._sharing = ProcessorSharing(knees) if any(knee < math.inf for _, knee in knees) else None
        self._sharers: dict[SharedCall, _Item] = {}
        self._looks = 0
        self._may_time_out = self._sharing is not None or trial.service.slots is not None

    @property
    def totals(self) -> Totals:
        """The totals so far."""
        admitted = self._admitted_tokens if self.trial.tokens else self._admitted
        return totals_of(self, [client.log for client in self.clients], float(admitted))

    def units_of(self, prompt: str) -> float:
        """Return what a call costs in the trial's unit."""
        return units_of(self.trial, prompt)

    def run(self) -> None:
        """Run to the end."""
        trial, heap = self.trial, self._heap
        chance = random.Random(f"{trial.name}-{trial.seed}-timers")
        for client, start in zip(self.clients, trial.starts, strict=True):
            self._at(start, self._pump, client)
        for start, service in trial.steps:
            self._at(start, self._change, service)
        self._at(0.0, self._sample, None)
        while heap and self._left:
            now = max(self._now, heap[0][0])
            if trial.late_timers and now > self._now:
                now += chance.uniform(0.0, trial.late_timers)
            if now >= trial.seconds:
                break
            self._now = now
            while heap and heap[0][0] <= now:
                _, _, function, argument = heapq.heappop(heap)
                function(argument)
        for client in self.clients:
            for item in client.in_flight:
                client.log.cut_off(item.started, trial.seconds, item.units)

    def _at(self, time: float, function: Callable[[Any], None], argument: Any) -> None:
        heapq.heappush(self._heap, (time, next(self._order), function, argument))

    def _sample(self, _: None) -> None:
        gauges = [client.gauge(tokens=self.trial.tokens) for client in self.clients]
        self.series.sample(
            self._now, self._in_service, sum(each.limit for each in gauges), sum(each.rate for each in gauges)
        )
        self._at(self._now + self.series.every, self._sample, None)

    # ---------------------------------------------------------------------------------------- the client

    def _wake(self, client: _Client) -> None:
        if client.wake_at <= self._now:
            client.wake_at = math.inf
            self._pump(client)

    def _wake_by(self, client: _Client, at: float) -> None:
        if at < client.wake_at:
            client.wake_at = at
            self._at(at, self._wake, client)

    def _pump(self, client: _Client) -> None:
        now, pace = self._now, client.pace
        while len(client.in_flight) < CEILING:
            item = client.take(now)
            if item is None:
                if client.later:
                    self._wake_by(client, client.later[0][0])
                return
            at = pace.admit_at(now, item.units)
            if at > now:
                if at < math.inf:
                    self._wake_by(client, at)
                return
            client.remove(item)
            client.in_flight[item] = None
            item.ticket, item.started = pace.started(now, item.units), now
            item.calls += 1
            item.order = client.overloads.record_start()
            if self.trial.late_starts:
                self._at(now + client.lateness.uniform(0.0, self.trial.late_starts), self._arrive, item)
            else:
                self._arrive(item)

    def _settle(self, item: _Item, signal: Any) -> None:
        client = item.client
        del client.in_flight[item]
        client.pace.settled(item.ticket, self._now, signal)

    def _serve(self, item: _Item) -> None:
        self._leave(item)
        self._left -= 1
        client = item.client
        client.log.serve(item.started, self._now, item.units)
        client.overloads.record_answer(item.started, self._now, accepted=True)
        client.refusals.record_served(item.refused, item.order)
        client.refused_since = math.inf
        self._settle(item, Served(item.units) if self.trial.tokens else SERVED)
        self._pump(client)

    def _fail(self, failed: tuple[_Item, Exception | Fault]) -> None:
        """End a call with a fault or a refusal."""
        item, error = failed
        client, now = item.client, self._now
        fault = error if isinstance(error, Fault) else self._classifier.classify(error)
        if getattr(error, "is_refusal", False):
            client.log.refuse(now)
        else:
            client.log.fail(now)
        signal, own, passes = self._judge(item, fault)
        self._settle(item, signal)
        starved = max(0.0, now - client.refused_since)
        event = event_of(fault, starved=starved, chance=client.chance.random(), own=own, refused=passes)
        state, effect = step(self._policy, item.state, event)
        if not isinstance(effect, CallAgain) or not isinstance(state, Open):
            client.log.lost += 1
            self._left -= 1
        else:
            item.state = state
            if effect.delay:
                heapq.heappush(client.later, (now + effect.delay, next(self._order), item))
            else:
                client.refused.append(item)
        self._pump(client)

    def _judge(self, item: _Item, fault: Fault) -> tuple[Signal, bool, bool]:
        """Return a fault's signal to the controller, whether the item is refused for its own sake, and whether it uses up no attempt."""
        client, now = item.client, self._now
        if fault.kind is FaultKind.OVERLOADED:
            before, item.overloaded_at = item.overloaded_at, now
            oldest = next(iter(client.in_flight)).started
            if not client.overloads.record_overload(item.order, item.started, now, before=before, oldest=oldest):
                return fault_signal(fault, _NO_TOKENS, _COSTS), False, False
            blame = self._blame(item, 0.0)
            passes = blame is not Blame.FINAL and now - client.refused_since < self._policy.patience
            if not client.overloads.is_limit:
                return ABANDONED, False, passes
            client.refused_since = min(client.refused_since, now)
            if blame is Blame.LANE:
                item.charged = (*item.charged, item.ticket)
                return Throttled(fault.retry_after, fault.quota), False, passes
            return self._excused(item), False, passes
        if fault.kind is FaultKind.THROTTLED:
            client.refused_since = min(client.refused_since, now)
            blame = self._blame(item, self._policy.patience)
            if blame is not Blame.LANE:
                return self._excused(item), blame is Blame.FINAL, False
            item.charged = (*item.charged, item.ticket)
        return fault_signal(fault, _NO_TOKENS, _COSTS), False, False

    def _blame(self, item: _Item, patience: float) -> Blame:
        item.refused, blame = item.client.refusals.record_refusal(item.refused, item.order, self._now, patience)
        return blame

    @staticmethod
    def _excused(item: _Item) -> Excused:
        charged, item.charged = item.charged, ()
        return Excused(charged)

    def _time_out(self, call: tuple[_Item, int]) -> None:
        item, number = call
        if item.calls == number and item.at_provider:
            self._leave(item)
            item.client.log.busy += self._now - item.started
            self._fail((item, Fault(FaultKind.TIMEOUT, "the call took too long")))

    # ---------------------------------------------------------------------------------------- the provider

    def _change(self, service: Service) -> None:
        self._service = service
        self._admission.change(service.limits, self._now)
        self._let_in()
        self._look_at_sharing()

    def _arrive(self, item: _Item) -> None:
        now, service = self._now, self._service
        prompt, attempt = item.prompt, item.state.attempt
        chance = self._dice.draw(prompt, attempt)
        fault = service.fault_of(chance)
        if fault in ARRIVAL_FAULTS:
            self._at(now + service.fault_seconds, self._fail, (item, fault_error(fault, _NO_TOKENS)))
            return
        usage = service.usage_of(prompt, chance)
        refusal = self._refusal(service, item, usage.total_tokens)
        if refusal is not None:
            error = refusal_error(
                refusal, service.retry_after(refusal.wait), service.dialect, [], now, service.refusal_status
            )
            self._at(now + service.refusal_seconds_of(chance), self._fail, (item, error))
            return
        self._admitted += 1
        self._admitted_tokens += usage.total_tokens
        self._in_service += 1
        item.at_provider = True
        seconds = math.inf if fault is FaultKind.TIMEOUT else service.work_of(usage, chance)
        if self._may_time_out or seconds > self.trial.timeout:
            self._at(item.started + self.trial.timeout, self._time_out, (item, item.calls))
        if service.slots is not None and self._working >= service.slots:
            self._line.append((item, seconds))
        else:
            self._work(item, seconds)

    def _refusal(self, service: Service, item: _Item, tokens: int) -> Refusal | None:
        if service.shed_share:
            call = item.prompt, item.state.attempt
            times = self._shed.pop(call, 0)
            if self._dice.draw_again(*call, times) < service.shed_share:
                self._shed[call] = times + 1
                return Refusal(None, math.inf)
        return self._admission.admit(self._now, tokens, self._in_service)

    def _work(self, item: _Item, seconds: float) -> None:
        item.is_working = True
        self._working += 1
        if self._sharing is not None and seconds < math.inf:
            item.shared = self._sharing.join(self._now, seconds)
            self._sharers[item.shared] = item
            self._look_at_sharing()
        elif seconds <= self.trial.timeout:
            self._at(self._now + seconds, self._serve_call, (item, item.calls))

    def _serve_call(self, call: tuple[_Item, int]) -> None:
        item, number = call
        if item.calls == number and item.at_provider:
            self._serve(item)

    def _leave(self, item: _Item) -> None:
        """Free the place of an admitted call."""
        self._in_service -= 1
        item.at_provider = False
        if item.shared is not None and self._sharing is not None:
            self._sharing.leave(self._now, item.shared)
            del self._sharers[item.shared]
            item.shared = None
            self._look_at_sharing()
        if item.is_working:
            item.is_working = False
            self._working -= 1
        self._let_in()

    def _let_in(self) -> None:
        slots = self._service.slots or math.inf
        while self._line and self._working < slots:
            item, seconds = self._line.popleft()
            if item.at_provider and not item.is_working:
                self._work(item, seconds)

    def _look_at_sharing(self) -> None:
        if self._sharing is not None and (wake_up := self._sharing.wake_up(self._now)) is not None:
            self._looks += 1
            self._at(wake_up.time, self._look, (self._looks, wake_up.call))

    def _look(self, look: tuple[int, SharedCall]) -> None:
        number, call = look
        if number != self._looks or self._sharing is None:
            return
        if self._sharing.is_complete(self._now, call):
            self._serve(self._sharers[call])
        else:
            self._look_at_sharing()
