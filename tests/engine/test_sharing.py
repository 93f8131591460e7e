"""Sharing: of the items with one key exactly one is called, as long as one of them needs a result."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from paceline import CallableStrategy, LLMWorkItem
from paceline._core.fault import Fault, FaultKind
from paceline._engine.lanes.job import Job
from paceline._engine.results.sharing import SharedCalls

from ..search import examples


async def _upper(prompt):
    return prompt.upper()


_STRATEGY = CallableStrategy(_upper)
_FAULT = Fault(FaultKind.REJECTED, "no")


class SharingMachine(RuleBasedStateMachine):
    """Compares it with lists of the open items of each key, the first of which leads."""

    jobs = Bundle("jobs")

    def __init__(self):
        super().__init__()
        self.sharing = SharedCalls()
        self.lines = {}
        self.count = 0

    @rule(target=jobs, key=st.sampled_from(["a", "b", None]))
    def come(self, key):
        job = Job(None, LLMWorkItem(str(self.count), _STRATEGY, "x"), self.count)
        self.count += 1
        line = [] if key is None else self.lines.setdefault(key, [])
        line.append(job)
        assert self.sharing.lead(job, key) is (line[0] is job)
        return job, key

    @rule(one=jobs, goes_on=st.booleans())
    def end(self, one, goes_on):
        job, key = one
        line = self.lines.get(key, [])
        if job in line[1:]:
            return
        ended = self.sharing.end(job)
        if line[1:] and line[0] is job:
            assert ended.key == key
            assert [*ended.followers] == line[1:]
            self.follow(ended, line[1:], goes_on=goes_on)
        else:
            assert ended is None
            if line and line[0] is job:
                del self.lines[key]

    def follow(self, ended, followers, *, goes_on):
        if goes_on:
            assert self.sharing.succeed(ended) is followers[0]
            self.lines[ended.key] = followers
            return
        for other in followers:
            assert self.sharing.end(other) is None
            other.settle(None, _FAULT)
        assert self.sharing.succeed(ended) is None
        del self.lines[ended.key]

    @rule(one=jobs)
    def leave(self, one):
        job, key = one
        if job in self.lines.get(key, [])[1:]:
            self.sharing.stop_following(job)
            self.lines[key].remove(job)
            assert self.sharing.end(job) is None

    @invariant()
    def followers_are_counted_and_known(self):
        assert len(self.sharing) == sum(len(line) - 1 for line in self.lines.values())
        for line in self.lines.values():
            assert [self.sharing.follows(job) for job in line] == [False] + [True] * (len(line) - 1)


TestSharing = SharingMachine.TestCase
TestSharing.settings = settings(max_examples=examples(40), stateful_step_count=30, deadline=None)
