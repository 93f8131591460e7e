"""Call refusals: which single calls are not made, by what is known of their lanes and strategies, and the log lines that say so.

Rules owned here:

1. A call that would wait too long is refused, and so is one of a strategy or a lane that makes no calls for a while.
2. A call whose turn comes too late for an answer is not sent.
3. A call that is cut off by its own timeout is evidence against its provider only if hardly any call takes so long.
4. The log says once that calls are refused for a while, and once that they are answered again.
"""

from __future__ import annotations

import math
import time
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import attrs
from anyio import current_time

from ..._core import pace
from ..._core.exceptions import Busy
from ..._core.fault import Fault, FaultKind
from ..._core.fault_groups import provider_words
from ..._core.health.denials import Denials
from ..._core.prompt import size_of
from ..._core.queue.answer_times import PART, AnswerTimes
from ..._core.queue.priority_band import Customer
from ..._core.queue.waiting_room import Refusal, RoomLimits, refusal, shut_refusal
from ...abc import LLMCallStrategy, LLMWorkItem
from ..calls.services import Services
from ..lanes.job import Job
from ..lanes.lane import Lane
from ..lanes.strategy_values import model_of
from ..loop.foreign import logger
from .turns import Turn, Turns

_SLOW = 1.25
"""Times the usual duration, while it was not measured how calls spread: seven of eight take less, as they commonly spread (sigma 0.2)."""
_LONG_SHUT = 5.0
"""Seconds for which a lane is shut that are worth a line in the log."""


class CallRefusals:
    """What is known of the lanes and strategies of single calls, and which calls are not made because of it.

    Args:
        services: What the pool lends.
        limits: Bounds of the waiting room.
        turns: The calls that wait.
    """

    def __init__(self, services: Services, limits: RoomLimits, turns: Turns) -> None:
        self._services = services
        self._limits = limits
        self._turns = turns
        self._denials = Denials()
        self._shut: WeakSet[Lane[Job]] = WeakSet()
        """Lanes that were exhausted and have not answered a call since."""
        self._times: WeakKeyDictionary[Lane[Job], AnswerTimes] = WeakKeyDictionary()
        """How long calls of each lane took; batches are not counted, as their prompts may be of another kind."""
        self._said_shut: WeakKeyDictionary[Lane[Job], float] = WeakKeyDictionary()
        """Since when each lane was shut that the log says is shut."""

    # ------------------------------------------------------------------------------------------ refusals

    def check(
        self,
        item: LLMWorkItem[Any],
        timeout: float | None,
        customer: Customer,
        *,
        waiting: int,
        has_journal: bool,
    ) -> None:
        """Check that a new call may wait.

        Args:
            item: Its item.
            timeout: Seconds for which its caller waits; None: any.
            customer: With whose calls it waits.
            waiting: Number of calls that wait.
            has_journal: Whether its result may be stored already, so that it may wait though no call is made for a while.

        Raises:
            Busy: It may not.
        """
        refused = self._of_new(item, timeout, customer, waiting)
        if refused is None and not has_journal:
            refused = self.while_shut(item.strategy)
        if refused is not None:
            raise busy(refused)

    def _of_new(
        self, item: LLMWorkItem[Any], timeout: float | None, customer: Customer, waiting: int
    ) -> Refusal | None:
        now, lane = current_time(), self._services.scheduler.lane_of(item.strategy)
        ahead = 0 if lane is None else lane.queue.ahead_of(customer)
        shut = 0.0 if lane is None else max(0.0, lane.shut_until - now)
        is_timed = lane is not None and timeout is not None and (ahead or shut)
        return refusal(
            self._limits,
            calls=waiting,
            size=self._turns.waiting_size + size_of(item.prompt),
            ahead=ahead,
            rate=None if lane is None else lane.starts_per_second(now),
            shut=shut,
            slow=self._slow_seconds(lane, now, timeout) if is_timed and lane and timeout else 0.0,
            timeout=timeout,
            chance=self._services.draw(),
        )

    def while_shut(self, strategy: LLMCallStrategy[Any]) -> Refusal | None:
        """Return why no call of a strategy is made for a while; None: it is made."""
        now, scheduler = current_time(), self._services.scheduler
        reason, lane = self._denials.reason(strategy, now), scheduler.lane_of(strategy)
        if reason is None and lane is not None and lane.exhausted is not None and lane.is_exhausted(now):
            reason = until_reopened(lane, lane.exhausted, now)
        return None if reason is None else shut_refusal(reason, self._services.draw())

    def of_waiting(self, job: Job, now: float) -> Refusal | None:
        """Return why a waiting call is not made any more: its lane opens too late for it; None: it waits on."""
        lane = job.lane_or_raise
        if not job.waiting or lane.shut_until <= now:
            return None
        left = job.deadline - now
        return refusal(
            self._limits,
            calls=0,
            size=0,
            ahead=0,
            rate=None,
            shut=lane.shut_until - now,
            slow=self._slow_seconds(lane, now, left),
            timeout=left,
            chance=self._services.draw(),
        )

    def of_hopeless(self, job: Job, turn: Turn, *, waiting: int) -> Fault | None:
        """Return the fault of a started job that could not be answered in the time that is left; None: it may be."""
        times, now = self._times_of(job.lane_or_raise), job.started
        left, passed = job.deadline - now, now - turn.asked
        others = waiting > 0 and self._turns.latest >= turn.asked + passed / 2  # not only those that came with it
        if not times.is_hopeless(now, passed, left, others=others):
            return None
        needed = times.needed(now, others=others)
        why = "others wait that have more" if needed is None else f"by the latest answers a call needs {needed:.1f} s"
        message = f"of its timeout only {left:.1f} s were left when its turn came, and {why}; it was not sent"
        return Fault(FaultKind.TIMEOUT, message)

    def _slow_seconds(self, lane: Lane[Job], now: float, timeout: float) -> float:
        """Return how many seconds a call of this timeout may take in flight, by those measured lately; 0: it is not known."""
        times = self._times.get(lane)
        slow = None if times is None else times.slow(now, timeout)
        return min(_SLOW * lane.call_seconds(now), PART * timeout) if slow is None else slow

    def _times_of(self, lane: Lane[Job]) -> AnswerTimes:
        times = self._times.get(lane)
        if times is None:
            times = self._times[lane] = AnswerTimes()
        return times

    # ------------------------------------------------------------------------------------------ what calls say

    def record_answer(self, job: Job, now: float) -> None:
        """Record that a call was answered."""
        lane = job.lane_or_raise
        self._times_of(lane).record(now, now - job.started)
        if self._denials.record_answer(job.origin):
            logger.warning("calls of %s are answered again", _name(job.origin))
        if self._shut and lane in self._shut:
            self._shut.remove(lane)
            logger.warning("%s answers calls again", lane.quota)

    def record_cut_off(self, job: Job, now: float) -> pace.Signal | None:
        """Return what a call says about its provider that was cut off by its own timeout; None: too little is known."""
        times, seconds = self._times_of(job.lane_or_raise), now - job.started
        is_blamed = times.blames_provider(now, seconds)
        times.record_cut_off(seconds)
        if is_blamed is None:
            return None
        return pace.TIMED_OUT if is_blamed else pace.ABANDONED

    def record_denial(self, strategy: LLMCallStrategy[Any], fault: Fault, now: float) -> Fault | None:
        """Record that a provider does not know the caller; return the fault of the strategy's calls that wait."""
        if self._denials.record(strategy, fault, now):
            message = "calls of %s are refused, and one is tried again after 5 s or longer: %s; once the key is valid, call pool.reopen()"
            logger.warning(message, _name(strategy), provider_words(fault.message).rstrip("."))
        return self._denials.reason(strategy, now)

    # ------------------------------------------------------------------------------------------ lanes that are shut

    def record_exhausted(self, lane: Lane[Job], reason: Fault) -> None:
        """Record that a lane makes no more calls until it is tried again."""
        if lane not in self._shut:
            self._shut.add(lane)
            logger.warning("calls of %s are refused until it is tried again: %s", lane.quota, reason.message)

    def record_shut(self, lane: Lane[Job], now: float) -> None:
        """Record that the controller of a lane lets no call start for a time."""
        wait = lane.shut_until - now
        if wait >= _LONG_SHUT and self._said_shut.get(lane) != lane.shut_since:
            self._said_shut[lane] = lane.shut_since
            logger.warning(
                "%s is shut until %s, for %.0f s: its provider refused or failed all calls lately",
                lane.quota,
                time.strftime("%H:%M:%S", time.localtime(time.time() + wait)),
                wait,
            )

    def forget(self, lane: Lane[Job]) -> None:
        """Forget a lane that is dropped."""
        self._shut.discard(lane)

    def reopen(self) -> None:
        """Call again at once what was denied."""
        self._denials.clear()


def busy(refused: Refusal) -> Busy:
    """Return the exception of a refusal."""
    return Busy(refused.reason, retry_after=refused.retry_after, ahead=refused.ahead)


def until_reopened(lane: Lane[Job], fault: Fault, now: float) -> Fault:
    """Return a fault with the seconds until a lane that makes no calls is tried again."""
    left = lane.reopens_at - now
    return attrs.evolve(fault, retry_after=left) if fault.kind is FaultKind.PENDING and 0 < left < math.inf else fault


def _name(strategy: LLMCallStrategy[Any]) -> str:
    return model_of(strategy) or type(strategy).__qualname__
