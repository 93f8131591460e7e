"""Markup: a page, and the parts that it is made of: tables, plots with their tables, and values as people read them.

Every text goes through `escape`. A policy in the page forbids everything but its own style, which it names by its hash: what slipped
through could neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from importlib import metadata, resources

from .charts import Chart
from .svg import escape

NAMES = 80  # characters of an id or a name that are shown


class Html(str):
    """A text that is HTML already; made by the modules of this package only."""

    __slots__ = ()


def page(title: str, about: str, body: str, source: str) -> str:
    """Return a page that loads and runs nothing.

    Args:
        title: Its title; like the others it is HTML already.
        about: What stands below the title.
        body: Its sections.
        source: What it was made from, in the words of its last line.
    """
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    version = escape(metadata.version("paceline"))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="paceline {version}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="soft">{about}</p>
</header>
<main>
{body}
</main>
<footer>Made by paceline {version} {source}. This file loads nothing and runs nothing.</footer>
</body>
</html>
"""


@cache
def _style() -> str:
    return resources.files("paceline.report").joinpath("style.css").read_text("utf-8")


def chart_html(chart: Chart) -> str:
    """Return a plot with its legend, and the table of what it shows folded up below it."""
    keys = "".join(
        f'<li><svg viewBox="0 0 22 10" aria-hidden="true">{_key(name)}</svg>{escape(words, NAMES)}</li>'
        for name, words in chart.legend
    )
    legend = f'<ul class="legend">{keys}</ul>' if keys else ""
    numbers = range(len(chart.columns))
    shown = table(chart.title, chart.columns, chart.rows, numbers=numbers)
    return (
        f'<div class="chart"><h3>{escape(chart.title)}</h3>{chart.svg}{legend}'
        f"<details><summary>{escape(chart.title)} as a table</summary>{shown}</details></div>"
    )


def _key(name: str) -> str:
    if name in {"accepted", "flight", "cost"}:
        return f'<rect class="area {name}" width="22" height="10"/>'
    if name in {"refused", "failed"}:
        return f'<rect class="bar {name}" width="22" height="10"/>'
    return f'<line class="line {name}" x1="0" x2="22" y1="5" y2="5"/>'


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()) -> str:
    """Return a table; a wide one scrolls by itself, also by keys."""
    right = set(numbers)
    head = "".join(
        f'<th scope="col"{" class=n" if index in right else ""}>{escape(name, NAMES)}</th>'
        for index, name in enumerate(columns)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if index in right else ''}>{_cell(value)}</td>" for index, value in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: str) -> str:
    return value if isinstance(value, Html) else escape(value, 600)


def usd(cost: float | None) -> str:
    """Return a cost in USD; unknown if it is None."""
    if cost is None:
        return "unknown"
    return f"${cost:,.2f}" if cost >= 1 else f"${cost:.4g}"


def time_text(time: datetime | None) -> str:
    """Return a time of the clock in UTC."""
    return "at an unknown time" if time is None else f"{time:%Y-%m-%d %H:%M:%S} UTC"
