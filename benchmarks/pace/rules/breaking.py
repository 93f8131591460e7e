"""Rules of the breaker, of outages and of the controller: `breaker`, `outage`, `controller`, `warm_start`, `answer_times`."""

from __future__ import annotations

import math
from typing import Any

from .rule import Always, Rule, Wrapped


def _whole_wait(original: Any, self: Any, *rest: Any, **named: Any) -> None:
    """tries the complete wait first."""
    original(self, *rest, **named)
    self._part = 1.0


def _no_probe_on_answer(original: Any, self: Any, *rest: Any, **named: Any) -> None:
    """lets no probe start at an answer."""
    original(self, *rest, **named)
    self._probe_on_answer = False


def _stays_closed_for_faults(original: Any, self: Any, started: float, *rest: Any, **named: Any) -> None:
    """counts no call as overdue."""
    original(self, started, *rest, **(named | {"overdue": False}))


def _believes_the_first(original: Any, self: Any, *rest: Any) -> None:
    """takes the first outage for a window."""
    self._was_tried = True
    original(self, *rest)


RULES = (
    Rule(
        "breaker.refusals",
        "Refusals in a row that are most of the calls open the breaker.",
        {"breaker:Streaks.is_refusing": Always(value=False)},
    ),
    Rule("breaker.young", "While few calls were admitted one refusal opens it.", {"breaker:FEW": 0}),
    Rule("breaker.share", "The refusals in a row must be most of the calls between them.", {"breaker:_SHARE": 0.0}),
    Rule("breaker.faults", "Fast faults in a row open it.", {"breaker:Streaks.is_failing": Always(value=False)}),
    Rule(
        "breaker.silence",
        "Calls in a row that take longer than nearly all do open it, if none is answered.",
        {"breaker:Streaks.record_fault": Wrapped(_stays_closed_for_faults)},
        unseen="a provider that hangs, and single calls",
    ),
    Rule(
        "breaker.degraded",
        "Where more than a fifth of the calls fail the pace goes down.",
        {"breaker:_DEGRADED": 1.0},
    ),
    Rule(
        "breaker.max-calls",
        "A wait is at most what a number of calls would have taken.",
        {"breaker:_MAX_CALLS": math.inf},
    ),
    Rule("breaker.young-part", "While little is known the waits grow faster.", {"breaker:_YOUNG_PART": 0.6}),
    Rule(
        "breaker.longest",
        "A provider that refuses is probed every half minute at least.",
        {"breaker:_LONGEST": math.inf},
    ),
    Rule("breaker.hint", "A wait that the provider asks for is obeyed.", {"breaker:trusted_wait": Always(0.0)}),
    Rule(
        "breaker.early-probe",
        "The first probe starts after a part of the wait that the provider asked for.",
        {"breaker:Breaker.trip": Wrapped(_whole_wait)},
    ),
    Rule(
        "breaker.answer-probe",
        "One probe may start at the first answer.",
        {"breaker:Breaker.trip": Wrapped(_no_probe_on_answer)},
    ),
    Rule(
        "breaker.outlived",
        "A probe that lasts longer than the faults did counts as admitted.",
        {"breaker:Breaker.is_outlived": Always(value=False)},
    ),
    Rule(
        "outage.brief",
        "A time of a few calls with the breaker open is an exhaustion like others.",
        {"outage:_BRIEF_CALLS": 0.0, "outage:_BRIEF_AGES": 0.0},
    ),
    Rule(
        "outage.amid",
        "After refusals amid admissions the time with the breaker open measures no window.",
        {"outage:Outage.record_refused_amid": Always()},
    ),
    Rule(
        "outage.window",
        "The time from the start of one window to that of the next, with its calls, measures the rate.",
        {"outage:Outage._learn_window": Always()},
    ),
    Rule(
        "outage.tried",
        "The first outage that might be a window restarts the slow start; only the next one is a window.",
        {"outage:Outage._learn_window": Wrapped(_believes_the_first)},
    ),
    Rule(
        "outage.unmeasured",
        "A window whose end no probe measured is not remembered: it may have been shorter.",
        {"breaker:Breaker.is_measured": Always(value=True)},
    ),
    Rule(
        "outage.even-start",
        "When the breaker closes calls start evenly, with nothing in the bucket.",
        {"dimensions:Dimensions.empty_buckets": Always()},
    ),
    Rule(
        "controller.idle",
        "An idle time is excluded from the measures.",
        {"controller:PaceController._exclude_idle_time": Always()},
        unseen="work that pauses",
    ),
    Rule(
        "controller.fresh-fault",
        "A fault that took long says nothing about now.",
        {"controller:_FRESH_FAULT": math.inf},
    ),
    Rule(
        "controller.lively",
        "A call that ended without evidence after a while, amid answers, was let in.",
        {"controller:_LIVELY": -1.0},
        unseen="single calls that are cut off",
    ),
    Rule(
        "warm-start.all",
        "A lane starts at what was learned before.",
        {"controller:warm_start": Always()},
        unseen="a second run",
    ),
    Rule(
        "answer-times.hopeless",
        "A single call that has too little time left is not made.",
        {"answer_times:AnswerTimes.is_hopeless": Always(value=False)},
        unseen="single calls (paceline.open_pool)",
    ),
    Rule(
        "answer-times.blame",
        "A cut-off blames the provider if hardly any call takes so long.",
        {"answer_times:AnswerTimes.blames_provider": Always()},
        unseen="single calls (paceline.open_pool)",
    ),
)
