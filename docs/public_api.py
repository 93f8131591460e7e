"""The public names of paceline, as the API reference shows them: read from each module's `__all__`.

1. Each name has one home, the module on whose page it is described: the one that its `__module__` names, else the first module
   of `PUBLIC_MODULES` that exports it. The pages of the others link to it.
2. Classes live in private modules, where autodoc does not look for the docstrings of attributes: they are copied to the home.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
from functools import cache
from pathlib import Path
from typing import Generic, Protocol

PUBLIC_MODULES = (
    "paceline",
    "paceline.exceptions",
    "paceline.abc",
    "paceline.middleware",
    "paceline.observers",
    "paceline.typing",
    "paceline.llm_strategies",
    "paceline.llm_strategies.gemini",
    "paceline.llm_strategies.openai",
    "paceline.llm_strategies.anthropic",
    "paceline.files",
    "paceline.report",
    "paceline.telemetry",
    "paceline.runs",
    "paceline.suites",
    "paceline.contrib.inspect",
    "paceline.contrib.lm_eval",
    "paceline.journal",
    "paceline.testing",
)
"""In the order of the reference."""

CLASSES = {
    "paceline.llm_strategies.openai": ["OpenAIStrategy"],
    "paceline.llm_strategies.anthropic": ["AnthropicStrategy"],
}
"""Public names of modules that have no `__all__`."""


def exported(module: str) -> list[str]:
    """Return the public names of a module."""
    loaded = importlib.import_module(module)
    return [name for name in getattr(loaded, "__all__", CLASSES.get(module, [])) if not name.startswith("__")]


@cache
def homes() -> dict[tuple[str, str], str]:
    """Return, for each module and name that it exports, the module on whose page the name is described."""
    first: dict[tuple[str, str], str] = {}
    found = {}
    for module in PUBLIC_MODULES:
        for name in exported(module):
            definition = defined_in(module, name)
            own = getattr(getattr(importlib.import_module(module), name), "__module__", None)
            if own in PUBLIC_MODULES and name in exported(own):
                first[definition] = own
            found[module, name] = first.setdefault(definition, module)
    return {key: first[defined_in(*key)] for key in found}


def described_on(module: str) -> list[str]:
    """Return the names whose home a module is."""
    return [name for name in exported(module) if homes()[module, name] == module]


@cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    package = module if spec.submodule_search_locations else module.rpartition(".")[0]
    found = {}
    for node in ast.walk(ast.parse(Path(spec.origin).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            found |= {alias.asname or alias.name: (source, alias.name) for alias in node.names}
    return found


@cache
def defined_in(module: str, name: str) -> tuple[str, str]:
    """Return the module that defines an exported name, and its name there."""
    while name in _imports(module):
        module, name = _imports(module)[name]
    return module, name


def reference(module: str) -> str:
    """Return the reference of a module in reStructuredText."""
    lines = [f".. automodule:: {module}", "   :no-members:", ""]
    elsewhere = [name for name in exported(module) if name not in described_on(module)]
    if elsewhere:
        links = ", ".join(f":py:obj:`~{homes()[module, name]}.{name}`" for name in elsewhere)
        lines += [f"Also exported here: {links}.", ""]
    for name in described_on(module):
        value = getattr(importlib.import_module(module), name)
        if isinstance(value, type):
            kind = "exception" if issubclass(value, BaseException) else "class"
        else:
            kind = "function" if inspect.isroutine(value) else "data"
        inherits = isinstance(value, type) and not {*value.__bases__} <= {object, Generic, Protocol}
        lines += [f".. auto{kind}:: {module}::{name}", *["   :show-inheritance:"] * inherits, ""]
    return "\n".join(lines)
