"""A pool in a thread of its own, called by synchronous code in many threads."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import anyio.to_thread
import pytest

from paceline import CallableStrategy, CallError, FaultKind
from paceline.exceptions import Busy

from .programs import EXAMPLES


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("MODEL", "sim:rate=1000,latency=0.01")
    yield import_module("threads")
    sys.modules.pop("threads")


async def shout(prompt):
    await anyio.sleep(0.01)
    return prompt.upper()


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_threads_call_beside_a_batch_and_beside_an_event_loop(example, backend):
    strategy = CallableStrategy(shout)

    async def application(pool):  # an asyncio program, whose threads call
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(20) as threads:
            batch = loop.run_in_executor(threads, pool.process_prompts, strategy, [f"t{n}" for n in range(100)])
            calls = [loop.run_in_executor(threads, pool.call, strategy, f"c{n}") for n in range(50)]
            return (await batch).succeeded, [result.output for result in await asyncio.gather(*calls)]

    before = set(threading.enumerate())
    with example.PoolThread(backend) as pool:
        succeeded, outputs = asyncio.run(application(pool))
    assert succeeded == 100
    assert outputs == [f"C{n}" for n in range(50)]
    assert set(threading.enumerate()) <= before, "none of its threads is left; those of others may end meanwhile"


def test_a_full_pool_raises_busy_in_the_calling_thread(example):
    started, release = threading.Event(), threading.Event()

    async def hang(prompt):
        started.set()
        await anyio.to_thread.run_sync(release.wait)
        return prompt

    strategy = CallableStrategy(hang)
    config = example.paceline.ProcessorConfig(max_workers=1)
    with example.PoolThread(config=config, max_waiting=1) as pool, ThreadPoolExecutor(2) as threads:
        first = threads.submit(pool.call, strategy, "one")
        started.wait(10)
        second = threads.submit(pool.call, strategy, "two")
        while not pool.statistics().waiting and not second.done():
            time.sleep(0.01)
        with pytest.raises(Busy):
            pool.call(strategy, "three")
        release.set()
        assert [first.result().output, second.result().output] == ["one", "two"]


def test_the_flask_application_answers_and_says_when_it_cannot(example):
    client = example.app.test_client()
    assert client.post("/classify", json={"text": "Good"}).json == {"label": "simulated: Positive or negative? Good"}
    with example.app.test_request_context():
        _, status, headers = example.answer_busy(Busy("full", retry_after=1.2, ahead=3))
        assert (status, headers["Retry-After"]) == (503, "2")
        assert example.answer_fault(CallError("no", kind=FaultKind.REFUSED))[1:] == (502, {})
        shut = CallError("no", kind=FaultKind.PENDING, retry_after=4.2)
        assert example.answer_fault(shut)[1:] == (503, {"Retry-After": "5"})
    example.pool().__exit__(None, None, None)
