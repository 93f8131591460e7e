"""Prompts from files, and results to files: JSONL, text, the batch lines of OpenAI, Gemini and Anthropic, CSV and Parquet.

    from paceline import files, model, process_prompts

    batch = await process_prompts(model("gpt-5-mini"), files.read("reviews.csv", prompt="Classify: {text}"))
    files.write("labels.csv", batch)

`read` returns the prompts of a file as an iterable of `InputRecord`; `write` writes results atomically and returns a `WrittenFile`.
`open_input` is for programs that need the outcome of a check (counts, bad lines, a digest) before they begin; `reopen_input` and
`digest_of` read an input that an earlier run has checked. Nothing here prints, or installs signal handlers; pyarrow and sqlite3
are imported when they are first needed. Reading CSV sets `csv.field_size_limit` of the process to 32 MiB.
"""

from __future__ import annotations

from .checked_input import CheckedInput as CheckedInput
from .checked_input import Input as Input
from .input import open_input as open_input
from .input import reopen_input as reopen_input
from .lines import digest_of as digest_of
from .output import OutputError as OutputError
from .records import Records as Records
from .records import read as read
from .result_file import ResultFormat as ResultFormat
from .result_file import WrittenFile as WrittenFile
from .result_file import write as write
from .types import BadLine as BadLine
from .types import InputError as InputError
from .types import InputKind as InputKind
from .types import InputRecord as InputRecord

__all__ = [
    "BadLine",
    "CheckedInput",
    "Input",
    "InputError",
    "InputKind",
    "InputRecord",
    "OutputError",
    "Records",
    "ResultFormat",
    "WrittenFile",
    "digest_of",
    "open_input",
    "read",
    "reopen_input",
    "write",
]
