"""What all tests share: both backends in virtual time, how long properties are searched, and which tests are slow.

PACELINE_SEARCH chooses how many examples a property is tried on: `quick`, `normal` (the default) or `thorough`. Where CI is set, they are
the same examples each time, so that whether a change lands does not depend on chance. No example has a deadline, as a slow machine is not
a fault of the code.
"""

from __future__ import annotations

import gc
import os
import ssl
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from trio.testing import MockClock

from paceline.testing.virtual_time import VirtualTimeLoop

from .search import NORMAL

_THRESHOLDS = (10_000, 20, 20)  # of the garbage collection: by default it takes an eighth of the time of the tests
gc.disable()  # while modules are imported and tests are listed, nothing is garbage, and to look for some takes a third of the time

for _name, _examples in {"quick": 15, "normal": NORMAL, "thorough": 300}.items():
    settings.register_profile(
        _name,
        deadline=None,
        max_examples=_examples,
        report_multiple_bugs=False,
        derandomize="CI" in os.environ,
        database=None if "CI" in os.environ else settings.default.database,
    )
settings.load_profile(os.environ.get("PACELINE_SEARCH", "normal"))


def _trust_nobody(context: ssl.SSLContext, *_: object, **__: object) -> None:
    """Load no certificates: no test reaches a server with one, and each client would read those of all authorities, for 20 ms."""


ssl.SSLContext.load_verify_locations = ssl.SSLContext.set_default_verify_paths = _trust_nobody

_STATE = tempfile.TemporaryDirectory(prefix="paceline-state-")  # removed at the end
os.environ["XDG_STATE_HOME"] = (
    _STATE.name
)  # also of the processes that tests start: the key that stamps journals is a new one

_BESIDE = 100  # tests: the slow ones that run meanwhile, in about half a minute
SLOW = (Path(__file__).with_name("slow.txt")).read_text("utf-8").split()
"""Files, folders and tests that start processes or servers, or take more than a second, the slowest first: `make quick` leaves them out."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import the slow files where only fast tests run."""
    if config.option.markexpr != "not slow":
        return None
    return _rank(collection_path.relative_to(config.rootpath).as_posix()) < len(SLOW) or None


def pytest_collection_finish() -> None:
    """Collect garbage from now on, without a look at what has been imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, and begin with them in the order of their list: no worker is left with a long test at the end.

    Those of real servers mostly wait: one after the other runs beside the slow tests.
    """
    ranks = {item: _rank(item.nodeid) for item in items}
    for item, rank in ranks.items():
        if rank < len(SLOW):
            item.add_marker(pytest.mark.slow)
    items.sort(key=ranks.__getitem__)
    waiting = [item for item in items if item.nodeid.startswith("tests/live/")]
    items[:] = [item for item in items if item not in waiting]
    for number, item in enumerate(waiting):
        items.insert(number * _BESIDE, item)


def _rank(name: str) -> int:
    """Return the place of a test in the list of the slow ones; their number if it is not slow."""
    return next((rank for rank, slow in enumerate(SLOW) if name.startswith(f"tests/{slow}")), len(SLOW))


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """Run a test on trio and on asyncio, where a sleep takes no time and a hang is an error."""
    if request.param == "trio":
        return "trio", {"clock": MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": VirtualTimeLoop}
