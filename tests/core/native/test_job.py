"""The machine of a native job: laws of single steps, and all that can happen between us and a provider, with a crash at every step."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from paceline._core.native import job
from paceline._core.native.job import Do, Effect, JobPolicy, Outcome, step

NOW = 1_000.0
NAMES = st.sampled_from(["job-1", "job-2"])
COUNTS = st.integers(0, 5)
TIMES = st.floats(0, 2_000)
POLICIES = st.builds(JobPolicy, has_upload=st.booleans(), has_label=st.booleans(), grace=st.floats(1, 500))
STATES = st.one_of(
    st.builds(job.Intended, failures=COUNTS),
    st.builds(job.Uploaded, input=NAMES, failures=COUNTS),
    st.builds(
        job.Asked, input=NAMES, at=TIMES, is_cancelled=st.booleans(), not_ours=st.just(("job-2",)), failures=COUNTS
    ),
    st.builds(
        job.Created,
        id=NAMES,
        input=NAMES,
        since=TIMES,
        is_proven=st.booleans(),
        is_cancelled=st.booleans(),
        is_cancelling=st.booleans(),
        failures=COUNTS,
    ),
    st.builds(job.Ended, id=NAMES, input=NAMES, since=TIMES, outcome=st.sampled_from(Outcome), is_proven=st.booleans()),
    st.builds(job.Collected, id=NAMES, outcome=st.sampled_from(Outcome), answered=COUNTS, unanswered=COUNTS),
    st.builds(job.Rescued, id=NAMES, outcome=st.sampled_from(Outcome), answered=COUNTS, unanswered=COUNTS),
    st.builds(job.NotCreated, message=st.just("no")),
)
EVENTS = st.one_of(
    st.builds(job.Begun, TIMES),
    st.builds(job.RowsUploaded, TIMES, NAMES),
    st.builds(job.JobCreated, TIMES, NAMES),
    st.builds(job.JobRefused, TIMES, st.just("no")),
    st.builds(job.JobHeld, TIMES, st.none() | st.floats(0, 100)),
    st.builds(job.JobsListed, TIMES, st.lists(NAMES, unique=True).map(tuple)),
    st.builds(job.StillRunning, TIMES, COUNTS),
    st.builds(job.JobEnded, TIMES, st.sampled_from(Outcome)),
    st.builds(job.NoSuchJob, TIMES),
    st.builds(job.AnswersStored, TIMES, COUNTS, COUNTS),
    st.builds(job.NotOurs, TIMES),
    st.builds(job.CancelAccepted, TIMES),
    st.builds(job.RowsReleased, TIMES),
    st.builds(job.CancelDue, TIMES),
    st.builds(job.Failed, TIMES, st.none() | st.floats(0, 100)),
)


@given(policy=POLICIES, state=STATES, event=EVENTS)
def test_every_state_takes_every_event_and_says_what_to_do_next_and_not_before_now(policy, state, event):
    after, effect = step(policy, state, event)
    assert isinstance(effect, Effect)
    assert effect.at >= event.now
    assert job.is_final(after) is (effect.do is Do.NOTHING)


@given(policy=POLICIES, state=STATES, event=EVENTS)
def test_a_final_job_stays_as_it_is(policy, state, event):
    if job.is_final(state):
        assert step(policy, state, event)[0] == state


@given(policy=POLICIES, state=STATES, event=EVENTS)
def test_a_job_is_created_only_from_asked_which_is_stored_before(policy, state, event):
    after, effect = step(policy, state, event)
    if effect.do is Do.CREATE:
        assert isinstance(after, job.Asked)
        assert not after.is_cancelled


@given(policy=POLICIES, state=STATES, event=EVENTS)
def test_rows_that_the_provider_may_be_working_on_are_released_by_nothing_but_its_word(policy, state, event):
    after, effect = step(policy, state, event)
    if job.is_at_provider(state) and isinstance(after, job.NotCreated):
        is_refused = isinstance(event, job.JobRefused | job.JobHeld)
        is_missing = isinstance(event, job.JobsListed) and event.now >= state.at + policy.grace
        assert is_refused or is_missing
    if effect.do is Do.RELEASE:
        assert isinstance(after, job.Collected)
    if isinstance(after, job.Collected) and after != state:
        assert isinstance(state, job.Ended)
        assert isinstance(event, job.AnswersStored)


@given(policy=POLICIES, state=STATES, now=TIMES)
def test_after_a_crash_a_job_that_was_asked_for_is_looked_for_and_never_just_created(policy, state, now):
    after, effect = step(policy, state, job.Begun(now))
    if isinstance(state, job.Asked):
        assert (after, effect.do) == (state, Do.FIND)
    elif effect.do is Do.CREATE:
        assert isinstance(state, job.Uploaded | job.Intended)


@pytest.mark.parametrize("has_label", [True, False])
def test_a_job_that_may_be_anothers_is_never_cancelled(has_label):
    policy = JobPolicy(has_label=has_label)
    asked = job.Asked(input="file", at=NOW, is_cancelled=True)
    state, effect = step(policy, asked, job.JobsListed(NOW, ("job-1",)))
    assert effect.do is (Do.CANCEL if has_label else Do.POLL)
    for event in (job.CancelDue(NOW), job.StillRunning(NOW), job.Failed(NOW)):
        state, effect = step(policy, state, event)
        assert effect.do is (Do.CANCEL if has_label else Do.POLL)


@given(policy=POLICIES, after=st.floats(0, 2), is_cancelled=st.booleans())
def test_a_job_that_is_not_in_the_list_is_asked_for_again_only_when_the_grace_is_over(policy, after, is_cancelled):
    asked = job.Asked(input="file", at=NOW, is_cancelled=is_cancelled)
    now = NOW + after * policy.grace
    state, effect = step(policy, asked, job.JobsListed(now, ()))
    if now < NOW + policy.grace:
        assert (state, effect.do) == (asked, Do.FIND)
        assert now < effect.at <= NOW + policy.grace
    elif is_cancelled:
        assert state == job.NotCreated()
    else:
        assert (state, effect.do) == (job.Asked(input="file", at=now), Do.CREATE)


def test_a_job_that_cannot_be_created_for_now_waits_longer_each_time_and_asks_again():
    state, waits = job.Asked(input="file", at=NOW), []
    for _ in range(8):
        state, effect = step(JobPolicy(), state, job.JobHeld(NOW))
        assert (type(state), effect.do) == (job.Uploaded, Do.WAIT)
        waits.append(effect.at - NOW)
        state, effect = step(JobPolicy(), state, job.Begun(NOW))
        assert (type(state), effect.do) == (job.Asked, Do.CREATE)
    assert waits == sorted(waits)
    assert waits[0] >= 8
    assert waits[-1] == 600


def test_a_job_that_proves_to_be_anothers_is_left_out_of_the_search():
    policy = JobPolicy(has_label=False)
    state, _ = step(policy, job.Asked(input="", at=NOW), job.JobsListed(NOW, ("theirs", "ours")))
    assert state.id == "theirs"
    state, _ = step(policy, state, job.JobEnded(NOW, Outcome.COMPLETED))
    state, effect = step(policy, state, job.NotOurs(NOW))
    assert effect.do is Do.FIND
    state, _ = step(policy, state, job.JobsListed(NOW, ("theirs", "ours")))
    assert state.id == "ours"
    state, _ = step(policy, state, job.JobEnded(NOW, Outcome.COMPLETED))
    state, _ = step(policy, state, job.NotOurs(NOW))
    assert step(policy, state, job.JobsListed(NOW, ("theirs", "ours")))[1].do is Do.FIND
    assert step(policy, state, job.JobsListed(NOW + policy.grace, ("theirs", "ours")))[1].do is Do.CREATE


def test_a_job_that_appears_after_anothers_has_ended_is_found_within_the_grace():
    policy = JobPolicy(has_label=False)
    state, _ = step(policy, job.Asked(input="", at=NOW), job.JobsListed(NOW, ("theirs",)))
    state, _ = step(policy, state, job.JobEnded(NOW + 1, Outcome.COMPLETED))
    state, _ = step(policy, state, job.NotOurs(NOW + 2))
    state, effect = step(policy, state, job.JobsListed(NOW + 3, ("theirs",)))
    assert effect.do is Do.FIND
    state, _ = step(policy, state, job.JobsListed(NOW + 30, ("theirs", "ours")))
    assert state.id == "ours"


@pytest.mark.parametrize("outcome", Outcome)
def test_whatever_its_end_the_answers_of_a_job_are_stored_before_its_other_rows_are_released(outcome):
    state = job.Created(id="a", input="f", since=NOW)
    state, effect = step(JobPolicy(), state, job.JobEnded(NOW, outcome, "why"))
    assert effect.do is Do.COLLECT
    state, effect = step(JobPolicy(), state, job.AnswersStored(NOW, 2, 3))
    assert effect.do is Do.RELEASE
    state, effect = step(JobPolicy(), state, job.RowsReleased(NOW))
    assert state == job.Rescued(id="a", outcome=outcome, message="why", answered=2, unanswered=3)


# ---------------------------------------------------------------------------------------------- a provider, and crashes


@attrs.define
class Theirs:
    """A job at the provider."""

    id: str
    listed_at: float
    answered: int = 0
    has_ended: bool = False
    is_ours: bool = True


class NativeJob(RuleBasedStateMachine):
    """One job of five rows, its driver, and a provider that loses answers, lists late and ends jobs as it likes."""

    ROWS = 5

    @initialize(policy=POLICIES)
    def first_job(self, policy):
        self.begin(policy)

    def begin(self, policy):
        self.policy, self.now = policy, NOW
        self.theirs: list[Theirs] = []
        if not policy.has_label:  # another program's job, of the same size and time
            self.theirs.append(Theirs("other", 0.0, is_ours=False))
        self.state, self.effect = job.Intended(), None
        self.tell(job.Begun(self.now))

    def tell(self, event):
        self.state, self.effect = step(self.policy, self.state, event)

    @property
    def ours(self):
        return [theirs for theirs in self.theirs if theirs.is_ours]

    def named(self, name):
        return next(theirs for theirs in self.theirs if theirs.id == name)

    def is_due(self, do):
        return self.effect is not None and self.effect.do is do

    @rule(seconds=st.sampled_from([0, 1, 10, 1_000]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def crash(self):
        """The effect is lost, with whatever would have come back."""
        self.now = max(self.now, getattr(self.state, "at", 0.0))
        self.tell(job.Begun(self.now))

    @precondition(lambda self: not isinstance(self.state, job.Intended | job.Uploaded))
    @rule()
    def the_rows_are_needed(self):
        if not isinstance(self.state, job.Asked) or not self.state.is_cancelled:
            self.tell(job.CancelDue(self.now))

    @precondition(lambda self: job.is_final(self.state))
    @rule(policy=POLICIES)
    def another_job(self, policy):
        self.begin(policy)

    @precondition(lambda self: self.is_due(Do.UPLOAD) or self.is_due(Do.WAIT))
    @rule(fails=st.booleans())
    def upload_or_wait(self, fails):
        self.now = max(self.now, self.effect.at)
        if self.effect.do is Do.WAIT:
            self.tell(job.Begun(self.now))
        else:
            self.tell(job.Failed(self.now) if fails else job.RowsUploaded(self.now, "file"))

    @precondition(lambda self: self.is_due(Do.CREATE))
    @rule(
        how=st.sampled_from(["answered", "lost", "crashed", "never sent", "held", "refused"]),
        late=st.sampled_from([0.0, 0.3, 0.9]),
    )
    def create(self, how, late):
        self.now = max(self.now, self.effect.at)
        assert isinstance(self.state, job.Asked)
        if how in {"answered", "lost", "crashed"}:
            made = Theirs(f"job-{len(self.theirs)}", self.now + late * self.policy.grace)
            self.theirs.append(made)
        match how:
            case "answered":
                self.tell(job.JobCreated(self.now, made.id))
            case "lost" | "never sent":
                self.tell(job.Failed(self.now))
            case "crashed":
                self.tell(job.Begun(self.now))
            case "held":
                self.tell(job.JobHeld(self.now))
            case "refused":
                self.tell(job.JobRefused(self.now, "no"))

    @precondition(lambda self: self.is_due(Do.FIND))
    @rule(fails=st.booleans())
    def find(self, fails):
        self.now = max(self.now, self.effect.at)
        found = tuple(theirs.id for theirs in self.theirs if theirs.listed_at <= self.now)
        self.tell(job.Failed(self.now) if fails else job.JobsListed(self.now, found))

    @rule(data=st.data(), more=st.integers(1, 5), ends=st.booleans())
    @precondition(lambda self: any(not theirs.has_ended for theirs in self.theirs))
    def the_provider_works(self, data, more, ends):
        theirs = data.draw(st.sampled_from([theirs for theirs in self.theirs if not theirs.has_ended]))
        theirs.answered = min(self.ROWS, theirs.answered + more)
        theirs.has_ended = ends

    @precondition(lambda self: self.is_due(Do.POLL) or self.is_due(Do.CANCEL))
    @rule(fails=st.booleans())
    def look_or_cancel(self, fails):
        self.now = max(self.now, self.effect.at)
        theirs = self.named(self.state.id)
        if fails:
            self.tell(job.Failed(self.now))
        elif self.effect.do is Do.CANCEL:
            assert theirs.is_ours, "another program's job was cancelled"
            self.tell(job.CancelAccepted(self.now))
        elif theirs.has_ended:
            self.tell(job.JobEnded(self.now, Outcome.CANCELLED if self.state.is_cancelled else Outcome.COMPLETED))
        else:
            self.tell(job.StillRunning(self.now, theirs.answered))

    @precondition(lambda self: self.is_due(Do.COLLECT))
    @rule(fails=st.booleans())
    def collect(self, fails):
        self.now = max(self.now, self.effect.at)
        theirs = self.named(self.state.id)
        if fails:
            self.tell(job.Failed(self.now))
        elif not theirs.is_ours:
            self.tell(job.NotOurs(self.now))
        else:
            self.tell(job.AnswersStored(self.now, theirs.answered, self.ROWS - theirs.answered))

    @precondition(lambda self: self.is_due(Do.RELEASE))
    @rule()
    def release(self):
        self.tell(job.RowsReleased(self.now))

    @invariant()
    def no_job_is_created_twice(self):
        if hasattr(self, "theirs"):
            assert len(self.ours) <= 1

    @invariant()
    def rows_are_released_only_if_the_provider_does_not_work_on_them(self):
        if not hasattr(self, "state"):
            return
        if isinstance(self.state, job.NotCreated):
            assert not self.ours
        if isinstance(self.state, job.Collected | job.Rescued):
            (theirs,) = self.ours
            assert theirs.has_ended
            assert (self.state.answered, self.state.unanswered) == (theirs.answered, self.ROWS - theirs.answered)


TestNativeJob = NativeJob.TestCase
