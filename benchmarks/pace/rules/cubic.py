"""CUBIC's growth in place of the growth regimes of the rate: a contender, not a rule of the controller.

After a cut the rate follows a cubic function of the growth cycles since then, as in RFC 9438: steep up to the best rate measured, flat
there, and steep beyond it. That one curve would replace the first and the later growth, the way back and their bounds.

    python -m benchmarks.pace --scenarios S,R --contenders paceline,cubic
"""

from __future__ import annotations

from typing import Any

from .rule import Rule, Wrapped

_STEEPNESS = 0.009  # per cycle cubed, of the best rate: growth starts at 0.06 after a cut to 0.97 of the best, as the controller's does
_FIRST = 0.5  # of the rate in a cycle, while nothing sound was measured: as the controller's
_LEAST, _MOST = 0.01, 2.0  # of the rate in a cycle


def _cubic(_: Any, self: Any, cycles: float) -> float:
    """follows CUBIC's curve around the best rate measured."""
    if not self.best:
        return _FIRST
    plateau = max(self.best, self._grown_from)
    until = ((plateau - self._grown_from) / (plateau * _STEEPNESS)) ** (1 / 3)  # cycles from the cut to the plateau
    growth: float = 3 * _STEEPNESS * plateau * (cycles - until) ** 2 / self.value
    return min(_MOST, max(_LEAST, growth))


CUBIC = Rule("cubic", "The rate grows in the controller's own way.", {"rate:Rate._growth": Wrapped(_cubic)})
