"""Backlog: every job is handed out once, in order, and never before its time."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from paceline._core.lanes import Backlog

FRESH, AGAIN = 1, 0


class BacklogAgainstAList(RuleBasedStateMachine):
    """The model is a plain list of [class, due, arrival, job], searched from end to end."""

    def __init__(self):
        super().__init__()
        self.backlog = Backlog()
        self.waiting = []
        self.taken = []
        self.now = 0.0
        self.jobs = 0
        self.arrivals = 0

    def arrive(self, kind, due, job):
        self.arrivals += 1
        self.waiting.append([kind, due, self.arrivals, job])

    def due(self):
        return [row for row in self.waiting if row[1] <= self.now]

    @rule()
    def add(self):
        self.jobs += 1
        self.backlog.add(self.jobs)
        self.arrive(FRESH, self.now, self.jobs)

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), wait=st.sampled_from([-5, 0, 1, 2, 3, 10]))
    def put_back(self, data, wait):
        job = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        self.backlog.put_back(job, self.now + wait, self.now)
        self.arrive(AGAIN, max(self.now, self.now + wait), job)

    @rule(seconds=st.sampled_from([0.5, 1, 2, 5]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def take(self):
        expected = min(self.due(), default=None)
        job = self.backlog.take(self.now)
        if expected is None:
            assert job is None
        else:
            assert job == expected[3]
            self.waiting.remove(expected)
            self.taken.append(job)

    @rule()
    def take_until_none_is_ready(self):
        while self.due():
            self.take()
        assert self.backlog.take(self.now) is None

    @rule()
    def clear(self):
        assert Counter(self.backlog.clear()) == Counter(row[3] for row in self.waiting)
        assert len(self.backlog) == 0
        assert self.backlog.take(math.inf) is None
        self.waiting.clear()

    @invariant()
    def the_next_start_is_known(self):
        at = self.backlog.ready_at(self.now)
        assert at == max(self.now, min((row[1] for row in self.waiting), default=math.inf))

    @invariant()
    def every_waiting_job_is_seen_once(self):
        assert Counter(self.backlog) == Counter(row[3] for row in self.waiting)
        assert len(self.backlog) == len(self.waiting)


TestABacklogAgreesWithANaiveList = BacklogAgainstAList.TestCase
TestABacklogAgreesWithANaiveList.settings = settings(max_examples=60, stateful_step_count=35)


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
