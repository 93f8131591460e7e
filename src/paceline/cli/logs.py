"""Logs: the log messages that a user sees during a run.

Rules owned here:

1. The library logs to "paceline". Of other packages only warnings are shown: their details may contain prompts.
2. Without --verbose a message is shown once and without its traceback, as a million items may log it a million times.
3. Text that looks like a credential is redacted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .._core.fault import redact
from .._engine.loop.foreign import IN_SUMMARY

_MOST = 20  # different messages shown without --verbose


class _VerboseHandler(logging.Handler):
    """Shows every record with its traceback."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__()
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; one that cannot be formatted is named only."""
        try:
            self.show(record.levelname.lower(), self.format(record))
        except Exception:  # noqa: BLE001 - the arguments of a foreign record may raise anything
            self._show(f"a message of {record.name} cannot be shown")

    def show(self, level: str, text: str) -> None:
        """Show a message."""
        self._show(f"{level}: " + "\n".join(map(redact, text.splitlines())))


class _OnceHandler(_VerboseHandler):
    """Shows each message once, without its traceback."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(show)
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record, unless the summary of the run has its text."""
        if not getattr(record, IN_SUMMARY, False):
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return the message without the traceback."""
        return record.getMessage()

    def show(self, level: str, text: str) -> None:
        """Show a message, if it is new."""
        if text in self._shown or len(self._shown) > _MOST:
            return
        self._shown.add(text)
        if len(self._shown) > _MOST:
            self._show("there are more warnings; --verbose shows all of them")
        else:
            super().show(level, text)


@contextmanager
def show_logs(show: Callable[[str], None], *, verbose: bool) -> Iterator[None]:
    """Pass log messages to `show` inside the block.

    Args:
        show: Function that prints one message.
        verbose: Whether everything is shown, with tracebacks.
    """
    handler = _VerboseHandler(show) if verbose else _OnceHandler(show)
    handler.setLevel(logging.DEBUG if verbose else logging.WARNING)
    root, own = logging.getLogger(), logging.getLogger("paceline")
    level = own.level
    own.setLevel(logging.DEBUG if verbose else logging.WARNING)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        own.setLevel(level)
