"""The knee: useful calls in flight, with a server that is arithmetic."""

from __future__ import annotations

import itertools
import math
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from paceline._core.pace.knee import Knee, _rise

from ...pace.worlds import logarithmic
from ...search import examples

CEILING = 4000.0
FIRST = 20  # calls whose median is measured
MEAN = 1.2  # times the median


class Server:
    """Calls of `latency` seconds; with more than `useful` in flight each takes longer in proportion."""

    def __init__(self, latency=1.0, useful=math.inf, *, limit=20.0, alone=False, measured=True):
        self.knee = Knee(CEILING)
        self.latency, self.useful = latency, useful
        self.limit, self.most, self.alone = limit, math.inf, alone
        self.now, self.order = 0.0, 0
        if measured:
            self.measure()

    @property
    def in_flight(self):
        return max(1.0, min(self.limit, self.most))

    @property
    def takes(self):
        return self.latency * max(1.0, self.in_flight / self.useful)

    def measure(self):
        starts = [order * self.latency / FIRST for order in range(FIRST)]
        for order, start in enumerate(starts):
            self.knee.record_start(start, order)
        for order, start in enumerate(starts):
            self.now = start + self.latency
            self.knee.record_answer(self.now, order, start)

    def round(self):
        """Make calls until a round ends; return the new limit."""
        for _ in range(100_000):
            self.now += self.takes / self.in_flight
            self.order += 1
            if self.knee.record_answer(self.now, FIRST + self.order, self.now - self.takes):
                break
        else:
            raise AssertionError("no round ends")
        self.limit = self.knee.end_round(self.now, self.limit, alone=self.alone, binding=self.limit <= self.most)
        return self.limit

    def rounds(self, number):
        """Make rounds, between which the limit grows as far as it may."""
        limits = []
        for _ in range(number):
            limits.append(self.round())
            if self.limit < self.knee.bound:
                self.limit = min(self.knee.bound, 1.25 * self.limit + 1)
        return limits


# ------------------------------------------------------------------------------------------------ the latency


@given(st.lists(logarithmic(0.01, 100), min_size=FIRST, max_size=FIRST), st.integers(0, 10**6))
def test_the_latency_is_the_median_of_the_first_calls_plus_a_fifth(latencies, seed):
    median = sorted(latencies)[FIRST // 2]
    assume(_rise([min(median, each) for each in latencies]) <= 0.6)  # those that take longer are not answered yet
    knee = Knee(CEILING)
    for order in range(FIRST):
        knee.record_start(0.0, order)
    for order in sorted(range(FIRST), key=latencies.__getitem__):
        knee.record_answer(latencies[order], order, 0.0)
    assert knee.latency == pytest.approx(MEAN * sorted(latencies)[FIRST // 2])


@given(st.floats(0.1, 10), st.floats(0.01, 1))
def test_the_latency_is_that_of_the_first_few_calls_if_each_takes_longer_than_the_one_before(first, more):
    knee, now = Knee(CEILING), 0.0
    for order in range(FIRST):
        knee.record_start(0.0, order)
    for order in range(FIRST):
        now = first + order * more
        knee.record_answer(now, order, 0.0)
    assert knee.latency == pytest.approx(MEAN * (first + 2 * more))


def test_later_calls_and_dropped_calls_are_not_measured():
    knee = Knee(CEILING)
    for order in range(FIRST):
        knee.record_start(0.0, order)
    for order in range(5):
        knee.drop(order)
    for order in range(FIRST, FIRST + 8):
        knee.record_start(0.0, order)
    for order in range(FIRST + 5, FIRST + 8):
        knee.record_answer(0.1, order, 0.0)
    assert not knee.latency
    for order in range(5, FIRST + 5):
        knee.record_answer(2.0, order, 0.0)
    assert knee.latency == pytest.approx(MEAN * 2.0)


def test_the_latency_is_not_known_while_a_call_in_flight_may_be_faster():
    knee = Knee(CEILING)
    for order in range(FIRST):
        knee.record_start(float(order), order)
    for order in range(11):
        knee.record_answer(order + 12.0, order, float(order))
    assert not knee.latency, "the last ones have been in flight for less than that"
    knee.record_answer(31.5, 11, 11.0)
    assert knee.latency == pytest.approx(MEAN * 12.0)


@given(st.integers(0, 30))
def test_until_the_latency_is_known_the_bound_grows_with_the_answers(answers):
    knee = Knee(CEILING)
    assert knee.bound == 20
    for order in range(answers):
        knee.record_answer(1.0, FIRST + order, 0.0)
    assert knee.bound == 20 + 4 * answers


def test_a_warm_start_sets_the_latency_and_the_bound():
    knee = Knee(CEILING)
    knee.warm_start(2.0, 70)
    assert (knee.latency, knee.bound) == (2.0, 70.0)
    knee.warm_start(2.0, 7)
    assert knee.bound == 8.0
    knee.warm_start(2.0, 10**9)
    assert knee.bound == CEILING


# ------------------------------------------------------------------------------------------------ start-up, and its end


def test_during_start_up_only_three_times_the_product_bounds_the_calls():
    server = Server(alone=True)
    for _ in range(12):
        server.round()
        delivered = server.in_flight / server.takes
        assert server.knee.bound <= max(8.0, 3.1 * MEAN * delivered * server.latency)
        server.limit = server.knee.bound
    assert server.knee.starting
    assert server.knee.bound == CEILING


@pytest.mark.parametrize("useful", [10, 50, 200])
@pytest.mark.parametrize("latency", [0.2, 1.0, 5.0])
def test_start_up_ends_where_more_calls_only_wait(useful, latency):
    server = Server(latency, useful, alone=True)
    server.rounds(40)
    assert not server.knee.starting
    assert max(8, useful) <= server.limit <= max(60, 2.6 * useful)
    assert server.limit >= useful


def test_slow_calls_alone_do_not_end_the_start_up():
    server = Server(alone=True, limit=30.0)
    server.most = 30.0
    server.rounds(5)
    server.latency = 1.4
    server.rounds(30)
    assert server.knee.starting


def test_start_up_does_not_end_where_something_else_limits():
    server = Server(1.0, 30, alone=False)
    server.rounds(30)
    assert server.knee.starting


def test_many_failures_end_the_start_up():
    server = Server(alone=True)
    server.round()
    server.knee.end_start_up(server.now)
    assert not server.knee.starting
    server.round()
    assert server.knee.bound <= 1.6 * MEAN * server.in_flight / server.takes * server.latency


def test_after_start_up_the_bound_is_one_and_a_half_times_the_product():
    server = Server(1.0, 60, alone=True)
    server.rounds(60)
    assert server.knee.bound == pytest.approx(1.5 * 60 * server.knee.latency, rel=0.35)


@given(logarithmic(0.1, 20), st.floats(1, 200))
@settings(max_examples=examples(20))
def test_a_round_is_forty_answers_and_as_long_as_a_call_takes(latency, limit):
    server = Server(latency, limit=limit)
    server.most = limit
    server.round()
    began, answered = server.now, server.order
    server.round()
    assert server.now - began >= latency * 0.999
    assert server.order - answered >= 40
    assert server.order - answered <= 41 or server.now - began <= max(1.0, MEAN * latency) + latency / limit + 1e-6


def test_the_bound_follows_a_server_that_has_grown():
    server = Server(1.0, 40, alone=True)
    server.rounds(40)
    assert server.limit < 130
    server.useful = 400
    server.rounds(60)
    assert server.limit >= 400


def test_unloaded_rounds_with_idle_workers_are_no_evidence():
    server = Server(1.0, 40, alone=True)
    server.rounds(40)
    server.most = 10.0
    server.rounds(40)
    assert not server.knee.starting


@pytest.mark.parametrize(("times", "share"), [(2.0, 0.8), (10.0, 0.5)])
def test_the_limit_falls_faster_where_the_server_is_overloaded_by_far(times, share):
    server = Server(useful=20.0)
    server.rounds(2)
    server.knee.end_start_up(server.now)
    server.limit = before = times * MEAN * server.useful
    while server.round() == before:
        pass
    assert server.limit == pytest.approx(share * before)


def test_a_cut_that_lowers_the_delivery_rate_is_undone():
    server = Server(1.0, 100, alone=True)
    server.rounds(60)
    server.useful, server.latency = math.inf, 4.0
    before = server.limit
    limits = server.rounds(60)
    assert limits[-1] >= 0.9 * before
    assert server.knee.latency == pytest.approx(4.0, rel=0.25)


# ------------------------------------------------------------------------------------------------ trials


def delayed_server(useful=math.inf, slower=6.0, limit=100.0):
    """Return a server at its limit whose calls have become slow."""
    server = Server(1.0, limit=limit)
    server.most = limit
    server.rounds(6)
    server.latency, server.useful = slower, useful
    server.most = limit - 1e-6  # the earlier delivery rate expires before the bound delays calls
    while server.now < 60.0:
        server.rounds(1)
    server.limit, server.most = limit, math.inf
    return server


@given(st.floats(4, 10), st.floats(40, 200))
@settings(max_examples=examples(6))
def test_the_latency_follows_calls_that_take_as_long_under_more_load(slower, limit):
    server = delayed_server(slower=slower, limit=limit)
    assert server.knee.latency < 1.3
    server.rounds(25)
    assert server.knee.latency == pytest.approx(slower, rel=0.05)
    assert server.knee.bound >= 2.5 * limit


def test_the_old_limit_is_restored_where_calls_take_longer_under_more_load():
    server = delayed_server(useful=20.0, slower=1.0, limit=60.0)
    for limit in server.rounds(60):
        assert limit <= 1.51 * 60
    assert server.knee.latency < 1.3
    assert server.knee.bound <= 61.0


def trials(server, rounds):
    """Return the numbers of the rounds with a trial in progress, in which the bound is higher than it can be otherwise."""
    in_progress = []
    for number in range(rounds):
        server.rounds(1)
        if server.knee.bound > 1.4 * 60:
            in_progress.append(number)
    return in_progress


def test_a_trial_that_fails_makes_the_next_one_wait_twice_as_long():
    server = delayed_server(useful=20.0, slower=1.0, limit=60.0)
    in_progress = trials(server, 200)
    starts = [number for number in in_progress if number - 1 not in in_progress]
    waits = [after - before for before, after in itertools.pairwise(starts)]
    assert len(starts) >= 5
    assert all(later >= 1.3 * earlier for earlier, later in itertools.pairwise(waits[:4]))
    assert max(waits) <= 32 + 10


def test_trials_come_one_at_a_time():
    server = delayed_server(useful=20.0, slower=1.0, limit=60.0)
    for _ in range(200):
        server.rounds(1)
        assert server.knee.bound <= 1.5 * 61, "one trial started on top of another"


def test_a_trial_that_does_not_fill_is_abandoned():
    server = delayed_server()
    server.most = server.limit
    in_progress = longest = 0
    for _ in range(30):
        server.round()
        in_progress = in_progress + 1 if server.knee.bound > 1.4 * server.limit else 0
        longest = max(longest, in_progress)
    assert 1 <= longest <= 8
    assert server.knee.latency < 1.3


def test_no_trial_is_made_where_the_bound_delays_nothing():
    server = delayed_server()
    server.most = 0.5 * server.limit
    for _ in range(30):
        server.round()
        assert server.knee.bound <= max(40.0, 1.5 * server.in_flight)


def test_no_trial_is_made_while_the_latency_changes():
    server = delayed_server()
    for turn in range(20):
        server.latency = 6.0 if turn % 2 else 9.0
        server.rounds(1)
        assert server.knee.latency < 1.3


@given(st.floats(0.05, 0.7))
@settings(max_examples=examples(20))
def test_the_latency_follows_faster_calls_at_once(part):
    server = Server(4.0, limit=100.0)
    server.most = 100.0
    server.rounds(6)
    server.latency = 4.0 * part
    server.rounds(3)
    assert server.knee.latency == pytest.approx(4.0 * part, rel=0.1)


def test_while_the_limit_grows_fast_calls_do_not_lower_the_latency():
    server = Server(4.0, limit=20.0)
    for _ in range(5):
        server.round()
        server.limit += 10.0
    server.latency = 1.0
    for _ in range(5):
        server.round()
        server.limit += 10.0
        assert server.knee.latency > 3.5
    for _ in range(3):
        server.round()
    assert server.knee.latency < 1.5


# ------------------------------------------------------------------------------------------------ totality

moves = st.tuples(st.floats(0, 100), st.floats(0, 1e4), st.integers(0, 40), st.booleans(), st.booleans(), st.booleans())


@given(st.lists(moves, max_size=300), st.integers(0, 10**6))
def test_the_bound_stays_between_a_few_calls_and_the_ceiling_after_any_sequence(history, seed):
    knee, now, limit, chance = Knee(CEILING), 0.0, 20.0, Random(seed)
    for order, (seconds, latency, other, lost, alone, binding) in enumerate(history * 3):
        now += chance.choice([0.0, 1e-3, seconds])
        if not knee.latency:
            knee.record_start(now, order)
        if lost:
            knee.drop(other)
        elif knee.record_answer(now, order, now - chance.choice([0.0, latency, seconds])):
            limit = knee.end_round(now, limit, alone=alone, binding=binding)
        assert 8.0 <= knee.bound <= CEILING
        assert 1.0 <= limit <= 1.01 * CEILING
        assert 0 <= knee.latency < math.inf
        limit = min(CEILING, max(limit, chance.choice([limit, knee.bound])))


# ------------------------------------------------------------------------------------------------ answers of no use


def answer(knee, order, started, seconds, *, accepted):
    return knee.record_answer(started + seconds, order, started, accepted=accepted)


@given(st.lists(st.booleans(), max_size=60))
def test_the_latency_is_of_accepted_answers_however_fast_the_others_come(order_of_answers):
    knee = Knee(CEILING)
    for order, accepted in enumerate(order_of_answers):
        knee.record_start(0.0, order)
        answer(knee, order, 0.0, 1.0 if accepted else 0.01, accepted=accepted)
        if order_of_answers[:order].count(True) < 5 and order_of_answers[: order + 1].count(False) < FIRST:
            assert not knee.latency
    if order_of_answers[:FIRST].count(True) > FIRST // 2:
        assert knee.latency == pytest.approx(MEAN * 1.0)


def test_while_few_answers_are_accepted_the_latency_is_that_of_the_others():
    knee = Knee(CEILING)
    for order in range(FIRST):
        assert not knee.latency
        answer(knee, order, float(order), 0.3, accepted=False)
    assert knee.latency == pytest.approx(MEAN * 0.3)
    assert knee.is_measuring
    for order in range(FIRST, 2 * FIRST):
        knee.record_start(float(order), order)
        answer(knee, order, float(order), 2.0, accepted=True)
    assert knee.latency == pytest.approx(MEAN * 2.0)
    assert not knee.is_measuring
    assert knee.starting


def test_start_up_begins_once_more_when_the_first_accepted_answers_are_measured():
    knee = Knee(CEILING)
    for order in range(FIRST):
        answer(knee, order, float(order), 0.3, accepted=False)
    knee.end_start_up(float(FIRST))
    assert not knee.starting
    for order in range(FIRST, 2 * FIRST):
        knee.record_start(float(order), order)
        answer(knee, order, float(order), 2.0, accepted=True)
    assert knee.starting


def test_answers_of_no_use_end_no_round_once_the_latency_is_that_of_accepted_ones():
    server = Server(1.0)
    for number in range(500):
        assert not answer(server.knee, 10_000 + number, server.now + number, 0.5, accepted=False)
    assert server.round() > 0


def test_slow_answers_of_no_use_are_no_sign_of_load_in_start_up():
    server, chance = Server(1.0), Random(1)
    calls = [(server.now + chance.random(), 1.0) for _ in range(200)]  # end, seconds
    for order in range(3_000):
        calls.sort()
        now, seconds = calls.pop(0)
        server.knee.record_answer(now, 100 + order, now - seconds, accepted=seconds == 1.0)
        seconds = chance.choice((1.0, 5.0))
        calls.append((now + seconds, seconds))
    assert server.knee.starting
    assert server.knee.bound >= 0.8 * 3 * MEAN * 200


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("latency", [0.02, 1.0, 4.0])
def test_the_bound_allows_for_the_calls_in_flight_whatever_share_of_answers_is_of_no_use(share, latency):
    server, chance = Server(1.0, alone=True), Random(1)
    server.knee.end_start_up(server.now)
    calls = [(server.now + chance.random(), 1.0, True) for _ in range(200)]  # end, seconds, accepted
    for order in range(20_000):
        calls.sort()
        now, seconds, accepted = calls.pop(0)
        if server.knee.record_answer(now, 100 + order, now - seconds, accepted=accepted):
            server.knee.end_round(now, 200.0, alone=False, binding=False)
        bad = chance.random() < share
        calls.append((now + (latency if bad else 1.0), latency if bad else 1.0, not bad))
    assert server.knee.bound >= 200
