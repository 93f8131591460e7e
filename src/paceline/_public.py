"""Public names: in reprs and tracebacks a class or function goes by the module that users import it from."""

from __future__ import annotations

from types import FunctionType
from typing import Any


def publish(namespace: dict[str, Any]) -> None:
    """Make a module the home of the names that it exports.

    Args:
        namespace: The module's `globals()`; names in its `__all__` that are loaded on first use may be missing.
    """
    for name in namespace["__all__"]:
        if isinstance(namespace.get(name), (type, FunctionType)):
            namespace[name].__module__ = namespace["__name__"]
