"""A framework that is not installed: one sentence with the command that installs it."""

from __future__ import annotations

import importlib
import sys

import pytest

from paceline.contrib.lm_eval.__main__ import main
from paceline.exceptions import MissingExtraError


@pytest.fixture(autouse=True)
def _no_frameworks(monkeypatch):
    for name in ("inspect_ai", "inspect_ai.model", "lm_eval", "lm_eval.api.instance"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("paceline.contrib.inspect._provider", "paceline.contrib.lm_eval._model"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_the_program_of_lm_eval_ends_with_one_sentence(capsys):
    assert main() == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: paceline.contrib.lm_eval needs an optional package; install it with: pip install 'paceline[lm-eval]'"
    ]


def test_so_does_the_import_of_the_provider_of_inspect_ai():
    with pytest.raises(MissingExtraError, match=r"paceline\[inspect\]"):
        importlib.import_module("paceline.contrib.inspect._provider")
