"""Options stored by an earlier version are read, and a list names kinds of faults while a string may name a group."""

from __future__ import annotations

import pytest

from paceline import FaultKind
from paceline._core.fault import TRANSIENT_KINDS
from paceline.exceptions import ConfigurationError
from paceline.runs.options_data import from_data, to_data

STORED = {"source": "/data/in.csv", "format": "csv", "output": "/data/out.jsonl", "form": "gemini", "model": "sim"}


def test_former_names_are_read_and_present_names_are_stored():
    options = from_data(STORED)
    assert (options.input, options.input_format, options.output_format) == ("/data/in.csv", "csv", "gemini")
    data = to_data(options)
    assert (data["input"], data["input_format"], data["output_format"]) == ("/data/in.csv", "csv", "gemini")
    assert not data.keys() & {"source", "form", "format"}
    assert from_data(data) == options


@pytest.mark.parametrize(
    ("stored", "kinds"),
    [
        ("transient", TRANSIENT_KINDS),
        (["transient"], {FaultKind.TRANSIENT}),
        (["transient", "timeout"], {FaultKind.TRANSIENT, FaultKind.TIMEOUT}),
        ([], frozenset()),
        (sorted(TRANSIENT_KINDS), TRANSIENT_KINDS),
    ],
)
def test_a_list_names_kinds_and_a_string_may_name_a_group(stored, kinds):
    options = from_data({**STORED, "retry": stored})
    assert options.retry == kinds
    assert from_data(to_data(options)) == options


def test_an_unknown_option_is_refused_with_the_one_that_was_meant():
    with pytest.raises(ConfigurationError, match=r"there is no option 'modle' \(did you mean model\?\)"):
        from_data({**STORED, "modle": "sim"})
