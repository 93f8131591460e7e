"""What a user may set. Nothing here needs tuning: every field has a default that fits a batch of any size.

`ProcessorConfig` is the one mutable class that users build: assigning to a field is validated and takes effect at once in
a running batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
from attrs import setters, validators

from .exceptions import ConfigurationError
from .retry import RetryPolicy


def _at_least_one(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    if type(value) is not int or value < 1:
        raise ConfigurationError(f"{attribute.name} must be a whole number, 1 or more, not {value!r}")


def _seconds(_: object, attribute: attrs.Attribute[float], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or value <= 0:
        raise ConfigurationError(f"{attribute.name} must be a number of seconds above 0, not {value!r}")


def _announce(config: ProcessorConfig, _: attrs.Attribute[Any], value: Any) -> Any:
    for listener in config._listeners:  # noqa: SLF001 - a hook of the class itself
        listener()
    return value


@attrs.define(kw_only=True, on_setattr=[setters.validate, _announce])
class ProcessorConfig:
    """The settings of a processor."""

    max_workers: int = attrs.field(default=1_000, validator=_at_least_one)
    """A ceiling on calls in flight, over all lanes. Not a setting to tune: the controllers stay below it by themselves."""
    timeout_per_item: float = attrs.field(default=120.0, validator=_seconds)
    """Seconds for one call. A call that takes longer is cancelled and counts as a timeout."""
    deadline_per_item: float = attrs.field(default=math.inf, validator=_seconds)
    """Seconds from an item's first call to its result, waits included."""
    deadline: float = attrs.field(default=math.inf, validator=_seconds)
    """Seconds for a batch. Then calls in flight are cancelled, and what is not settled is pending."""
    hook_timeout: float = attrs.field(default=30.0, validator=_seconds)
    """Seconds for each call of a middleware, an observer, `on_error` or `cleanup`."""
    retry: RetryPolicy = attrs.field(factory=RetryPolicy, validator=validators.instance_of(RetryPolicy))
    """Budgets and waits between the calls of one item."""
    _listeners: list[Callable[[], None]] = attrs.field(init=False, factory=list, repr=False, eq=False)

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` just before each assignment; return a function that ends this."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
