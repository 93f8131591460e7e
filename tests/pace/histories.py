"""Random histories of a controller: any signal for any open ticket, in any order, at any time; and a caller that plays them.

A history is a list of moves, so that Hypothesis can shrink it:

    Ask       start calls while the controller admits them at once, up to a number
    Rush      start a number of calls, waiting each time until the controller admits one, as long as that is soon
    Insist    start one call whatever the controller answers
    End       settle one of the open tickets
    EndAll    settle all open tickets alike
    Excuse    settle one of the open tickets as refused for the sake of its item, with some of the earlier refused ones
    Pass      let time pass
    Obey      let time pass until the controller admits a call
"""

from __future__ import annotations

import math
from typing import Any

import attrs
from hypothesis import strategies as st

from paceline._core.fault import FaultKind
from paceline._core.pace import ABANDONED, SERVED, Excused, Faulted, Served, Throttled
from paceline._core.pace.controller import PaceController
from paceline._core.quota import Part, QuotaHint, QuotaLimit, Unit

BEGIN = 1_000.0  # seconds: real clocks do not start at 0
SOON = 0.5  # seconds: the longest wait in a rush
SECRET = "AIzaSyD-0123456789abcdefghijklmnopqrstu"  # noqa: S105 - not a real one


@attrs.frozen
class Ask:
    most: int
    cost: float

    def make(self, caller):
        caller.cost = self.cost
        for _ in range(self.most):
            if caller.ask(self.cost) > caller.now:
                break
            caller.start(self.cost)


@attrs.frozen
class Rush:
    most: int
    cost: float

    def make(self, caller):
        caller.cost = self.cost
        caller.rush(self.most, self.cost)


@attrs.frozen
class Insist:
    cost: float

    def make(self, caller):
        caller.start(self.cost)


@attrs.frozen
class End:
    which: int
    signal: Any

    def make(self, caller):
        if caller.open:
            caller.settle(caller.open.pop(self.which % len(caller.open)), self.signal)


@attrs.frozen
class EndAll:
    signal: Any

    def make(self, caller):
        caller.settle_all(self.signal)


@attrs.frozen
class Excuse:
    which: int
    earlier: int

    def make(self, caller):
        if caller.open:
            ticket = caller.open.pop(self.which % len(caller.open))
            earlier = tuple(caller.refused.pop() for _ in range(min(self.earlier, len(caller.refused))))
            caller.settle(ticket, Excused(earlier))


@attrs.frozen
class Pass:
    seconds: float

    def make(self, caller):
        caller.now += self.seconds


@attrs.frozen
class Obey:
    def make(self, caller):
        at = caller.ask(caller.cost)
        if caller.now < at < math.inf:
            caller.now = at


odd = st.sampled_from([-1.0, 0.0, -0.0, math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 1e9, 10**400])
hints = st.none() | odd | st.floats() | st.floats(0.01, 100)
amounts = st.none() | odd | st.floats(0, 1e6)
limits = st.builds(
    QuotaLimit,
    unit=st.sampled_from(Unit),
    part=st.sampled_from(Part),
    limit=amounts,
    period=amounts | st.sampled_from([1.0, 60.0, 86_400.0]),
    remaining=amounts,
    reset=amounts,
    exceeded=st.booleans(),
    name=st.sampled_from(["", "requests per minute", SECRET]),
)
quotas = st.none() | st.builds(
    QuotaHint, retry_after=hints, limits=st.lists(limits, max_size=3).map(tuple), reopens_in=hints
)
served = st.just(SERVED) | st.builds(
    Served, tokens=st.none() | odd | st.floats(0, 1e7), quota=quotas, accepted=st.booleans()
)
refused = st.builds(Throttled, hints, quotas)
faults = st.builds(Faulted, st.sampled_from([kind for kind in FaultKind if kind is not FaultKind.THROTTLED]))
signals = st.one_of(served, refused, refused, faults, st.just(ABANDONED))

costs = st.just(1.0) | st.floats(1, 1e6)
seconds = st.just(0.0) | st.floats(0, 2) | st.floats(0, 600) | st.sampled_from([1e-9, 3_600.0, 1e5, 1e9])
asking = st.builds(Ask, st.integers(1, 100), costs)
obedient_moves = st.one_of(
    asking,
    st.builds(Rush, st.integers(1, 200), costs),
    st.builds(End, st.integers(0, 10**6), signals),
    st.builds(End, st.integers(0, 10**6), signals),
    st.builds(EndAll, signals),
    st.builds(Excuse, st.integers(0, 10**6), st.integers(0, 5)),
    st.builds(Pass, seconds),
    st.just(Obey()),
)
histories = st.lists(obedient_moves, max_size=80)
hostile_histories = st.lists(obedient_moves | st.builds(Insist, costs), max_size=80)


class Caller:
    """Plays a history. Overrides of the `on_...` methods check laws at each step."""

    def __init__(self, controller=None, *, now=BEGIN):
        self.controller = PaceController() if controller is None else controller
        self.now = now
        self.open = []
        self.refused = []
        self.answers = []
        self.cost = 1.0

    def play(self, history):
        """Make all moves of the history."""
        for move in history:
            self.do(move)
        return self

    def do(self, move):
        """Make one move."""
        move.make(self)
        self.on_move()

    def ask(self, cost=1.0):
        """Ask when a call may start."""
        at = self.controller.admit_at(self.now, cost)
        self.answers.append(at)
        self.on_answer(at)
        return at

    def start(self, cost=1.0):
        """Start a call."""
        self.on_start()
        ticket = self.controller.started(self.now, cost)
        self.open.append(ticket)
        return ticket

    def settle(self, ticket, signal):
        """End a call that is no longer in `open`."""
        self.controller.settled(ticket, self.now, signal)
        if isinstance(signal, Throttled):
            self.refused.append(ticket)
        self.on_end(signal)

    def settle_all(self, signal):
        """End all calls alike, in the order in which they started."""
        while self.open:
            self.settle(self.open.pop(0), signal)

    def rush(self, most, cost=1.0):
        """Start up to `most` calls, each when the controller admits it; stop where that is not soon, or depends on a call's end."""
        for _ in range(most):
            at = self.ask(cost)
            if at > self.now + SOON:
                return
            self.now = max(self.now, at)
            if self.ask(cost) <= self.now:
                self.start(cost)

    def fill(self, most=10_000):
        """Start calls while the controller admits them at once."""
        started = []
        while len(started) < most and self.ask() <= self.now:
            started.append(self.start())
        return started

    def on_answer(self, at):
        """Check the controller's answer."""

    def on_start(self):
        """Check before a call starts."""

    def on_end(self, signal):
        """Check after a call has ended."""

    def on_move(self):
        """Check after a move."""
