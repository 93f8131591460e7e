"""Tables of results: a row for each trial and contender; families with their mean and their worst."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from ..table import table
from .contenders import contender
from .families import FAMILIES
from .jobs import Result
from .real_servers import TARGETS
from .trial import AT_LEAST, Target

_HEAD = ("", "goodput", "worst", "refusals", "errors", "lost", "t90, s", "worst", "besides", "CPU, s")


def scenario_table(name: str, results: Sequence[Result]) -> str:
    """Return the table of one trial: a row for each contender."""
    rows = [_row(contender(who).label, group) for who, group in grouped(results, "contender").items()]
    return table((name, *_HEAD[1:]), rows)


def overview(results: Sequence[Result]) -> str:
    """Return the table of contenders by trials: goodput and refusals per call served."""
    names = list(grouped(results, "contender"))
    rows = []
    for trial, group in grouped(results, "trial").items():
        cells = grouped(group, "contender")
        rows.append((trial, *(cell(cells.get(name, ())) for name in names)))
    return table(("", *(contender(name).label for name in names)), rows)


def targets(results: Sequence[Result], who: str) -> str:
    """Return the table of a contender's figures with their targets, those that are missed in bold; empty: no trial has any."""
    rows = []
    for trial, group in grouped(_complete(results), "trial").items():
        mine = [each for each in group if each["contender"] == who]
        if trial in TARGETS and mine:
            rows.append((trial, mine[0]["about"], *(_reached(mine, TARGETS[trial], figure) for figure in _TARGETED)))
    return table(("", "", *_TARGETED.values()), rows) if rows else ""


_TARGETED = {
    "good": "goodput", "refusals": "refusals", "lost": "lost", "jain": "Jain", "load": "in flight per slot", "t90": "t90, s",
}  # fmt: skip


def _reached(results: Sequence[Result], target: Target, figure: str) -> str:
    """Return the mean of a figure, and its target."""
    values = [each[figure] for each in results if figure in each]
    if not values:
        return ""
    bound = target.bounds.get(figure)
    if None in values:
        return "never" if bound is None else f"**never** (<= {bound:g})"
    mean = fmean(values)
    shown = _share(mean) if figure in {"refusals", "lost"} else f"{mean:.3f}" if figure in AT_LEAST else f"{mean:.2f}"
    if bound is None:
        return shown
    is_met = mean >= bound if figure in AT_LEAST else mean <= bound
    sign = ">=" if figure in AT_LEAST else "<="
    return f"{shown if is_met else f'**{shown}**'} ({sign} {bound:.3g})"


def mean_of_families(results: Sequence[Result], who: str) -> str | None:
    """Return a contender's means over all families; None: no family was run."""
    theirs = [each for each in _complete(results) if each["contender"] == who and each["trial"] in FAMILIES]
    families = grouped(theirs, "trial").values()
    if not families:
        return None
    good = [fmean(each["good"] for each in group) for group in families]
    refusals = [fmean(each["refusals"] for each in group) for group in families]
    return f"{who}: mean of {len(families)} families {fmean(good):.4f}, refusals {fmean(refusals):.4f}"


def details(results: Iterable[Result]) -> list[str]:
    """Return a line for each run, the worst first."""
    complete = sorted(_complete(results), key=lambda each: float(each["good"]))
    return [
        f"    {each['seed']:4d} {each['good']:.3f} refusals {each['refusals']:.4f} ({each['refused_early']:.0%} in the first minute) errors {each['errors']:.4f} "
        f"t90 {_seconds(each['t90'])} calls {each['calls']} {each['about']}"
        for each in complete
    ]


def grouped(results: Iterable[Result], key: str) -> dict[str, list[Result]]:
    """Return the results by one of their fields, in the order of their first appearance."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result[key], []).append(result)
    return groups


def _complete(results: Iterable[Result]) -> list[Result]:
    return [result for result in results if "error" not in result]


def cell(results: Sequence[Result]) -> str:
    """Return goodput (and the worst, of a family) and refusals, in short."""
    complete = _complete(results)
    if not complete:
        return "failed" if results else ""
    good, worst = fmean(each["good"] for each in complete), min(each["good"] for each in complete)
    spread = f" ({_figure(worst)})" if complete[0]["trial"] in FAMILIES else ""
    if _has_no_end(complete):
        return "stopped"
    star = "*" if any("stopped_at" in each for each in complete) else ""
    return f"{_figure(good)}{spread} / {_share(fmean(each['refusals'] for each in complete))}{star}"


def _has_no_end(results: Sequence[Result]) -> bool:
    """Whether a batch was stopped before its end: it has no makespan."""
    return any("stopped_at" in each and "makespan" in each for each in results)


def _row(label: str, results: Sequence[Result]) -> tuple[str, ...]:
    complete = _complete(results)
    if not complete:
        return label, "failed", *("" for _ in _HEAD[2:])
    if _has_no_end(complete):
        return label, "stopped", *("" for _ in _HEAD[2:])

    def mean(key: str) -> float:
        return fmean(each[key] for each in complete)

    times = [each["t90"] for each in complete]
    return (
        label,
        f"{mean('good'):.3f}",
        f"{min(each['good'] for each in complete):.3f}",
        _share(mean("refusals")),
        _share(mean("errors")),
        _share(mean("lost")),
        _mean_seconds(times),
        _seconds(max(times, key=lambda seconds: seconds or float("inf")) if None not in times else None),
        _besides(complete),
        f"{mean('cost'):.1f}",
    )


def _besides(results: Sequence[Result]) -> str:
    """Return the figures that only some trials have."""
    first, parts = results[0], []
    if "steps" in first:
        steps = zip(*(each["steps"] for each in results), strict=True)
        parts.append("steps " + " ".join(_mean_seconds(list(step)) for step in steps) + " s")
    if "jain" in first:
        worst = min(each["jain"] for each in results)
        parts.append(f"Jain {fmean(each['jain'] for each in results):.3f} (worst {worst:.3f})")
    if "taken" in first:
        parts.append(f"{fmean(each['taken'] for each in results):.1%} of places taken")
    if "load" in first:
        parts.append(f"{fmean(each['load'] for each in results):.2f} calls in flight per slot")
    if "makespan" in first:
        parts.append(f"makespan {_mean_seconds([each['makespan'] for each in results])} s")
    stops = [each["stopped_at"] for each in results if "stopped_at" in each]
    if stops:
        parts.append(f"stopped at {min(stops):.0f} s: CPU spent")
    return ", ".join(parts)


def _mean_seconds(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _seconds(fmean(known)) if len(known) == len(values) else "never"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"


def _figure(value: float) -> str:
    return f"{value:.3f}"


def _share(value: float) -> str:
    return "0" if value == 0 else f"{value:.4f}" if value < 0.1 else f"{value:.2f}"
