"""Journals: nothing lost, nothing paid for twice.

batch = await process_prompts(strategy, prompts, journal="run.db")       # again: only what is missing
"""

from .._core.fault import PASSING as PASSING
from .sqlite import SqliteJournal as SqliteJournal

__all__ = ["PASSING", "SqliteJournal"]

SqliteJournal.__module__ = __name__
