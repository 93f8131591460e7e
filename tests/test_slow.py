"""The list of the slow tests names tests that there are."""

from __future__ import annotations

from pathlib import Path

from .conftest import SLOW

HERE = Path(__file__).parent


def test_every_entry_is_a_file_or_a_folder_and_is_there_once():
    assert [entry for entry in SLOW if not (HERE / entry).exists()] == []
    assert len(set(SLOW)) == len(SLOW)
