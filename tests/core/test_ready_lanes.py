"""Choice of the lane: the least loaded one that may start goes first, none is missed, and no lane delays another."""

from __future__ import annotations

import math

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from paceline._core.ready_lanes import ReadyLanes

from ..search import examples

NOW = 100.0


@attrs.define(eq=False)
class ALane:
    load: float
    at: float
    looks: int = 0
    holders: tuple = ()
    has_jobs: bool = True
    only_customer: object = None

    def ready_at(self, now):
        self.looks += 1
        return self.at

    def held_by(self, now):
        return self.holders


loads = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5])
ready = st.builds(ALane, loads, st.sampled_from([0.0, 99.0, NOW]))
blocked = st.builds(ALane, loads, st.sampled_from([100.5, 160.0, 1e6, math.inf]))


def choose(lanes, now=NOW):
    ready_lanes = ReadyLanes()
    for lane in lanes:
        ready_lanes.add(lane)
    return ready_lanes.next(now), ready_lanes.next_time


class ReadyLanesAgainstSearch(RuleBasedStateMachine):
    """The model searches all lanes from end to end."""

    def __init__(self):
        super().__init__()
        self.ready_lanes = ReadyLanes()
        self.lanes = []
        self.now = 0.0
        self.waits_longer = set()

    def ready(self):
        return [lane for lane in self.lanes if lane.at <= self.now]

    @rule(load=loads, wait=st.sampled_from([-math.inf, 0, 1, 3, math.inf]))
    def a_lane_comes(self, load, wait):
        lane = ALane(load, self.now + wait)
        self.lanes.append(lane)
        self.ready_lanes.add(lane)

    @precondition(lambda self: self.lanes)
    @rule(data=st.data(), load=loads, wait=st.sampled_from([-math.inf, 0, 0.5, 1, 3, math.inf]))
    def something_happens_to_lanes(self, data, load, wait):
        for lane in data.draw(st.lists(st.sampled_from(self.lanes), min_size=1, max_size=3)):
            lane.load, lane.at = load, self.now + wait
            self.ready_lanes.add(lane)
            self.waits_longer.discard(lane)

    @precondition(lambda self: self.lanes)
    @rule(data=st.data(), wait=st.sampled_from([0.5, 3, math.inf]))
    def a_lane_must_wait_longer_without_being_added(self, data, wait):
        lane = data.draw(st.sampled_from(self.lanes))
        lane.at = max(lane.at, self.now + wait)
        self.waits_longer.add(lane)

    @precondition(lambda self: self.lanes)
    @rule(data=st.data())
    def nothing_happens_to_a_lane(self, data):
        self.ready_lanes.add(data.draw(st.sampled_from(self.lanes)))

    @rule(seconds=st.sampled_from([0.25, 1, 2, 5]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def ask(self):
        lane = self.ready_lanes.next(self.now)
        expected = self.ready()
        if expected:
            assert lane in expected
            assert lane.load == min(other.load for other in expected)
        else:
            assert lane is None
            assert self.now < self.ready_lanes.next_time <= min((other.at for other in self.lanes), default=math.inf)
            if not self.waits_longer:
                assert self.ready_lanes.next_time == min((other.at for other in self.lanes), default=math.inf)

    @rule(step=st.sampled_from([0.25, 0.5]), wait=st.sampled_from([0, 0, 2, math.inf]))
    def start_every_call(self, step, wait):
        for _ in range(20):
            lane = self.ready_lanes.next(self.now)
            assert (lane is None) == (not self.ready())
            if lane is None:
                return
            lane.load += step
            lane.at = self.now + wait if lane.load < 1 else math.inf
            self.ready_lanes.add(lane)

    @invariant()
    def no_lane_is_missed(self):
        if self.ready():
            assert self.ready_lanes.next(self.now) is not None


TestReadyLanesAgreeWithASearchOfAllLanes = ReadyLanesAgainstSearch.TestCase
TestReadyLanesAgreeWithASearchOfAllLanes.settings = settings(max_examples=examples(60), stateful_step_count=30)


@given(st.lists(ready | blocked))
def test_the_lane_chosen_may_start_and_none_that_may_is_less_loaded(lanes):
    chosen, at = choose(lanes)
    may_start = [lane for lane in lanes if lane.at <= NOW]
    if may_start:
        assert chosen in may_start
        assert chosen.load == min(lane.load for lane in may_start)
    else:
        assert chosen is None
        assert at == min((lane.at for lane in lanes), default=math.inf)


@given(st.lists(ready, min_size=1), st.lists(st.tuples(blocked, st.integers(0, 10))))
def test_blocked_lanes_never_change_which_lane_is_chosen(lanes, others):
    chosen, _ = choose(lanes)
    mixed = list(lanes)
    for lane, place in others:
        mixed.insert(place, lane)
    assert choose(mixed)[0] is chosen


def test_without_lanes_there_is_nothing_to_wait_for():
    assert choose([]) == (None, math.inf)


def test_lanes_share_a_ceiling_in_proportion_to_their_limits():
    limits = {"large": 90, "small": 10}
    in_flight = dict.fromkeys(limits, 0)
    lanes = {name: ALane(0.0, NOW) for name in limits}
    names = {lane: name for name, lane in lanes.items()}
    ready_lanes = ReadyLanes()
    for lane in names:
        ready_lanes.add(lane)
    for _ in range(50):
        chosen = ready_lanes.next(NOW)
        in_flight[names[chosen]] += 1
        chosen.load = in_flight[names[chosen]] / limits[names[chosen]]
        ready_lanes.add(chosen)
    assert in_flight == {"large": 45, "small": 5}


def test_lanes_to_which_nothing_happens_are_not_looked_at():
    lanes = [ALane(0.0, math.inf) for _ in range(100)] + [ALane(0.0, 1e6) for _ in range(100)]
    ready_lanes = ReadyLanes()
    busy = ALane(0.5, NOW)
    for lane in [*lanes, busy]:
        ready_lanes.add(lane)
    for _ in range(50):
        assert ready_lanes.next(NOW) is busy
        ready_lanes.add(busy)
    assert {lane.looks for lane in lanes} == {1}


def test_a_lane_that_must_wait_longer_is_skipped_even_if_it_was_not_added():
    first, second = ALane(0.0, NOW), ALane(0.5, NOW)
    ready_lanes = ReadyLanes()
    ready_lanes.add(first)
    ready_lanes.add(second)
    assert ready_lanes.next(NOW) is first
    first.at = NOW + 5
    assert ready_lanes.next(NOW) is second
    second.at = math.inf
    assert ready_lanes.next(NOW) is None
    assert ready_lanes.next_time == NOW + 5
