"""What the error classifiers of providers share: their own reading before the usual one, and a key that is never told."""

from __future__ import annotations

import time
from functools import partial
from typing import ClassVar, Protocol

import attrs

from .._core.classify import classify
from .._core.fault import Fault


class Reading(Protocol):
    """A provider's own reading of an exception."""

    def __call__(self, error: BaseException, *, wall_time: float) -> Fault | None:
        """Return the fault; None leaves it to the default classifier's rules."""
        ...


class ProviderErrorClassifier:
    """Understands what a provider's package raises, and all that the default classifier does.

    Args:
        secret: the key, which a gateway may echo; it is blanked in every message.
    """

    reading: ClassVar[Reading]

    def __init__(self, *, secret: str | None = None) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}()"

    def classify(self, exception: BaseException) -> Fault:
        """Return the fault."""
        now = time.time()
        fault = classify(exception, wall_time=now, reading=partial(type(self).reading, wall_time=now))
        if self._secret and self._secret in fault.message:
            return attrs.evolve(fault, message=fault.message.replace(self._secret, "[redacted]"))
        return fault
