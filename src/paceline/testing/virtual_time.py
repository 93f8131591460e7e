"""Virtual time: a sleep takes no time, and a hang is an error. On asyncio by an event loop, on trio by its MockClock.

    run_in_virtual_time(main)
    run_in_virtual_time(main, backend="asyncio")

Whenever no task is ready to run, the clock jumps to the next timer; trio can wait first (`autojump_threshold`), this loop cannot.
Sockets and threads are polled but never waited for, so code that waits for the outside world does not work here.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import anyio

R = TypeVar("R")


class HangError(RuntimeError):
    """No task can run, and no task waits for a timer: in real time the program would hang."""


class _Selector(selectors.DefaultSelector):
    """Advances a clock instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.next_timer: Callable[[], float] = lambda: 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, advance the clock by `timeout` seconds."""
        ready = super().select(0)
        if not ready:
            if timeout is None or (timeout > 0 and self.next_timer() == math.inf):  # as of `anyio.sleep_forever`
                raise HangError("every task waits for an event that no task will set")
            self.now += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time begins at 0 seconds and jumps from timer to timer."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        self._virtual.next_timer = self._next_timer
        super().__init__(self._virtual)
        self._clock_resolution = (
            1e-6  # seconds: well above the rounding of a time of years, or a timer would never be due
        )

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._virtual.now

    def _next_timer(self) -> float:
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # a heap; asyncio has no public name for it
        return timers[0].when() if timers else math.inf


def run_in_virtual_time(
    main: Callable[..., Awaitable[R]], *args: Any, backend: Literal["trio", "asyncio"] = "trio"
) -> R:
    """Run an async function from code that is not async, in virtual time, and return its value.

    Args:
        main: Async function.
        args: Its arguments.
        backend: Event loop to run.

    Raises:
        HangError: On asyncio: no task can run and none waits for a timer.
        Exception: What `main` raises.
    """
    return anyio.run(main, *args, backend=backend, backend_options=virtual_backend_options(backend))


def virtual_backend_options(backend: str) -> dict[str, Any]:
    """Return the options of `anyio.run` with which an event loop runs in virtual time."""
    if backend == "asyncio":
        return {"loop_factory": VirtualTimeLoop}
    from trio.testing import MockClock  # noqa: PLC0415 - not needed on asyncio

    return {"clock": MockClock(autojump_threshold=0)}
