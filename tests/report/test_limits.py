"""What limited a batch is derived by the first rule that applies, and summed without a gap."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.journal import PaceEntry
from paceline.report import LaneFigures, LaneMoment, Moment
from paceline.report.limits import derive, shares

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
        ({"stopped": 8.0, "in_flight": 100.0}, BUSY, None, "stopped"),
        ({"in_flight": 98.0}, CAP, None, "cap"),
        ({"in_flight": 98.0}, SLOW, None, "speed"),
        ({"in_flight": 98.0}, BUSY, 100, "workers"),
        ({"in_flight": 98.0}, BUSY, 1000, "start"),
        ({"calls_per_second": 11.0}, BUSY, None, "rate"),
        ({"calls_per_second": 50.0}, BUSY, None, "caller"),
        ({"tokens_per_second": 900.0}, BUSY, None, "tokens"),
        ({}, BUSY, None, "caller"),
    ],
)
def test_the_first_rule_that_applies_names_the_limit(changes, reason, most_workers, kind):
    young = [lane(in_flight=0.1, started=1)] * 3
    assert kinds([*young, lane(**changes)], reason, most_workers)[-1] == kind


def test_before_anything_is_learned_the_start_is_the_limit():
    assert kinds([lane(), lane()]) == ["start"]


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
    found = shares(spans, 10.0 * len(lanes))
    assert sum(share.seconds for share in found) == pytest.approx(busy)
    assert [share.seconds for share in found] == sorted((share.seconds for share in found), reverse=True)
