"""Limitation: every situation has exactly one, in the documented order; looks are smoothed, except for what is certain."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.limitation import (
    LaneSituation,
    Limitation,
    LimitBasis,
    LimitReason,
    RecentLimitations,
    Situation,
    describe_limitation,
    limitation,
)

OF_A_PACE = [
    LimitReason.REQUESTS,
    LimitReason.TOKENS,
    LimitReason.CONCURRENCY,
    LimitReason.SPEED,
    LimitReason.STARTING,
    LimitReason.OUTAGE,
]
PACES = st.builds(
    Limitation,
    reason=st.sampled_from(OF_A_PACE),
    basis=st.none() | st.sampled_from(list(LimitBasis)),
    value=st.none() | st.floats(0.01, 1e6),
)
LANES = st.builds(
    LaneSituation,
    quota=st.sampled_from("abc"),
    waiting=st.integers(1, 50),
    pace=PACES,
    waits_for_time=st.booleans(),
    lacks_connection=st.booleans(),
    is_suspended=st.booleans(),
    opens_in=st.sampled_from([0.0, 0.0, 7.5]),
)
SITUATIONS = st.builds(
    Situation,
    **{name: st.booleans() for name in (field.name for field in attrs.fields(Situation) if field.type == "bool")},
    in_flight=st.integers(0, 3),
    max_workers=st.integers(1, 3),
    lanes=st.lists(LANES, max_size=3),
)


@given(situation=SITUATIONS)
def test_every_situation_has_one_limitation_that_can_be_said(situation):
    found = limitation(situation)
    assert isinstance(found.reason, LimitReason)
    words = describe_limitation(found)
    assert words
    assert not words.endswith(".")
    assert "None" not in words


@given(situation=SITUATIONS)
def test_a_lane_is_named_only_if_one_is_held_back_and_then_the_one_with_the_most_waiting_calls(situation):
    found = limitation(situation)
    if found.quota is not None:
        most = max(lane.waiting for lane in situation.lanes)
        assert found.quota in {lane.quota for lane in situation.lanes if lane.waiting == most}
    if found.reason in OF_A_PACE and found.reason is not LimitReason.STARTING:
        assert found.quota is not None


WAITS = LaneSituation(quota="q", waiting=5, pace=Limitation(reason=LimitReason.REQUESTS, value=2.0))
ORDER = [
    ("is_running", False, LimitReason.ENDED),
    ("is_stopping", True, LimitReason.STOPPING),
    ("is_paused", True, LimitReason.PAUSED),
    ("is_out_of_budget", True, LimitReason.BUDGET),
    ("lanes", [attrs.evolve(WAITS, opens_in=3.0)], LimitReason.OUTAGE),
    ("commits_are_late", True, LimitReason.DISK),
    ("reader_is_late", True, LimitReason.READER),
    ("hooks_are_late", True, LimitReason.HOOKS),
    ("processor_is_late", True, LimitReason.PROCESSOR),
    ("in_flight", 1, LimitReason.MAX_WORKERS),
    ("lanes", [attrs.evolve(WAITS, is_suspended=True)], LimitReason.STARTING),
    ("lanes", [attrs.evolve(WAITS, lacks_connection=True)], LimitReason.CONNECTIONS),
    ("lanes", [attrs.evolve(WAITS, waits_for_time=True)], LimitReason.RETRIES),
    ("lanes", [WAITS], LimitReason.REQUESTS),
]


@pytest.mark.parametrize("first", range(len(ORDER)), ids=[str(reason) for *_, reason in ORDER])
def test_of_several_reasons_the_first_in_the_order_counts(first):
    fields = {"lanes": [WAITS]} | {name: value for name, value, _ in reversed(ORDER[first:])}
    assert limitation(Situation(**fields)).reason is ORDER[first][2]


def test_without_a_waiting_call_the_input_is_slow_or_the_last_calls_are_in_flight():
    assert limitation(Situation(is_reading=True)).reason is LimitReason.INPUT
    assert limitation(Situation(is_preparing=True, is_reading=True)).reason is LimitReason.STARTING
    assert limitation(Situation(in_flight=1, max_workers=1)).reason is LimitReason.LAST_CALLS


@given(
    looks=st.lists(
        st.tuples(st.floats(0.01, 2.0), st.sampled_from([LimitReason.REQUESTS, LimitReason.SPEED, LimitReason.PAUSED])),
        min_size=1,
    )
)
def test_what_counts_was_seen_within_seconds_and_what_is_certain_counts_at_once(looks):
    recent, now, seen = RecentLimitations(), 0.0, []
    for seconds, reason in looks:
        now += seconds
        seen.append((now, reason))
        counts = recent.add(now, Limitation(reason=reason))
        assert recent.latest is counts
        assert counts.reason in {one for at, one in seen if now - at < 3.0}
        assert (counts.reason is LimitReason.PAUSED) is (reason is LimitReason.PAUSED)


def test_one_look_in_many_changes_nothing_and_a_lasting_change_counts_soon():
    recent = RecentLimitations()
    requests, speed = Limitation(reason=LimitReason.REQUESTS), Limitation(reason=LimitReason.SPEED)
    for now in range(5):
        recent.add(float(now), requests)
    assert recent.add(5.0, speed) == requests
    assert recent.add(6.0, requests) == requests
    assert recent.add(7.0, speed) == requests or recent.latest == speed
    assert recent.add(8.0, speed) == speed


def test_the_numbers_are_those_of_the_latest_look():
    recent = RecentLimitations()
    recent.add(0.0, Limitation(reason=LimitReason.REQUESTS, value=1.0))
    assert recent.add(1.0, Limitation(reason=LimitReason.REQUESTS, value=2.0)).value == 2.0


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            Limitation(reason=LimitReason.REQUESTS, quota="gemini-2.5-flash", basis=LimitBasis.LEARNED, value=10.0),
            "requests per minute of gemini-2.5-flash: 600, learned",
        ),
        (
            Limitation(reason=LimitReason.TOKENS, quota="gpt-5-mini", basis=LimitBasis.STATED, value=1000 / 3),
            "tokens per minute of gpt-5-mini: 20,000, as the server says",
        ),
        (
            Limitation(reason=LimitReason.CONCURRENCY, quota="m", basis=LimitBasis.LEARNED, value=32),
            "calls at once that m allows: 32, learned",
        ),
        (Limitation(reason=LimitReason.OUTAGE, quota="m", opens_in=4.2), "m answers no calls; next try in 5 s"),
        (Limitation(reason=LimitReason.MAX_WORKERS, value=8), "max_workers: 8"),
        (Limitation(reason=LimitReason.REQUESTS, quota="m", value=math.inf), "requests per minute of m"),
    ],
)
def test_a_limitation_in_words(found, words):
    assert describe_limitation(found) == words


def test_the_caller_says_what_the_bound_on_calls_is_called_and_when_the_next_try_is():
    bound = Limitation(reason=LimitReason.MAX_WORKERS, value=8)
    assert describe_limitation(bound, max_workers="your --max-workers") == "your --max-workers: 8"
    outage = Limitation(reason=LimitReason.OUTAGE, quota="m", opens_in=9.0)
    assert describe_limitation(outage, try_at="at 11:02:07") == "m answers no calls; next try at 11:02:07"
