"""Rules of the rate: `rate`, `pacer`, `dimensions`, `attribution`, `shedding`, `charges`."""

from __future__ import annotations

import math
from typing import Any

from .rule import Always, Rule, Wrapped


def _not_sharpened(original: Any, self: Any, now: float, started: float, *rest: Any) -> None:
    """does nothing for a call that started before the last cut."""
    if started >= self.last_cut:
        original(self, now, started, *rest)


def _not_refunded(original: Any, self: Any, in_flight: int, started: float, rate: float, *rest: Any) -> Any:
    """proves a cap without giving the rate back."""
    proof = original(self, in_flight, started, rate, *rest)
    if proof is not None:
        proof.rate = rate
    return proof


def _whole_cost(_: Any, self: Any, now: float, cost: float) -> float:
    """is the cost itself."""
    return cost


def _however_few_start(original: Any, self: Any, cost: float, *_: Any) -> None:
    """grows however few calls are started."""
    original(self, cost, math.inf)


def _fresh_window(original: Any, self: Any, units: float, *rest: Any) -> None:
    """does not compare the window with the one before."""
    self.window = 0.0
    original(self, units, *rest)


RULES = (
    Rule(
        "rate.aim", "A measured rate is set slightly below the measure, so that the limit refills.", {"rate:AIM": 1.0}
    ),
    Rule(
        "rate.measure",
        "What was admitted between two exhaustions, over the time between, is the limit's rate; a cut goes there.",
        {"rate:_MAX_SPAN": 0.0},
    ),
    Rule(
        "rate.stale",
        "Where the rate has outgrown its measure, the latest calls count for more.",
        {"rate:_STALE": math.inf},
    ),
    Rule(
        "rate.same-burst",
        "Later refusals of one exhaustion lower the rate no further than to a part of what the first one set.",
        {"rate:_SAME_BURST": 0.0},
    ),
    Rule(
        "rate.sharpening",
        "A refusal of a call from before the last cut may sharpen the measure.",
        {"rate:Rate.cut": Wrapped(_not_sharpened)},
    ),
    Rule("rate.floor", "No cut goes below half of what is being admitted.", {"rate:_HALF": 0.0}),
    Rule(
        "rate.floor-of-few",
        "A measure over few calls does not lower the rate below half of what it was.",
        {"rate:_SMALL": 0.0},
    ),
    Rule(
        "rate.later-growth",
        "Growth becomes exponential when nothing is refused for longer than a cycle.",
        {"rate:_LATER_STEEPNESS": 1.0},
    ),
    Rule("rate.way-back", "Far below the best rate measured growth is quick.", {"rate:_BACK_BELOW": 0.0}),
    Rule(
        "rate.first-growth",
        "While nothing sound was measured the rate grows by half in a cycle.",
        {"rate:_FIRST_GROWTH": 0.06},
    ),
    Rule("rate.unsure-growth", "After a rough measure the rate grows twice as fast.", {"rate:_UNSURE_GROWTH": 0.06}),
    Rule("rate.first-cycle", "While nothing sound was measured a cycle is shorter.", {"rate:_FIRST_CYCLE": 5.0}),
    Rule(
        "rate.proportional-cycle",
        "A cycle is counted in calls in proportion to the rate.",
        {"rate:_CYCLE": 0.0, "rate:_FIRST_CYCLE": 0.0, "rate:_MIN_CALLS": 120.0},
    ),
    Rule("rate.patience", "Cycles are stretched until the refusals are rare enough.", {"rate:_MAX_PATIENCE": 1.0}),
    Rule(
        "rate.early-refusal",
        "A refusal early in a cycle ends patience; only such refusals may be by chance.",
        {"rate:_EARLY": -1.0, "rate:_VERY_EARLY": -1.0},
    ),
    Rule(
        "rate.window-cycle", "Where the limit is a window no cycle is shorter than it.", {"rate:_FAR_BELOW": math.inf}
    ),
    Rule(
        "rate.window-far-below",
        "Far below the best rate a cycle may be shorter than a window.",
        {"rate:_FAR_BELOW": 0.0},
        unseen="a rolling minute that was spent at once (tests/pace/test_recovery.py: 0.49 in place of 0.85)",
    ),
    Rule("rate.window-shrinks", "A refusal early in a window shows that it is smaller.", {"rate:_WINDOW_EARLY": -1.0}),
    Rule(
        "rate.several-windows",
        "What holds many more calls than the window before were several windows.",
        {"rate:Rate.learn_window": Wrapped(_fresh_window)},
    ),
    Rule(
        "rate.best",
        "The best rate measured is remembered, and forgotten slowly.",
        {"rate:_FORGET": 1.0, "rate:_MAX_SUPPORT": 1},
    ),
    Rule(
        "rate.support", "The more measures support the best rate, the slower it is forgotten.", {"rate:_MAX_SUPPORT": 1}
    ),
    Rule("rate.consumed", "Refused calls that are many enough count as used units.", {"rate:_MIN_CONSUMED": math.inf}),
    Rule("rate.near", "A measure that ends with a refusal after others in a row is not used.", {"rate:_NEAR": 10**9}),
    Rule("rate.last", "The measure includes what the limit had left for the refused call.", {"rate:_LAST": 0.0}),
    Rule("rate.tiny", "A first measure over hardly any calls is taken for larger.", {"rate:_TINY": 0.0}),
    Rule("rate.sound", "Only a measure over many calls is remembered, and ends the measuring.", {"rate:_SOUND": 0.0}),
    Rule(
        "rate.rough",
        "After a long growth, or where the limit has fallen, a cut is rough: it teaches no patience.",
        {"rate:_ROUGH": 0.0},
    ),
    Rule(
        "rate.unused-time",
        "A time in which the rate was not used is excluded from the measure.",
        {"rate:Rate.exclude": Always()},
    ),
    Rule(
        "rate.ahead",
        "The rate grows no further than a step above what is started.",
        {"rate:Rate.grow": Wrapped(_however_few_start)},
    ),
    Rule("pacer.lateness", "The bucket is as deep as calls are late on a busy machine.", {"pacer:_LATE": 0.0}),
    Rule("pacer.capped", "Under a known cap places that become free are taken at once.", {"pacer:_CAPPED": 2.0}),
    Rule("pacer.slack", "The bucket is a few milliseconds deeper than a call, for late timers.", {"pacer:_SLACK": 0.0}),
    Rule(
        "pacer.hold",
        "In slow start the pace is halved while a refusal waits for its verdict.",
        {"pacer:_HELD": 2.0},
    ),
    Rule(
        "pacer.one-by-one",
        "Calls may start as fast as one caller would make them, one after the other.",
        {"pacer:Pacer.start_one_by_one": Always()},
    ),
    Rule(
        "pacer.reserve",
        "A few calls may start at once before the first refusal and after an idle time.",
        {"pacer:Pacer.allow_bursts": Always()},
        unseen="single calls (paceline.open_pool)",
    ),
    Rule(
        "pacer.oversized",
        "A call that costs more than a minute of the pace is paced as a mean one.",
        {"pacer:Pacer.paced_cost": Wrapped(_whole_cost)},
    ),
    Rule(
        "pacer.claim",
        "What the provider states of its limit bounds the start, and doubles until a limit is met.",
        {"pacer:Pacer.claim": Always()},
        unseen="headers of limits (--dialect openai)",
    ),
    Rule(
        "pacer.restart",
        "An outage after hardly any calls is no window: the slow start restarts, and doubles.",
        {"outage:_MIN_WINDOW": 0.0},
    ),
    Rule(
        "pacer.debt",
        "What calls cost beyond expectation is paid back, up to a minute of the pace.",
        {"pacer:Pacer.correct": Always()},
    ),
    Rule(
        "dimensions.sizes",
        "The sizes of refused calls show whether tokens are limited.",
        {"dimensions:DimensionTest.record_refusal": Always()},
    ),
    Rule(
        "dimensions.stated",
        "The measure that the provider names as exceeded is the one that is limited.",
        {"dimensions:DimensionTest.record_statement": Always()},
        unseen="errors that name the limit (--dialect gemini)",
    ),
    Rule("dimensions.close-sizes", "Sizes in a close proportion are no evidence.", {"dimensions:_MORE": 4}),
    Rule(
        "shedding.chance",
        "Refusals by chance are not charged, once bursts have proved that they are.",
        {"shedding:Shedding.record_cut": Always(value=False)},
    ),
    Rule(
        "shedding.excess",
        "Refusals beyond the share that chance explains end the belief in it.",
        {"shedding:_TOO_MANY": math.inf},
    ),
    Rule(
        "shedding.later",
        "After each verdict for a limit the next suspicion takes twice as many refusals.",
        {"shedding:_MAX_EARLY": 4},
    ),
    Rule(
        "shedding.by-size",
        "A limit on tokens is not tested.",
        {"attribution:Attribution._is_by_size": Always(value=False)},
    ),
    Rule(
        "attribution.slow-start",
        "A single refusal among the latest calls does not end the slow start.",
        {"attribution:_MIN_REFUSED": 0},
    ),
    Rule(
        "attribution.series",
        "An unbroken series of refusals, while no limit is known, is charged as one.",
        {"attribution:Attribution.charge_series": Always()},
    ),
    Rule(
        "attribution.cap",
        "A refusal with as many calls in flight as the known cap lowers no rate.",
        {"concurrency_cap:ConcurrencyCap.is_reached": Always(value=False)},
    ),
    Rule(
        "attribution.refund",
        "Once a cap is proven, the rate gets back what it was charged.",
        {"concurrency_cap:ConcurrencyCap.record_refusal": Wrapped(_not_refunded)},
    ),
    Rule(
        "charges.excuse",
        "What a refusal was charged is taken back if its item turns out to be refused for its own sake.",
        {"attribution:Attribution.excuse": Always()},
        unseen="items that are refused whenever they are called",
    ),
)
