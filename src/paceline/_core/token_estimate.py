"""Token estimate: the expected tokens of a call, from the length of its prompt and the tokens of earlier calls.

Rules owned here:

1. Input tokens grow with the length of the prompt: tokens per character, estimated as a quotient of two means, so that long
   prompts weigh as much as they cost. Output tokens do not: their estimate is a mean.
2. Means are exponentially weighted over about the last 100 calls; up to that number all calls weigh the same. The initial guess
   counts as one call: 400 characters, four to a token, and 200 output tokens.
3. One outlier moves a mean by at most ten times the mean: its own tokens are known after the call, and the next calls are rarely
   like it.

The estimate is a mean and not a median, as a token quota is used up by the sum. There is one instance for each lane; it costs each
call much less than a microsecond.
"""

from __future__ import annotations

import attrs

from .quota import Part, QuotaHint, QuotaLimit
from .usage import TokenUsage

_CHARACTERS, _INPUT, _OUTPUT = 400.0, 100.0, 200.0  # the initial guess: characters, input tokens, output tokens
_MEMORY = 100  # calls
_OUTLIER, _SLACK = 10.0, 100.0  # times the mean, plus a constant so that a mean near 0 can grow
_LEAST_SHARE = 0.01  # of input or output in the total: bounds a limit on a part that is hardly used


class TokenCosts:
    """The expected tokens of the calls of one lane."""

    __slots__ = ("_calls", "_characters", "_input", "_output", "_per_character")

    def __init__(self) -> None:
        self._calls = 1
        self._characters = _CHARACTERS
        self._input = _INPUT
        self._output = _OUTPUT
        self._per_character = _INPUT / _CHARACTERS

    def expected(self, characters: int | None) -> float:
        """Return the expected input and output tokens of a call: 1 or more.

        Args:
            characters: Length of its prompt; None for an average one.
        """
        tokens = self._output + (self._input if characters is None else self._per_character * characters)
        return tokens if tokens > 1.0 else 1.0  # noqa: FURB136 - a condition is faster than max(), and this runs for each call

    def record(self, characters: int | None, usage: TokenUsage) -> None:
        """Update the means with the usage of a call; a usage of 0 tokens is unknown, and ignored."""
        total = usage.total_tokens
        if total <= 0:
            return
        length = self._characters if characters is None else float(characters)
        guess = self._per_character * length
        read: float = usage.input_tokens
        if read == 0 and usage.output_tokens == 0:
            read = min(total, guess)  # only the total is known
        written = total - read if total > read else 0.0
        if self._calls < _MEMORY:
            self._calls += 1
        if length > (longest := _OUTLIER * self._characters + _SLACK):
            read, length = read * longest / length, longest
        # conditions are faster than min() and max(), and this runs for each call
        most_read, most_written = _OUTLIER * self._per_character * length + _SLACK, _OUTLIER * self._output + _SLACK
        gain = 1.0 / self._calls
        self._characters += gain * (length - self._characters)
        self._input += gain * ((read if read < most_read else most_read) - self._input)  # noqa: FURB136
        self._output += gain * ((written if written < most_written else most_written) - self._output)  # noqa: FURB136
        self._per_character = self._input / (self._characters if self._characters > 1.0 else 1.0)  # noqa: FURB136

    def as_total_tokens(self, hint: QuotaHint | None) -> QuotaHint | None:
        """Return a hint whose limits on input or output tokens are converted to limits on the total."""
        if hint is None or all(limit.part is Part.BOTH for limit in hint.limits):
            return hint
        return attrs.evolve(hint, limits=tuple(map(self._as_total_tokens, hint.limits)))

    def _as_total_tokens(self, limit: QuotaLimit) -> QuotaLimit:
        if limit.part is Part.BOTH:
            return limit
        counted = self._input if limit.part is Part.INPUT else self._output
        share = max(_LEAST_SHARE, counted / max(1.0, self._input + self._output))
        return attrs.evolve(
            limit,
            part=Part.BOTH,
            limit=None if limit.limit is None else limit.limit / share,
            remaining=None if limit.remaining is None else limit.remaining / share,
        )
