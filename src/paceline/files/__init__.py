"""What may come in: prompts from lines of five kinds, from CSV and from Parquet.

`open_input` opens an input and checks all of it; its `Input` hands the prompts over, as often as is asked for.
"""

from __future__ import annotations

from .input import CheckedInput as CheckedInput
from .input import Input as Input
from .input import open_input as open_input
from .input import reopen_input as reopen_input
from .lines import digest_of as digest_of
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
    "digest_of",
    "open_input",
    "reopen_input",
]
