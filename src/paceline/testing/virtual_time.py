"""How asyncio is run in virtual time, as trio is with its MockClock: a sleep takes no time, and a hang is an error.

    anyio.run(main, backend="asyncio", backend_options={"loop_factory": VirtualTimeLoop})

Where trio has the choice, this has not: whenever nothing is ready to run, the clock goes to the next timer. Sockets and
threads are looked at but never waited for, so code that waits for the outside world has no place here.
"""

from __future__ import annotations

import asyncio
import selectors


class HangError(RuntimeError):
    """No task can run, and none waits for a time: in real time the program would hang."""


class _Selector(selectors.DefaultSelector):
    """Lets a clock run instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, `timeout` seconds have passed."""
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise HangError("every task waits for something that none of them will do")
            self.now += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time begins at 0 seconds and jumps from timer to timer."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-6  # well above the rounding of a time of years: or a timer would never be due

    def time(self) -> float:
        """Return the seconds that have passed, virtually."""
        return self._virtual.now
