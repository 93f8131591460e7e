"""Does the provider count calls or tokens, when it does not say?

A limit on calls refuses large and small ones alike; one on tokens refuses the large. So each refused call is compared with
the one admitted last, and the evidence is summed up as in a sequential probability ratio test (Wald, 1945).

Which of the two paces, that of requests or that of tokens, does a limit hold back, and by how long must a call wait for both?

Rules owned here:

1. A call waits for its turn of requests, and of tokens as soon as anything is known of a limit on those.
2. One of the two is `charged` with refusals: requests, until the provider names tokens or the sizes of refused calls give them
   away. What had been charged to the other by then was not its fault, and is given back.
"""

from __future__ import annotations

import math

import attrs

from ..quota import QuotaHint, Unit
from .admissions import Admissions, Call
from .pacer import Pacer

_LARGER = 0.8  # of the refused calls are larger than the last admitted one, where tokens are counted; else a half
_FOR, _AGAINST = math.log(_LARGER / 0.5), math.log((1 - _LARGER) / 0.5)
_LESS, _MORE = 4, 5  # sizes in a closer proportion say nothing: they may drift, as those of numbered prompts do
_ENOUGH = 4.0  # e^4: one false alarm in some fifty refusals, and the next ones undo it


@attrs.define(eq=False)
class UnitTest:
    """Calls or tokens?"""

    tokens: bool = False
    """Whether tokens are counted, as far as is known."""
    told: bool = False
    """Whether the provider said so."""
    _score: float = 0.0

    def tell(self, *, tokens: bool) -> None:
        """Hear it from the provider."""
        self.told, self.tokens = True, tokens

    def refused(self, tokens: float, admitted: float) -> None:
        """Compare a refused call's tokens with those of the call that was admitted last, if they differ much."""
        if self.told or (_LESS * tokens <= _MORE * admitted and _LESS * admitted <= _MORE * tokens):
            return
        self._score += _FOR if tokens > admitted else _AGAINST
        if self._score >= _ENOUGH:
            self.tokens, self._score = True, _ENOUGH
        elif self._score <= -_ENOUGH:
            self.tokens, self._score = False, -_ENOUGH


_MEAN_OF = 100  # calls that the mean cost is of, about


class Dimensions:
    """Requests and tokens."""

    def __init__(self, evidence: Admissions) -> None:
        self.requests = Pacer(_one, evidence.rate)
        self.tokens = Pacer(_tokens_of, evidence.token_rate)
        self.charged = self.requests
        self._both = (self.requests, self.tokens)
        self._unit = UnitTest()

    def begin(self, now: float, cost: float) -> None:
        """Begin with a call of this cost."""
        self.tokens.rate.mean = cost
        for handle, first in ((self.requests, 1.0), (self.tokens, cost)):
            handle.rate.anchor(now)
            handle.spacing.restart(now, first)

    def recall(self, now: float, requests: float, tokens: float) -> None:
        """Begin at rates that were learned long ago; whatever is no positive, finite number was not."""
        if 0 < requests < math.inf:
            self.requests.recall(now, requests)
        if 0 < tokens < math.inf:
            self.tokens.recall(now, tokens)
            self._unit.tokens, self.charged = True, self.tokens

    def wait(self, now: float, cost: float) -> float:
        """Return the seconds until a call of this cost may start; 0: now."""
        wait = self.requests.wait(now, 1.0)
        if self.tokens.holds:
            wait = max(wait, self.tokens.wait(now, cost))
        return wait

    def spend(self, cost: float) -> None:
        """Take a started call's cost."""
        self.requests.spacing.spend(1.0)
        self.tokens.spacing.spend(cost)

    def give_back(self, call: Call) -> None:
        """Give back the cost of a call that was not made after all."""
        self.requests.spacing.correct(-1.0)
        self.tokens.spacing.correct(-call.tokens)

    def average(self, cost: float, calls: int) -> None:
        """Hear what a call is expected to cost, the so manieth."""
        rate = self.tokens.rate
        rate.mean += (cost - rate.mean) * (1.0 / calls if calls < _MEAN_OF else 1.0 / _MEAN_OF)

    def admitted(self, call: Call) -> None:
        """Count an admission."""
        self.requests.rate.admitted += 1.0
        self.tokens.rate.admitted += call.tokens

    def retract(self, call: Call) -> None:
        """Take back an admission that was none."""
        self.requests.rate.admitted -= 1.0
        self.tokens.rate.admitted -= call.tokens

    def refused(self, call: Call) -> None:
        """Count a refusal."""
        self.requests.rate.refused += 1.0
        self.tokens.rate.refused += call.tokens

    def grow(self, call: Call) -> None:
        """Grow for an admission that the pace had held back."""
        requests, tokens = self.requests.rate, self.tokens.rate
        if requests.value < math.inf:
            requests.grow(1.0)
        if tokens.value < math.inf:
            tokens.grow(call.tokens)

    def doubt(self, until: float) -> None:
        """Hear that a call was refused, which will be judged at `until`."""
        for handle in self._both:
            handle.doubt(until)

    def shrink(self, factor: float) -> None:
        """Go down by a factor, for a reason that is not a limit."""
        for handle in self._both:
            handle.rate.shrink(factor)

    def exhausted(self, now: float, time: float) -> None:
        """Measure from `time` on, until when the limits were exhausted; refusals of calls from before now are of that."""
        for handle in self._both:
            handle.rate.anchor(time)
            handle.rate.last_cut = now

    def restart_spacing(self, now: float) -> None:
        """Start calls evenly from now on, with nothing in reserve."""
        for handle in self._both:
            handle.spacing.restart(now)

    def hear(self, now: float, quota: QuotaHint) -> None:
        """Hear what the provider says of its limits."""
        for limit in quota.limits:
            tokens = limit.unit is Unit.TOKENS
            if limit.exceeded:
                self._unit.tell(tokens=tokens)
            (self.tokens if tokens else self.requests).claim(now, limit)

    def blame(self, call: Call, admitted: float) -> Pacer:
        """Return the handle to charge with a refused call, given the tokens of the call that was admitted last."""
        unit = self._unit
        unit.refused(call.tokens, admitted)
        handle = self.tokens if unit.tokens else self.requests
        if handle is not self.charged:
            if not unit.told:
                self.charged.rate.refund(math.inf)  # it was not for these
            self.charged = handle
        return handle


def _one(_: Call) -> float:
    return 1.0


def _tokens_of(call: Call) -> float:
    return call.tokens
