"""What sets the live tests apart: real time, and trio alone."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def anyio_backend():
    return "trio", {}


@pytest.fixture(autouse=True)
def _no_credentials_of_the_machine(monkeypatch):
    for name in os.environ:
        if name.startswith(("GOOGLE_", "GEMINI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
