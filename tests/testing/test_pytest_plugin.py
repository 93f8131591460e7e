"""Fixtures for pytest: what a user's test gets from each."""

from __future__ import annotations

import time

import anyio
import pytest

from paceline import process_prompts
from paceline.observers import BatchCompleted
from paceline.testing import HangError, run_in_virtual_time
from paceline.testing.pytest_plugin import *  # noqa: F403 - as `pytest_plugins` would

PROMPTS = [f"prompt {number}" for number in range(50)]


def test_a_batch_of_simulated_calls_is_recorded_in_virtual_time(
    virtual_time, simulated_provider, simulated_strategy, event_recorder
):
    started = time.monotonic()
    batch = virtual_time(lambda: process_prompts(simulated_strategy, PROMPTS, observers=[event_recorder]))
    assert batch.succeeded == simulated_provider.statistics().served == 50
    assert batch.seconds > 0.5
    assert time.monotonic() - started < batch.seconds + 5
    assert [event.succeeded for event in event_recorder.of_type(BatchCompleted)] == [50]


def test_virtual_time_passes_arguments_and_raises_exceptions(virtual_time):
    async def divide(left, right):
        await anyio.sleep(86_400)
        return left / right

    assert virtual_time(divide, 6, 3) == 2
    with pytest.raises(ZeroDivisionError):
        virtual_time(divide, 1, 0)


def test_both_backends_are_used(virtual_backend):
    name, options = virtual_backend

    async def main():
        started = anyio.current_time()
        await anyio.sleep(10_000)
        return anyio.current_time() - started

    assert anyio.run(main, backend=name, backend_options=options) == pytest.approx(10_000)


async def wait_for_an_event():
    await anyio.Event().wait()


@pytest.mark.parametrize("hang", [wait_for_an_event, anyio.sleep_forever])
def test_a_hang_on_asyncio_is_an_error(hang):
    with pytest.raises(HangError):
        run_in_virtual_time(hang, backend="asyncio")


def test_a_journal_resumes_a_batch(simulated_strategy, journal_path):
    assert not journal_path.exists()
    for recalled in (0, 50):
        batch = run_in_virtual_time(lambda: process_prompts(simulated_strategy, PROMPTS, journal=journal_path))
        assert (batch.succeeded, batch.recalled) == (50, recalled)
