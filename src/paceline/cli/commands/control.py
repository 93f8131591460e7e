"""The command `control`: changes a run that is under way in another process."""

from __future__ import annotations

from ..._core.control_request import ControlCommand
from ...runs.remote_control import control as ask
from ..console import print_message, print_output
from ..exit_codes import OK, USAGE
from ..options import UsageError


def control(journal: str, *, pause: bool, go_on: bool, max_workers: int | None, drain: bool) -> int:
    """Ask the run that writes a journal to do one thing, and print what it did; return the exit code.

    Raises:
        UsageError: Not exactly one thing is asked for.
        ConfigurationError: No run has the journal open.
        JournalError: The file is not a journal, or may not be written.
    """
    asked = [
        command
        for command, is_asked in (
            (ControlCommand.PAUSE, pause),
            (ControlCommand.CONTINUE, go_on),
            (ControlCommand.MAX_WORKERS, max_workers is not None),
            (ControlCommand.DRAIN, drain),
        )
        if is_asked
    ]
    if len(asked) != 1:
        raise UsageError("give one of --pause, --continue, --max-workers N and --drain")
    found = ask(journal, asked[0], max_workers=max_workers)
    if found.answer is None:
        print_message(f"process {found.pid} has not answered: it may be busy, or have ended; nothing was changed")
        return USAGE
    print_output(f"process {found.pid}: {found.answer}")
    return OK
