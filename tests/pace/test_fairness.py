"""Fairness: clients that share a quota come to equal shares without communicating (law 10)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ..search import examples
from .limits import Bucket, Service
from .tally import jain
from .world import World
from .worlds import in_worlds, logarithmic, seeds

FAIR = 0.95  # Jain's index


@given(logarithmic(40, 120), st.lists(st.floats(0, 100), min_size=3, max_size=3), seeds)
@settings(in_worlds, max_examples=examples(2, at_most=4))
def test_four_clients_who_come_one_after_another_get_equal_shares(rate, later, seed):
    world = World(Service(limits=(Bucket(rate, rate),), latency=4.0), seed=seed)
    for start in (0.0, *later):
        world.client(start=start)
    world.run(900.0)
    assert jain([client.served.between(600, 900) for client in world.clients]) >= FAIR
    assert world.use(600.0, 900.0) >= 0.9
    refused = sum(client.refused.between(600, 900) for client in world.clients)
    assert refused <= 0.05 * sum(client.served.between(600, 900) for client in world.clients)


def test_shares_are_equal_one_minute_after_the_last_client_has_come():
    equality, refused, served = [], 0, 0
    for seed, starts in enumerate([(0.0, 10.0, 20.0, 30.0), (0.0, 1.0, 2.0, 3.0), (0.0, 5.0, 60.0, 90.0)]):
        world = World(Service(limits=(Bucket(100.0, 100.0),), latency=4.0, spread=0.6), seed=seed)
        for start in starts:
            world.client(start=start)
        begin = int(max(starts)) + 60
        world.run(begin + 60.0)
        shares = [client.served.between(begin, begin + 60) for client in world.clients]
        equality.append(jain(shares))
        refused += sum(client.refused.between(begin, begin + 60) for client in world.clients)
        served += sum(shares)
    assert sum(equality) / len(equality) >= 0.97
    assert refused <= 0.015 * served
