"""Backlog: every job is handed out once, in order, and never before its time."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from paceline._core.queue.backlog import Backlog

from ...search import examples

FROM_END = 16  # jobs that are taken from the end of the new ones where a lane refuses every call
ASIDE = 5.0  # seconds


class BacklogAgainstLists(RuleBasedStateMachine):
    """The model is three lists, searched from end to end: new jobs, jobs in turn again as [due, arrival, job], and those aside."""

    def __init__(self):
        super().__init__()
        self.backlog = Backlog()
        self.new = []
        self.again = []  # due, arrival, job, when it steps forward (calls served)
        self.aside = []  # when it steps forward, arrival, since, job
        self.taken = []
        self.now = 0.0
        self.served = self.jobs = self.arrivals = self.from_end = 0
        self.handed_out = Counter()
        self.put_in = Counter()

    def arrived(self):
        """Move the jobs whose time has come to where they wait now, in the order of their times."""
        for row in sorted(row for row in self.again if row[0] <= self.now and row[3] > self.served):
            self.again.remove(row)
            self.arrivals += 1
            self.aside.append((row[3], self.arrivals, row[0], row[2]))

    def expected(self):
        """Return the job that goes next, and the list that it is in."""
        self.arrived()
        due = [row for row in self.again if row[0] <= self.now]
        if due:
            row = min(due)
            return row[2], self.again, row
        if self.new:
            job = self.new[-1 if self.from_end else 0]
            return job, self.new, job
        if self.aside:
            row = min(self.aside)
            if self.backlog.idle or self.now >= row[2] + ASIDE:
                return row[3], self.aside, row
        return None, None, None

    @initialize(calls=st.integers(0, 6))
    def some_calls_are_in_flight(self, calls):
        for _ in range(calls):
            self.add()
            self.take()

    @rule()
    def add(self):
        self.jobs += 1
        self.backlog.add(self.jobs)
        self.new.append(self.jobs)
        self.put_in[self.jobs] += 1

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), wait=st.sampled_from([-5, 0, 0, 0, 1, 2, 10]), step_back=st.sampled_from([0, 0, 1, 2, 8]))
    def put_back(self, data, wait, step_back):
        job = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        self.arrived()
        self.backlog.put_back(job, self.now + wait, self.now, step_back)
        self.arrivals += 1
        self.again.append(
            (max(self.now, self.now + wait), self.arrivals, job, self.served + step_back if step_back else 0)
        )
        self.arrived()
        self.put_in[job] += 1

    @rule(calls=st.integers(1, 4))
    def calls_are_served(self, calls):
        for _ in range(calls):
            self.backlog.record_served()
            self.served += 1
            for row in sorted(row for row in self.aside if row[0] <= self.served):
                self.aside.remove(row)
                self.arrivals += 1
                self.again.append((self.now, self.arrivals, row[3], 0))

    @rule()
    def the_lane_refuses_everything(self):
        self.backlog.record_closed()
        self.from_end = 0 if self.from_end else FROM_END

    @rule(idle=st.booleans())
    def calls_start_or_end(self, idle):
        self.backlog.idle = idle

    @rule(seconds=st.sampled_from([0.5, 1, 2, 5]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def take(self):
        job, rows, row = self.expected()
        assert self.backlog.peek(self.now) == job
        assert self.backlog.take(self.now) == job
        if job is not None:
            rows.remove(row)
            self.from_end -= rows is self.new and self.from_end > 0
            self.taken.append(job)
            self.handed_out[job] += 1
            assert self.handed_out[job] == self.put_in[job], "it is handed out once for each time it was put in"

    @rule()
    def take_until_none_is_ready(self):
        while self.expected()[0] is not None:
            self.take()
        assert self.backlog.take(self.now) is None

    @precondition(lambda self: self.waiting())
    @rule(data=st.data(), comes_back=st.sampled_from([None, None, 0, 2]))
    def discard(self, data, comes_back):
        job = data.draw(st.sampled_from(self.waiting()))
        self.arrived()
        self.backlog.discard(job)
        self.new = [other for other in self.new if other != job]
        self.again = [row for row in self.again if row[2] != job]
        self.aside = [row for row in self.aside if row[3] != job]
        if comes_back is not None:
            self.backlog.put_back(job, self.now + comes_back, self.now)
            self.arrivals += 1
            self.again.append((self.now + comes_back, self.arrivals, job, 0))
        else:
            self.put_in[job] -= 1

    @rule(data=st.data(), jobs=st.integers(1, 150))
    def many_come_and_most_are_discarded(self, data, jobs):
        come = range(self.jobs + 1, self.jobs + 1 + jobs)
        for _ in come:
            self.add()
        gone = data.draw(st.permutations(come))[: jobs - jobs // 8]
        for job in gone:
            self.backlog.discard(job)
            self.put_in[job] -= 1
        self.new = [job for job in self.new if job not in gone]

    @rule()
    def clear(self):
        assert Counter(self.backlog.clear()) == Counter(self.waiting())
        assert len(self.backlog) == self.backlog.in_turn == 0
        assert self.backlog.take(math.inf) is None
        for job in self.waiting():
            self.put_in[job] -= 1
        self.new, self.again, self.aside = [], [], []

    def waiting(self):
        return [*self.new, *(row[2] for row in self.again), *(row[3] for row in self.aside)]

    @invariant()
    def before_any_job_is_looked_at_the_next_start_is_known(self):
        at = self.backlog.ready_at(self.now)
        assert at >= self.now
        if self.expected()[0] is not None:
            assert at == self.now
        else:
            delayed = [row[0] for row in self.again]
            aside = [] if not self.aside else [self.now if self.backlog.idle else min(self.aside)[2] + ASIDE]
            assert at == max(self.now, min(delayed + aside, default=math.inf))

    @invariant()
    def every_waiting_job_is_seen_once(self):
        assert Counter(self.backlog) == Counter(self.waiting())
        assert len(self.backlog) == len(self.waiting())

    @invariant()
    def jobs_that_stepped_back_are_not_in_turn_and_those_that_are_due_are_ready(self):
        self.backlog.peek(self.now)
        self.arrived()
        assert self.backlog.in_turn == len(self.new) + len(self.again)
        assert self.backlog.ready == len(self.new) + sum(row[0] <= self.now for row in self.again)
        if self.aside:
            assert self.backlog.may_step_forward


TestABacklogAgreesWithNaiveLists = BacklogAgainstLists.TestCase
TestABacklogAgreesWithNaiveLists.settings = settings(max_examples=examples(60), stateful_step_count=40)


def test_started_work_goes_before_new_work():
    backlog = Backlog()
    backlog.add("fresh")
    backlog.put_back("begun", 0.0, now=0.0)
    assert [backlog.take(0.0), backlog.take(0.0), backlog.take(0.0)] == ["begun", "fresh", None]


def test_a_job_whose_time_has_come_goes_before_one_that_is_put_back_now():
    backlog = Backlog()
    backlog.put_back("waited", 5.0, now=0.0)
    backlog.put_back("comes now", 10.0, now=10.0)
    assert [backlog.take(10.0), backlog.take(10.0)] == ["waited", "comes now"]


def test_new_work_is_handed_out_while_started_work_must_wait():
    backlog = Backlog()
    backlog.put_back("begun", 5.0, now=0.0)
    backlog.add("fresh")
    assert [backlog.take(4.9), backlog.take(4.9), backlog.take(5.0)] == ["fresh", None, "begun"]


@given(st.lists(st.integers(1, 5)))
def test_jobs_due_at_the_same_time_come_as_they_were_put_back(times):
    backlog = Backlog()
    for job, time in enumerate(times):
        backlog.put_back(job, time, now=0)
    assert [backlog.take(5) for _ in times] == sorted(range(len(times)), key=lambda job: times[job])


def test_discarding_a_job_does_not_search_the_others():
    compared = []

    class AJob:
        def __eq__(self, other):
            compared.append(other)
            return self is other

        __hash__ = object.__hash__

    backlog, jobs = Backlog(), [AJob() for _ in range(500)]
    for job in jobs:
        backlog.add(job)
    for job in jobs[1:-1:2]:
        backlog.discard(job)
    assert len(backlog) == len(jobs) - len(jobs[1:-1:2])
    assert len(compared) < len(jobs)


def test_jobs_need_not_be_comparable():
    backlog = Backlog()
    jobs = [object(), object()]
    for job in jobs:
        backlog.put_back(job, 1.0, now=0.0)
    assert [backlog.take(1.0), backlog.take(1.0)] == jobs


def test_an_empty_backlog_is_never_ready():
    backlog = Backlog()
    assert backlog.ready_at(3.0) == math.inf
    assert backlog.take(3.0) is None
    assert backlog.clear() == []


@given(st.integers(1, 40), st.integers(1, 16))
def test_a_job_that_is_always_refused_delays_none_of_the_others(others, step_back):
    backlog = Backlog()
    backlog.idle = False
    backlog.put_back("refused", 0.0, 0.0, step_back)
    for job in range(others):
        backlog.add(job)
    order = []
    while len(backlog):
        job = backlog.take(0.0)
        if job is None:
            backlog.idle = True
            continue
        order.append(job)
        if job != "refused":
            backlog.record_served()
        elif len(backlog):
            backlog.put_back("refused", 0.0, 0.0, step_back)
    assert [job for job in order if job != "refused"] == list(range(others))
    assert order.count("refused") <= 1 + others / step_back


def test_a_job_that_stepped_back_goes_once_no_call_is_in_flight_or_after_some_seconds():
    backlog = Backlog()
    backlog.idle = False
    backlog.put_back("refused", 2.0, 0.0, 3)
    assert backlog.ready_at(0.0) == 2.0
    assert backlog.take(2.0) is None
    assert backlog.ready_at(2.0) == 2.0 + ASIDE
    backlog.idle = True
    assert backlog.ready_at(2.0) == 2.0
    assert backlog.take(2.0) == "refused"


def test_a_job_that_steps_back_once_its_time_has_come_is_not_ready_then():
    backlog = Backlog()
    backlog.idle = False
    backlog.put_back("refused", 2.0, 0.0, 3)
    assert backlog.ready_at(3.0) == 2.0 + ASIDE
    assert backlog.take(3.0) is None


def test_while_a_lane_refuses_everything_new_jobs_come_from_both_ends():
    backlog = Backlog()
    for job in range(100):
        backlog.add(job)
    backlog.record_closed()
    assert backlog.take(0.0) == 99
    backlog.record_closed()
    assert backlog.take(0.0) == 0
    backlog.record_closed()
    assert [backlog.take(0.0) for _ in range(FROM_END + 2)] == [*range(98, 98 - FROM_END, -1), 1, 2]
