"""What `import paceline` gives, and what it costs."""

from __future__ import annotations

import importlib
import inspect
import pickle
import subprocess
import sys
from importlib import resources
from typing import get_args, get_type_hints

import attrs
import pytest

import paceline
from paceline import abc, exceptions, files, journal, llm_strategies, middleware, observers, runs, testing, typing
from paceline._core import exceptions as _exceptions

from .surface import SURFACE, surface

MODULES = [paceline, abc, exceptions, files, journal, llm_strategies, middleware, observers, runs, testing, typing]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_everything_public_is_listed_once_and_documented(module):
    names = module.__all__
    assert len(set(names)) == len(names)
    for name in names:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, name


def test_public_things_are_called_by_their_public_names():
    assert repr(paceline.exceptions.SourceError) == "<class 'paceline.exceptions.SourceError'>"
    assert paceline.process_prompts.__module__ == "paceline"


def test_the_public_methods_of_a_processor_are_documented():
    for name, member in inspect.getmembers(paceline.ParallelBatchProcessor):
        if not name.startswith("_"):
            assert member.__doc__, name


@pytest.mark.parametrize(("name", "home"), paceline._MOVED.items())
def test_a_name_that_has_moved_is_found_with_a_warning_that_names_its_module(name, home):
    with pytest.warns(DeprecationWarning, match=f"paceline.{name} has moved: import it from paceline.{home}"):
        thing = getattr(paceline, name)
    assert thing is getattr(importlib.import_module(f"paceline.{home}"), name)


@pytest.mark.parametrize("module", [*MODULES, runs], ids=lambda m: m.__name__)
def test_the_annotations_of_public_records_can_be_resolved(module):
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isclass(thing) and attrs.has(thing):
            assert get_type_hints(thing) is not None, name


def test_a_pickle_of_learned_pace_names_no_private_module():
    known = typing.PaceKnowledge(limit=3, rate=5.0, token_rate=100.0, latency=0.5, learned=0.0)
    data = pickle.dumps(known)
    assert b"paceline._" not in data
    assert pickle.loads(data) == known  # noqa: S301 - made above


def test_public_modules_are_attributes_of_the_package():
    code = "import paceline; paceline.exceptions.JournalError, paceline.testing.Service, paceline.typing.Attempt"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'paceline' has no attribute 'process_prompt'"):
        paceline.process_prompt  # noqa: B018


def test_every_event_is_exported():
    assert {event.__name__ for event in get_args(observers.Event)} <= set(observers.__all__)
    assert {event.name for event in get_args(observers.Event)} == set(observers.ProcessingEvent)


def test_every_exception_is_exported():
    defined = {
        name for name, member in inspect.getmembers(_exceptions, inspect.isclass) if issubclass(member, Exception)
    }
    assert defined <= set(exceptions.__all__)


def test_a_public_class_can_be_pickled_before_its_module_is_loaded():
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()))"
    usage = pickle.dumps(paceline.TokenUsage(1, 2))
    run = subprocess.run([sys.executable, "-c", code], input=usage, capture_output=True, check=True)
    assert b"input_tokens=1" in run.stdout


def test_the_surface_is_the_one_that_is_written_down():
    assert SURFACE.read_text("utf-8") == surface(), "run: python tests/surface.py, and read the difference"


@pytest.mark.parametrize(
    "heavy", ["google.genai", "httpx2", "pydantic", "cyclopts", "rich", "cattrs", "hypothesis", "sqlite3"]
)
def test_importing_paceline_imports_nothing_heavy(heavy):
    code = f"import sys, paceline, paceline.testing, paceline.llm_strategies; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_is_typed():
    assert resources.files("paceline").joinpath("py.typed").is_file()
