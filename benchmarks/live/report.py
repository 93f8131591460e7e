"""Report: the figures of cases as a table, and as a section of the page of the pace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..page import machine
from ..table import table

_HEAD = (
    "",
    "allowed",
    "served",
    "2nd half",
    "refusals",
    "2nd half",
    "failed",
    "lost",
    "unsuccessful",
    "N",
    "R, /s",
    "t90",
)


def table_of(results: Sequence[dict[str, Any]]) -> str:
    """Return a row for each case."""
    return table(_HEAD, [_row(each) for each in results])


def section(results: Sequence[dict[str, Any]]) -> str:
    """Return the section, with the heading `On real servers`."""
    cases = "\n".join(f"- **{each['case']}**: {each['about']}. {each['version']}." for each in results)
    loads = [each["load"] for each in results]
    return f"""## On real servers

Real servers on one machine, in real time, with their clients; `python -m benchmarks.live --write docs/benchmarks/pace/real-servers.md`
measures them again and rewrites this section. A server that is missing is skipped, with a sentence on how to get it.

{table_of(results)}

- allowed: calls per second by the server's configuration, and at most so many at a time.
- served: share of that while items wait; then the same of the second half of the time alone.
- refusals, failed: calls that were refused (429, or a 503 that only limits), and other failed attempts, per call served.
- lost: items without exactly one result, and answers of the service that no item received.
- N, R: calls in flight, and calls per second, that the controller allowed at the end; in brackets the mean number in flight in the second half.
- t90: seconds until 90 % of the allowed rate was served over 5 s, or over the limiter's own window.

Measured: {machine()}; the load was {min(loads):.0f} to {max(loads):.0f} when the cases began. Calls, limiter, service and client share its cores,
so a busy machine lowers what is served.

{cases}
"""


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    cap = "" if each["cap"] is None else f", {each['cap']}"
    rate = "-" if each["rate"] is None else f"{each['rate']:.1f}"
    kinds = ", ".join(f"{count} {kind}" for kind, count in each["unsuccessful"].items())
    unused = each.get("unused", 0)
    return (
        each["case"],
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
    )
