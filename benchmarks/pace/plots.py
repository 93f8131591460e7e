"""Plots: one SVG for each scenario; equal figures give equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .jobs import Result
from .run import Job, trial_of
from .trial import Trial

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "paceline",
    "svg.fonttype": "none",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "path.simplify": True,
    "path.simplify_threshold": 0.5,
}
_SIZE, _HEIGHTS = (7.2, 5.4), (3, 2, 1)
_SERVED, _RATE, _ORACLE, _RIVAL = "#1f77b4", "#2ca02c", "#444444", "#d62728"
_HEADROOM = 1.5  # times the oracle's rate: higher values are cut off
_ROOM = 1.25  # times the workers, with room for the legend
_SMOOTH = 5  # bins


def draw(path: Path, ours: Result, rival: Result | None, rival_label: str) -> None:
    """Draw a run of paceline, with a rival's goodput beside it."""
    trial = trial_of(Job(ours["trial"], ours["seed"], ours["contender"]))
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.subplots(3, sharex=True, height_ratios=_HEIGHTS)
        figure.suptitle(f"{trial.name}: {trial.about}", x=0.01, ha="left")
        _draw_rates(axes[0], trial, ours, rival, rival_label)
        _draw_workers(axes[1], ours)
        _draw_refusals(axes[2], ours)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_rates(axes: Axes, trial: Trial, ours: Result, rival: Result | None, rival_label: str) -> None:
    series = ours["series"]
    times = _times(ours)
    oracle = [trial.capacity(time) for time in times]
    if rival is not None:
        rivals = rival["series"]["served"]
        axes.plot(
            _times(rival), _smooth(rivals), color=_RIVAL, linewidth=0.7, alpha=0.7, label=f"served by {rival_label}"
        )
    axes.plot(times, _smooth(series["served"]), color=_SERVED, linewidth=1.4, label="served")
    rate = [value if value is not None else float("nan") for value in series["rate"]]
    axes.plot(series["times"], rate, color=_RATE, linewidth=0.9, label="rate R")
    axes.plot(times, oracle, color=_ORACLE, linestyle="--", linewidth=0.9, label="what an oracle gets")
    axes.set_ylim(0, _HEADROOM * max(oracle))
    axes.set_ylabel("tokens a second" if trial.tokens else "calls a second")
    axes.legend(loc="upper right", frameon=False, ncols=4)


def _draw_workers(axes: Axes, ours: Result) -> None:
    series = ours["series"]
    axes.plot(series["times"], series["in_flight"], color=_SERVED, linewidth=1.2, label="in flight at the provider")
    axes.plot(series["times"], series["limit"], color=_RATE, linewidth=0.9, label="limit N")
    axes.set_ylim(0, min(max(series["limit"]), 4 * max(1, *series["in_flight"])) * _ROOM)
    axes.set_ylabel("workers")
    axes.legend(loc="upper right", frameon=False, ncols=2)


def _draw_refusals(axes: Axes, ours: Result) -> None:
    times = _times(ours)
    axes.fill_between(times, ours["series"]["refused"], step="mid", color=_RIVAL, linewidth=0)
    axes.set_ylim(0, max(1.0, *ours["series"]["refused"]) * 1.1)
    axes.set_ylabel("refused/s")
    axes.set_xlabel("seconds")


def _times(result: Result) -> list[float]:
    series = result["series"]
    return [(index + 0.5) * series["width"] for index in range(len(series["served"]))]


def _smooth(values: Sequence[float]) -> list[float]:
    """Return the mean over the last few bins."""
    recent = [values[max(0, index - _SMOOTH + 1) : index + 1] for index in range(len(values))]
    return [sum(window) / len(window) for window in recent]
