"""What the gate measures: the ratios of paceline to its peers, each with its peer in the same run.

Rules owned here:

1. Ours and the peer take turns; the ratio is that of the least CPU of the rounds, as other load only adds to it.
2. Only what was asked for is measured, and what it is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from . import clients, overhead
from .clients import ALONE, COMPLETE, PACKAGES, STRATEGY
from .long_batch import microseconds_an_item
from .overhead import BACKENDS, OURS, Case
from .processes import Contender

_ROUNDS = 3
_ITEMS = 20_000
_RUN_ITEMS = 30_000
_CALLS = 1_000
_IN_FLIGHT = 50
_RUN = "paceline run"

Report = Callable[[str], None]

_CASES: Mapping[str, Case] = {
    f"{case.contender.label.removeprefix('**paceline** ').replace('`', '')}, {case.workers:,} workers": case
    for case in (
        *OURS,
        *(
            Case(
                Contender(
                    f"process_prompts with a journal, {backend}", "by_paceline", f"process_prompts-journal-{backend}"
                )
            )
            for backend in BACKENDS
        ),
    )
}
_CLIENTS = {
    f"{package.name}, {kind}": (package, contender)
    for package in PACKAGES
    for kind, contender in (("strategy", STRATEGY), ("process_prompts", COMPLETE))
}

NAMES: tuple[str, ...] = (*_CASES, _RUN, *_CLIENTS)
"""The names of all ratios."""


def measure(names: Collection[str], report: Report) -> dict[str, float]:
    """Return ratios by name.

    Args:
        names: Those that are measured; the others of `NAMES` are left out.
        report: Receives a sentence on each part.

    Raises:
        RuntimeError: A contender cannot be run.
    """
    return {
        **(_of_cases(cases, report) if (cases := [name for name in names if name in _CASES]) else {}),
        **(_of_runs(report) if _RUN in names else {}),
        **_of_clients([name for name in names if name in _CLIENTS], report),
    }


def _of_cases(names: Collection[str], report: Report) -> dict[str, float]:
    cases = {name: _CASES[name] for name in names}
    answers = overhead.ask_all(
        dict.fromkeys([*(case.yardstick for case in cases.values()), *cases.values()]), _ROUNDS, _ITEMS, report
    )
    ratios = {name: overhead.ratio(case, answers) for name, case in cases.items()}
    if failed := [name for name, value in ratios.items() if value is None]:
        raise RuntimeError(f"{failed[0]} could not be run")
    return {name: value for name, value in ratios.items() if value is not None}


def _of_runs(report: Report) -> dict[str, float]:
    yardstick = OURS[0].yardstick
    ours, peer = [], []
    for _ in range(_ROUNDS):
        peer += overhead.ask_all([yardstick], 1, _ITEMS, report)[yardstick]
        ours.append(microseconds_an_item(_RUN_ITEMS, report=report))
    return {_RUN: min(ours) / min(answer.value for answer in peer)}


def _of_clients(names: Collection[str], report: Report) -> dict[str, float]:
    ratios = {}
    for package in PACKAGES:
        wanted = {name: contender for name in names for found, contender in (_CLIENTS[name],) if found is package}
        keys = [(contender, _IN_FLIGHT) for contender in (ALONE, *wanted.values())]
        runs = clients.measure_all(package, keys, rounds=_ROUNDS, calls=_CALLS, report=report) if wanted else {}
        for name, contender in wanted.items():
            ratios[name] = clients.least(runs[contender, _IN_FLIGHT]) / clients.least(runs[ALONE, _IN_FLIGHT])
    return ratios
