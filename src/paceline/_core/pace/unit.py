"""Does the provider count calls or tokens, when it does not say?

A limit on calls refuses large and small ones alike; one on tokens refuses the large. So each refused call is compared with
the one admitted last, and the evidence is summed up as in a sequential probability ratio test (Wald, 1945).
"""

from __future__ import annotations

import math

import attrs

_LARGER = 0.8  # of the refused calls are larger than the last admitted one, where tokens are counted; else a half
_FOR, _AGAINST = math.log(_LARGER / 0.5), math.log((1 - _LARGER) / 0.5)
_LESS, _MORE = 4, 5  # sizes in a closer proportion say nothing: they may drift, as those of numbered prompts do
_ENOUGH = 4.0  # e^4: one false alarm in some fifty refusals, and the next ones undo it


@attrs.define(eq=False)
class UnitTest:
    """Calls or tokens?"""

    tokens: bool = False
    """Whether tokens are counted, as far as is known."""
    told: bool = False
    """Whether the provider said so."""
    _score: float = 0.0

    def tell(self, *, tokens: bool) -> None:
        """Hear it from the provider."""
        self.told, self.tokens = True, tokens

    def refused(self, tokens: float, admitted: float) -> None:
        """Compare a refused call's tokens with those of the call that was admitted last, if they differ much."""
        if self.told or (_LESS * tokens <= _MORE * admitted and _LESS * admitted <= _MORE * tokens):
            return
        self._score += _FOR if tokens > admitted else _AGAINST
        if self._score >= _ENOUGH:
            self.tokens, self._score = True, _ENOUGH
        elif self._score <= -_ENOUGH:
            self.tokens, self._score = False, -_ENOUGH
