"""The input that a run's options name: the one place where they are handed to the reader."""

from __future__ import annotations

from contextlib import AbstractContextManager

from .lines import Prompt
from .options import RunOptions
from .reading import Input, open_input


def opened(options: RunOptions) -> AbstractContextManager[Input]:
    """Open and check the input of a run.

    Raises:
        InputError: it cannot be read, or has nothing that can be run.
    """
    return open_input(options.source, kind=options.format, limit=options.limit)


def text_of(prompt: Prompt) -> str:
    """Return the words of a prompt."""
    return prompt.text
