"""What limited a batch is derived by the first rule that applies, and summed without a gap."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.limitation import LimitReason
from paceline.journal.figures import LimitEntry, PaceEntry
from paceline.report import LaneFigures, LaneMoment, LimitSpan, Moment, RunSpan
from paceline.report.limits import OTHER, Recorded, derive, shares, with_values

CAP = "refused only with 30 or more in flight, never with fewer: a cap on concurrency"
SLOW = "answers take longer, and no more of them come: more calls would only wait"
BUSY = "all workers are busy, and no call is refused"


def moment(at, run=1):
    return Moment(
        run=run, at=at, seconds=10.0, started=0, accepted=0, failed=0, refusals=0, tokens=0, cost=0.0, in_flight=0.0
    )


def lane(**changes):
    fields = {
        "started": 100,
        "in_flight": 10.0,
        "workers": 100.0,
        "calls_per_second": None,
        "tokens_per_second": None,
        "stopped": 0.0,
    }
    return LaneMoment(**fields | changes)


def kinds(lanes, reason=BUSY, most_workers=None, at=0.0):
    moments = [moment(10.0 * number) for number in range(len(lanes))]
    pace = [PaceEntry(1, at, "lane", "workers", 20.0, 30.0, reason)]
    found = derive(moments, [LaneFigures(quota="lane", moments=tuple(lanes))], pace, most_workers=most_workers)
    return [span.kind for span in found]


@pytest.mark.parametrize(
    ("changes", "reason", "most_workers", "kind"),
    [
        ({"stopped": 8.0, "in_flight": 100.0}, BUSY, None, "outage"),
        ({"in_flight": 98.0}, CAP, None, "concurrency"),
        ({"in_flight": 98.0}, SLOW, None, "speed"),
        ({"in_flight": 98.0}, BUSY, 100, "max_workers"),
        ({"in_flight": 98.0}, BUSY, 1000, "starting"),
        ({"calls_per_second": 11.0}, BUSY, None, "requests"),
        ({"calls_per_second": 50.0}, BUSY, None, "other"),
        ({"tokens_per_second": 900.0}, BUSY, None, "tokens"),
        ({}, BUSY, None, "other"),
    ],
)
def test_the_first_rule_that_applies_names_the_limit(changes, reason, most_workers, kind):
    young = [lane(in_flight=0.1, started=1)] * 3
    assert kinds([*young, lane(**changes)], reason, most_workers)[-1] == kind


def test_before_anything_is_learned_the_start_is_the_limit():
    assert kinds([lane(), lane()]) == ["starting"]


def test_a_time_in_which_a_lane_did_nothing_has_no_limit():
    idle = lane(started=0, in_flight=0.0)
    assert kinds([idle, idle]) == []


STATES = st.lists(
    st.builds(
        lane,
        started=st.integers(0, 500),
        in_flight=st.floats(0, 200),
        workers=st.none() | st.floats(1, 200),
        calls_per_second=st.none() | st.floats(0.1, 100),
        tokens_per_second=st.none() | st.floats(1, 1000),
        stopped=st.floats(0, 10),
    ),
    max_size=30,
)


@given(STATES, st.sampled_from([CAP, SLOW, BUSY, "any other"]))
def test_every_busy_interval_has_one_limit_and_the_shares_are_their_sum(lanes, reason):
    moments = [moment(10.0 * number) for number in range(len(lanes))]
    pace = [PaceEntry(1, 5.0, "lane", "workers", 20.0, 30.0, reason)]
    spans = derive(moments, [LaneFigures(quota="lane", moments=tuple(lanes))], pace, most_workers=50)
    busy = sum(10.0 for one in lanes if one.started or one.in_flight > 0 or one.stopped > 0)
    assert sum(span.end - span.start for span in spans) == pytest.approx(busy)
    assert all(one.end <= other.start for one, other in pairwise(spans))
    found = shares({}, spans, 10.0 * len(lanes))
    assert sum(share.seconds for share in found) == pytest.approx(busy)
    assert [share.seconds for share in found] == sorted((share.seconds for share in found), reverse=True)


# ---------------------------------------------------------------------------------------------- recorded


def run_of(seconds, number=1):
    return RunSpan(run=number, version="0", started=None, state="ended", seconds=seconds)


ENTRY_TIMES = st.lists(st.floats(-1.0, 120.0), min_size=1, max_size=20).map(sorted)
KINDS = st.sampled_from([*map(str, LimitReason), "a reason of a later version"])


@given(st.data(), ENTRY_TIMES)
def test_each_entry_holds_until_the_next_one_or_the_end_of_its_run(data, times):
    entries = [
        LimitEntry(
            1,
            at,
            data.draw(st.sampled_from([None, "lane"])),
            data.draw(KINDS),
            data.draw(st.sampled_from([None, "learned", "x"])),
        )
        for at in times
    ]
    moments = [moment(10.0 * number) for number in range(10)]
    found = Recorded(entries, [run_of(100.0)], moments)
    expected = 0.0
    for one, until in zip(entries, [*times[1:], 100.0], strict=True):
        if one.reason != "ended":
            expected += max(0.0, min(until, 100.0) - max(0.0, one.at))
    assert sum(found.seconds.values()) == pytest.approx(expected)
    spans = [*found.spans()]
    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert all(0 <= span.start < span.end <= 100.0 for span in spans)
    assert {span.kind for span in spans} <= {*map(str, LimitReason), OTHER}


def test_the_spans_have_what_held_longest_in_each_interval():
    entries = [
        LimitEntry(1, 0.0, "a", "starting", None),
        LimitEntry(1, 4.0, "a", "requests", "learned"),
        LimitEntry(1, 17.0, None, "disk", None),
    ]
    moments = [moment(0.0), moment(10.0), moment(20.0)]
    found = Recorded(entries, [run_of(30.0)], moments)
    assert [(span.kind, span.start, span.end) for span in found.spans()] == [
        ("requests", 0.0, 20.0),
        ("disk", 20.0, 30.0),
    ]
    assert {limit.words: seconds for limit, seconds in found.seconds.items()} == {
        "nothing yet: the pace still grows": 4.0,
        "requests per minute of a, learned": 13.0,
        "your disk: results wait to be committed to the journal": 13.0,
    }


def test_entries_of_runs_that_are_not_listed_are_left_out():
    entries = [LimitEntry(7, 0.0, None, "disk", None)]
    found = Recorded(entries, [run_of(30.0)], [moment(0.0)])
    assert not found.seconds
    assert found.runs == frozenset()


def lane_of(rates):
    return LaneFigures(quota="a", moments=tuple(lane(calls_per_second=rate) for rate in rates))


def span_of(start, end, kind="requests"):
    return LimitSpan(quota="a", run=1, start=start, end=end, limit="x", kind=kind, is_recorded=True)


def test_a_span_is_divided_where_its_limit_became_another_one():
    rates = [40.0] * 5 + [15.0] * 4 + [60.0] * 6
    moments = [moment(10.0 * number) for number in range(15)]
    found = with_values([span_of(0.0, 150.0)], moments, [lane_of(rates)])
    assert [(span.start, span.end, span.value) for span in found] == [
        (0.0, 50.0, 40.0),
        (50.0, 90.0, 15.0),
        (90.0, 150.0, 60.0),
    ]


def test_one_interval_with_another_limit_divides_nothing():
    rates = [40.0] * 5 + [90.0] + [40.0] * 5
    moments = [moment(10.0 * number) for number in range(11)]
    (found,) = with_values([span_of(0.0, 110.0)], moments, [lane_of(rates)])
    assert (found.start, found.end) == (0.0, 110.0)


RATES = st.lists(st.none() | st.floats(0.1, 1000.0), min_size=1, max_size=40)


@given(RATES, st.sampled_from(["requests", "tokens", "concurrency", "disk"]))
def test_divided_spans_cover_the_same_time(rates, kind):
    moments = [moment(10.0 * number) for number in range(len(rates))]
    found = [*with_values([span_of(0.0, 10.0 * len(rates), kind)], moments, [lane_of(rates)])]
    assert found[0].start == 0.0
    assert found[-1].end == 10.0 * len(rates)
    assert all(one.end == other.start for one, other in pairwise(found))
    known = [rate for rate in rates if rate]
    for span in found:
        assert span.value is None or (kind == "concurrency") or min(known) * 0.999 <= span.value <= max(known) * 1.001
