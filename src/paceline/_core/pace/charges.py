"""Charges: the cuts that refusals caused, so that one can be taken back when its refusal turns out to say nothing about the limit.

A refusal lowers the rate at once, as a limit must be respected at once. Later the caller may find that the refused item was refused
for its own sake. Then the rate becomes what it would be without that cut: the rate before it, with all later cuts made again. Growth
in the meantime is kept where it was more.
"""

from __future__ import annotations

import copy
from collections import deque

import attrs

from .pacer import Pacer
from .rate import Rate

_KEPT = 64  # latest cuts: an item's refusals are soon followed by its next call


@attrs.frozen
class Cut:
    """The arguments of `Rate.cut`."""

    now: float
    started: float
    cost: float
    consecutive: int
    recent: float


@attrs.define(eq=False)
class _Charge:
    """One cut, for a refused call."""

    order: int
    """Number of calls started before the refused one."""
    pacer: Pacer
    cut: Cut
    before: Rate
    """The rate before the cut."""


_NO_CHARGES: deque[_Charge] = deque(maxlen=_KEPT)
"""Those of a lane that refuses nothing, as most do. Nothing is ever put in here."""


class Charges:
    """The latest cuts of a lane's rates, the oldest first."""

    def __init__(self) -> None:
        self._latest = _NO_CHARGES

    def charge(self, order: int, pacer: Pacer, cut: Cut) -> None:
        """Cut a rate for the refusal of call number `order`."""
        if self._latest is _NO_CHARGES:
            self._latest = deque(maxlen=_KEPT)
        self._latest.append(_Charge(order, pacer, cut, copy.copy(pacer.rate)))
        _make(pacer.rate, cut)

    def forget(self, since: float) -> None:
        """Forget the cuts for calls that started at `since` or later: they were refunded. Earlier ones may still be taken back."""
        self._latest = deque((each for each in self._latest if each.cut.started < since), maxlen=_KEPT)

    def take_back(self, order: int) -> Pacer | None:
        """Take back the cuts for the refusal of call number `order`; return the pacer whose rate rose, if one did."""
        raised = None
        for charge in [each for each in self._latest if each.order == order]:
            raised = self._take_back(charge) or raised
        return raised

    def _take_back(self, charge: _Charge) -> Pacer | None:
        later = [each for each in self._latest if each.pacer is charge.pacer]
        later = later[later.index(charge) + 1 :]
        self._latest.remove(charge)
        pacer = charge.pacer
        now, rate = pacer.rate, charge.before
        for each in later:
            rate.admitted, rate.refused = each.before.admitted, each.before.refused - charge.cut.cost
            each.before = copy.copy(rate)
            _make(rate, each.cut)
        if rate.value <= now.value:
            return None
        rate.admitted, rate.refused, rate.mean = now.admitted, now.refused - charge.cut.cost, now.mean
        pacer.rate = rate
        return pacer


def _make(rate: Rate, cut: Cut) -> None:
    rate.cut(cut.now, cut.started, cut.cost, cut.consecutive, cut.recent)
