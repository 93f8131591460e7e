"""Systematic failure: decides that the calls of a lane all fail in the same way, before each item has failed.

A wrong model name, an option that the model does not have, or a server that is not running fails each of a million items alike.

Rules owned here:

1. A lane is watched until its first call is served; then it goes on, whatever fails later. A call whose answer is invalid, truncated or
   declined was served: it reached the model. Throttled calls count for nothing.
2. `ALIKE` final faults that are alike show a systematic failure, and so do `MIXED` final faults of any messages.
3. So do `PASSING` passing faults that are alike, final or not, that came over a time: `UNREACHED_SECONDS` if each says that the server could
   not be reached, as a server that restarts is back after a few seconds; otherwise the patience of the retry policy.
4. Faults are often known long before answers. So the lane is suspended first: no further call starts while others are in flight. If one of
   them is served, the lane goes on; when none is left, the lane has failed.
5. Nothing is found while `keep_going` is set; what was counted by then is kept.

    Watching ──evidence──► Suspended ──no call in flight──► Failing
        └──────served──────────┴───────► Served

It takes at most the calls of rule 2 or 3 and those in flight then. Served and Failing are final.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias, assert_never

import attrs

from ..fault import UNTRUSTED_ADVICE, Fault, FaultKind, FaultReason
from ..fault_groups import FaultGroup, comparable, provider_words
from ..quantity import quantity

ALIKE = 10
"""Final faults that are alike: a few bad items at the head of an input are fewer, and ten calls cost little."""
MIXED = 1_000
"""Final faults of any messages, for those that vary more than rule 1 of `fault_groups` knows."""
_MOST_KEYS = 100  # messages that are kept, the most frequent ones
PASSING = 5
"""Passing faults that are alike: as many as open the breaker, after which calls become ever rarer."""
UNREACHED_SECONDS = 10.0
"""Seconds from the first to the last of these that say the server was not reached: one that restarts is back by then."""

SERVED_KINDS = frozenset({FaultKind.INVALID, FaultKind.TRUNCATED, FaultKind.REFUSED})
"""Faults of an answer: the call was served."""
COUNTED_KINDS = frozenset(
    {
        FaultKind.REJECTED,
        FaultKind.BUG,
        FaultKind.CANCELLED,
        FaultKind.OVERLOADED,
        FaultKind.TRANSIENT,
        FaultKind.TIMEOUT,
    }
)
"""Faults that count when they are final. A denied key and an exhausted quota stop more by themselves."""
PASSING_KINDS = frozenset({FaultKind.OVERLOADED, FaultKind.TRANSIENT, FaultKind.TIMEOUT})
"""Faults after which a call is made again, as the service may be back."""


@attrs.frozen
class Evidence:
    """What shows a systematic failure."""

    fault: Fault
    """The first of the faults."""
    count: int
    """How many calls failed so."""
    since: float
    """When the first of them ended, in seconds of the clock of the events."""
    until: float
    """When the last of them ended."""
    alike: bool = True
    """Whether they are alike; False: they have any messages."""

    @property
    def group(self) -> FaultGroup:
        """The faults as a group."""
        return FaultGroup(self.fault.kind, self.count, provider_words(self.fault.message), reason=self.fault.reason)


_NOTHING: Mapping[str, Evidence] = MappingProxyType({})


@attrs.frozen
class Watching:
    """No call was served yet; the evidence so far, by what is compared."""

    total: int = 0
    """Final faults of any messages."""
    final: Mapping[str, Evidence] = _NOTHING
    passing: Mapping[str, Evidence] = _NOTHING


@attrs.frozen
class Suspended:
    """There is evidence; no further call starts until those in flight have ended."""

    evidence: Evidence


@attrs.frozen
class Served:
    """A call was served: the lane is not watched any more."""


@attrs.frozen
class Failing:
    """All calls failed; no more are made."""

    evidence: Evidence


State: TypeAlias = Watching | Suspended | Served | Failing
NEW: State = Watching()
SERVED: State = Served()


@attrs.frozen
class Ended:
    """A call ended: it was served, or it failed with a fault, or it has no outcome."""

    at: float
    """When, in seconds of any clock that does not go back."""
    in_flight: int
    """Calls of the lane that are still in flight."""
    fault: Fault | None = None
    """How it failed; None: it was served, or it was not made."""
    is_final: bool = False
    """Whether the fault is the item's last."""
    is_served: bool = False
    """Whether the call was served."""

    @classmethod
    def of(cls, fault: Fault | None, *, at: float, in_flight: int, is_final: bool) -> Ended:
        """Return the event of a call that was made."""
        return cls(at, in_flight, fault, is_final, fault is None or fault.kind in SERVED_KINDS)


def step(state: State, event: Ended, *, patience: float = math.inf, keep_going: bool = False) -> State:
    """Return the state after the end of a call. `Suspended` and `Failing` say what the engine must do.

    Args:
        state: State of the lane.
        event: End of one of its calls.
        patience: Seconds for which calls may fail for a passing reason before the first is served.
        keep_going: Whether the lane goes on in any case.
    """
    match state:
        case Served() | Failing():
            return state
        case Suspended():
            return SERVED if event.is_served else _judged(state.evidence, event, keep_going=keep_going)
        case Watching():
            if event.is_served:
                return SERVED
            state = _counted(state, event)
            evidence = _found(state, patience)
            return state if keep_going or evidence is None else _judged(evidence, event, keep_going=False)
        case _:
            assert_never(state)


def _judged(evidence: Evidence, event: Ended, *, keep_going: bool) -> State:
    if event.in_flight and not keep_going:
        return Suspended(evidence)
    return SERVED if keep_going else Failing(evidence)


def _counted(state: Watching, event: Ended) -> Watching:
    fault = event.fault
    if fault is None:
        return state
    key = f"{fault.kind} {comparable(fault.message)}"
    if event.is_final and fault.kind in COUNTED_KINDS:
        final = _with_one_more(state.final, key, fault, event.at)
        state = attrs.evolve(state, total=state.total + 1, final=final)
    if fault.kind in PASSING_KINDS:
        state = attrs.evolve(state, passing=_with_one_more(state.passing, key, fault, event.at))
    return state


def _with_one_more(known: Mapping[str, Evidence], key: str, fault: Fault, at: float) -> Mapping[str, Evidence]:
    before = known.get(key)
    after = Evidence(fault, 1, at, at) if before is None else attrs.evolve(before, count=before.count + 1, until=at)
    kept = dict(known)
    if before is None and len(known) >= _MOST_KEYS:
        del kept[min(known, key=lambda one: known[one].count)]
    kept[key] = after
    return kept


def _found(state: Watching, patience: float) -> Evidence | None:
    """Return the evidence of a systematic failure; None: there is not enough."""
    most = max(state.final.values(), key=lambda one: one.count, default=None)
    if most is not None and most.count >= ALIKE:
        return most
    if most is not None and state.total >= MIXED:
        return attrs.evolve(most, count=state.total, alike=False)
    return next((one for one in state.passing.values() if _is_lasting(one, patience)), None)


def _is_lasting(evidence: Evidence, patience: float) -> bool:
    least = UNREACHED_SECONDS if evidence.fault.misses_api else patience
    return evidence.count >= PASSING and evidence.until - evidence.since >= least


_ADVICE: Mapping[FaultKind, str] = MappingProxyType(
    {
        FaultKind.REJECTED: "check the model's name, its options and the prompts",
        FaultKind.BUG: "correct the code of the strategy; the log has the traceback",
        FaultKind.CANCELLED: "correct the code of the strategy, which cancels its calls",
        FaultKind.OVERLOADED: "try again later",
        FaultKind.TRANSIENT: "check the server, or try again later",
        FaultKind.TIMEOUT: "check the server, or allow more time for a call",
    }
)


_ADVICE_BY_REASON: Mapping[FaultReason, str] = MappingProxyType(
    {
        FaultReason.TOO_LARGE: "shorten the prompts, use a model that takes more, or have the limit raised",
        FaultReason.UNTRUSTED: UNTRUSTED_ADVICE,
        FaultReason.NOT_THE_API: "check the server's address: it must be that of the API, with its path such as /v1",
    }
)


def advice_for(fault: Fault) -> str:
    """Return what a user can do about calls that all fail so."""
    if fault.reason is not None and fault.reason in _ADVICE_BY_REASON:
        return _ADVICE_BY_REASON[fault.reason]
    return "check the server's address, and that it is running" if fault.is_unreached else _ADVICE.get(fault.kind, "")


def stop_message(evidence: Evidence, name: str) -> str:
    """Return why no more calls are made, and what to do.

    Args:
        evidence: What shows the failure.
        name: Name of the model, or else of the lane.
    """
    fault = evidence.fault
    how = "failed alike and none succeeded" if evidence.alike else "failed and none succeeded"
    advice = advice_for(fault)
    return (
        f"the first {quantity(evidence.count, 'call')} of {name} {how}: {fault.kind}: "
        f"{provider_words(fault.message).rstrip('.')}{f'; {advice}' if advice else ''}"
    )


def unprepared_fault(fault: Fault, name: str) -> Fault:
    """Return the fault of the items of a strategy that could not be prepared: none of them was called, so they are pending.

    Args:
        fault: Why it could not be prepared.
        name: Name of the model, or else of the lane.
    """
    advice = advice_for(fault)
    message = f"{name} could not be prepared: {fault.kind}: {provider_words(fault.message).rstrip('.')}"
    return Fault(
        FaultKind.PENDING, f"{message}; {advice}" if advice else message, None, fault.quota, reason=fault.reason
    )
