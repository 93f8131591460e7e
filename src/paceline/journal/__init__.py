"""Journals: files that keep the results of a batch, so that no result is lost or paid for twice.

    batch = await process_prompts(strategy, prompts, journal="run.db")       # run it again: only what is missing is called

`SqliteJournal` is written by a processor; `JournalReader` reads the file, also while it is written.
"""

from .._core.fault import TRANSIENT_KINDS as TRANSIENT_KINDS
from .figures import Counts as Counts
from .figures import PaceEntry as PaceEntry
from .figures import RunRecord as RunRecord
from .reader import JournalReader as JournalReader
from .records import StoredResult as StoredResult
from .sqlite import SqliteJournal as SqliteJournal

__all__ = ["TRANSIENT_KINDS", "Counts", "JournalReader", "PaceEntry", "RunRecord", "SqliteJournal", "StoredResult"]
