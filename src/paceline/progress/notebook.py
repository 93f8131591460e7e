"""Notebook: the progress of a batch below a cell, as HTML that is replaced; it needs no widgets and no extension."""

from __future__ import annotations

import sys
from contextvars import copy_context
from html import escape
from typing import Any

from .._core.printable import printable
from .._core.progress import RunProgress
from . import words

PERIOD = 0.5
"""Seconds between two pictures: each goes to the browser, and some front ends keep up with few."""

_COLOURS = {
    words.Tone.PLAIN: "",
    words.Tone.WAITING: ' style="color:#9a6700"',
    words.Tone.FAILED: ' style="color:#cf222e"',
}


def is_notebook() -> bool:
    """Return whether a notebook's kernel runs this program, and can show HTML; IPython in a terminal cannot."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


class NotebookDisplay:
    """Shows the figures below the cell that makes it, from whatever thread they come."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._cell = copy_context()  # a kernel keeps there which cell an output belongs to

    def __call__(self, progress: RunProgress) -> None:
        """Show the figures in place of the last ones."""
        self._cell.run(self._show, progress)

    def _show(self, progress: RunProgress) -> None:
        from IPython.display import HTML, display  # noqa: PLC0415 - only in a notebook

        picture = HTML(html(progress))  # type: ignore[no-untyped-call]
        if self._handle is None:
            self._handle = display(picture, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(picture)


def html(progress: RunProgress) -> str:
    """Return the figures as a fragment of HTML without scripts."""
    total = "" if progress.total is None else f' value="{progress.done}" max="{max(1, progress.total)}"'
    bar = f'<progress aria-label="items done" style="width:16em"{total}></progress>'
    shown = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(row.label)}</th>'
        f'<td style="text-align:left"{_COLOURS[row.tone]}>{escape(printable(row.text, keep=""))}</td></tr>'.replace(
            '"text-align:left" style="', '"text-align:left;'
        )
        for row in words.rows(progress)
    )
    return f"<div>{bar} {escape(words.headline(progress))}</div><table><tbody>{shown}</tbody></table>"
