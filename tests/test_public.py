"""What `import paceline` gives, and what it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.resources import files

import pytest

import paceline
from paceline import llm_strategies, middleware, observers, testing


@pytest.mark.parametrize("module", [paceline, llm_strategies, middleware, observers, testing], ids=lambda m: m.__name__)
def test_everything_public_is_listed_in_order_and_documented(module):
    names = module.__all__
    assert sorted(names, key=str.lower) == list(names) or sorted(names) == list(names)
    assert len(set(names)) == len(names)
    for name in names:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, name


def test_public_things_are_called_by_their_public_names():
    assert repr(paceline.SourceError) == "<class 'paceline.SourceError'>"
    assert paceline.process_prompts.__module__ == "paceline"


def test_the_public_methods_of_a_processor_are_documented():
    for name, member in inspect.getmembers(paceline.ParallelBatchProcessor):
        if not name.startswith("_"):
            assert member.__doc__, name


@pytest.mark.parametrize(
    "heavy", ["google.genai", "httpx2", "pydantic", "cyclopts", "rich", "cattrs", "hypothesis", "sqlite3"]
)
def test_importing_paceline_imports_nothing_heavy(heavy):
    code = f"import sys, paceline, paceline.testing, paceline.llm_strategies; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_is_typed():
    assert files("paceline").joinpath("py.typed").is_file()
