"""Refusals: a lane that refuses at random ends no item, and an item that is always refused does not pass for its lane."""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline._core.health.refusals import NOT_REFUSED, Blame, LaneRefusals, RefusalRecord

from ...search import examples

PATIENCE = 900.0  # seconds
AT_ONCE = 0.0  # seconds of patience: an item ends as soon as the odds are overwhelming
MANY = 1 << 16  # served calls: the most that an item steps back


class Lane:
    """A lane whose calls end in any order."""

    def __init__(self):
        self.refusals = LaneRefusals()
        self.records = {}
        self.now = 0.0
        self._started = count(1)

    def start(self):
        """Start a call; return its number."""
        return next(self._started)

    def record(self, item):
        return self.records.get(item, NOT_REFUSED)

    def serve(self, item="other", order=None):
        order = self.start() if order is None else order
        self.refusals.record_served(self.record(item), order)
        self.records.pop(item, None)

    def refuse(self, item, order=None, patience=PATIENCE):
        order = self.start() if order is None else order
        self.records[item], blame = self.refusals.record_refusal(self.record(item), order, self.now, patience)
        return blame


def served_lane(calls=200):
    lane = Lane()
    for _ in range(calls):
        lane.serve()
    return lane


# ------------------------------------------------------------------------------------------------ in any order


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 30), st.sampled_from([0.0, 1.0, 1e4]))))
def test_any_order_of_events_gives_a_verdict_and_sound_numbers(ends):
    lane, in_flight = Lane(), deque()
    for started, served, delay, seconds in ends:
        in_flight.append((started, lane.start()))
        lane.now += seconds
        if len(in_flight) > delay:
            item, order = in_flight.popleft() if delay % 2 else in_flight.pop()
            before = lane.record(item)
            if served:
                lane.serve(item, order)
            else:
                assert lane.refuse(item, order) in Blame
                assert lane.record(item).times == before.times + 1
        assert 0 < lane.refusals.share < 1
        assert 0 < lane.refusals.own_odds < math.inf
        for record in lane.records.values():
            assert 1 <= record.counted <= record.times
            assert 0 < record.likelihood <= 1
            assert 1 <= record.step_back <= MANY


@given(st.integers(1, 40), st.booleans())
def test_a_lane_that_serves_nothing_is_to_blame_for_each_refusal(calls, rotates):
    lane = Lane()
    for number in range(calls):
        assert lane.refuse(number % 3 if rotates else number) is Blame.LANE
    assert lane.refusals.is_closed is (len(lane.records) >= 3)
    assert all(not record.is_own for record in lane.records.values())


# ------------------------------------------------------------------------------------------------ by chance


def play(lane, seed, share, items, in_flight, poisoned=(), patience=AT_ONCE):  # noqa: PLR0913, PLR0917 - what a batch is
    """Call items until all but the poisoned ones are served, like the engine; return the verdicts, and the records of all ends."""
    chance = Random(seed)
    queue, calls, aside = deque(range(items)), [], []
    verdicts, ends = Counter(), {}
    open_items = items - len(poisoned)
    while open_items:
        while len(calls) < in_flight and (queue or (aside and not calls)):
            job = queue.popleft() if queue else heapq.heappop(aside)[1]
            calls.append((job, lane.start()))
        job, order = calls.pop(chance.randrange(len(calls)))
        lane.now += 0.01
        if job in poisoned or chance.random() < share:
            blame = lane.refuse(job, order, patience)
            verdicts[blame, job in poisoned] += 1
            if blame is Blame.FINAL:
                ends[job] = lane.record(job)
                open_items -= job not in poisoned
            else:
                heapq.heappush(aside, (len(ends) + lane.record(job).step_back, job))
        else:
            lane.serve(job, order)
            ends[job] = None
            open_items -= 1
        while aside and aside[0][0] <= len(ends):
            queue.appendleft(heapq.heappop(aside)[1])
    return verdicts, ends


@pytest.mark.parametrize(("share", "in_flight"), [(0.01, 20), (0.1, 1), (0.5, 20), (0.7, 1), (0.7, 20)])
def test_a_lane_that_refuses_at_random_ends_none_of_ten_thousand_items(share, in_flight):
    verdicts, ends = play(Lane(), 1, share, 10_000, in_flight)
    assert len(ends) == 10_000
    assert set(ends.values()) == {None}
    refusals = sum(verdicts.values())
    assert verdicts[Blame.LANE, False] >= 0.75 * refusals > 0, "refusals by chance remain evidence of a limit"


def test_chance_refusals_of_a_lane_that_refuses_few_are_its_own_to_answer_for():
    verdicts, _ = play(served_lane(), 3, 0.01, 5_000, 20)
    assert verdicts[Blame.OWN, False] <= 0.05 * verdicts[Blame.LANE, False]


@pytest.mark.parametrize("served", [0, 5, 50, 5_000])
def test_a_first_refusal_is_evidence_of_a_limit_however_seldom_the_lane_refuses(served):
    assert served_lane(served).refuse("item") is Blame.LANE


# ------------------------------------------------------------------------------------------------ for their own sake


@pytest.mark.parametrize("between", [1, 3, 20])
@pytest.mark.parametrize("served", [3, 30, 1_000])
def test_an_item_that_is_refused_while_others_are_served_is_soon_known_for_it_and_ends(served, between):
    lane, blames = served_lane(served), []
    while not blames or blames[-1] is not Blame.FINAL:
        blames.append(lane.refuse("bad", patience=AT_ONCE))
        for _ in range(between):
            lane.serve()
    assert blames[0] is Blame.LANE
    assert blames.index(Blame.OWN) <= 3
    assert len(blames) <= 16
    assert Blame.LANE not in blames[blames.index(Blame.OWN) :], "once known, it is not forgotten"


@given(st.floats(0, 0.7), st.integers(0, 10**6))
@settings(max_examples=examples(30))
def test_an_item_that_is_always_refused_ends_also_where_others_are_refused_by_chance(share, seed):
    lane, chance, blames = Lane(), Random(seed), []
    while not blames or blames[-1] is not Blame.FINAL:
        blames.append(lane.refuse("bad", patience=AT_ONCE))
        for other in range(5):
            while chance.random() < share:
                lane.refuse(other, patience=math.inf)
                lane.serve("another")
            lane.serve(other)
    assert len(blames) <= 100


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_most_refusals_of_refused_items_are_no_evidence_of_a_limit(share):
    bad = set(range(0, 600, 3))
    verdicts, _ = play(Lane(), 5, share, 600, 10, poisoned=bad)
    assert verdicts[Blame.OWN, True] + verdicts[Blame.FINAL, True] >= 3 * verdicts[Blame.LANE, True]


def test_where_refused_items_are_always_refused_another_first_refusal_presumably_is_for_the_same_reason():
    lane = served_lane()
    for number in range(4):
        for _ in range(3):
            lane.refuse(number)
            lane.serve()
    assert lane.refusals.own_odds > 1
    assert lane.refuse("another") is Blame.OWN
    for number in range(20):  # these are served in the end
        lane.refuse(f"chance {number}")
        lane.serve(f"chance {number}")
    assert lane.refuse("a third") is Blame.LANE


def test_not_so_where_the_lane_refuses_everything_now():
    lane = served_lane()
    for number in range(6):
        for _ in range(3):
            lane.refuse(number)
            lane.serve()
    blames = [lane.refuse(f"new {number}") for number in range(6)]
    assert blames == [Blame.OWN] * 2 + [Blame.LANE] * 4
    lane.serve()
    assert not lane.refusals.is_closed
    assert lane.refuse("after") is Blame.OWN


def test_a_lane_is_not_closed_by_one_item_that_is_refused_again_and_again():
    lane = served_lane()
    for _ in range(10):
        lane.refuse("bad")
    assert not lane.refusals.is_closed


def test_a_lane_is_not_closed_by_few_refusals_among_calls_that_are_still_in_flight():
    lane = served_lane()
    for number in range(3):
        for _ in range(5):
            lane.start()
        lane.refuse(number)
    assert not lane.refusals.is_closed


def test_a_refusal_counts_only_if_a_call_that_started_after_the_last_one_was_served():
    lane = served_lane()
    earlier = lane.start()
    lane.refuse("item")
    lane.serve(order=earlier)
    assert lane.refuse("item") is Blame.LANE
    assert (lane.record("item").counted, lane.record("item").times) == (1, 2)
    lane.serve()
    lane.refuse("item")
    assert (lane.record("item").counted, lane.record("item").times) == (2, 3)


@pytest.mark.parametrize("patience", [AT_ONCE, 30.0, PATIENCE])
def test_an_item_ends_only_after_the_patience_since_its_first_refusal(patience):
    lane = served_lane()
    for second in range(0, 2_000, 10):
        lane.now = float(second)
        if lane.refuse("large", patience=patience) is Blame.FINAL:
            break
        lane.serve()
    assert patience <= lane.now <= patience + 60


def test_a_served_item_starts_afresh_and_tells_for_the_items_that_are_refused_by_chance():
    lane = served_lane()
    lane.refuse("item")
    before = lane.refusals.own_odds
    lane.serve("item")
    assert lane.record("item") == NOT_REFUSED
    assert lane.refusals.own_odds < before
    assert lane.refuse("item") is Blame.LANE


def test_the_share_is_that_of_the_calls_of_served_items():
    lane = Lane()
    for number in range(3_000):
        if number % 10 < 3:
            lane.refuse(number)
        lane.serve(number)
    assert lane.refusals.share == pytest.approx(3 / 13, abs=0.08)
    for number in range(300):
        lane.serve(f"later {number}")
    assert lane.refusals.share == pytest.approx(1 / 52, abs=0.01), "it forgets"


@given(st.integers(1, 10**6))
def test_an_item_steps_back_twice_as_far_after_each_refusal_up_to_a_bound(times):
    assert NOT_REFUSED.step_back == 0
    here, after = RefusalRecord(times=times).step_back, RefusalRecord(times=times + 1).step_back
    assert after == min(2 * here, MANY)
