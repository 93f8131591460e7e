"""Exceptions: their tree is the one in the docstring."""

from __future__ import annotations

import inspect
import pickle

import pytest

from paceline import exceptions as public
from paceline._core import exceptions
from paceline._core.exceptions import (
    CallError,
    ConfigurationError,
    DuplicateItemError,
    MissingExtraError,
    RateLimitError,
    Skip,
)
from paceline._core.fault import FaultKind
from paceline._core.results import BatchResult, SourceError
from paceline._core.usage import NO_USAGE, TokenUsage

TREE = {
    "PacelineError": {"Exception"},
    "ConfigurationError": {"PacelineError", "ValueError"},
    "MissingExtraError": {"ConfigurationError"},
    "MissingKeyError": {"ConfigurationError"},
    "InvalidWorkItemError": {"PacelineError", "ValueError"},
    "DuplicateItemError": {"InvalidWorkItemError"},
    "MisuseError": {"PacelineError", "RuntimeError"},
    "SourceError": {"PacelineError"},
    "BudgetError": {"PacelineError"},
    "Busy": {"PacelineError"},
    "JournalError": {"PacelineError"},
    "JournalInUseError": {"JournalError"},
    "JournalChangedError": {"JournalError"},
    "UnsavedError": {"JournalError"},
    "IllegalTransitionError": {"PacelineError"},
    "CallError": {"PacelineError"},
    "RateLimitError": {"CallError"},
    "InvalidOutputError": {"CallError"},
    "Skip": {"Exception"},
}


def test_the_tree_is_as_drawn():
    found = {
        name: {base.__name__ for base in member.__bases__}
        for name, member in inspect.getmembers(public, inspect.isclass)
        if issubclass(member, BaseException)
    }
    assert found == TREE


def test_the_drawing_names_every_exception_once():
    drawn = exceptions.__doc__.split("A fault of an item")[0].split()
    assert {name: drawn.count(name) for name in TREE} == dict.fromkeys(TREE, 1)


def test_every_exception_has_its_sentence():
    for name in TREE:
        assert getattr(public, name).__doc__


@pytest.mark.parametrize("kind", FaultKind)
def test_a_call_error_keeps_all_its_arguments(kind):
    usage = TokenUsage(3, 4)
    error = CallError("the gateway sneezed", kind=kind, retry_after=2.5, usage=usage)
    assert (str(error), error.kind, error.retry_after, error.usage) == ("the gateway sneezed", kind, 2.5, usage)


def test_a_call_error_has_empty_defaults():
    error = CallError("no", kind=FaultKind.REJECTED)
    assert (error.retry_after, error.usage) == (None, NO_USAGE)


def test_a_call_error_accepts_a_kind_by_its_name_and_no_other_word():
    assert CallError("no", kind="refused").kind is FaultKind.REFUSED
    with pytest.raises(ValueError, match="nonsense"):
        CallError("no", kind="nonsense")
    with pytest.raises(TypeError):
        CallError("a kind is needed")


def test_a_rate_limit_error_is_a_throttled_call():
    error = RateLimitError(retry_after=13.0)
    assert (error.kind, error.retry_after, error.usage) == (FaultKind.THROTTLED, 13.0, NO_USAGE)
    assert str(error) == "the provider asked for fewer calls"
    assert (str(RateLimitError("slow down")), RateLimitError().retry_after) == ("slow down", None)


def test_a_missing_extra_says_what_to_install():
    error = MissingExtraError("GeminiStrategy", "gemini")
    assert str(error) == "GeminiStrategy needs an optional package; install it with: pip install 'paceline[gemini]'"
    assert error.extra == "gemini"
    assert isinstance(error, ConfigurationError)


def test_a_duplicate_names_its_id():
    error = DuplicateItemError("q7")
    assert (error.item_id, "'q7'" in str(error)) == ("q7", True)


def test_a_source_error_carries_the_batch_so_far():
    batch = BatchResult()
    error = SourceError("the source of work raised", batch)
    assert error.batch is batch
    assert str(error) == "the source of work raised"


def test_a_skip_keeps_its_reason():
    skip = Skip("seen before")
    assert (skip.reason, str(skip)) == ("seen before", "seen before")


@pytest.mark.parametrize(
    "error",
    [
        CallError("no", kind=FaultKind.REFUSED, retry_after=3.0, usage=TokenUsage(1, 2)),
        ConfigurationError("max_workers must be 1 or more"),
        DuplicateItemError("a"),
        MissingExtraError("GeminiStrategy", "gemini"),
        RateLimitError(retry_after=2.0),
        SourceError("it raised", BatchResult()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_survives_the_way_to_another_process(error):
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made a line ago
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
