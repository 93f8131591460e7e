"""What sets the live tests apart: real time, trio alone, and a place at the end, when the machine is quiet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def anyio_backend():
    return "trio", {}


@pytest.fixture(autouse=True)
def _no_credentials_of_the_machine(monkeypatch):
    for name in os.environ:
        if name.startswith(("GOOGLE_", "GEMINI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)
