"""Fixtures of the journal tests. They use real time, as the worker thread of a journal has no virtual clock."""

from __future__ import annotations

import pytest

from .support import OPEN


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    """Run a test on trio and on asyncio, in real time."""
    return request.param


@pytest.fixture
def path(tmp_path):
    """Return a path for a journal."""
    return str(tmp_path / "run.db")


@pytest.fixture(autouse=True)
def _close_writers():
    """Close the writers that a test has opened and left open."""
    yield
    while OPEN:
        OPEN.pop().close()
