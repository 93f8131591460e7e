"""Real text without a download: the docstrings of Python itself, as prompts."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

from ..reading import Prompt

_ENOUGH = 1_000  # different prompts: reading all of the library takes seconds
_SHORTEST, _LONGEST = 80, 2_000  # characters: less says nothing, more is only long


def docstring_prompts(number: int) -> list[Prompt]:
    """Return so many prompts; their ids are the names of what is documented. Past the last one it begins anew."""
    return list(islice(_laps(), number))


def _laps() -> Iterator[Prompt]:
    known: dict[str, Prompt] = {}
    for name, docstring in _docstrings():
        if len(docstring) >= _SHORTEST and name not in known:
            known[name] = Prompt(len(known) + 1, name, f"Summarise in one sentence: {name}: {docstring[:_LONGEST]}")
            yield known[name]
        if len(known) == _ENOUGH:
            break
    position = len(known)
    for lap in count(2):
        for name, prompt in known.items():
            position += 1
            yield Prompt(position, f"{name} ({lap})", prompt.prompt)


def _docstrings() -> Iterator[tuple[str, str]]:
    for name, thing in vars(builtins).items():
        yield name, inspect.getdoc(thing) or ""
    library = Path(ast.__file__).parent
    for module in sorted(name for name in sys.stdlib_module_names if not name.startswith("_")):
        for path in (library / f"{module}.py", library / module / "__init__.py"):
            if path.exists():
                yield from _docstrings_in(ast.parse(path.read_bytes()), module)


def _docstrings_in(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    """Read the source, not the module: importing some of them does things."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield name, ast.get_docstring(node) or ""
    if isinstance(node, (ast.Module, ast.ClassDef)):
        for child in node.body:
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from _docstrings_in(child, f"{name}.{child.name}")
