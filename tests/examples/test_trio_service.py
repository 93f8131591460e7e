"""The trio service, started by `nursery.start`."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest
import trio

from paceline import CallableStrategy
from paceline.testing import Service, SimulatedProvider, SimulatedStrategy, TokenBucket

from .programs import EXAMPLES


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield import_module("trio_service")
    sys.modules.pop("trio_service")


async def ask(port, *lines):
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all("".join(f"{line}\n" for line in lines).encode())
        received = b""
        while received.count(b"\n") < len(lines):
            received += await stream.receive_some()
        return received.decode().splitlines()


def test_many_connections_are_answered_beside_a_batch_once_start_has_returned(example):
    provider = SimulatedProvider(Service(limits=(TokenBucket(200, 200),), latency=0.02))
    strategy = SimulatedStrategy(provider)
    answers = {}

    async def connect(port, name):
        answers[name] = await ask(port, f"{name} one", f"{name} two")

    async def main():
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                service = await nursery.start(example.open_service, strategy)
                nursery.start_soon(service.pool.process_prompts, strategy, [f"Text {number}" for number in range(100)])
                async with trio.open_nursery() as callers:
                    for number in range(20):
                        callers.start_soon(connect, service.port, f"Caller {number}")
                service.scope.cancel()

    trio.run(main)
    assert answers == {
        f"Caller {number}": [f"simulated: Positive or negative? Caller {number} {which}" for which in ("one", "two")]
        for number in range(20)
    }


def test_cancelling_the_service_ends_calls_in_flight_and_cleans_up(example):
    ended, started = [], trio.Event()

    async def hang(prompt):
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.append(prompt)

    async def main():
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                service = await nursery.start(example.open_service, CallableStrategy(hang))
                stream = await trio.open_tcp_stream("127.0.0.1", service.port)
                await stream.send_all(b"Hello\n")
                await started.wait()
                service.scope.cancel()
            await stream.aclose()

    trio.run(main)
    assert ended == ["Positive or negative? Hello"]
