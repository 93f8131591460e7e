"""Fixtures for pytest: a simulated provider, a recorder of events, a journal, and virtual time.

They are loaded on request only, by a line in the `conftest.py` beside your pytest configuration:

    pytest_plugins = ["paceline.testing.pytest_plugin"]
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from .models import SimulatedStrategy
from .provider import SimulatedProvider
from .recorder import EventRecorder
from .service import Service
from .virtual_time import run_in_virtual_time, virtual_backend_options

__all__ = [
    "event_recorder",
    "journal_path",
    "simulated_provider",
    "simulated_strategy",
    "virtual_backend",
    "virtual_time",
]


@pytest.fixture
def simulated_provider() -> SimulatedProvider:
    """Return a provider without limits and faults that answers in about 1 second."""
    return SimulatedProvider(Service(latency=1.0))


@pytest.fixture
def simulated_strategy(simulated_provider: SimulatedProvider) -> SimulatedStrategy:
    """Return a strategy that calls `simulated_provider`."""
    return SimulatedStrategy(simulated_provider)


@pytest.fixture
def event_recorder() -> EventRecorder:
    """Return an observer that keeps every event: `observers=[event_recorder]`."""
    return EventRecorder()


@pytest.fixture
def journal_path(tmp_path: Path) -> Path:
    """Return the path of a journal that does not exist yet: `journal=journal_path`. In virtual time on trio only."""
    return tmp_path / "run.journal"


@pytest.fixture(params=["trio", "asyncio"])
def virtual_time(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return `run(main, *args)`, which runs an async function in virtual time: the test runs on trio and on asyncio."""
    run: Callable[[Callable[..., Awaitable[Any]]], Any] = partial(run_in_virtual_time, backend=request.param)
    return run


@pytest.fixture(params=["trio", "asyncio"])
def virtual_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Return what AnyIO's own plugin takes as its `anyio_backend`, with virtual time: the test runs on trio and on asyncio."""
    return request.param, virtual_backend_options(request.param)
