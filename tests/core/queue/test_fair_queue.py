"""Fair queue: nothing is lost, no customer starves, priorities get their shares, and tenants and customers take turns."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.queue.fair_queue import FairQueue
from paceline._core.queue.priority_band import LOWER_SHARE

NOW = 100.0


@attrs.define(eq=False)
class ACustomer:
    priority: int = 0
    tenant: str = ""
    may_start: bool = True


def fill(queue, customers, jobs):
    """Add jobs (customer, number) of each customer."""
    for number in range(jobs):
        for customer in customers:
            queue.add(customer, (customer, number))


def takes(queue, calls):
    """Return the customers of the next jobs; each customer has a new job at once, so that all stay saturated."""
    taken = []
    for _ in range(calls):
        customer, number = queue.take(NOW)
        taken.append(customer)
        queue.add(customer, (customer, number + 1))
    return taken


customers = st.builds(ACustomer, st.integers(0, 3), st.sampled_from("abcd"))
crowds = st.lists(customers, min_size=1, max_size=8)


# ---------------------------------------------------------------------------------------------- shares of priorities


@given(st.sets(st.integers(-20, 20), min_size=2, max_size=15), st.integers(1, 3))
def test_each_lower_priority_that_waits_gets_its_share_and_all_of_them_at_most_half(priorities, tenants):
    queue = FairQueue()
    fill(queue, [ACustomer(p, str(t)) for p in priorities for t in range(tenants)], 2)
    counts = Counter(customer.priority for customer in takes(queue, 400))
    *lower, top = sorted(priorities)
    share = min(LOWER_SHARE, 0.5 / len(lower))
    for priority in lower:
        assert abs(counts[priority] - 400 * share) <= 2
    assert counts[top] >= 200


@given(st.integers(1, 5))
def test_a_lower_priority_that_comes_and_goes_gets_no_more_than_one_that_stays(jobs_at_once):
    queue, high, low = FairQueue(), ACustomer(1), ACustomer(0)
    fill(queue, [high], 2)
    served = 0
    for _ in range(400):
        if not queue.in_turn_of(low):
            for _ in range(jobs_at_once):
                queue.add(low, (low, 0))
        customer, _ = queue.take(NOW)
        if customer is high:
            queue.add(high, (high, 0))
        served += customer is low
    assert 400 * LOWER_SHARE - 2 <= served <= 400 * LOWER_SHARE + 1


@given(st.integers(1, 15))
def test_a_lower_priority_that_leaves_takes_no_credit_with_it(waited):
    queue, high, low = FairQueue(), ACustomer(1), ACustomer(0)
    fill(queue, [high], 2)
    queue.add(low, (low, 0))
    assert takes(queue, waited) == [high] * waited
    queue.discard(low, (low, 0))
    queue.add(low, (low, 0))
    assert takes(queue, 19) == [high] * 19


@given(st.integers(1, 50))
def test_a_lower_priority_has_all_calls_while_no_higher_one_waits_and_saves_none_of_them_up(alone):
    queue, high, low = FairQueue(), ACustomer(1), ACustomer(0)
    fill(queue, [low], 2)
    assert set(takes(queue, alone)) == {low}
    fill(queue, [high], 2)
    assert takes(queue, 19) == [high] * 19


def test_a_higher_priority_that_must_wait_leaves_all_calls_to_a_lower_one():
    queue, high, low = FairQueue(), ACustomer(1), ACustomer(0)
    queue.put_back(high, (high, 0), NOW + 5, NOW)
    fill(queue, [low], 3)
    assert [queue.take(NOW) for _ in range(4)] == [(low, 0), (low, 1), (low, 2), None]
    assert queue.ready_at(NOW) == NOW + 5
    assert queue.take(NOW + 5) == (high, 0)


def test_the_middle_one_of_three_priorities_goes_first_while_the_highest_may_not_start():
    queue = FairQueue()
    high, middle, low = crowd = [ACustomer(p) for p in (3, 2, 1)]
    fill(queue, crowd, 2)
    high.may_start = False
    counts = Counter(takes(queue, 200))
    assert counts[high] == 0
    assert abs(counts[low] - 10) <= 1
    high.may_start = True
    counts = Counter(takes(queue, 200))
    assert abs(counts[middle] - 10) <= 2
    assert abs(counts[low] - 10) <= 2


# ---------------------------------------------------------------------------------------------- turns


@given(st.lists(st.integers(1, 4), min_size=2, max_size=6), st.integers(1, 50))
def test_tenants_take_turns_whatever_the_number_of_their_customers(customers_of, calls):
    queue = FairQueue()
    crowd = [ACustomer(0, str(tenant)) for tenant, number in enumerate(customers_of) for _ in range(number)]
    fill(queue, crowd, 1)
    taken = takes(queue, calls)
    by_tenant = Counter(customer.tenant for customer in taken)
    counts = [by_tenant[str(tenant)] for tenant in range(len(customers_of))]
    assert max(counts) - min(counts) <= 1
    by_customer = Counter(taken)
    for _, own in itertools.groupby(crowd, lambda customer: customer.tenant):
        shares = [by_customer[customer] for customer in own]
        assert max(shares) - min(shares) <= 1


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6))
def test_a_tenant_with_many_jobs_delays_no_other_tenant(jobs_of):
    queue = FairQueue()
    crowd = [ACustomer(0, str(tenant)) for tenant in range(len(jobs_of))]
    for customer, jobs in zip(crowd, jobs_of, strict=True):
        for number in range(jobs):
            queue.add(customer, (customer, number))
    order = [queue.take(NOW) for _ in range(sum(jobs_of))]
    assert order == sorted(order, key=lambda job: (job[1], crowd.index(job[0])))


@given(st.integers(1, 5), st.integers(1, 3))
def test_a_tenant_that_comes_and_goes_gets_no_more_turns_than_one_that_stays(others, jobs_at_once):
    queue, guest = FairQueue(), ACustomer(0, "guest")
    fill(queue, [ACustomer(0, str(tenant)) for tenant in range(others)], 1)
    served = 0
    for _ in range(100):
        if not queue.in_turn_of(guest):
            for _ in range(jobs_at_once):
                queue.add(guest, (guest, 0))
        customer, _ = queue.take(NOW)
        if customer is not guest:
            queue.add(customer, (customer, 0))
        served += customer is guest
    assert abs(served - 100 / (others + 1)) <= 1


@given(crowds, customers, st.data())
def test_a_customer_that_waits_has_its_turn_after_a_bounded_number_of_calls_whoever_else_comes(crowd, victim, data):
    queue = FairQueue()
    fill(queue, crowd, 2)
    queue.add(victim, (victim, 0))
    same = [c for c in crowd if c.priority == victim.priority]
    rounds = (len({c.tenant for c in same}) + 1) * (len([c for c in same if c.tenant == victim.tenant]) + 1)
    bound = math.ceil((rounds + 1) / LOWER_SHARE)
    for calls in range(1, bound + 1):
        customer, number = queue.take(NOW)
        if customer is victim:
            break
        match data.draw(st.integers(0, 4)) if calls < 20 else 1:
            case 0:
                pass  # it has no further job, and may leave
            case 1 | 2:
                queue.add(customer, (customer, number + 1))
            case 3:
                queue.put_back(customer, (customer, number), NOW, NOW)
            case _:
                fill(queue, [data.draw(st.sampled_from(crowd))], 2)
    assert customer is victim


# ---------------------------------------------------------------------------------------------- customers that may not start


@given(crowds, st.data())
def test_customers_that_may_not_start_are_skipped_and_lose_neither_jobs_nor_their_turn(crowd, data):
    queue = FairQueue()
    blocked = data.draw(st.sets(st.sampled_from(crowd)))
    fill(queue, crowd, 3)
    for customer in blocked:
        customer.may_start = False
    free = [customer for customer in crowd if customer not in blocked]
    if free:
        assert not blocked & set(takes(queue, 30))
    else:
        assert queue.peek(NOW) is None
        assert queue.ready_at(NOW) == math.inf
    for customer in blocked:
        customer.may_start = True
        assert queue.in_turn_of(customer) == 3
        assert list(queue.jobs_of(customer)) == [(customer, number) for number in range(3)]
    if blocked:
        highest = max(customer.priority for customer in crowd)
        tenants_of_highest = {customer.tenant for customer in crowd if customer.priority == highest}
        first = [customer for customer in takes(queue, 2 * len(tenants_of_highest)) if customer.priority == highest]
        waited = {c.tenant for c in crowd if c.priority == highest} - {c.tenant for c in free if c.priority == highest}
        assert waited <= {customer.tenant for customer in first}


def test_a_customer_that_may_start_again_goes_before_those_that_had_turns_meanwhile():
    queue = FairQueue()
    first, second, third = crowd = [ACustomer(0, tenant) for tenant in "abc"]
    fill(queue, crowd, 2)
    first.may_start = False
    assert takes(queue, 3) == [second, third, second]
    first.may_start = True
    assert takes(queue, 3) == [first, third, second]


# ---------------------------------------------------------------------------------------------- a single customer, and none


def test_an_empty_queue_is_never_ready():
    queue = FairQueue()
    assert queue.is_empty
    assert (queue.peek(NOW), queue.take(NOW), queue.ready_at(NOW)) == (None, None, math.inf)
    assert (queue.clear(), queue.customers, len(queue), list(queue)) == ([], (), 0, [])
    assert queue.ahead_of(ACustomer()) == queue.in_turn_of(ACustomer()) == queue.in_turn == 0


@given(st.booleans(), crowds)
def test_the_queue_keeps_no_customer_whose_jobs_were_cleared(one_by_one, crowd):
    queue = FairQueue()
    fill(queue, crowd, 2)
    if one_by_one:
        for customer in crowd:
            assert queue.clear(customer) == [(customer, 0), (customer, 1)]
            assert customer not in queue.customers
    else:
        assert Counter(queue.clear()) == Counter((customer, number) for customer in crowd for number in range(2))
    assert queue.customers == ()
    assert queue.is_empty


# ---------------------------------------------------------------------------------------------- jobs that stepped back


@given(crowds.filter(lambda crowd: len(crowd) > 1))
def test_a_job_that_stepped_back_goes_once_the_lane_has_served_enough_calls_of_any_customer(crowd):
    queue = FairQueue()
    owner = crowd[0]
    queue.set_idle(idle=False)
    queue.put_back(owner, (owner, "refused"), NOW, NOW, step_back=2)
    assert queue.peek(NOW) is None
    fill(queue, crowd[1:], 1)
    queue.record_served()
    assert queue.in_turn_of(owner) == 0
    queue.record_served()
    assert queue.in_turn_of(owner) == 1
    assert (owner, "refused") in [queue.take(NOW) for _ in crowd]


def test_a_job_that_steps_back_once_its_time_has_come_delays_no_other_customer():
    queue, refused, other = FairQueue(), ACustomer(0, "a"), ACustomer(0, "b")
    queue.set_idle(idle=False)
    queue.put_back(refused, "refused", NOW + 1, NOW, step_back=2)
    fill(queue, [other], 1)
    other.may_start = False
    assert queue.ready_at(NOW + 1) > NOW + 1
    other.may_start = True
    assert queue.take(NOW + 1) == (other, 0)
    assert queue.ready_at(NOW + 1) > NOW + 1


@given(crowds)
def test_jobs_that_stepped_back_go_once_no_call_is_in_flight(crowd):
    queue = FairQueue()
    queue.set_idle(idle=False)
    for customer in crowd:
        queue.put_back(customer, customer, NOW, NOW, step_back=3)
    assert queue.peek(NOW) is None
    assert queue.ready_at(NOW) > NOW
    queue.set_idle(idle=True)
    assert queue.ready_at(NOW) == NOW
    assert {queue.take(NOW) for _ in crowd} == set(crowd)


def test_while_a_lane_refuses_everything_each_customer_sends_from_both_ends():
    queue = FairQueue()
    crowd = [ACustomer(0, tenant) for tenant in "ab"]
    fill(queue, crowd, 5)
    queue.record_closed()
    assert [queue.take(NOW)[1] for _ in crowd] == [4, 4]
    queue.record_closed()
    assert [queue.take(NOW)[1] for _ in crowd] == [0, 0]


# ---------------------------------------------------------------------------------------------- what is ahead


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(1, 6)), max_size=8), crowds, st.integers(0, 7), st.integers(0, 20)
)
def test_as_many_jobs_start_before_a_new_one_as_are_said_to_be_ahead(waiting, crowd, own, started):
    for customer in crowd:
        customer.priority = 0
    queue = FairQueue()
    for number, jobs in waiting:
        customer = crowd[number % len(crowd)]
        for _ in range(jobs):
            queue.add(customer, object())
    for _ in range(started):
        queue.take(NOW)
    owner = crowd[own % len(crowd)]
    expected = queue.ahead_of(owner)
    queue.add(owner, "new")
    before = list(itertools.takewhile(lambda job: job != "new", iter(lambda: queue.take(NOW), None)))
    assert len(before) == expected


@given(crowds, customers, st.integers(1, 6))
def test_jobs_of_higher_priorities_are_ahead_as_far_as_the_share_of_lower_ones_allows(crowd, newcomer, jobs):
    queue = FairQueue()
    fill(queue, crowd, jobs)
    expected = queue.ahead_of(newcomer)
    queue.add(newcomer, (newcomer, 0))
    started = itertools.takewhile(lambda job: job[0] is not newcomer, iter(lambda: queue.take(NOW), None))
    before = Counter(job[0].priority >= newcomer.priority for job in started)
    assert before[True] - 4 <= expected <= before[True] + 2 * before[False] + 40


@given(st.integers(0, 5))
def test_a_lower_priority_has_at_most_as_many_higher_jobs_ahead_as_its_share_allows(own):
    queue, high, low = FairQueue(), ACustomer(1), ACustomer(0)
    fill(queue, [high], 1000)
    for number in range(own):
        queue.add(low, (low, number))
    expected = queue.ahead_of(low)
    queue.add(low, "new")
    before = list(itertools.takewhile(lambda job: job != "new", iter(lambda: queue.take(NOW), None)))
    assert abs(len(before) - expected) <= 2


def test_jobs_that_wait_for_a_time_or_whose_customers_may_not_start_are_not_ahead():
    queue, crowd = FairQueue(), [ACustomer(0, "a"), ACustomer(1, "b"), ACustomer(0, "c", may_start=False)]
    for customer in crowd[:2]:
        queue.put_back(customer, object(), NOW + 1, NOW)
    fill(queue, crowd[2:], 5)
    assert queue.ahead_of(ACustomer()) == 0


def test_a_long_batch_of_the_same_priority_delays_a_call_by_one_job():
    queue = FairQueue()
    fill(queue, [ACustomer(0, "")], 1000)
    assert queue.ahead_of(ACustomer(0, "")) == queue.ahead_of(ACustomer(0, "other")) == 1
    assert queue.ahead_of(ACustomer(1, "")) == 0


@pytest.mark.parametrize("company_leaves", [False, True])
@pytest.mark.parametrize(
    "wake",
    [
        lambda queue, sleeper: queue.add(sleeper, "new"),
        lambda queue, sleeper: queue.put_back(sleeper, "returned", NOW, NOW),
        lambda queue, _: [queue.record_served() for _ in range(3)],
        lambda queue, _: queue.set_idle(idle=True),
    ],
    ids=["a new job", "a job that returns", "enough calls served", "no call in flight"],
)
def test_a_sleeping_customer_wakes_when_one_of_its_jobs_may_start(wake, company_leaves):
    queue, sleeper, blocked = FairQueue(), ACustomer(0, "a"), ACustomer(0, "b", may_start=False)
    queue.set_idle(idle=False)
    queue.put_back(sleeper, "refused", NOW, NOW, step_back=3)
    fill(queue, [blocked], 1)
    assert queue.peek(NOW) is None
    if company_leaves:
        queue.clear(blocked)
    wake(queue, sleeper)
    newcomer = ACustomer(0, "c")
    fill(queue, [newcomer], 3)
    assert {queue.take(NOW), queue.take(NOW)} & {"new", "returned", "refused"}


def test_thousands_of_sleeping_customers_are_not_looked_at():
    looks = defaultdict(int)

    class Watched(ACustomer):
        @property
        def may_start(self):
            looks[self] += 1
            return True

        @may_start.setter
        def may_start(self, value):
            assert value

    queue, crowd = FairQueue(), [Watched(0, str(tenant)) for tenant in range(1000)]
    for customer in crowd:
        queue.put_back(customer, customer, NOW + 60, NOW)
    for _ in range(10):
        assert queue.peek(NOW) is None
        assert queue.ready_at(NOW) == NOW + 60
    assert max(looks.values()) == 1
    assert {queue.take(NOW + 60) for _ in crowd} == set(crowd)


# ---------------------------------------------------------------------------------------------- many customers


class Counting:
    """A customer that counts how often it is looked at."""

    looks = 0

    def __init__(self, priority, tenant):
        self.priority, self.tenant = priority, tenant

    @property
    def may_start(self):
        Counting.looks += 1
        return True


@pytest.mark.parametrize("one_tenant", [False, True])
@pytest.mark.parametrize("priority", [0, 1])
def test_the_count_of_those_ahead_looks_at_a_bounded_number_of_customers(one_tenant, priority):
    queue = FairQueue()
    crowd = [Counting(1, "one" if one_tenant else str(number)) for number in range(2_000)]
    fill(queue, crowd, 3)
    Counting.looks = 0
    ahead = queue.ahead_of(Counting(priority, "newcomer"))
    assert Counting.looks <= 200
    of_those_who_take_turns = 1 if one_tenant else 2_000
    assert ahead == (of_those_who_take_turns if priority else 19)


@given(st.lists(st.integers(1, 5), min_size=17, max_size=100), st.integers(0, 4))
def test_the_estimate_of_those_ahead_is_within_the_bounds_of_what_is_possible(jobs_of, own):
    queue, mine = FairQueue(), ACustomer(0, "mine")
    for number, jobs in enumerate(jobs_of):
        fill(queue, [ACustomer(0, str(number))], jobs)
    if own:
        fill(queue, [mine], own)
    assert own + len(jobs_of) <= queue.ahead_of(mine) <= own + (own + 1) * len(jobs_of)
