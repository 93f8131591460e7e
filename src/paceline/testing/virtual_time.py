"""Virtual time on asyncio, as trio has it with its MockClock: a sleep takes no time, and a hang is an error.

    anyio.run(main, backend="asyncio", backend_options={"loop_factory": VirtualTimeLoop})

Whenever no task is ready to run, the clock jumps to the next timer; trio can wait first (`autojump_threshold`), this loop cannot.
Sockets and threads are polled but never waited for, so code that waits for the outside world does not work here.
"""

from __future__ import annotations

import asyncio
import selectors


class HangError(RuntimeError):
    """No task can run, and no task waits for a timer: in real time the program would hang."""


class _Selector(selectors.DefaultSelector):
    """Advances a clock instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, advance the clock by `timeout` seconds."""
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise HangError("every task waits for an event that no task will set")
            self.now += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time begins at 0 seconds and jumps from timer to timer."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._clock_resolution = (
            1e-6  # seconds: well above the rounding of a time of years, or a timer would never be due
        )

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._virtual.now
