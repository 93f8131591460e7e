"""The history of a controller: every noticeable change has a reason, and it is bounded."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import attrs
import pytest
from hypothesis import given

from paceline._core.pace import PaceController, Throttled
from paceline._core.quota import QuotaHint, QuotaLimit

from .histories import SECRET, Caller, hostile_histories
from .limits import Bucket, Cap, Outage, Service, Window
from .world import World

LONGEST = 1_000  # entries
NOTICEABLE = 0.11  # of a handle, in a second
SERVICES = {
    "a bucket": (Service(limits=(Bucket(20.0, 20.0),)), ()),
    "a window": (Service(limits=(Window(600, 60.0, 20.0),)), ()),
    "a cap": (Service(limits=(Cap(30),)), ()),
    "a cap that falls": (Service(limits=(Cap(60),)), ((100.0, Service(limits=(Cap(20),))),)),
    "a knee": (Service(knee=40), ()),
    "a knee that moves": (Service(knee=60), ((100.0, Service(knee=20)),)),
    "a rate that falls": (Service(limits=(Bucket(40.0),)), ((100.0, Service(limits=(Bucket(8.0),))),)),
    "an outage": (
        Service(limits=(Bucket(20.0),)),
        ((100.0, Service(limits=(Outage(),))), (130.0, Service(limits=(Bucket(20.0),)))),
    ),
    "errors": (Service(), ((60.0, Service(faults=0.5)), (90.0, Service()))),
}


def changed(old, new):
    """Whether a person would notice the change of a handle."""
    if old == new:
        return False
    return math.inf in (old, new) or abs(new - old) > max(NOTICEABLE * old, 1e-9)


class Explained:
    """Checks once a second that every change has an entry in the history."""

    def __init__(self, world, client):
        self.world, self.controller = world, client.controller
        self.before = self.handles
        self.unexplained = []
        world.at(world.now + 1.0, self.look, None)

    @property
    def handles(self):
        controller = self.controller
        return {"limit": controller.limit, "rate": controller.rate, "token rate": controller.token_rate}

    def look(self, _):
        now, handles = self.world.now, self.handles
        entries = [entry for entry in self.controller.history if entry.time >= now - 1.0]
        for handle, old in self.before.items():
            new = handles[handle]
            explained = [entry for entry in entries if (entry.handle == "workers") == (handle == "limit")]
            if changed(old, new) and not (handle == "limit" and abs(new - old) <= 1) and not explained:
                self.unexplained.append(f"{handle} from {old:.3g} to {new:.3g} at {now:.0f}")
        self.before = handles
        self.world.at(now + 1.0, self.look, None)


@pytest.mark.parametrize("name", SERVICES)
def test_every_noticeable_change_has_an_entry(name):
    service, steps = SERVICES[name]
    world = World(service, steps, seed=4)
    client = world.client(most=500)
    watch = Explained(world, client)
    world.run(200.0)
    assert not watch.unexplained
    assert client.controller.history, "nothing ever changed"
    assert_well_formed(client.controller.history)


def assert_well_formed(history):
    assert len(history) <= LONGEST
    assert all(earlier.time <= later.time for earlier, later in pairwise(history))
    for entry in history:
        assert len(entry.reason.split()) >= 3, f"{entry.reason!r} is too short"
        assert entry.reason.isprintable()
        assert len(entry.reason) <= 300
        assert SECRET not in entry.reason
        assert "nan" not in entry.reason.split()
        assert entry.handle
        assert not math.isnan(entry.old)
        assert not math.isnan(entry.new)


@given(hostile_histories)
def test_any_history_is_in_order_bounded_and_without_secrets(history):
    assert_well_formed(Caller().play(history * 3).controller.history)


def test_the_name_of_a_limit_is_not_repeated():
    quota = QuotaHint(limits=(QuotaLimit(limit=60, period=60, exceeded=True, name=SECRET),))
    service = attrs.evolve(SERVICES["a bucket"][0], refuse=lambda wait, chance: Throttled(quota=quota))
    world = World(service)
    client = world.client()
    world.run(120.0)
    assert client.controller.history
    assert_well_formed(client.controller.history)


def test_a_change_names_its_handle():
    handles = set()
    for name in ("a bucket", "a cap", "an outage"):
        service, steps = SERVICES[name]
        world = World(service, steps, seed=5)
        client = world.client(most=500)
        world.run(200.0)
        handles |= {entry.handle for entry in client.controller.history}
    assert "workers" in handles
    assert len(handles) >= 3, "a limit, a rate, the breaker"


def test_a_cut_names_an_admission_with_as_many_calls_in_flight_and_when_it_was():
    """Where the reason has numbers they are evidence: as many calls were in flight when that call was admitted, and it was earlier."""
    world = World(Service(limits=(Bucket(20.0, 5.0),)), (), seed=4)
    client = world.client(most=500)
    seen = []
    client.watch = lambda now: seen.append((now, client.in_flight))
    world.run(120.0)
    named = [
        (entry, match)
        for entry in client.controller.history
        if (
            match := re.fullmatch(
                r"refused with (\d+) in flight, but (\d+) were admitted (.+) before: a limit on the rate", entry.reason
            )
        )
    ]
    assert len(named) >= 3
    for entry, match in named:
        refused, admitted = int(match[1]), int(match[2])
        assert admitted >= refused
        assert max(in_flight for now, in_flight in seen if now <= entry.time) >= admitted


def test_the_wait_that_a_provider_asks_for_is_in_the_reason():
    controller = PaceController()
    now = 0.0
    for _ in range(40):
        while (at := controller.admit_at(now, 1.0)) > now:
            if at == math.inf or any("asked for" in entry.reason for entry in controller.history):
                break
            now = at
        ticket = controller.started(now, 1.0)
        now += 0.01
        controller.settled(ticket, now, Throttled(retry_after=17.0))
    reasons = [entry.reason for entry in controller.history if entry.handle == "gate"]
    assert any("17 s were asked for" in reason for reason in reasons)
