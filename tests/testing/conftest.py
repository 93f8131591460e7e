"""A fixture that runs one async function on both backends, in virtual time, to compare the results."""

from __future__ import annotations

import anyio
import pytest
from trio.testing import MockClock

from paceline.testing import VirtualTimeLoop


@pytest.fixture(scope="session")
def on_both():
    def run(main, *args):
        return (
            anyio.run(main, *args, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)}),
            anyio.run(main, *args, backend="asyncio", backend_options={"loop_factory": VirtualTimeLoop}),
        )

    return run
