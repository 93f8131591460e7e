"""Choice of the lane: the least loaded one that may start goes first, and no lane delays another."""

from __future__ import annotations

import math

import attrs
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.lanes import next_lane

NOW = 100.0


@attrs.frozen(eq=False)
class ALane:
    load: float
    at: float

    def ready_at(self, now):
        return self.at


loads = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5])
ready = st.builds(ALane, loads, st.sampled_from([0.0, 99.0, NOW]))
blocked = st.builds(ALane, loads, st.sampled_from([100.5, 160.0, 1e6, math.inf]))


@given(st.lists(ready | blocked))
def test_the_lane_chosen_may_start_and_none_that_may_is_less_loaded(lanes):
    chosen, at = next_lane(lanes, NOW)
    may_start = [lane for lane in lanes if lane.at <= NOW]
    if may_start:
        assert chosen in may_start
        assert chosen.load == min(lane.load for lane in may_start)
        assert at == NOW
    else:
        assert chosen is None


@given(st.lists(ready, min_size=1), st.lists(st.tuples(blocked, st.integers(0, 10))))
def test_blocked_lanes_never_change_which_lane_is_chosen(lanes, others):
    chosen, _ = next_lane(lanes, NOW)
    mixed = list(lanes)
    for lane, place in others:
        mixed.insert(place, lane)
    assert next_lane(mixed, NOW) == (chosen, NOW)


@given(st.lists(blocked))
def test_the_time_to_ask_again_is_the_earliest_start(lanes):
    assert next_lane(lanes, NOW) == (None, min((lane.at for lane in lanes), default=math.inf))


def test_without_lanes_there_is_nothing_to_wait_for():
    assert next_lane([], NOW) == (None, math.inf)


def test_lanes_share_a_ceiling_in_proportion_to_their_limits():
    limits = {"large": 90, "small": 10}
    in_flight = dict.fromkeys(limits, 0)
    names = {}
    for _ in range(50):
        lanes = []
        for name, limit in limits.items():
            lane = ALane(in_flight[name] / limit, NOW)
            names[lane] = name
            lanes.append(lane)
        chosen, _ = next_lane(lanes, NOW)
        in_flight[names[chosen]] += 1
    assert in_flight == {"large": 45, "small": 5}


def test_lanes_may_be_any_iterable():
    assert next_lane(iter([ALane(0.0, NOW)]), NOW)[0] is not None
