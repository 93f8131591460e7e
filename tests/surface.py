"""The public surface, written down: every public name with its signature, a line each.

python tests/surface.py        # writes tests/surface.txt again; read the difference before it is committed
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

SURFACE = Path(__file__).with_name("surface.txt")
MODULES = (
    "paceline",
    "paceline.abc",
    "paceline.contrib.lm_eval",
    "paceline.exceptions",
    "paceline.files",
    "paceline.journal",
    "paceline.llm_strategies",
    "paceline.llm_strategies.anthropic",
    "paceline.llm_strategies.gemini",
    "paceline.llm_strategies.openai",
    "paceline.middleware",
    "paceline.observers",
    "paceline.pool",
    "paceline.processor",
    "paceline.report",
    "paceline.suites",
    "paceline.runs",
    "paceline.telemetry",
    "paceline.testing",
    "paceline.typing",
)


def surface() -> str:
    """Return the surface as text."""
    return "".join(f"{line}\n" for module in MODULES for line in _module(module))


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    yield f"{name}:"
    for public in sorted(getattr(module, "__all__", _defined(module))):
        yield from _thing(f"    {public}", getattr(module, public), name)


def _defined(module: Any) -> list[str]:
    """Return the public names that a module without `__all__` defines itself."""
    return [
        name
        for name, thing in vars(module).items()
        if name[0] != "_" and getattr(thing, "__module__", None) == module.__name__
    ]


def _home(module: str) -> str | None:
    """Return the public package that a module belongs to; None: it is not public."""
    return max((name for name in MODULES[1:] if f"{module}.".startswith(f"{name}.")), key=len, default=None)


def _thing(label: str, thing: Any, module: str) -> Iterator[str]:
    home = _home(getattr(thing, "__module__", module))
    if inspect.isclass(thing) and home not in (module, None):
        yield f"{label}: class of {home}"
    elif inspect.isclass(thing) and issubclass(thing, enum.Enum):
        yield f"{label}: enum {', '.join(thing.__members__)}"
    elif inspect.isclass(thing):
        yield f"{label}{_signature(thing)}: class({', '.join(base.__name__ for base in thing.__bases__)})"
        fields = {field.name for field in attrs.fields(thing)} if attrs.has(thing) else set()
        for member in sorted(vars(thing)):
            if not member.startswith("_") and member not in fields:
                yield f"    {label.replace(label.strip(), '')}    .{member}{_signature(vars(thing)[member])}"
    elif inspect.isroutine(thing):
        yield f"{label}{_signature(thing)}"
    else:
        yield f"{label}: {type(thing).__name__}"


def _signature(thing: Any) -> str:
    thing = getattr(thing, "__func__", thing)
    if isinstance(thing, property) or not callable(thing):
        return ""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    empty = inspect.Signature.empty
    names = [
        parameter.replace(annotation=empty, default=_stable(parameter.default))
        for parameter in signature.parameters.values()
    ]
    return re.sub(r" at 0x[0-9a-f]+", "", str(signature.replace(parameters=names, return_annotation=empty)))


class _Shown(str):
    """A text whose repr is the text itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _stable(default: Any) -> Any:
    """Return a default whose repr is the same in every process: that of a set has no order."""
    if isinstance(default, (set, frozenset)):
        return _Shown("{" + ", ".join(sorted(map(str, default))) + "}")
    return default


if __name__ == "__main__":
    SURFACE.write_text(surface(), "utf-8")
