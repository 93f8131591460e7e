"""How many tokens a call is going to cost, from the length of its prompt and from what earlier calls have cost.

Rules owned here:

1. What is read goes with the prompt's length: tokens per character, learned as a quotient of two means, so that long prompts
   weigh as much as they cost. What is written does not: its mean.
2. Both are means over about the last hundred calls (exponentially weighted), all before that count alike, and with them the
   first guess as one call: 400 characters, four to a token, and 200 tokens written.
3. One call of a heavy tail moves a mean by no more than ten times the mean would: it is settled by what it cost, and the
   next ones are seldom like it.

The mean, and not the median, is what a quota of tokens is used up by. One instance per lane; each call costs it well below a
microsecond.
"""

from __future__ import annotations

import attrs

from .quota import Part, QuotaHint, QuotaLimit
from .usage import TokenUsage

_CHARACTERS, _READ, _WRITTEN = 400.0, 100.0, 200.0  # the first guess
_MEMORY = 100  # calls
_OUTLIER, _SLACK = 10.0, 100.0  # times the mean, and so many more: a mean near 0 is to grow too
_LEAST_SHARE = 0.01


class TokenCosts:
    """What the calls of one lane cost."""

    __slots__ = ("_calls", "_characters", "_per_character", "_read", "_written")

    def __init__(self) -> None:
        self._calls = 1
        self._characters = _CHARACTERS
        self._read = _READ
        self._written = _WRITTEN
        self._per_character = _READ / _CHARACTERS

    def expected(self, characters: int | None) -> float:
        """Return the tokens, read and written, that a call is expected to cost: 1 or more.

        Args:
            characters: of its prompt; None: not known, so that it is taken for one like the others.
        """
        read = self._read if characters is None else self._per_character * characters
        return max(1.0, read + self._written)

    def record(self, characters: int | None, usage: TokenUsage) -> None:
        """Hear what a call has cost; a usage of nothing at all is one that is not known."""
        total = usage.total_tokens
        if total <= 0:
            return
        length = self._characters if characters is None else float(characters)
        guess = self._per_character * length
        read: float = usage.input_tokens
        if read == 0 and usage.output_tokens == 0:
            read = min(total, guess)  # only the sum was told
        written = total - read if total > read else 0.0
        if self._calls < _MEMORY:
            self._calls += 1
        if length > (longest := _OUTLIER * self._characters + _SLACK):
            read, length = read * longest / length, longest
        # conditions and not min() and max(): every call pays for this
        most_read, most_written = _OUTLIER * self._per_character * length + _SLACK, _OUTLIER * self._written + _SLACK
        gain = 1.0 / self._calls
        self._characters += gain * (length - self._characters)
        self._read += gain * ((read if read < most_read else most_read) - self._read)  # noqa: FURB136
        self._written += gain * ((written if written < most_written else most_written) - self._written)  # noqa: FURB136
        self._per_character = self._read / (self._characters if self._characters > 1.0 else 1.0)  # noqa: FURB136

    def as_total_tokens(self, hint: QuotaHint | None) -> QuotaHint | None:
        """Return a hint whose limits on the tokens read, or on those written, are told as limits on both together."""
        if hint is None or all(limit.part is Part.BOTH for limit in hint.limits):
            return hint
        return attrs.evolve(hint, limits=tuple(map(self._in_whole_tokens, hint.limits)))

    def _in_whole_tokens(self, limit: QuotaLimit) -> QuotaLimit:
        if limit.part is Part.BOTH:
            return limit
        counted = self._read if limit.part is Part.INPUT else self._written
        share = max(_LEAST_SHARE, counted / max(1.0, self._read + self._written))
        return attrs.evolve(
            limit,
            part=Part.BOTH,
            limit=None if limit.limit is None else limit.limit / share,
            remaining=None if limit.remaining is None else limit.remaining / share,
        )
