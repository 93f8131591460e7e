"""Rules of the number of calls in flight: `admissions`, `concurrency_cap`, `knee`, `delivery`."""

from __future__ import annotations

import math
from typing import Any

from .rule import Always, Rule, Wrapped


def _each_counts(original: Any, self: Any, *rest: Any) -> None:
    """counts each refusal, also those without an admission between them."""
    self.between = True
    original(self, *rest)


def _not_restarted(original: Any, self: Any, in_flight: int, *rest: Any) -> None:
    """goes on at a lower number in flight."""
    lowest, refused, admitted = self.lowest, self.refused, self.admitted
    original(self, in_flight, *rest)
    if in_flight < lowest - 1:
        self.refused, self.admitted = refused + 1, admitted


def _cap_stays(original: Any, self: Any, *rest: Any) -> None:
    """does not forget a known cap when a test is refuted."""
    probed = self.probed
    original(self, *rest)
    if self.probed == math.inf:
        self.probed = probed


def _all_accepted(original: Any, self: Any, *rest: Any, **named: Any) -> Any:
    """counts all answers alike."""
    return original(self, *rest, **(named | {"accepted": True}))


RULES = (
    Rule(
        "admissions.age",
        "The age that confirms an admission follows the latencies of the latest refusals.",
        {"admissions:Admissions._time_refusal": Always()},
    ),
    Rule(
        "admissions.straggler",
        "One slow refusal among many does not raise that age.",
        {"admissions:_SLOW_QUANTILE": 1.0},
    ),
    Rule(
        "admissions.late-refusal",
        "A refusal that comes after its call was counted as admitted is taken out of the rate of admission.",
        {"admissions:Admissions._remove_from_rate": Always()},
    ),
    Rule(
        "admissions.short-span",
        "Before the first refusal the rate of admission is measured over two round trips, if these are short.",
        {"admissions:_SPAN": math.inf},
    ),
    Rule(
        "cap.proof", "The odds of refusals and admissions under a cap prove it.", {"concurrency_cap:_PROOF": math.inf}
    ),
    Rule(
        "cap.doubt",
        "Each test that refuted a cap makes the next proof harder.",
        {"concurrency_cap:_DOUBT": 1.0},
        unseen="a cap that gives way to a limit on the rate (tests/pace/test_soak.py: 0.67 in place of 0.72)",
    ),
    Rule(
        "cap.blur",
        "The provider's count of the calls in flight may differ from the one here.",
        {"concurrency_cap:_REFUSING": ((0.02, 0.8, 0.9, 0.95, 0.99),)},
    ),
    Rule(
        "cap.racing",
        "A refusal with one call fewer in flight than the known cap is for the cap all the same.",
        {"concurrency_cap:_RACING": 0},
    ),
    Rule(
        "cap.between",
        "Refusals without an admission between them count once.",
        {"concurrency_cap:CapTest.record_refusal": Wrapped(_each_counts)},
    ),
    Rule(
        "cap.restart",
        "Refusals at ever lower numbers restart the test.",
        {"concurrency_cap:CapTest.record_refusal": Wrapped(_not_restarted)},
    ),
    Rule(
        "cap.refuted",
        "A known cap is forgotten when more calls are admitted in flight.",
        {"concurrency_cap:ConcurrencyCap.record_admission": Wrapped(_cap_stays)},
    ),
    Rule("cap.steps", "Probes above a cap go further while they succeed.", {"concurrency_cap:_MAX_STEP": 0.0}),
    Rule("cap.failures", "After a failed probe the next one waits longer.", {"concurrency_cap:_MAX_FAILURES": 1.0}),
    Rule(
        "cap.slow-calls",
        "Where admissions are slow to come a cap is probed after a time.",
        {"concurrency_cap:_LONG_ENOUGH": math.inf},
        unseen="a cap that gives way to a limit on the rate (tests/pace/test_soak.py: 0.63 in place of 0.72)",
    ),
    Rule(
        "knee.all",
        "At a server that refuses nothing a number of calls in flight is useful, and no more.",
        {"knee:_FEW": 4000.0, "knee:_MIN": 4000.0, "knee:_ABOVE": math.inf},
    ),
    Rule(
        "knee.first-calls",
        "Until the latency is known, calls in flight grow with those that were answered.",
        {"knee:_FEW": 40.0, "knee:_PER_ANSWER": 0.0},
    ),
    Rule(
        "knee.skew",
        "The latency is the median of the first calls times a skew, which follows the rounds.",
        {"knee:_SKEW": 1.0, "knee:_SKEW_WEIGHT": 0.0},
    ),
    Rule(
        "knee.flat",
        "Start-up ends when the delivery rate is flat for some rounds while the latency rose.",
        {"knee:_FLAT": 0.0, "knee:_SLOW": math.inf},
    ),
    Rule("knee.buried", "A server that is overloaded by far gets a deeper cut.", {"knee:_LOWER_BURIED": 0.8}),
    Rule("knee.slow", "A round of start-up in which calls take much longer counts as flat.", {"knee:_SLOW": math.inf}),
    Rule(
        "knee.calm",
        "Where the latest calls take longer, start-up uses the smaller gain.",
        {"knee:_CALM": math.inf},
        unseen="a warm start at a busy server (tests/pace/test_warm_start.py: 0.85 in place of 0.93)",
    ),
    Rule(
        "knee.short-span",
        "In start-up the delivery rate is measured over a few latencies, if these are short.",
        {"knee:_SHORT_SPAN": math.inf},
    ),
    Rule("knee.undo", "A cut that cost deliveries is undone: the work has changed.", {"knee:_FELL": 0.0}),
    Rule(
        "knee.trial",
        "Where calls take steadily longer, half as many more are tried to find the cause.",
        {"knee:_FIRST_WAIT": 10**9, "knee:_LONGEST_WAIT": 10**9},
    ),
    Rule("knee.faster", "The latency follows at once where calls become faster.", {"knee:_FASTER": 0.0}),
    Rule(
        "knee.unanswered",
        "Calls that were not answered are left out of the measure of the latency.",
        {"knee:Knee.drop": Always()},
    ),
    Rule(
        "knee.useless",
        "Answers of no use count in the delivery rate alone, in proportion to their latency.",
        {"knee:Knee.record_answer": Wrapped(_all_accepted)},
        unseen="answers that are rejected or invalid",
    ),
    Rule(
        "delivery.best",
        "The best delivery rate of the latest seconds counts.",
        {"delivery:_BEST_SPAN": 0.0, "delivery:_BEST_SPAN_CALLS": 0.0},
    ),
)
