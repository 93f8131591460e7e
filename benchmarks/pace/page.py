"""The page of the results: every table, and a plot for each scenario beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from ..live import report
from ..page import machine
from ..table import table
from . import __doc__ as measures
from . import ablation, bounds, leave_one_out, real_servers
from .contenders import PACELINE, RIVALS, contender
from .cost import costs, default_controller
from .families import FAMILIES
from .jobs import Result
from .plots import draw
from .scenarios import SCENARIOS, scenario
from .tables import cell, grouped, scenario_table, targets

_FRAME = """# The pace, measured

{measures}

`make bench-pace` measures everything again and rewrites this page; `python -m benchmarks.pace --scenarios S1,S4 --contenders paceline`
prints a table. Measured: {where}; everything but the CPU is the same on any machine. Seeds: {seeds}.

## Scenarios

Goodput relative to an oracle's / refusals per call served; means over the seeds. `*`: stopped because it used too much CPU, and
measured up to then.

{scenarios}

{plots}

## As real servers limit

Scenarios as they were seen at real servers; otherwise as above.

{real}

{targets}

{real_plots}

## Families of limits

The mean over the seeds (and the worst of them) / refusals per call served.

{families}

{bounds}

{real_servers}

{rules}

## What a controller costs

Microseconds of CPU per started call: all of `admit_at`, `started` and `settled`. Target: at most 10 us.

{costs}

## Who was measured

{contenders}
"""


def write(path: Path, results: Sequence[Result]) -> None:
    """Write the page and its plots."""
    complete = [result for result in results if "error" not in result]
    folder = path.with_suffix("")
    plots = {
        name: _section(name, group, folder) for name, group in grouped(results, "trial").items() if name in SCENARIOS
    }
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        _FRAME.format(
            measures=_measures(),
            where=machine(),
            seeds=_seeds(complete),
            scenarios=_matrix(results, [name for name in SCENARIOS if name not in real_servers.BUILDERS]),
            plots=_joined(text for name, text in plots.items() if name not in real_servers.BUILDERS),
            real=_matrix(results, tuple(real_servers.BUILDERS)),
            targets=_targets(results),
            real_plots=_joined(text for name, text in plots.items() if name in real_servers.BUILDERS),
            families=_matrix(results, tuple(FAMILIES)),
            bounds=bounds.section(complete, ablation.find(old)),
            real_servers=report.find(old),
            rules=leave_one_out.find(old),
            costs=costs(default_controller()),
            contenders="\n".join(f"- {each.label}: {each.about}" for each in (PACELINE, *RIVALS)),
        ),
        encoding="utf-8",
    )


def _matrix(results: Sequence[Result], trials: Sequence[str]) -> str:
    rows = []
    for name, group in grouped(results, "contender").items():
        cells = grouped(group, "trial")
        rows.append((contender(name).label, *(cell(cells.get(trial, ())) for trial in trials)))
    return table(("", *(FAMILIES.get(trial, trial) for trial in trials)), rows)


def _joined(paragraphs: Iterable[str]) -> str:
    return "\n\n".join(paragraphs)


def _targets(results: Sequence[Result]) -> str:
    reached = targets(results, PACELINE.name)
    return f"What paceline reaches of its targets; what it misses is bold.\n\n{reached}" if reached else ""


def _section(name: str, results: Sequence[Result], folder: Path) -> str:
    complete = [result for result in results if "error" not in result]
    ours = [result for result in complete if result["contender"] == PACELINE.name]
    paragraphs = [f"### {name}: {scenario(name, seed=1).about}"]
    if ours:
        rival = _best_rival(complete)
        label = "" if rival is None else contender(rival["contender"]).label
        draw(folder / f"{name}.svg", ours[0], rival, label)
        paragraphs.append(f"![{name}: rate, workers and refusals over time]({folder.name}/{name}.svg)")
    paragraphs.append(scenario_table("", results))
    return "\n\n".join(paragraphs)


def _best_rival(results: Sequence[Result]) -> Result | None:
    """Return a run of the rival that adapts and has the best goodput."""
    rivals = {
        name: group
        for name, group in grouped(results, "contender").items()
        if name != PACELINE.name and not name.startswith("fixed")
    }
    if not rivals:
        return None
    best = max(rivals.values(), key=lambda group: fmean(each["good"] for each in group))
    return best[0]


def _seeds(results: Sequence[Result]) -> str:
    counts = {name: len({each["seed"] for each in group}) for name, group in grouped(results, "contender").items()}
    ours = counts.pop(PACELINE.name, 0)
    return f"{ours} for paceline, {min(counts.values(), default=0)} or more for each rival"


def _measures() -> str:
    """Return the package's docstring as Markdown."""
    text = (measures or "").split("\n\n")
    lists = [part.splitlines() for part in text]
    shown = []
    for lines in lists:
        if any("      " in line for line in lines):  # the list of measures
            shown.append("```\n" + "\n".join(lines) + "\n```")
        else:
            shown.append("\n".join(lines))
    return "\n\n".join(shown).strip()
