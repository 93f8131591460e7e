"""Leave-one-out ablation: what each rule of the controller is worth (`python -m benchmarks.pace.ablation --each`).

The engine runs every trial with the complete controller, and once more without each rule (`rules`), on the same seeds. A rule whose absence
costs nothing anywhere is not needed. What is compared, each as the mean over the seeds of one trial:

goodput    relative to the oracle's: lost
refusals   per call served: more
Jain       where clients share a limit: lost
lost       items that failed in the end, per item served: more

One seed or two show what is large. Small differences need more: the same seed gives another history after the first difference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import attrs

from paceline.testing.replies import Dialect

from ..table import table
from .contenders import PACELINE, WITHOUT
from .jobs import Result, is_stored, results
from .rules import RULES, Rule, constants
from .run import Job

LEAST = {"good": 0.005, "refusals": 0.002, "jain": 0.01, "lost": 1e-6}
"""Least loss that makes a rule worth having: goodput lost, refusals more, Jain lost, items lost."""
_ERRORS = 3.0  # standard errors: of five seeds one trial in fifty shows as much by chance, and there are many trials
_SIGN = {"good": -1.0, "refusals": 1.0, "jain": -1.0, "lost": 1.0}
_NAMES = {"good": "goodput", "refusals": "refusals", "jain": "Jain", "lost": "items lost"}
_HEAD = (
    "rule",
    "switched off",
    "goodput lost",
    "refusals more",
    "Jain lost",
    "goodput gained",
    "trials changed",
    "of them worse",
)


@attrs.frozen
class Loss:
    """What the absence of a rule costs in one figure of one trial; negative: it is a gain."""

    trial: str
    figure: str
    mean: float
    error: float
    """Standard error of the mean over the seeds; inf: there is one seed."""

    @property
    def counts(self) -> bool:
        """Whether it is large enough to matter, and larger than chance makes it."""
        return self.mean > LEAST[self.figure] and (math.isinf(self.error) or self.mean > _ERRORS * self.error)

    def __str__(self) -> str:
        return f"{self.mean:.4f} ({self.trial})"


def jobs_of(
    rules: Iterable[Rule], trials: Sequence[str], seeds: Sequence[int], backend: str, dialect: Dialect = "none"
) -> list[Job]:
    """Return the jobs, the complete controller first and one seed after the other, so that a run that is stopped has compared what it can."""
    whole = [Job(trial, seed, PACELINE.name, backend=backend, dialect=dialect) for seed in seeds for trial in trials]
    return whole + [
        Job(trial, seed, f"{WITHOUT}{rule.name}", backend=backend, dialect=dialect)
        for seed in seeds
        for rule in rules
        for trial in trials
    ]


def measure(jobs: Sequence[Job], *, processes: int, stored_only: bool, say: Any) -> list[Result]:
    """Run the jobs that have no stored result, unless only stored ones are wanted; return all results, without their series."""
    wanted = [job for job in jobs if is_stored(job)] if stored_only else jobs
    return results(wanted, processes=processes, fresh=False, say=say, series=False)


def losses(found: Iterable[Result]) -> dict[str, list[Loss]]:
    """Return what the absence of each rule costs, trial by trial; only trials with results of the rule and of the complete controller."""
    by_job = {(each["contender"], each["trial"], each["seed"]): each for each in found if "error" not in each}
    pairs: dict[tuple[str, str], list[tuple[Result, Result]]] = {}
    for (who, trial, seed), result in by_job.items():
        whole = by_job.get((PACELINE.name, trial, seed))
        if who.startswith(WITHOUT) and whole is not None:
            pairs.setdefault((who.removeprefix(WITHOUT), trial), []).append((whole, result))
    found_losses: dict[str, list[Loss]] = {}
    for (name, trial), group in pairs.items():
        mine = found_losses.setdefault(name, [])
        for figure, sign in _SIGN.items():
            if all(figure in each for pair in group for each in pair):
                differences = [sign * (without[figure] - whole[figure]) for whole, without in group]
                mine.append(Loss(trial, figure, fmean(differences), _error(differences)))
    return found_losses


_TITLE = "## What each rule is worth"
_SECTION = re.compile(rf"^{_TITLE}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_NEXT = "## What a controller costs\n"
_TEXT = """{title}

The controller without one of its rules, on the same seeds: what that costs in goodput, refusals and fairness, in the trial where it costs
most (bold: at least 0.005 of the goodput, 0.002 refusals per call or 0.01 of Jain's index, and more than three standard errors); and what it
gains elsewhere. `python -m benchmarks.pace.ablation --each --page docs/benchmarks/pace.md` measures it again, {how}, and rewrites this
section; it can be stopped, and goes on where it was.

{measured}
"""
_HOW = {"core": "with the controller alone (`benchmarks.pace.core`)"}


def section(measured: str, backend: str) -> str:
    """Return the section of the page."""
    return _TEXT.format(title=_TITLE, how=_HOW.get(backend, "with the engine"), measured=measured)


def find(page: str) -> str:
    """Return the section of a page; empty if the page does not have it."""
    found = _SECTION.search(page)
    return found[0].rstrip() if found else ""


def write(path: Path, text: str) -> None:
    """Replace the section of a page, or add it."""
    page, new = path.read_text("utf-8"), f"{text.rstrip()}\n\n"
    page = _SECTION.sub(lambda _: new, page, count=1) if find(page) else page.replace(_NEXT, new + _NEXT, 1)
    path.write_text(f"{page.rstrip()}\n", "utf-8")


def _error(differences: Sequence[float]) -> float:
    return stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else math.inf


def report(found: Sequence[Result], rules: Sequence[Rule]) -> str:
    """Return the table of the rules, the costliest absence first; and those whose absence costs nothing."""
    by_rule = losses(found)
    measured = [rule for rule in rules if rule.name in by_rule]
    measured.sort(key=lambda rule: -_weight(by_rule[rule.name]))
    idle = [rule for rule in measured if not any(loss.counts for loss in by_rule[rule.name])]
    parts = [table(_HEAD, [_row(rule, by_rule[rule.name]) for rule in measured])]
    parts.append(
        _listed("Rules whose absence costs nothing in these trials", (f"{each.name}: {each.about}" for each in idle))
    )
    failed = sorted({f"{each['contender']} in {each['trial']}" for each in found if "error" in each})
    parts.append(_listed("Runs that failed", failed))
    return "\n\n".join(part for part in parts if part)


def _row(rule: Rule, mine: Sequence[Loss]) -> tuple[str, ...]:
    by_figure = {figure: [loss for loss in mine if loss.figure == figure] for figure in _SIGN}
    trials = {loss.trial for loss in mine}
    changed = {loss.trial for loss in mine if loss.mean}
    worse = sorted({loss.trial for loss in mine if loss.counts})
    gain = min(by_figure["good"], key=lambda loss: loss.mean)
    lost = max(by_figure["lost"], key=lambda loss: loss.mean)
    tail = f"; loses items: {lost}" if lost.counts else ""
    return (
        rule.name,
        rule.how,
        _worst(by_figure["good"]),
        _worst(by_figure["refusals"]),
        _worst(by_figure["jain"]),
        f"{-gain.mean:.4f} ({gain.trial})" if gain.mean < 0 else "",
        f"{len(changed)} of {len(trials)}",
        (", ".join(worse) or "none") + tail,
    )


def _worst(mine: Sequence[Loss]) -> str:
    worst = max(mine, key=lambda loss: loss.mean, default=None)
    if worst is None or worst.mean <= 0:
        return ""
    return f"**{worst}**" if worst.counts else str(worst)


def _weight(mine: Sequence[Loss]) -> float:
    """Return the largest loss, in units of the least that counts."""
    return max((loss.mean / LEAST[loss.figure] for loss in mine if loss.counts and loss.figure != "lost"), default=0.0)


def _listed(title: str, lines: Iterable[str]) -> str:
    shown = "\n".join(f"- {line}" for line in lines)
    return f"{title}:\n\n{shown}" if shown else ""


def listing() -> str:
    """Return all rules, those that are gone, and the constants that no rule covers."""
    rows = [(rule.name, rule.about, rule.how, rule.unseen) for rule in RULES.values() if not rule.is_gone]
    covered = {target for rule in RULES.values() for target in rule.patches}
    parts = [
        table(("rule", "what it does", "switched off", "seen only by"), rows),
        _listed(
            "Gone: the controller has no such constant or function any more", (n for n, r in RULES.items() if r.is_gone)
        ),
    ]
    known = constants()
    rest = {
        module: sorted(name for name in names if f"{module}:{name}" not in covered) for module, names in known.items()
    }
    total = sum(map(len, known.values()))
    parts.append(
        _listed(
            f"Constants that no rule covers, of {total}",
            (f"{module}: {', '.join(names)}" for module, names in rest.items() if names),
        )
    )
    return "\n\n".join(part for part in parts if part)


def in_full(found: Sequence[Result], rules: Mapping[str, Rule]) -> str:
    """Return every difference that counts, rule by rule."""
    lines = []
    for name, mine in losses(found).items():
        for loss in mine:
            if abs(loss.mean) > LEAST[loss.figure]:
                what = "worse" if loss.mean > 0 else "better"
                lines.append(
                    f"{name}: {loss.trial} {_NAMES[loss.figure]} {what} by {abs(loss.mean):.4f}, error {loss.error:.4f}"
                )
    return "\n".join(line for line in lines if line.partition(":")[0] in rules)
