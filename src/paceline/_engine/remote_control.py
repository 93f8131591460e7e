"""Remote control: obeys what was asked of a run by way of its journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from .._core.control_request import ControlCommand, checked_request
from .._core.quantity import quantity, verb
from .lanes.scheduler import Scheduler

ASKED = "the run was drained by paceline control"
"""Message of the pending items of a run that was drained so."""


class RemoteControl:
    """Obeys the requests of one pool.

    Args:
        scheduler: Of the pool.
        drain: Function that starts no more calls in the batches that run, given the reason.
    """

    def __init__(self, scheduler: Scheduler, drain: Callable[[str], None]) -> None:
        self._scheduler = scheduler
        self._drain = drain

    def obey(self, command: object, workers: object) -> str:
        """Do what was asked, as a file says it; return what was done, in words."""
        request = checked_request(command, workers)
        if isinstance(request, str):
            return request
        match request.command:
            case ControlCommand.PAUSE:
                self._scheduler.pause()
                return f"paused{self._in_flight}"
            case ControlCommand.CONTINUE:
                was_paused = self._scheduler.is_paused
                self._scheduler.resume()
                return "continued" if was_paused else "it was not paused"
            case ControlCommand.MAX_WORKERS:
                return self._set_workers(request.workers or 1)
            case ControlCommand.DRAIN:
                self._drain(ASKED)
                return f"no more calls start{self._in_flight}"
        assert_never(request.command)

    @property
    def _in_flight(self) -> str:
        calls = self._scheduler.in_flight
        return f"; {quantity(calls, 'call')} in flight {verb(calls, 'finishes', 'finish')}" if calls else ""

    def _set_workers(self, workers: int) -> str:
        config = self._scheduler.config
        before = config.max_workers
        config.max_workers = workers  # a listener may lower it
        why = "" if config.max_workers == workers else ", as this process can open no more connections"
        return f"at most {quantity(config.max_workers, 'call')} at once, before: {before:,}{why}"
