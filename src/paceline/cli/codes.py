"""What the exit codes mean."""

from __future__ import annotations

from typing import Final

OK: Final = 0
"""Every item has an output."""
FAILED: Final = 1
"""Some items have none."""
USAGE: Final = 2
"""The command, the input or the output is wrong."""
UNSAVED: Final = 3
"""Results could not be saved."""
SIGNALLED: Final = 128
"""Plus the signal's number: 130 for SIGINT, 143 for SIGTERM."""
UNWANTED: Final = SIGNALLED + 13
"""Whoever read stdout closed it: what SIGPIPE would have come to."""
