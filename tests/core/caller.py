"""An obedient caller of a controller, and histories for it to live through."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from paceline._core.fault import FaultKind
from paceline._core.pace import ABANDONED, AIMD, SERVED, Faulted, Throttled

LONGEST_GATE = 60.0  # seconds

hints = (
    st.none()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.sampled_from([-1.0, 0.0, math.nan, math.inf, -math.inf, 1e308, 10**400, 5e-324])
    | st.floats(0.1, 100)
)
faults = st.builds(Faulted, st.sampled_from([kind for kind in FaultKind if kind is not FaultKind.THROTTLED]))
refusals = st.builds(Throttled, hints)
signals = st.just(SERVED) | st.just(ABANDONED) | refusals | faults
moves = st.sampled_from(["start", "fill"]) | st.tuples(st.integers(0, 10**6), signals) | st.floats(0, 90)


def fill(controller, now):
    """Start calls for as long as the controller says now."""
    tickets = []
    while controller.admit_at(now, 1.0) <= now:
        tickets.append(controller.started(now, 1.0))
    return tickets


def play(controller, history):
    """Do what the history says, as a caller that obeys; return the time, the calls in flight and all that was answered."""
    now, flying, answers = 1000.0, [], []
    for move in history:
        if isinstance(move, float):
            now += move
        elif move == "fill":
            flying += fill(controller, now)
        elif move == "start":
            if controller.admit_at(now, 1.0) <= now:
                flying.append(controller.started(now, 1.0))
        elif flying:
            which, signal = move
            controller.settled(flying.pop(which % len(flying)), now, signal)
        answers.append((controller.admit_at(now, 1.0), controller.limit, controller.statistics()))
    return now, flying, answers


def round_trip(controller, flying, now):
    """Serve all calls in flight, each replaced at once."""
    replaced = []
    for ticket in flying:
        controller.settled(ticket, now, SERVED)
        replaced += fill(controller, now)
    return replaced


def settled_after(history):
    """Return a controller that has lived through the history, has nothing in flight, and is past its gate."""
    controller = AIMD()
    now, flying, _ = play(controller, history)
    for ticket in flying:
        controller.settled(ticket, now, ABANDONED)
    return controller, now + LONGEST_GATE


histories = st.lists(moves, max_size=60)
