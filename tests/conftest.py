"""What all tests share: both backends, in virtual time."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from paceline.testing.virtual_time import VirtualTimeLoop


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """Run a test on trio and on asyncio, where a sleep takes no time and a hang is an error."""
    if request.param == "trio":
        return "trio", {"clock": MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": VirtualTimeLoop}
