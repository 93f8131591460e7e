"""Settings of a processor. None needs tuning: every default fits a batch of any size.

`ProcessorConfig` is the one mutable class that users build: an assignment to a field is validated and takes effect at once in
a running batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import attrs
from attrs import setters

from .budget import Budget
from .exceptions import ConfigurationError
from .retry import RetryPolicy
from .validators import Instance, is_at_least_one, is_seconds

Durability: TypeAlias = Literal["normal", "full"]
"""What a result survives once it is committed to a journal. `normal`: the end of the process; a power failure may lose the last
commits. `full`: a power failure too."""


def _notify(config: ProcessorConfig, field: attrs.Attribute[Any], value: Any) -> Any:
    object.__setattr__(
        config, field.name, value
    )  # now, as attrs would do it only after this: a listener may wake another thread
    for listener in tuple(config._listeners):  # noqa: SLF001 - a hook of the class itself
        listener()
    return value


@attrs.define(kw_only=True, on_setattr=[setters.validate, _notify])
class ProcessorConfig:
    """The settings of a processor.

    Raises:
        ConfigurationError: A value is out of its bounds, at construction or on assignment; the field keeps its value.
    """

    max_workers: int = attrs.field(default=1_000, validator=is_at_least_one)
    """Upper bound on calls in flight, over all lanes. It needs no tuning: the controllers keep below it."""
    timeout_per_item: float = attrs.field(default=120.0, validator=is_seconds)
    """Seconds for one call, or one try of `prepare`. A longer one is cancelled and counts as a timeout."""
    deadline_per_item: float = attrs.field(default=math.inf, validator=is_seconds)
    """Seconds from an item's first call to its result, waits included."""
    deadline: float = attrs.field(default=math.inf, validator=is_seconds)
    """Seconds for a batch. Then calls in flight are cancelled, and items that are not settled are pending."""
    hook_timeout: float = attrs.field(default=30.0, validator=is_seconds)
    """Seconds for each call of a middleware, an observer, `on_error` or `cleanup`."""
    keep_going: bool = attrs.field(default=False, validator=Instance(bool))
    """Whether a batch goes on although its first calls all fail alike. By default it stops after about ten, and the other items are
    pending: a wrong model name, or a server that is not running, fails every item."""
    retry: RetryPolicy = attrs.field(factory=RetryPolicy, validator=Instance(RetryPolicy))
    """Budgets of one item, and waits between its calls."""
    budget: Budget | None = attrs.field(default=None, validator=attrs.validators.optional(Instance(Budget)))
    """Cap on what all calls cost, over all batches, and with a journal over all runs: at the cap a batch ends early, with pending items.
    Assign a higher one to go on. None: no cap. A cap in USD needs the price of each model."""
    _listeners: list[Callable[[], None]] = attrs.field(init=False, factory=list, repr=False, eq=False)

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each assignment; return a function that unsubscribes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


def with_budget(config: ProcessorConfig | None, budget: Budget | None) -> ProcessorConfig:
    """Return settings, or the default ones with a budget.

    Raises:
        ConfigurationError: Both are given.
    """
    if budget is None:
        return ProcessorConfig() if config is None else config
    if config is not None:
        raise ConfigurationError("config has a field for the budget: give ProcessorConfig(budget=...) alone")
    return ProcessorConfig(budget=budget)


def refuse_settings(options: Mapping[str, object]) -> None:
    """Raise for an option that is a setting: it belongs in the config.

    Raises:
        TypeError: One of `options` is the name of a setting.
    """
    names = {field.name for field in attrs.fields(ProcessorConfig)} - {"budget"}  # which is an argument, too
    given = {name: options[name] for name in options if name in names}
    if given:
        settings = ", ".join(f"{name}={value!r}" for name, value in given.items())
        are = "is a setting" if len(given) == 1 else "are settings"
        raise TypeError(f"{' and '.join(given)} {are}: pass config=ProcessorConfig({settings})")
