"""The story of the pace: every change is in one line, climbs and decisions that are alike are joined."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from paceline._core.pace.history import BUSY, DELAYED
from paceline.journal import PaceEntry
from paceline.report.story import in_order_of_time, tell

REASONS = st.sampled_from(
    [BUSY, DELAYED, "refused with 12 in flight: presumably a limit on the rate", "a call was admitted again", "other"]
)
HANDLES = st.sampled_from(["workers", "calls a second", "tokens a second", "gate", "anything"])
VALUES = st.none() | st.floats(0, 1e6)
ENTRIES = st.lists(
    st.builds(PaceEntry, st.integers(1, 3), st.floats(0, 100), st.sampled_from("ab"), HANDLES, VALUES, VALUES, REASONS),
    max_size=40,
).map(lambda entries: sorted(entries, key=lambda entry: (entry.quota, entry.run, entry.at)))


def entry(at, reason, old, new, handle="calls a second"):
    return PaceEntry(1, at, "lane", handle, old, new, reason)


@given(ENTRIES)
def test_the_last_value_of_each_limit_is_the_last_one_in_the_story(entries):
    latest = {(one.quota, one.run, one.handle): one.new for one in entries}
    seen = {}
    for line in tell(entries):
        for change in line.changes:
            seen[change.quota, change.run, change.handle] = change.new
    by_decision = {
        key
        for key in latest
        if all(one.reason not in {BUSY, DELAYED} for one in entries if (one.quota, one.run, one.handle) == key)
    }
    assert seen.keys() == latest.keys()
    assert {key: seen[key] for key in by_decision} == {key: latest[key] for key in by_decision}


@given(ENTRIES)
def test_the_lines_of_a_lane_are_in_the_order_of_time(entries):
    lines = [*tell(entries)]
    for one, other in pairwise(lines):
        if (one.entry.quota, one.entry.run) == (other.entry.quota, other.entry.run):
            assert one.entry.at <= other.entry.at
    assert [(line.entry.run, line.entry.at) for line in in_order_of_time(entries)] == sorted(
        (line.entry.run, line.entry.at) for line in lines
    )


def test_a_climb_is_one_line_with_its_duration():
    steps = [entry(float(n), DELAYED, 50.0 + n, 51.0 + n) for n in range(10)]
    (line,) = tell(steps)
    assert line.text == f"{DELAYED}; pace 50 -> 60 calls/s within 9 s"


def test_refusals_that_differ_in_numbers_only_are_one_line():
    refused = [
        entry(n / 10, f"refused with {70 + n} in flight: presumably a limit on the rate", 90.0 - n, 89.0 - n)
        for n in range(4)
    ]
    (line,) = tell(refused)
    assert line.text == (
        "refused with 70 in flight: presumably a limit on the rate (4 times within 0.3 s); pace 90 -> 86 calls/s"
    )


def test_one_observation_that_changes_two_limits_is_one_line():
    reason = "refused only with 30 or more in flight, never with fewer: a cap on concurrency"
    (line,) = tell([entry(1.0, reason, 95.0, 30.0, "workers"), entry(1.0, reason, 18.0, None)])
    assert line.text == f"{reason}; workers 95 -> 30, pace 18 -> no limit"


def test_decisions_that_are_far_apart_are_two_lines():
    assert len([*tell([entry(0.0, "x", 1.0, 2.0), entry(60.0, "x", 2.0, 3.0)])]) == 2


def test_a_lane_that_stops_and_goes_on_is_two_sentences():
    lines = [
        *tell(
            [
                entry(1.0, "every call was refused for 3 s, and 20 s were asked for", 0.0, 20.0, "gate"),
                entry(21.0, "a call was admitted again", 20.0, 0.0, "gate"),
            ]
        )
    ]
    assert [line.text for line in lines] == [
        "every call was refused for 3 s, and 20 s were asked for; no call starts for 20 s",
        "a call was admitted again; calls start again",
    ]
