"""Progress of a run from file to file: that of its batch, under the name that `paceline.runs` has for it."""

from __future__ import annotations

from .._core.progress import RunProgress
from .._engine.progress import ProgressMeter

__all__ = ["ProgressMeter", "RunProgress"]
