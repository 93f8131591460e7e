"""Tables of figures, as Markdown that is readable in a terminal too."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table: the first column is text, the others figures."""
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join("| " + " | ".join(_cells(line, widths)) + " |" for line in (head, rule, *rows))


def _cells(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *figures = (cell.replace("|", "\\|") for cell in line)
    return [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(figures, widths[1:], strict=True))]


def verdict(target: str, worst: float | None, bound: float, unit: str) -> str:
    """Return a line that says whether the worst figure meets a target; None: it was not measured."""
    if worst is None:
        return f"Target: {target}. Not measured."
    return f"Target: {target}. Worst: {worst:.1f} {unit}: {'met' if worst <= bound else '**MISSED**'}."
