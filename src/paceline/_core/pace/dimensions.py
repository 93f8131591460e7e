"""Dimensions: a lane's two pacers, for requests and for tokens, and the test of which of the two the provider limits.

Rules owned here:

1. A call waits for its turn in requests, and also in tokens as soon as anything is known about a limit on tokens.
2. Refusals are charged to one of the two: to requests until the provider names tokens, or the sizes of refused calls show that
   tokens are limited. What the other had been charged by then was not its fault, and is refunded.
3. A limit on requests refuses large and small calls alike; one on tokens refuses the large ones. So each refused call is compared
   with the call admitted last, and the evidence is summed as in a sequential probability ratio test (Wald, 1945).
"""

from __future__ import annotations

import math

import attrs

from ..limitation import Limitation, LimitReason
from ..quota import QuotaHint, Unit
from .admissions import Admissions, Call
from .pacer import Pacer

_LARGER = 0.8  # share of refused calls larger than the last admitted one, under a limit on tokens; else a half
# Sizes in a closer proportion than 4:5 are no evidence: they may drift, as those of numbered prompts do.
_LESS, _MORE = 4, 5
_ENOUGH = 4.0  # log-likelihood ratio, e^4: one false alarm in some fifty refusals, which the next refusals undo


@attrs.define(eq=False)
class DimensionTest:
    """The sequential test of whether requests or tokens are limited."""

    tokens: bool = False
    """Whether tokens are limited, as far as is known."""
    stated: bool = False
    """Whether the provider said so."""
    _score: float = 0.0  # log-likelihood ratio of tokens to requests

    def record_statement(self, *, tokens: bool) -> None:
        """Record which of the two the provider named."""
        self.stated, self.tokens = True, tokens

    def record_refusal(self, tokens: float, admitted: float) -> None:
        """Compare a refused call's tokens with those of the call admitted last, if they differ much."""
        if self.stated or (_LESS * tokens <= _MORE * admitted and _LESS * admitted <= _MORE * tokens):
            return
        self._score += math.log((_LARGER if tokens > admitted else 1 - _LARGER) / 0.5)
        if self._score >= _ENOUGH:
            self.tokens, self._score = True, _ENOUGH
        elif self._score <= -_ENOUGH:
            self.tokens, self._score = False, -_ENOUGH


_MEAN_CALLS = 100  # calls that the mean cost covers, about


class Dimensions:
    """The pacers of requests and of tokens."""

    def __init__(self, admissions: Admissions) -> None:
        self.requests = Pacer(_one, admissions.rate)
        self.tokens = Pacer(_tokens_of, admissions.token_rate)
        self.charged = self.requests
        """The pacer that refusals are charged to."""
        self.burst = 0
        """Calls that may start at once now, and until when, in seconds."""
        self._burst_until = -math.inf
        self._both = (self.requests, self.tokens)
        self._test = DimensionTest()

    def start(self, now: float, cost: float) -> None:
        """Start with a call of `cost` tokens."""
        self.tokens.rate.mean = cost
        for pacer, first in ((self.requests, 1.0), (self.tokens, cost)):
            pacer.rate.anchor(now)
            pacer.bucket.restart(now, first)

    def warm_start(self, now: float, requests: float, tokens: float) -> None:
        """Start at rates learned earlier, per second; one that is not positive and finite is ignored."""
        if 0 < requests < math.inf:
            self.requests.warm_start(now, requests)
        if 0 < tokens < math.inf:
            self.tokens.warm_start(now, tokens)
            self._test.tokens, self.charged = True, self.tokens

    def wait(self, now: float, cost: float) -> float:
        """Return the seconds until a call of `cost` tokens may start; 0: now."""
        if self.burst and now <= self._burst_until:
            return 0.0
        wait, tokens = self.requests.wait(now, 1.0), self.tokens
        if tokens.rate.value < math.inf or tokens.claimed < math.inf:
            wait = max(wait, tokens.wait(now, tokens.paced_cost(now, cost)))
        return wait

    def limitation(self, now: float) -> Limitation:
        """Return what keeps a call of mean cost from starting that waits for its turn at `now`; nothing changes."""
        requests, tokens = self.requests, self.tokens
        wait = requests.waits_for(now, 1.0)
        wait_for_tokens = tokens.waits_for(now, tokens.rate.mean) if tokens.has_limit else 0.0
        if wait_for_tokens > wait or (wait_for_tokens == wait and self.charged is tokens):
            return tokens.limitation(now, LimitReason.TOKENS)
        return requests.limitation(now, LimitReason.REQUESTS)

    def paced_cost(self, now: float, cost: float) -> float:
        """Return the tokens that a call is paced by, which is expected to cost `cost` tokens."""
        tokens = self.tokens
        has_limit = tokens.rate.value < math.inf or tokens.claimed < math.inf
        return tokens.paced_cost(now, cost) if has_limit else cost

    def spend(self, cost: float) -> None:
        """Spend the cost of a started call, in tokens."""
        self.requests.bucket.spend(1.0)
        self.tokens.bucket.spend(cost)

    def start_burst(self, calls: int, until: float) -> None:
        """Let a number of calls start at once, if they start by the time `until`."""
        self.burst, self._burst_until = calls, until

    def take_from_burst(self, now: float) -> bool:
        """Return whether a call that starts now is in the burst."""
        self.burst = self.burst - 1 if now <= self._burst_until else 0
        return now <= self._burst_until

    def spend_reserve(self, cost: float) -> None:
        """Spend the cost of a call that started from the reserve, in tokens."""
        self.requests.reserve -= 1.0
        self.requests.on_reserve = False
        self.tokens.bucket.spend(cost)

    def give_back(self, call: Call) -> None:
        """Give back the cost of a call that was not made after all."""
        self.requests.bucket.correct(-1.0)
        self.tokens.bucket.correct(-call.tokens)

    def update_mean(self, cost: float, calls: int) -> None:
        """Update the mean token cost with the cost of call number `calls`."""
        rate = self.tokens.rate
        rate.mean += (cost - rate.mean) / (calls if calls < _MEAN_CALLS else _MEAN_CALLS)  # noqa: FURB136 - faster than min()

    def record_admission(self, call: Call) -> None:
        """Record an admission."""
        self.requests.rate.admitted += 1.0
        self.tokens.rate.admitted += call.tokens

    def retract_admission(self, call: Call) -> None:
        """Retract a presumed admission that turned out to be refused."""
        self.requests.rate.admitted -= 1.0
        self.tokens.rate.admitted -= call.tokens

    def record_refusal(self, call: Call) -> None:
        """Record a refusal."""
        self.requests.rate.refused += 1.0
        self.tokens.rate.refused += call.tokens

    def grow(self, call: Call) -> None:
        """Grow for an admission that the pace had delayed."""
        requests, tokens = self.requests, self.tokens
        if requests.is_known:
            requests.rate.grow(1.0, requests.recent_rate())
        if tokens.is_known:
            tokens.rate.grow(call.tokens, tokens.recent_rate())

    def hold(self, started: float, verdict: float) -> None:
        """Hold the slow start back until the refusal of a call that had started at `started` is judged, `verdict` seconds later."""
        for pacer in self._both:
            pacer.hold_until(started + verdict)
            pacer.rate.verdict = verdict

    def shrink(self, factor: float) -> None:
        """Lower the rates by a factor, for a reason that is not a limit."""
        for pacer in self._both:
            pacer.rate.shrink(factor)

    def restart_measures(self, now: float, time: float) -> None:
        """Measure from `time` on, until when the limits were exhausted; calls that started before `now` cause no second cut."""
        for pacer in self._both:
            pacer.rate.anchor(time)
            pacer.rate.last_cut = now

    def empty_buckets(self, now: float) -> None:
        """Start calls evenly from now on, with nothing in reserve."""
        for pacer in self._both:
            pacer.bucket.restart(now)

    def apply_hint(self, now: float, quota: QuotaHint) -> None:
        """Apply what the provider says about its limits."""
        for limit in quota.limits:
            tokens = limit.unit is Unit.TOKENS
            if limit.exceeded:
                self._test.record_statement(tokens=tokens)
            (self.tokens if tokens else self.requests).claim(now, limit)

    def charge(self, call: Call, admitted: float) -> Pacer:
        """Return the pacer to charge with a refused call, given the tokens of the call admitted last."""
        test = self._test
        test.record_refusal(call.tokens, admitted)
        pacer = self.tokens if test.tokens else self.requests
        if pacer is not self.charged:
            if not test.stated:
                self.charged.rate.restore(math.inf)  # the refusals were not for this one
            self.charged = pacer
        return pacer


def _one(_: Call) -> float:
    return 1.0


def _tokens_of(call: Call) -> float:
    return call.tokens
