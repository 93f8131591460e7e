"""Ratios: a gate that fails when a ratio to a peer in the same run is much worse than the stored one.

    python -m benchmarks --check            # make bench-check
    python -m benchmarks --store            # after a change that is meant to change them

Rules owned here:

1. Ratios are compared, never times: they hold on other machines, and while the machine has other work.
2. A ratio that is too high is measured again, with its peer: other load may have hit one of them. The lowest one counts.
3. A ratio that is measured and not stored fails the check, and so does one that is stored and not measured any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeAlias

STORED = Path(__file__).parent / "ratios.json"
MOST_WORSE = 0.3
"""How much higher than the stored one a ratio may be, as a share of it."""
_TRIES = 3
_DIGITS = 3

Measure: TypeAlias = Callable[[Collection[str]], Mapping[str, float]]
"""Measures the ratios with some names."""


def check(
    stored: Mapping[str, float],
    names: Collection[str],
    measure: Measure,
    *,
    report: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Measure ratios, and return a sentence for each one that fails.

    Args:
        stored: Stored ratios by name.
        names: Names of the ratios that are measured.
        measure: Measures them; the worse ones are measured again.
        report: Receives a sentence on what is measured again.
    """
    best: dict[str, float] = {}
    wanted: Collection[str] = [name for name in names if name in stored]
    for number in range(_TRIES if wanted else 0):
        for name, value in measure(wanted).items():
            best[name] = min(value, best.get(name, value))
        wanted = [name for name, value in best.items() if _is_worse(value, stored[name])]
        if not wanted:
            break
        if number + 1 < _TRIES:
            report(f"measuring again: {', '.join(wanted)}")
    return [
        *(_sentence(name, best[name], stored[name]) for name in wanted),
        *(f"{name}: no ratio is stored" for name in names if name not in stored),
        *(f"{name}: has a stored ratio and is not measured any more" for name in stored if name not in names),
    ]


def load(path: Path = STORED) -> dict[str, float]:
    """Return the stored ratios by name; empty if there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def store(measured: Mapping[str, float], path: Path = STORED) -> None:
    """Store ratios in place of those of the file."""
    rounded = {name: round(value, _DIGITS) for name, value in sorted(measured.items())}
    path.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")


def _is_worse(value: float, stored: float) -> bool:
    return value > stored * (1 + MOST_WORSE)


def _sentence(name: str, value: float, stored: float) -> str:
    return f"{name}: {value:.2f} times its peer, {value / stored - 1:.0%} more than the {stored:.2f} that are stored"
