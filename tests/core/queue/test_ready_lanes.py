"""Choice of the lane: the least loaded one that may start goes first, none is missed, and no lane delays another."""

from __future__ import annotations

import math
import weakref

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from paceline._core.queue.ready_lanes import ReadyLanes

from ...search import examples

NOW = 100.0


@attrs.define(eq=False)
class Holder:
    """A customer, or the connections of a client."""

    is_open: bool = True


@attrs.define(eq=False)
class ALane:
    load: float
    at: float
    customers: tuple[Holder, ...] = ()
    has_jobs: bool = True
    looks: int = 0

    @property
    def only_customer(self):
        return self.customers[0] if len(self.customers) == 1 else None

    def earliest(self):
        may_start = self.has_jobs and (not self.customers or any(customer.is_open for customer in self.customers))
        return self.at if may_start else math.inf

    def ready_at(self, now):
        self.looks += 1
        return self.earliest()

    def held_by(self, now):
        return [customer for customer in self.customers if not customer.is_open]


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
        self.holders = [Holder(), Holder()]
        self.now = 0.0
        self.waits_longer = set()

    def ready(self):
        return [lane for lane in self.lanes if lane.earliest() <= self.now]

    @rule(load=loads, wait=st.sampled_from([-math.inf, 0, 1, 3, math.inf]), customers=st.sets(st.integers(0, 1)))
    def a_lane_comes(self, load, wait, customers):
        lane = ALane(load, self.now + wait, tuple(self.holders[number] for number in customers))
        self.lanes.append(lane)
        self.ready_lanes.add(lane)

    @precondition(lambda self: self.lanes)
    @rule(data=st.data())
    def a_lane_is_dropped(self, data):
        lane = data.draw(st.sampled_from(self.lanes))
        self.lanes.remove(lane)
        self.ready_lanes.discard(lane)
        self.waits_longer.discard(lane)

    @precondition(lambda self: self.lanes)
    @rule(data=st.data(), load=loads, wait=st.sampled_from([-math.inf, 0, 0.5, 1, 3, math.inf]))
    def something_happens_to_lanes(self, data, load, wait):
        for lane in data.draw(st.lists(st.sampled_from(self.lanes), min_size=1, max_size=3)):
            lane.load, lane.at = load, self.now + wait
            lane.customers = tuple(self.holders[number] for number in data.draw(st.sets(st.integers(0, 1))))
            lane.has_jobs = data.draw(st.booleans())
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

    @rule(number=st.integers(0, 1))
    def a_customer_may_start_no_more_calls(self, number):
        self.holders[number].is_open = False
        self.waits_longer.update(self.lanes)

    @rule(number=st.integers(0, 1))
    def a_customer_may_start_calls(self, number):
        self.holders[number].is_open = True
        self.ready_lanes.release(self.holders[number])

    @rule(seconds=st.sampled_from([0.25, 1, 2, 5]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def ask(self):
        lane = self.ready_lanes.next(self.now)
        expected = self.ready()
        earliest = min((other.earliest() for other in self.lanes), default=math.inf)
        if expected:
            assert lane in expected
            assert lane.load == min(other.load for other in expected)
        else:
            assert lane is None
            assert self.now < self.ready_lanes.next_time <= earliest
            if not self.waits_longer:
                assert self.ready_lanes.next_time == earliest

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

    @invariant()
    def other_lanes_are_announced(self):
        lane = self.ready_lanes.next(self.now)
        if [other for other in self.ready() if other is not lane]:
            assert self.ready_lanes.has_others(self.now)


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


def test_a_lane_is_looked_at_only_when_its_turn_comes():
    lanes = [ALane(number / 100, NOW) for number in range(100)]
    ready_lanes = ReadyLanes()
    for lane in lanes:
        ready_lanes.add(lane)
    for number in range(10):
        assert ready_lanes.next(NOW) is lanes[number]
        lanes[number].load = 2.0
        ready_lanes.add(lanes[number])
    assert [lane.looks for lane in lanes] == [1] * 10 + [0] * 90


def test_lanes_that_one_customer_holds_back_are_not_looked_at_one_by_one():
    customer = Holder()
    lanes = [ALane(0.0, NOW, (customer,)) for _ in range(1_000)]
    ready_lanes = ReadyLanes()
    for lane in lanes:
        ready_lanes.add(lane)
    customer.is_open = False
    assert ready_lanes.next(NOW) is None
    looks = sum(lane.looks for lane in lanes)
    for number in range(500):
        customer.is_open = True
        ready_lanes.release(customer)
        for _ in range(2):
            lane = ready_lanes.next(NOW)
            assert lane is not None
            lane.load = number + 1.0
            ready_lanes.add(lane)
        customer.is_open = False
        assert ready_lanes.next(NOW) is None
    assert sum(lane.looks for lane in lanes) - looks <= 3 * 500


def test_lanes_of_another_customer_go_on_while_one_holds_its_lanes_back():
    held, free = Holder(), Holder()
    lanes = [ALane(0.0, NOW, (held,)) for _ in range(10)] + [ALane(0.5, NOW, (free,)), ALane(0.7, NOW, (held, free))]
    ready_lanes = ReadyLanes()
    for lane in lanes:
        ready_lanes.add(lane)
    held.is_open = False
    assert ready_lanes.next(NOW) is lanes[-2]
    lanes[-2].load = 0.9
    ready_lanes.add(lanes[-2])
    assert ready_lanes.next(NOW) is lanes[-1]


def test_of_equally_loaded_lanes_the_first_to_come_goes_first_whoever_held_them_back():
    customers = [Holder(), Holder()]
    lanes = [ALane(0.0, NOW, (customers[number % 2],)) for number in range(20)]
    ready_lanes = ReadyLanes()
    for lane in lanes:
        ready_lanes.add(lane)
    for customer in customers:
        customer.is_open = False
    assert ready_lanes.next(NOW) is None
    for customer in customers:
        customer.is_open = True
        ready_lanes.release(customer)
    order = []
    while (lane := ready_lanes.next(NOW)) is not None:
        order.append(lane)
        lane.at = math.inf
    assert order == lanes


def test_a_lane_whose_load_has_changed_takes_its_new_turn():
    lanes = [ALane(load, NOW) for load in (0.0, 0.2, 0.4)]
    ready_lanes = ReadyLanes()
    for lane in lanes:
        ready_lanes.add(lane)
    assert ready_lanes.next(NOW) is lanes[0]
    lanes[0].load, lanes[2].load = 0.5, 0.1
    ready_lanes.add(lanes[2])
    assert ready_lanes.next(NOW) is lanes[2]


def test_a_lane_that_waits_for_a_time_may_start_earlier_once_another_customer_of_it_may():
    open_one, closed_one = Holder(), Holder(is_open=False)
    lane, ready_lanes = ALane(0.0, NOW + 5, (open_one, closed_one)), ReadyLanes()
    for each in (lane, ALane(0.0, math.inf)):
        ready_lanes.add(each)
    assert ready_lanes.next(NOW) is None
    closed_one.is_open, lane.at = True, NOW  # its job may start at once
    ready_lanes.release(closed_one)
    assert ready_lanes.next(NOW) is lane


def test_a_lane_may_change_repeatedly_before_its_time_has_come():
    lane, ready_lanes = ALane(0.0, NOW + 5), ReadyLanes()
    for at in (NOW + 5, NOW + 3, NOW + 4):
        lane.at = at
        ready_lanes.add(lane)
        assert ready_lanes.next(NOW) is None
        assert ready_lanes.next_time == at
    for now in (NOW + 3, NOW + 4):
        assert (ready_lanes.next(now) is lane) == (now >= lane.at)


def test_lanes_beside_the_one_that_starts_a_call_are_announced_also_after_they_were_held_back():
    customer, ready_lanes = Holder(), ReadyLanes()
    for lane in [ALane(0.0, NOW, (customer,)) for _ in range(2)]:
        ready_lanes.add(lane)
    customer.is_open = False
    assert ready_lanes.next(NOW) is None
    assert not ready_lanes.has_others(NOW)
    customer.is_open = True
    ready_lanes.release(customer)
    assert ready_lanes.next(NOW) is not None
    assert ready_lanes.has_others(NOW)


def test_a_customer_without_lanes_is_not_kept():
    ready_lanes, customer = ReadyLanes(), Holder(is_open=False)
    kept = weakref.ref(customer)
    lanes = [ALane(0.0, NOW, (customer,)) for _ in range(2)]
    for lane in lanes:
        ready_lanes.add(lane)
    assert ready_lanes.next(NOW) is None
    for lane in lanes:
        lane.customers, lane.has_jobs = (), False
        ready_lanes.add(lane)
    ready_lanes.release(customer)
    assert ready_lanes.next(NOW) is None
    del customer
    assert kept() is None


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
