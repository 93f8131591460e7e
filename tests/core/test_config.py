"""Settings: they are validated at construction and on assignment, and listeners are called."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline._core.config import ProcessorConfig
from paceline._core.exceptions import ConfigurationError
from paceline._core.retry import RetryPolicy

SECONDS = ["timeout_per_item", "deadline_per_item", "deadline", "hook_timeout"]

NO_COUNT = [0, -1, 2.0, math.nan, True, False, "8", None]
NO_TIME = [0, 0.0, -1, -0.5, -math.inf, math.nan, True, False, "60", None]
REFUSED = [("max_workers", value, "a whole number, 1 or more") for value in NO_COUNT]
REFUSED += [(name, value, "a number of seconds above 0") for name in SECONDS for value in NO_TIME]
REFUSED += [("retry", value, "a RetryPolicy") for value in (None, 3, RetryPolicy)]


@pytest.mark.parametrize(("name", "value", "wanted"), REFUSED, ids=repr)
def test_a_wrong_setting_is_refused_at_construction_in_one_sentence(name, value, wanted):
    with pytest.raises(ConfigurationError) as refusal:
        ProcessorConfig(**{name: value})
    assert str(refusal.value) == f"{name} must be {wanted}, not {value!r}"


@pytest.mark.parametrize(("name", "value", "wanted"), REFUSED, ids=repr)
def test_a_wrong_assignment_is_refused_and_changes_nothing(name, value, wanted):
    config = ProcessorConfig()
    calls = []
    config.subscribe(lambda: calls.append(1))
    before = getattr(config, name)
    with pytest.raises(ConfigurationError) as refusal:
        setattr(config, name, value)
    assert str(refusal.value) == f"{name} must be {wanted}, not {value!r}"
    assert getattr(config, name) is before
    assert calls == []


@given(st.integers(max_value=0))
def test_an_upper_bound_below_one_is_refused(value):
    with pytest.raises(ConfigurationError):
        ProcessorConfig(max_workers=value)


@given(st.integers(1), st.sampled_from(SECONDS), st.floats(0, exclude_min=True) | st.integers(1, 10**9))
def test_every_valid_value_is_kept_unchanged(workers, name, seconds):
    config = ProcessorConfig()
    config.max_workers = workers
    setattr(config, name, seconds)
    assert config.max_workers is workers
    assert getattr(config, name) is seconds
    assert ProcessorConfig(**{"max_workers": workers, name: seconds}) == config


def test_every_setting_has_a_valid_default():
    config = ProcessorConfig()
    for field in attrs.fields(ProcessorConfig):
        if field.init:
            setattr(config, field.name, getattr(config, field.name))
    assert config == ProcessorConfig()


def test_a_misspelt_setting_is_refused():
    with pytest.raises(AttributeError):
        ProcessorConfig().max_worker = 3
    with pytest.raises(TypeError):
        ProcessorConfig(max_worker=3)


def test_settings_are_keyword_only():
    with pytest.raises(TypeError):
        ProcessorConfig(3)


# ---------------------------------------------------------------------------------------------- listeners


def test_a_listener_is_called_once_an_assignment_has_taken_effect():
    config = ProcessorConfig(max_workers=5)
    heard = []
    config.subscribe(lambda: heard.append(config.max_workers))
    config.max_workers = 6
    config.max_workers = 7
    assert heard == [6, 7]
    assert config.max_workers == 7


def test_every_listener_is_called_until_it_unsubscribes():
    config = ProcessorConfig()
    heard = []
    end = config.subscribe(lambda: heard.append("a"))
    config.subscribe(lambda: heard.append("b"))
    config.deadline = 1.0
    end()
    config.deadline = 2.0
    assert heard == ["a", "b", "b"]


def test_a_listener_that_unsubscribes_itself_does_not_skip_the_next_one():
    config = ProcessorConfig()
    heard = []

    def once():
        heard.append("once")
        end()

    end = config.subscribe(once)
    config.subscribe(lambda: heard.append("always"))
    config.deadline = 1.0
    config.deadline = 2.0
    assert heard == ["once", "always", "always"]


def test_listeners_belong_to_one_configuration_and_are_not_a_setting():
    config, other = ProcessorConfig(), ProcessorConfig()
    config.subscribe(lambda: pytest.fail("the other one was changed"))
    other.max_workers = 3
    assert other != config
    other.max_workers = config.max_workers
    assert other == config
    assert "listeners" not in repr(config)
