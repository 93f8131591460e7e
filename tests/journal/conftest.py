"""A journal in a file takes real time: its thread does not know of a virtual one."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    """Run a test on trio and on asyncio, in real time."""
    return request.param


@pytest.fixture
def path(tmp_path):
    """Return where a journal may be."""
    return str(tmp_path / "run.db")
