"""Docstrings of the public names: each class, function, method, field and constant in the API reference has one."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import attrs
import pytest

DOCS = Path(__file__).parents[2] / "docs"


def load_public_api():
    """Load docs/public_api.py, which is not a package's."""
    spec = importlib.util.spec_from_file_location("public_api", DOCS / "public_api.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


API = load_public_api()


@cache
def described_assignments(module: str) -> set[str]:
    """Return the names in a module, such as `Class.field`, whose assignment is followed by a string literal."""
    tree = ast.parse(Path(importlib.util.find_spec(module).origin).read_text("utf-8"))
    bodies = {"": tree.body} | {f"{node.name}.": node.body for node in tree.body if isinstance(node, ast.ClassDef)}
    return {
        prefix + target.id
        for prefix, body in bodies.items()
        for node, following in pairwise(body)
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        for target in (node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)])
        if isinstance(target, ast.Name)
    }


def undocumented(module: str):
    """Yield the names on a module's page that have no docstring."""
    for name in API.described_on(module):
        value = getattr(importlib.import_module(module), name)
        source, original = API.defined_in(module, name)
        assignments = described_assignments(source)
        if not (isinstance(value, type) or inspect.isroutine(value)):
            if original not in assignments:
                yield name
            continue
        if not (value.__doc__ or "").strip():
            yield name
        if not isinstance(value, type):
            continue
        fields = attrs.fields(value) if attrs.has(value) else ()
        own = {field.name for field in fields if not field.inherited}
        yield from (f"{name}.{field}" for field in own if field[0] != "_" and f"{original}.{field}" not in assignments)
        for attribute, member in vars(value).items():
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if attribute[0] != "_" and inspect.isfunction(function) and not function.__doc__:
                yield f"{name}.{attribute}"


@pytest.mark.parametrize("module", API.PUBLIC_MODULES)
def test_every_public_name_and_field_has_a_docstring(module):
    assert sorted(undocumented(module)) == []
