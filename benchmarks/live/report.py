"""Report: the figures of cases as a table, and as a section of the page of the pace."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..page import machine
from ..table import table

_HEAD = (
    "",
    "allowed",
    "served",
    "later",
    "refusals",
    "later",
    "failed",
    "lost",
    "unsuccessful",
    "N",
    "R, /s",
    "t90",
    "latency",
)
_SECTION = re.compile(r"^## On real servers\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_NEXT = "## What a controller costs\n"
"""The heading before which the page gets the section if it has none yet."""


def find(page: str) -> str:
    """Return the section of a page; empty if it has no such section."""
    found = _SECTION.search(page)
    return found[0].rstrip() if found else ""


def write(path: Path, text: str) -> None:
    """Replace the section of a page, or add it."""
    page = path.read_text("utf-8")
    new = text.rstrip() + "\n\n"
    page = _SECTION.sub(lambda _: new, page, count=1) if find(page) else page.replace(_NEXT, new + _NEXT, 1)
    path.write_text(page.rstrip() + "\n", "utf-8")


def table_of(results: Sequence[dict[str, Any]]) -> str:
    """Return a row for each case."""
    return table(_HEAD, [_row(each) for each in results])


def section(results: Sequence[dict[str, Any]]) -> str:
    """Return the section, with the heading `On real servers`."""
    cases = "\n".join(f"- **{each['case']}**: {each['about']} ({each['version']})." for each in results)
    loads = [each["load"] for each in results]
    return f"""## On real servers

Real servers on one machine, in real time; paceline runs at its defaults and knows nothing of their limits. `make bench-live` measures
them again and rewrites this section, in a quarter of an hour; `python -m benchmarks.live --server nginx-cap-503` prints one case. A server
that is missing is skipped, with a sentence on how to get it.

{table_of(results)}

- allowed: calls per second by the server's configuration, and at most so many at a time.
- served: share of that while items wait; later: in the second half of that time. Calls that a full bucket allows besides, at the start, are
  counted in the first of the two only: the second may be above 1 (llmock).
- refusals, failed: calls that were refused (429, or a 503 that only limits), and other failed attempts, per call served.
- lost: items without exactly one result; then answers of the service behind the limiter that no item received, if there were any.
- unsuccessful: items without an answer; pending ones were not reached within three times the time that the limit allows.
- N, R: calls in flight, and calls per second, that the controller allowed at the end; in brackets the mean number in flight later.
- t90: seconds until 90 % of the allowed rate was served over 5 s, or over the limiter's own window.
- latency: median seconds of a call that was served at its first attempt.

Measured: {machine().rpartition(", load")[0]}. Calls, limiter, service and client share its cores, and its load was {min(loads):.0f} to
{max(loads):.0f} when the cases began: a busy machine lowers what is served.

{cases}
"""


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    cap = "" if each["cap"] is None else f", {each['cap']}"
    rate = "-" if each["rate"] is None else f"{each['rate']:.1f}"
    kinds = ", ".join(f"{count} {kind}" for kind, count in each["unsuccessful"].items())
    name = each["case"] if each["jain"] == 1.0 else f"{each['case']} (Jain {each['jain']:.3f})"
    unused = each.get("unused", 0)
    return (
        name,
        f"{each['allowed']:.3g}/s{cap}",
        f"{each['served']:.2f}",
        f"{each['served_later']:.2f}",
        f"{each['refusals']:.3f}",
        f"{each['refusals_later']:.3f}",
        f"{each['failed']:.3f}",
        f"{each['lost']}" if not unused else f"{each['lost']} + {unused}",
        kinds or "0",
        f"{each['limit']} ({each['in_flight']:.0f})",
        rate,
        "never" if each["t90"] is None else f"{each['t90']:.0f} s",
        f"{each['latency']:.2f} s",
    )
