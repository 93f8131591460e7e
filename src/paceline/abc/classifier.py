"""What an exception of a strategy means."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from .._core.provider_answers import classify as _classify

if TYPE_CHECKING:
    from .._core.fault import Fault


class ErrorClassifier(Protocol):
    """Turns an exception into a fault."""

    def classify(self, exception: BaseException) -> Fault:
        """Return the fault that `exception` means.

        Called for each exception of `execute` and of `prepare`, on the event loop. If it raises, or returns anything but a `Fault`,
        the item fails with a fault of the kind `bug`, and the log has the traceback.
        """
        ...


class DefaultErrorClassifier:
    """Classifies `CallError`, any exception with an HTTP status, and those of the usual HTTP clients and validators.

    A code in the provider's body has priority over the status: see the reference of faults. Waits and quotas are read from
    headers and bodies into the fault's `retry_after` and `quota`; a wait that is not a positive, finite number of seconds is
    ignored. A refusal because of a daily limit, or of a limit of 0, is an exhausted quota. An exception of an unknown type is a
    bug.
    """

    def classify(self, exception: BaseException) -> Fault:
        """Return the fault that `exception` means."""
        return _classify.classify(exception, wall_time=time.time())
