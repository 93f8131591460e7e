"""Processor sharing above the knee: the pure sharing and the server against a step-by-step simulation."""

from __future__ import annotations

import math

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline.testing.saturation import ProcessorSharing, SharedServer

from ..search import examples

# Time of arrival, work, and time until cancellation of each call, in seconds; multiples of a quarter.
QUARTERS = st.integers(0, 40).map(lambda quarters: quarters / 4)
CALLS = st.lists(
    st.tuples(QUARTERS, st.integers(1, 40).map(lambda q: q / 4), st.one_of(st.just(math.inf), st.integers(1, 60))),
    min_size=1,
    max_size=12,
)
CHANGES = st.lists(st.tuples(st.floats(0.1, 30), st.sampled_from([1.0, 2.0, 5.0, math.inf])), max_size=3)
KNEES = st.builds(
    lambda first, changes: [(0.0, first), *sorted(changes)], st.sampled_from([1.0, 3.0, math.inf]), CHANGES
)


def simulated(calls, knees):
    """Simulate the calls from one event to the next; return when each leaves, and whether it is complete."""
    todo = {i: work for i, (_, work, _) in enumerate(calls)}
    ends: dict[int, tuple[float, bool]] = {}
    now = 0.0
    while len(ends) < len(calls):
        knee = [each for start, each in knees if start <= now][-1]
        present = [i for i, (come, _, _) in enumerate(calls) if come <= now and i not in ends]
        speed = min(1.0, knee / len(present)) if present else 1.0
        events = [start for start, _ in knees if start > now]
        events += [come for come, _, _ in calls if come > now]
        events += [calls[i][0] + calls[i][2] for i in present]
        events += [now + todo[i] / speed for i in present]
        then = min(events)
        for i in present:
            todo[i] -= (then - now) * speed
            if todo[i] < 1e-9:
                ends[i] = then, True
            elif calls[i][0] + calls[i][2] <= then:
                ends[i] = then, False
        now = then
    return ends


def by_sharing(calls, knees):
    """Drive `ProcessorSharing` from one event to the next."""
    sharing, places, ends = ProcessorSharing(knees), {}, {}
    now = 0.0
    while len(ends) < len(calls):
        events = [come for i, (come, _, _) in enumerate(calls) if i not in places]
        events += [calls[i][0] + calls[i][2] for i in places if i not in ends]
        if wake_up := sharing.wake_up(now):
            events.append(wake_up.time)
        now = max(now, min(events))
        for i, (come, work, patience) in enumerate(calls):
            if i not in places and come <= now:
                places[i] = sharing.join(now, work)
            elif i in places and i not in ends:
                served = sharing.is_complete(now, places[i])
                if served or come + patience <= now:
                    ends[i] = now, served
                    sharing.leave(now, places[i])
    return ends


async def by_server(calls, knees):
    """Run the calls as tasks."""
    server, ends = SharedServer(knees, anyio.current_time()), {}

    async def come(i, at, work, patience):
        await anyio.sleep(at)
        with anyio.move_on_after(patience) as scope:
            await server.work(work)
        ends[i] = anyio.current_time() - began, not scope.cancelled_caught

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for i, call in enumerate(calls):
            tasks.start_soon(come, i, *call)
    return ends


def assert_same(calls, ends, expected):
    for i, (come, _, patience) in enumerate(calls):
        time, served = expected[i]
        assert ends[i][0] == pytest.approx(time, abs=1e-4)
        # If the call is cancelled at the moment of completion, both outcomes are right.
        assert ends[i][1] == served or time == pytest.approx(come + patience, abs=1e-4)


@given(CALLS, KNEES)
def test_processor_sharing_agrees_with_a_step_by_step_simulation(calls, knees):
    assert_same(calls, by_sharing(calls, knees), simulated(calls, knees))


@given(CALLS, KNEES)
@settings(max_examples=examples(50))
def test_the_server_agrees_with_a_step_by_step_simulation_on_both_backends(on_both, calls, knees):
    for ends in on_both(by_server, calls, knees):
        assert_same(calls, ends, simulated(calls, knees))


@pytest.mark.parametrize(
    ("knee", "calls", "ends"),
    [
        (1.0, [(0, 3)], [3]),
        (1.0, [(0, 1), (0, 1)], [2, 2]),
        (1.0, [(0, 2), (1, 2)], [3, 4]),
        (1.0, [(0, 3), (1, 0.5)], [3.5, 2]),
        (2.0, [(0, 1), (0, 1), (0, 1), (0, 1)], [2, 2, 2, 2]),
        (2.0, [(0, 1), (0, 2), (0, 3)], [1.5, 2.5, 3.5]),
    ],
)
def test_calls_above_the_knee_share_it_evenly(on_both, knee, calls, ends):
    for result in on_both(by_server, [(*call, math.inf) for call in calls], [(0.0, knee)]):
        assert [result[i][0] for i in range(len(calls))] == pytest.approx(ends, abs=1e-5)


def test_a_cancelled_call_leaves_its_share_to_the_others(on_both):
    for ends in on_both(by_server, [(0, 1, math.inf), (0, 1, 1.0)], [(0.0, 1.0)]):
        assert ends[0] == (pytest.approx(1.5, abs=1e-5), True)
        assert ends[1] == (pytest.approx(1.0, abs=1e-5), False)


def test_a_change_of_the_knee_takes_effect_while_no_call_arrives_or_leaves(on_both):
    for ends in on_both(by_server, [(0, 4, math.inf), (0, 4, math.inf)], [(0.0, 1.0), (2.0, 2.0)]):
        assert [ends[0][0], ends[1][0]] == pytest.approx([5.0, 5.0], abs=1e-5)


@pytest.mark.parametrize("start", [1.0000000000000002, 2.0000000000000004, 1 + 1e-9, 2 / 3, 1.0000004])
@pytest.mark.parametrize("origin", [0.0, 0.1, 1 / 3, 12_345.678_901])
def test_a_change_of_the_knee_a_rounding_error_after_the_clock_takes_effect(on_both, start, origin):
    async def main():
        await anyio.sleep(origin)
        return await by_server([(0, 4, math.inf), (0, 4, math.inf)], [(0.0, 1.0), (start, 2.0)])

    for ends in on_both(main):
        assert [ends[0][0], ends[1][0]] == pytest.approx([start / 2 + 4.0] * 2, abs=1e-5)


def test_work_of_zero_seconds_is_a_checkpoint(on_both):
    async def main():
        server, seen = SharedServer([(0.0, 1.0)], anyio.current_time()), []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.work, 10.0)
            tasks.start_soon(server.work, 0.0)
            await server.work(0.0)
            seen.append(anyio.current_time())
            tasks.cancel_scope.cancel()
            await server.work(0.0)
            seen.append("never")
        return len(seen)

    assert on_both(main) == (1, 1)
