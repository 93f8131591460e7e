"""Result HTML: a batch as a notebook shows it, a small table without scripts.

Rules owned here:

1. Every text is escaped, and without what could reorder or hide it. Prompts and outputs are not in it.
2. It has no styles but alignment: a notebook has its own, light or dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Final

from .fault import FaultKind, redact
from .fault_groups import FaultGroup
from .printable import printable

_LONGEST: Final = 200  # characters of a text


def outcome_html(
    head: str, facts: Iterable[tuple[str, str]], failures: Mapping[FaultKind, int], messages: Iterable[FaultGroup]
) -> str:
    """Return the outcome of a batch.

    Args:
        head: What became of its items, in a sentence.
        facts: Name and value of each line below it.
        failures: Items that failed, by kind; pending ones are left out.
        messages: Their most frequent messages.
    """
    rows = "".join(f"<tr>{_cell(name)}{_cell(value)}</tr>" for name, value in facts)
    return f"<div><b>{_text(head)}</b><table><tbody>{rows}</tbody></table>{_failures(failures, [*messages])}</div>"


def _failures(failures: Mapping[FaultKind, int], messages: list[FaultGroup]) -> str:
    kinds = sorted(
        ((kind, count) for kind, count in failures.items() if kind is not FaultKind.PENDING),
        key=lambda one: (-one[1], one[0]),
    )
    rows = []
    for kind, count in kinds:
        lines = [_text(group.line) for group in messages if group.kind is kind and group.message]
        rows.append(
            f'<tr>{_cell(str(kind))}{_cell(f"{count:,}")}<td style="text-align:left">{"<br>".join(lines)}</td></tr>'
        )
    head = "<thead><tr><th>failed</th><th>items</th><th>most frequent messages</th></tr></thead>"
    return f"<table>{head}<tbody>{''.join(rows)}</tbody></table>" if rows else ""


def _cell(text: str) -> str:
    return f'<td style="text-align:left">{_text(text)}</td>'


def _text(text: str) -> str:
    clean = printable(redact(text), keep="")
    short = clean if len(clean) <= _LONGEST else f"{clean[: _LONGEST - 1]}…"
    return html.escape(short, quote=True)
