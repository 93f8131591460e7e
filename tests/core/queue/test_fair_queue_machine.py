"""Fair queue, compared with one plain backlog a customer, whatever happens; a single customer's is that backlog."""

from __future__ import annotations

import math
from collections import Counter

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from paceline._core.queue.backlog import Backlog
from paceline._core.queue.fair_queue import FairQueue

from ...search import examples


@attrs.define(eq=False)
class ACustomer:
    priority: int = 0
    tenant: str = ""
    may_start: bool = True


class SingleCustomer(RuleBasedStateMachine):
    """Everything is done to a plain backlog too."""

    def __init__(self):
        super().__init__()
        self.customer = ACustomer()
        self.queue, self.backlog = FairQueue(), Backlog()
        self.now, self.jobs, self.taken = 0.0, 0, []

    @rule(jobs=st.integers(1, 5))
    def add(self, jobs):
        for _ in range(jobs):
            self.jobs += 1
            self.queue.add(self.customer, self.jobs)
            self.backlog.add(self.jobs)

    @rule()
    def take(self):
        job = self.queue.take(self.now)
        if not self.customer.may_start:
            assert job is None
            return
        assert job == self.backlog.take(self.now)
        if job is not None:
            self.taken.append(job)

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), wait=st.sampled_from([-5, 0, 1, 2, 10]), step_back=st.sampled_from([0, 0, 1, 2, 8]))
    def put_back(self, data, wait, step_back):
        job = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        self.queue.put_back(self.customer, job, self.now + wait, self.now, step_back)
        self.backlog.put_back(job, self.now + wait, self.now, step_back)

    @precondition(lambda self: len(self.backlog))
    @rule(data=st.data())
    def discard(self, data):
        job = data.draw(st.sampled_from(list(self.backlog)))
        self.queue.discard(self.customer, job)
        self.backlog.discard(job)

    @rule()
    def a_call_is_served(self):
        self.queue.record_served()
        self.backlog.record_served()

    @precondition(lambda self: len(self.backlog))
    @rule()
    def the_lane_refuses_everything(self):
        self.queue.record_closed()
        self.backlog.record_closed()

    @rule(idle=st.booleans())
    def calls_start_or_end(self, idle):
        self.queue.set_idle(idle=idle)
        self.backlog.idle = idle

    @rule(may_start=st.booleans())
    def the_customer_stops_or_goes_on(self, may_start):
        self.customer.may_start = may_start

    @rule(seconds=st.sampled_from([0.5, 1, 5]))
    def time_passes(self, seconds):
        self.now += seconds

    @invariant()
    def both_agree(self):
        if self.customer.may_start:
            assert self.queue.ready_at(self.now) == self.backlog.ready_at(self.now)
            assert self.queue.peek(self.now) == self.backlog.peek(self.now)
            assert self.queue.ahead_of(self.customer) == self.backlog.ready
        else:
            assert self.queue.ready_at(self.now) == math.inf
            assert self.queue.peek(self.now) is None
        assert list(self.queue) == list(self.queue.jobs_of(self.customer)) == list(self.backlog)
        assert len(self.queue) == len(self.backlog)
        assert self.queue.in_turn == self.queue.in_turn_of(self.customer) == self.backlog.in_turn
        assert self.queue.is_empty == (not len(self.backlog))
        assert self.queue.customers == ((self.customer,) if len(self.backlog) else ())


TestASingleCustomersQueueIsItsBacklog = SingleCustomer.TestCase
TestASingleCustomersQueueIsItsBacklog.settings = settings(max_examples=examples(50), stateful_step_count=40)


@attrs.define(eq=False)
class Model:
    """What is known of a customer: a plain backlog, and the turns that others had since it last had one or could not have one."""

    customer: ACustomer
    backlog: Backlog = attrs.field(factory=Backlog)
    since: Counter = attrs.field(factory=Counter)


class ManyCustomers(RuleBasedStateMachine):
    """The model has a plain backlog for each customer, and counts turns."""

    def __init__(self):
        super().__init__()
        self.queue = FairQueue()
        self.models = {}
        self.idle = True
        self.now, self.jobs, self.taken = 0.0, 0, []
        self.due = {}
        self.put_in, self.handed_out = Counter(), Counter()
        self.tenants_since = {}

    @initialize(
        crowd=st.lists(
            st.builds(ACustomer, st.sampled_from([0, 0, 1, 5]), st.sampled_from("aab")), min_size=2, max_size=6
        ),
        idle=st.booleans(),
    )
    def customers(self, crowd, idle):
        self.models = {customer: Model(customer) for customer in crowd}
        self.calls_start_or_end(idle)

    def pick(self, data):
        return data.draw(st.sampled_from(list(self.models.values())))

    def waiting(self):
        return [(model, job) for model in self.models.values() for job in model.backlog]

    def fresh(self):
        """Forget what the backlogs of customers without jobs remember, as the queue forgets the customers."""
        for model in self.models.values():
            if not len(model.backlog):
                model.backlog, model.since = Backlog(), Counter()
                model.backlog.idle = self.idle

    def startable(self):
        return [m for m in self.models.values() if m.customer.may_start and m.backlog.peek(self.now) is not None]

    # ------------------------------------------------------------------------------------------ jobs come

    @rule(data=st.data(), jobs=st.integers(1, 4))
    def add(self, data, jobs):
        model = self.pick(data)
        for _ in range(jobs):
            self.jobs += 1
            self.queue.add(model.customer, self.jobs)
            model.backlog.add(self.jobs)
            self.put_in[self.jobs] += 1

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), wait=st.sampled_from([-5, 0, 1, 2, 10]), step_back=st.sampled_from([0, 0, 1, 2, 8]))
    def put_back(self, data, wait, step_back):
        self.put_back_job(data.draw(st.integers(0, len(self.taken) - 1)), wait, step_back)

    def put_back_job(self, place, wait, step_back):
        model, job = self.taken.pop(place)
        self.queue.put_back(model.customer, job, self.now + wait, self.now, step_back)
        model.backlog.put_back(job, self.now + wait, self.now, step_back)
        self.due[job] = self.now + wait
        self.put_in[job] += 1

    @rule(jobs=st.integers(1, 8), wait=st.sampled_from([1, 10]), step_back=st.sampled_from([0, 0, 1, 2]))
    def calls_are_refused(self, jobs, wait, step_back):
        for _ in range(jobs):
            self.take()
            if self.taken:
                self.put_back_job(len(self.taken) - 1, wait, step_back)

    # ------------------------------------------------------------------------------------------ jobs go

    @rule()
    def take(self):
        startable = self.startable()
        expected = self.queue.peek(self.now)
        job = self.queue.take(self.now)
        assert job == expected
        assert (job is None) == (not startable), "a lane with work that may be done does it"
        if job is None:
            return
        (model,) = [m for m in startable if job in list(m.backlog)]
        self.handed_out[job] += 1
        assert self.handed_out[job] == self.put_in[job], "it is handed out once for each time it was put in"
        first = model.backlog.peek(self.now)
        if first in self.due:  # of those that were called before, the order depends on when the queue looked at them
            assert self.due[job] <= self.now
            model.backlog.discard(job)
        else:
            assert model.backlog.take(self.now) == job
        self.taken.append((model, job))
        self.count_turn(model, startable)
        self.fresh()

    def count_turn(self, taken, startable):
        """No customer waits while another one has two turns."""
        for model in self.models.values():
            if model is taken:
                model.since.clear()
            elif model not in startable:
                if model.customer.may_start:
                    model.since.clear()
            elif (model.customer.priority, model.customer.tenant) == (taken.customer.priority, taken.customer.tenant):
                model.since[taken] += 1
                assert model.since[taken] <= 1
        waiting = {(m.customer.priority, m.customer.tenant) for m in startable}
        mine = (taken.customer.priority, taken.customer.tenant)
        for other in list(self.tenants_since):
            if other not in waiting or other == mine:
                del self.tenants_since[other]
        for other in waiting - {mine}:
            if other[0] == mine[0]:
                turns = self.tenants_since.setdefault(other, Counter())
                turns[mine] += 1
                assert turns[mine] <= 1

    @rule(jobs=st.integers(2, 30))
    def take_several(self, jobs):
        for _ in range(jobs):
            self.take()

    @precondition(lambda self: self.waiting())
    @rule(data=st.data())
    def discard(self, data):
        model, job = data.draw(st.sampled_from(self.waiting()))
        self.queue.discard(model.customer, job)
        model.backlog.discard(job)
        self.put_in[job] -= 1
        self.fresh()

    @rule(data=st.data(), everything=st.booleans())
    def clear(self, data, everything):
        models = list(self.models.values()) if everything else [self.pick(data)]
        jobs = self.queue.clear(None if everything else models[0].customer)
        assert Counter(jobs) == Counter(job for model in models for job in model.backlog.clear())
        self.put_in.subtract(jobs)
        self.fresh()

    # ------------------------------------------------------------------------------------------ what happens beside

    @rule()
    def a_call_is_served(self):
        self.queue.record_served()
        for model in self.models.values():
            model.backlog.record_served()

    @rule(idle=st.booleans())
    def calls_start_or_end(self, idle):
        self.idle = idle
        self.queue.set_idle(idle=idle)
        for model in self.models.values():
            model.backlog.idle = idle

    @rule(data=st.data())
    def a_customer_stops_or_goes_on(self, data):
        customer = self.pick(data).customer
        customer.may_start = not customer.may_start

    @rule(seconds=st.sampled_from([0.5, 1, 5]))
    def time_passes(self, seconds):
        self.now += seconds

    @invariant()
    def a_ready_job_is_offered_and_the_next_time_is_never_too_late(self):
        startable = self.startable()
        job, at = self.queue.peek(self.now), self.queue.ready_at(self.now)
        assert self.queue.peek(self.now) == job
        if startable:
            assert any(job in list(model.backlog) for model in startable)
            assert at == self.now
        else:
            assert job is None
            times = [m.backlog.ready_at(self.now) for m in self.models.values() if m.customer.may_start]
            assert self.now < at <= min(times, default=math.inf)

    @invariant()
    def every_waiting_job_is_seen_once(self):
        waiting = self.waiting()
        assert Counter(self.queue) == Counter(job for _, job in waiting)
        assert len(self.queue) == len(waiting)
        assert self.queue.is_empty == (not waiting)
        assert set(self.queue.customers) == {model.customer for model, _ in waiting}

    @invariant()
    def each_customer_has_its_own_jobs(self):
        for customer, model in self.models.items():
            assert Counter(self.queue.jobs_of(customer)) == Counter(model.backlog)
            assert len(list(self.queue.jobs_of(customer))) >= self.queue.in_turn_of(customer)
        assert self.queue.in_turn == sum(self.queue.in_turn_of(customer) for customer in self.models)


TestManyCustomersQueueAgreesWithTheirBacklogs = ManyCustomers.TestCase
TestManyCustomersQueueAgreesWithTheirBacklogs.settings = settings(max_examples=examples(80), stateful_step_count=40)
