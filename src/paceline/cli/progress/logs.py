"""What of the log a user sees while a batch runs: each warning once, in a line, unless all was asked for.

1. The library logs to "paceline". Of other packages only warnings are shown: their details may hold prompts.
2. Without --verbose there are no tracebacks, and a message is shown when it comes for the first time; with a million items
   it may come a million times.
3. What looks like a credential is blanked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..._core.fault import redact

_SHOWN = 20  # different messages


class _Teller(logging.Handler):
    """Tells every record, tracebacks and all."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Tell a record; one that cannot be told harms nothing."""
        try:
            self.tell(record.levelname.lower(), self.format(record))
        except Exception:  # noqa: BLE001 - a foreign record's arguments may do anything
            self._say(f"a message of {record.name} cannot be shown")

    def tell(self, level: str, text: str) -> None:
        """Tell what was logged."""
        self._say(f"{level}: " + "\n".join(map(redact, text.splitlines())))


class _OnceTeller(_Teller):
    """Tells each message once, without its traceback."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(say)
        self._seen: set[str] = set()

    def format(self, record: logging.LogRecord) -> str:
        """Return the message alone."""
        return record.getMessage()

    def tell(self, level: str, text: str) -> None:
        """Tell what was logged, if it is new."""
        if text in self._seen or len(self._seen) > _SHOWN:
            return
        self._seen.add(text)
        if len(self._seen) > _SHOWN:
            self._say("there are more warnings; --verbose shows all")
        else:
            super().tell(level, text)


@contextmanager
def shown_logs(say: Callable[[str], None], *, verbose: bool) -> Iterator[None]:
    """Tell the log's messages for as long as the block lasts."""
    handler = _Teller(say) if verbose else _OnceTeller(say)
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
