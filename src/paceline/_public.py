"""Public names that are loaded when they are first used, so that a program pays only for the parts that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import FunctionType


def load(package: str, homes: Mapping[str, str], name: str) -> object:
    """Return a public name of a package from the module that defines it.

    A function then goes by the package in reprs and tracebacks. A class keeps its module, where its annotations are looked up.

    Args:
        package: Name of the package.
        homes: Each public name's module, relative to the package.
        name: The name.

    Raises:
        AttributeError: The package has no such public name.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{homes[name]}", package), name)
    if isinstance(value, FunctionType):
        value.__module__ = package
    return value
