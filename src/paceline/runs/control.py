"""Control: how a caller stops a run while it is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import anyio
import trio

from .._core.exceptions import MisuseError

STOPPED = "the run was stopped"


class RunControl:
    """A handle of one run: `pause` and `resume` it, `stop` it, or `cancel` it.

        control = RunControl()
        report = run(options, control=control)      # elsewhere: control.stop()

    The methods return at once, and may be called from any thread, from any task and from a signal handler, also before the run has
    started: then it accepts its items and makes no call.
    """

    def __init__(self) -> None:
        self._reason = STOPPED
        self._is_stopped = self._is_cancelled = self._is_paused = False
        self._wake: Callable[[], object] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the run may have calls in flight, and has not been cancelled."""
        return self._wake is not None and not self._is_cancelled

    @property
    def is_stopped(self) -> bool:
        """Whether the run was stopped or cancelled."""
        return self._is_stopped

    @property
    def is_cancelled(self) -> bool:
        """Whether the run was cancelled."""
        return self._is_cancelled

    @property
    def is_paused(self) -> bool:
        """Whether the run was paused here, and not resumed."""
        return self._is_paused

    @property
    def reason(self) -> str:
        """Why the run was stopped, in words."""
        return self._reason

    def pause(self) -> None:
        """Start no calls until `resume`; those in flight finish. Deadlines are not put off."""
        self._is_paused = True
        self._ring()

    def resume(self) -> None:
        """Start calls again."""
        self._is_paused = False
        self._ring()

    def stop(self, reason: str = STOPPED) -> None:
        """Start no more calls; those in flight finish, and items without a result stay pending.

        Args:
            reason: Why, in words: the message of pending items. That of the first call counts.
        """
        self._request(reason, cancel=False)

    def cancel(self, reason: str = STOPPED) -> None:
        """Cancel the calls in flight too; their items stay pending.

        Args:
            reason: As for `stop`.
        """
        self._request(reason, cancel=True)

    def _request(self, reason: str, *, cancel: bool) -> None:
        if self._is_stopped and self._is_cancelled >= cancel:
            return  # nothing new: a callback that repeats its request at each report must not cause the next report
        if not self._is_stopped:
            self._reason = reason
        self._is_stopped = True
        self._is_cancelled |= cancel
        self._ring()

    def _ring(self) -> None:
        wake = self._wake
        if wake is not None:
            with suppress(RuntimeError):  # the event loop has ended meanwhile
                wake()

    @contextmanager
    def attached(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """Attach the control to a run in the current event loop; yield a function that waits for the next request.

        Raises:
            MisuseError: The control is attached to another run.
        """
        if self._wake is not None:
            raise MisuseError("a RunControl belongs to one run at a time; make another one")
        bell = anyio.Event()
        schedule = _scheduler()

        async def requested() -> None:
            nonlocal bell
            await bell.wait()
            bell = anyio.Event()

        def ring() -> None:
            bell.set()

        self._wake = lambda: schedule(ring)
        if self._is_stopped:
            bell.set()
        try:
            yield requested
        finally:
            self._wake = None


def _scheduler() -> Callable[[Callable[[], None]], object]:
    """Return what schedules a call in the current event loop, from any thread and from a signal handler."""
    if trio.lowlevel.in_trio_run():
        return trio.lowlevel.current_trio_token().run_sync_soon
    return asyncio.get_running_loop().call_soon_threadsafe
