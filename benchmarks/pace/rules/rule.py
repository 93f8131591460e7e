"""Rule: something that the controller does, and the patches without which it does not."""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

import paceline._core.pace

_PACKAGES = ("paceline._core.pace", "paceline._core.queue", "paceline._core.health", "paceline._core")


@attrs.frozen
class Always:
    """A function, or a property, that returns one value and does nothing."""

    value: Any = None

    def __str__(self) -> str:
        return "does nothing" if self.value is None else f"is always {_shown(self.value)}"


@attrs.frozen
class Wrapped:
    """A function that is called with the original one before its own arguments; its docstring says what differs."""

    function: Callable[..., Any]

    def __str__(self) -> str:
        return (self.function.__doc__ or "").strip().rstrip(".")


@attrs.frozen
class Rule:
    """One rule."""

    name: str
    """Module and name, as in `rate.patience`."""
    about: str
    """What it does."""
    patches: Mapping[str, Any]
    """For each target, as in `rate:_PRICE` or `breaker:Streaks.is_failing`: a constant, `Always` or `Wrapped`."""
    unseen: str = ""
    """What it would take to see it, if no trial has that; empty: some trial does."""

    @property
    def how(self) -> str:
        """How it is switched off, in words."""
        parts = []
        for target, patch in self.patches.items():
            name = target.partition(":")[2]
            parts.append(f"{name} {patch}" if isinstance(patch, Always | Wrapped) else f"{name} = {_shown(patch)}")
        return "; ".join(parts)

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever its patches do."""
        return "; ".join(
            f"{target} {inspect.getsource(patch.function) if isinstance(patch, Wrapped) else patch!r}"
            for target, patch in self.patches.items()
        )

    @property
    def is_gone(self) -> bool:
        """Whether the controller has no such constant or function any more."""
        try:
            for target in self.patches:
                owner, name, _ = _found(target)
                getattr(owner, name)
        except (ImportError, AttributeError):
            return True
        return False

    @contextmanager
    def switched_off(self) -> Iterator[None]:
        """Switch the rule off for a while, in this process."""
        with ExitStack() as stack:
            for target, patch in self.patches.items():
                stack.enter_context(_patched(*_found(target), patch))
            yield


def changed_constant(text: str) -> Rule:
    """Return the change of a constant, such as `rate:_CYCLE=7`, as a rule that is switched off by it.

    Raises:
        LookupError: There is no such constant, or the value is not a number.
    """
    target, _, value = text.partition("=")
    try:
        change = Rule(text, f"{target} has its own value.", {target: float(value)})
    except ValueError:
        raise LookupError(f"{text!r} must be module:NAME=number, such as rate:_CYCLE=7") from None
    if change.is_gone:
        raise LookupError(f"the controller has no constant {target}")
    return change


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _found(target: str) -> tuple[Any, str, ModuleType]:
    """Return the owner and the name of a target, and its module."""
    place, _, path = target.partition(":")
    for package in _PACKAGES:
        try:
            module = importlib.import_module(f"{package}.{place}")
            break
        except ModuleNotFoundError:
            continue
    else:
        raise ImportError(f"there is no module {place}")
    *owners, name = path.split(".")
    return functools.reduce(getattr, owners, module), name, module


@contextmanager
def _patched(owner: Any, name: str, module: ModuleType, patch: Any) -> Iterator[None]:
    old = inspect.getattr_static(owner, name)
    new = _replaced(old, patch)
    # A constant without an underscore may have been imported by name.
    public = owner is module and not name.startswith("_")
    owners = [each for each in _modules() if public and vars(each).get(name) is old] or [owner]
    for each in owners:
        setattr(each, name, new)
    try:
        yield
    finally:
        for each in owners:
            setattr(each, name, old)


def _replaced(old: Any, patch: Any) -> Any:
    if isinstance(patch, Always):
        if isinstance(old, property):
            return property(lambda _: patch.value)
        return lambda *_args, **_kwargs: patch.value
    if isinstance(patch, Wrapped):
        if isinstance(old, property):
            return property(lambda itself: patch.function(old.fget, itself))
        return lambda *args, **kwargs: patch.function(old, *args, **kwargs)
    return patch


def _modules() -> list[ModuleType]:
    return [each for name, each in list(sys.modules.items()) if name.startswith("paceline._core")]


def constants() -> dict[str, set[str]]:
    """Return the numeric constants of the controller, by module."""
    found: dict[str, set[str]] = {}
    for path in sorted(Path(paceline._core.pace.__file__).parent.glob("*.py")):  # noqa: SLF001 - it is measured here
        if path.stem != "__init__":
            module = importlib.import_module(f"{_PACKAGES[0]}.{path.stem}")
            tree = inspect.getsource(module)
            found[path.stem] = {
                name
                for name, value in vars(module).items()
                if name.strip("_").isupper() and _is_number(value) and _is_set_in(tree, name)
            }
    return {module: names for module, names in found.items() if names}


def _is_number(value: object) -> bool:
    numbers = value if isinstance(value, tuple) else (value,)
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers) and value != math.inf


def _is_set_in(source: str, name: str) -> bool:
    return any(name in line.partition(" = ")[0].split(", ") for line in source.splitlines() if line[:1] in {"_", *name})
