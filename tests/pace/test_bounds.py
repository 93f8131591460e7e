"""Bounds: after any history a controller's answers stay within bounds, and depend on the history alone (laws 1, 2, 5, 6, 11)."""

from __future__ import annotations

import math

import attrs
from hypothesis import example, given
from hypothesis import strategies as st

from paceline._core.fault import FaultKind
from paceline._core.pace import ABANDONED, SERVED, Faulted, PaceKnowledge, Throttled
from paceline._core.pace.controller import PaceController

from .histories import BEGIN, Ask, Caller, End, EndAll, Obey, Pass, costs, histories, hostile_histories, odd

CEILING = 4_000  # workers
HOUR = 3_600.0
LEAST_RATE = 1 / HOUR  # calls a second: the smallest quota that is paced; below it the breaker is open
BRIEF = 120.0  # seconds that any wait may take, whatever the hints
LATE = [Ask(100, 1.0), Pass(5.0), EndAll(Throttled()), Obey()]
"""Refusals that come long after an admission would have shown."""


class InBounds(Caller):
    """Checks the bounds of the handles after each call of the port."""

    def check(self):
        controller = self.controller
        statistics = controller.statistics()
        assert type(controller.limit) is int
        assert 1 <= controller.limit <= CEILING
        assert LEAST_RATE <= controller.rate <= math.inf
        assert 0 < controller.token_rate <= math.inf
        assert (statistics.limit, statistics.rate) == (controller.limit, controller.rate)
        assert statistics.token_rate == controller.token_rate
        assert statistics.in_flight == len(self.open)
        assert not math.isnan(statistics.gate)

    def on_answer(self, at):
        assert not math.isnan(at)
        self.check()

    def on_end(self, signal):
        self.check()

    on_move = check


@given(hostile_histories)
@example(LATE * 5)
@example([Ask(100, 1e6), EndAll(Throttled(10**400)), Pass(1e9)] * 5)
def test_the_handles_stay_within_their_bounds_after_any_history(history):
    InBounds().play(history)


class Obedient(Caller):
    """Checks each start of an obedient caller."""

    def on_start(self):
        assert len(self.open) < self.controller.limit
        assert self.controller.statistics().gate <= self.now


@given(histories)
def test_an_obedient_caller_never_starts_above_the_limit_or_before_the_next_probe_is_due(history):
    Obedient().play(history)


class Patient(Caller):
    """Compares each wait with the time lost already."""

    served_at = BEGIN
    slowest_refusal = 0.0
    """Seconds: a later call may be in flight for twice as long before it counts as admitted."""

    def settle(self, ticket, signal):
        if isinstance(signal, Throttled):
            self.slowest_refusal = max(self.slowest_refusal, self.now - ticket.started)
        super().settle(ticket, signal)

    def on_answer(self, at):
        if at == math.inf:
            assert self.open, "it waits for a call to end, and none is in flight"
            return
        lost = max(self.now - self.served_at, self.slowest_refusal)
        assert at - self.now <= max(HOUR, BRIEF + 2 * lost) * (1 + 1e-9)

    def on_end(self, signal):
        if signal == SERVED:
            self.served_at = self.now


@given(histories)
@example([Ask(2, 1.0), Pass(3_600.0), End(1, SERVED), End(0, Throttled()), Ask(1, 1.0)])
def test_no_wait_is_longer_than_what_was_lost_before(history):
    Patient().play(history)


@given(hostile_histories, costs)
@example(LATE, 1.0)
def test_a_caller_that_asks_again_on_time_starts_within_a_few_turns(history, cost):
    caller = Caller().play(history)
    caller.settle_all(ABANDONED)
    for _ in range(20):
        at = caller.ask(cost)
        if at <= caller.now:
            return
        assert at < math.inf
        caller.now = at
    raise AssertionError(f"after 20 turns it still answers {at - caller.now} s more")


@given(hostile_histories, costs)
def test_asking_twice_gives_the_same_answer(history, cost):
    caller = Caller().play(history)
    first = caller.ask(cost)
    assert caller.ask(cost) == first
    if first < math.inf:
        caller.now = max(first, caller.now)
        assert caller.ask(cost) == caller.ask(cost)


@given(hostile_histories)
def test_same_inputs_same_outputs(history):
    one, other = Caller().play(history), Caller().play(history)
    assert one.answers == other.answers
    assert one.controller.statistics() == other.controller.statistics()
    assert one.controller.knowledge(one.now) == other.controller.knowledge(other.now)
    assert list(one.controller.history) == list(other.controller.history)


@given(histories, st.integers(1, 30))
def test_reading_changes_nothing(history, times):
    reader, other = Caller(), Caller()
    for move in history:
        for _ in range(times):
            reader.controller.statistics()
            reader.controller.knowledge(reader.now)
        reader.do(move)
        other.do(move)
    assert reader.answers == other.answers


def _with_open_breaker(refusal, caller=None):
    """Return a caller whose breaker was opened by refusals of everything that it started."""
    caller = Caller() if caller is None else caller
    for _ in range(12):
        caller.now = min(caller.now + 30.0, max(caller.now, caller.ask()))
        caller.start()
        caller.now += 0.1
        caller.settle_all(refusal)
        if caller.controller.statistics().gate > caller.now:
            return caller
    raise AssertionError("twelve refusals in a row do not open the breaker")


refusals_of_all = st.builds(Throttled, st.none() | odd | st.floats(0.1, 30))


@given(refusals_of_all, st.floats(0, 0.999))
def test_nothing_starts_before_the_next_probe_is_due(refusal, part):
    caller = _with_open_breaker(refusal)
    probe_at = caller.controller.statistics().gate
    caller.now += part * (probe_at - caller.now)
    assert caller.now < probe_at <= caller.ask()


@given(refusals_of_all, st.integers(1, 8))
def test_one_probe_starts_when_due_and_its_refusal_schedules_the_next(refusal, probes):
    caller = _with_open_breaker(refusal)
    for _ in range(probes):
        probe_at = caller.controller.statistics().gate
        caller.now = probe_at
        assert len(caller.fill()) == 1
        caller.now += 0.1
        assert caller.ask() > caller.now
        caller.settle_all(refusal)
        assert caller.controller.statistics().gate > caller.now


@given(st.sampled_from([ABANDONED, *(Faulted(kind) for kind in FaultKind if kind is not FaultKind.THROTTLED)]))
def test_a_probe_without_an_answer_is_followed_by_another(signal):
    caller = _with_open_breaker(Throttled())
    caller.now = caller.controller.statistics().gate
    caller.fill()
    caller.now += 0.1
    caller.settle_all(signal)
    turns = 0
    while (at := caller.ask()) > caller.now:
        assert at - caller.now <= BRIEF
        caller.now = at
        turns += 1
        assert turns < 20


@given(st.sampled_from([ABANDONED, *(Faulted(kind) for kind in FaultKind if kind is not FaultKind.THROTTLED)]))
def test_a_call_from_before_an_outage_that_ends_without_an_answer_schedules_no_probe(signal):
    caller = Caller()
    caller.ask()
    earlier = caller.start()
    caller.open.clear()
    _with_open_breaker(Throttled(), caller)
    probe_at = caller.controller.statistics().gate
    caller.settle(earlier, signal)
    assert caller.controller.statistics().gate == probe_at > caller.now


knowledges = st.builds(
    PaceKnowledge,
    limit=st.integers(1, 10**6),
    rate=st.floats(0, exclude_min=True, allow_nan=False),
    token_rate=st.floats(0, exclude_min=True, allow_nan=False),
    latency=st.floats(0, 1e300),
    learned=st.floats(0, 1e300),
)


@given(knowledges, hostile_histories)
def test_the_handles_stay_within_their_bounds_after_any_warm_start(knowledge, history):
    InBounds(PaceController(knowledge)).play(history)


@given(histories)
def test_knowledge_is_valid_for_a_warm_start(history):
    caller = Caller().play(history)
    known = caller.controller.knowledge(caller.now)
    if known is None:
        return
    assert known.learned == caller.now
    assert 1 <= known.limit <= CEILING
    assert known.rate > 0
    assert known.token_rate > 0
    assert 0 <= known.latency < math.inf
    assert PaceController(attrs.evolve(known)).limit >= 1
