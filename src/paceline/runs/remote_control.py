"""Remote control: asks a run that is under way in another process to pause, to continue, to change its workers, or to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from os import PathLike

import attrs

from .._core.control_request import ControlCommand, ControlRequest, checked_request
from .._core.exceptions import ConfigurationError, JournalError
from ..journal import requests
from ..journal.reader import JournalReader
from .journal_facts import journal_at

WAIT = 5.0
"""Seconds for which an answer is awaited: a run looks once a second."""
_PAUSE = 0.1  # seconds between two looks for the answer


@attrs.frozen(kw_only=True)
class ControlAnswer:
    """What a run has answered."""

    pid: int
    """Its process."""
    answer: str | None
    """What it did, in words; None: it has not answered in time, and the request was withdrawn."""


def control(
    journal: str | PathLike[str],
    command: ControlCommand | str,
    *,
    max_workers: int | None = None,
    wait: float = WAIT,
    sleep: Callable[[float], None] = time.sleep,
) -> ControlAnswer:
    """Ask the run that writes a journal to do something, and wait for its answer. Blocks.

        control("answers.jsonl.journal", "pause")
        control("answers.jsonl.journal", "max_workers", max_workers=8)

    Args:
        journal: Path of the journal, or of the output that it belongs to.
        command: `pause`, `continue`, `max_workers` or `drain`.
        max_workers: Of `max_workers`: the new bound on calls in flight.
        wait: Seconds to wait for the answer, at most.
        sleep: Function that waits for a number of seconds.

    Raises:
        ConfigurationError: The command or the number is not valid, or no process writes the journal.
        JournalError: The file is not a journal, or may not be written.
    """
    request = checked_request(str(command), max_workers)
    if isinstance(request, str):
        raise ConfigurationError(request.removeprefix("not done: "))
    with JournalReader(journal_at(journal)) as reader:
        pid = reader.writer()
        if pid is None:
            raise ConfigurationError(f"{reader.path}: no run has it open, so there is nothing to control")
        run = reader.runs()[-1].run
        number = requests.ask(reader.path, run, request)
        return ControlAnswer(pid=pid, answer=_answer(reader, number, wait, sleep))


def _answer(reader: JournalReader, number: int, wait: float, sleep: Callable[[float], None]) -> str | None:
    """Return the answer to a request; withdraw the request if none comes."""
    tries = max(1, round(wait / _PAUSE))
    for _ in range(tries):
        answer = reader.answer(number)
        if answer is not None or reader.writer() is None:
            break
        sleep(_PAUSE)
    else:
        with suppress(JournalError):
            requests.withdraw(reader.path, number)
        answer = reader.answer(number)  # it may have come meanwhile
    return answer


__all__ = ["ControlAnswer", "ControlCommand", "ControlRequest", "control"]
