"""Usage: the token counts of calls, as values that can be added.

What providers call these counts, and which of them contain others, is in `reported_usage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final

import attrs

MOST_TOKENS: Final = 10**10
"""Most tokens of a call: a larger count is not believed, so that the sum over 900 million calls fits in 64 bits."""


def _sum(usage: TokenUsage) -> int:
    sent, generated = usage.input_tokens, usage.output_tokens
    # runs before the check, which rejects a value that is not a count
    return sent + generated if type(sent) is type(generated) is int else 0


@attrs.frozen
class TokenUsage:
    """Tokens of one call, or of several: `sum(usages, TokenUsage())`.

    Raises:
        ValueError: A count is not a whole number, 0 or more.
    """

    input_tokens: int = 0
    """Tokens sent, those read from a cache included."""
    output_tokens: int = 0
    """Tokens generated, those spent on thinking included."""
    cached_input_tokens: int = 0
    """The part of `input_tokens` that was read from a cache."""
    total_tokens: int = attrs.field(default=attrs.Factory(_sum, takes_self=True))
    """The total that the provider reports; by default input + output. If it is larger, the rest is of an unknown kind."""
    cache_written_tokens: int = 0
    """The part of `input_tokens` that was written to a cache."""
    cache_written_1h_tokens: int = 0
    """The part of `cache_written_tokens` that the cache keeps for an hour, at a higher price."""

    def __attrs_post_init__(self) -> None:
        sent, generated, cached, total, written, written_1h = token_counts(self)
        # written out, as every call makes one: a validator for each field takes four times as long
        if (
            type(sent) is type(generated) is type(cached) is type(total) is type(written) is type(written_1h) is int
            and sent >= 0
            and generated >= 0
            and cached >= 0
            and total >= 0
            and written >= 0
            and written_1h >= 0
        ):
            return
        for name, count in zip(TOKEN_COUNTS, token_counts(self), strict=True):
            if type(count) is not int or count < 0:
                raise ValueError(f"{name} must be a whole number of tokens, 0 or more, not {count!r}")

    def __add__(self, other: TokenUsage) -> TokenUsage:
        if not isinstance(other, TokenUsage):
            return NotImplemented
        if self is NO_USAGE or other is NO_USAGE:  # most sums: an item with one call has two of them
            return other if self is NO_USAGE else self
        return _sum_of(self, other)

    @property
    def is_plausible(self) -> bool:
        """Whether one call can have so many tokens. If not, a server reports nonsense: its count is in no sum."""
        return self.total_tokens <= MOST_TOKENS and self.input_tokens + self.output_tokens <= MOST_TOKENS

    @property
    def is_itemised(self) -> bool:
        """Whether all tokens are known to be input or output, so that their cost can be known."""
        return self.total_tokens <= self.input_tokens + self.output_tokens

    @classmethod
    def of(cls, value: TokenUsage | Mapping[str, Any] | None) -> TokenUsage:
        """Convert what a strategy returned as its tokens.

        Args:
            value: A `TokenUsage`; None if nothing is known; or a mapping with any of the field names as keys. Other keys
                and None values are ignored.

        Raises:
            ValueError: A count is negative or not a whole number.
            TypeError: `value` has another type.
        """
        if isinstance(value, TokenUsage):
            return value
        if value is None:
            return NO_USAGE
        if isinstance(value, Mapping):
            known = {field.name for field in attrs.fields(cls)}
            return cls(**{key: count for key, count in value.items() if key in known and count is not None})
        raise TypeError(f"tokens must be a TokenUsage, a mapping or None, not {type(value).__name__}")


_new = object.__new__
TOKEN_COUNTS: Final = tuple(field.name for field in attrs.fields(TokenUsage))
"""Names of the counts, in the order of the fields: the columns of a journal and of a table have them too."""
_set_input, _set_output, _set_cached, _set_total, _set_written, _set_written_1h = (
    getattr(TokenUsage, name).__set__ for name in TOKEN_COUNTS
)
token_counts: Callable[[TokenUsage], tuple[int, int, int, int, int, int]] = attrgetter(*TOKEN_COUNTS)
"""Returns the counts of a usage in the order of its fields."""
NO_USAGE = TokenUsage()
UNKNOWN_USAGE = TokenUsage(total_tokens=1)
"""Of a call whose count is not believed: a token that is neither input nor output, so that the cost is not known."""


def _sum_of(one: TokenUsage, other: TokenUsage) -> TokenUsage:
    """Return the sum of two usages without checking it: that of counts is a count. Checking takes twice as long as adding."""
    usage = _new(TokenUsage)
    _set_input(usage, one.input_tokens + other.input_tokens)
    _set_output(usage, one.output_tokens + other.output_tokens)
    _set_cached(usage, one.cached_input_tokens + other.cached_input_tokens)
    _set_total(usage, one.total_tokens + other.total_tokens)
    _set_written(usage, one.cache_written_tokens + other.cache_written_tokens)
    _set_written_1h(usage, one.cache_written_1h_tokens + other.cache_written_1h_tokens)
    return usage


class UsageSum:
    """A running sum of usages: adding to it makes no objects but numbers."""

    __slots__ = ("_cached", "_generated", "_sent", "_total", "_written", "_written_1h")

    def __init__(self) -> None:
        self._sent = self._generated = self._cached = self._total = self._written = self._written_1h = 0

    def add(self, usage: TokenUsage) -> None:
        """Add a usage."""
        if usage is NO_USAGE:
            return
        self._sent += usage.input_tokens
        self._generated += usage.output_tokens
        self._total += usage.total_tokens
        if usage.cached_input_tokens or usage.cache_written_tokens or usage.cache_written_1h_tokens:
            self._cached += usage.cached_input_tokens
            self._written += usage.cache_written_tokens
            self._written_1h += usage.cache_written_1h_tokens

    @property
    def usage(self) -> TokenUsage:
        """The sum."""
        return TokenUsage(self._sent, self._generated, self._cached, self._total, self._written, self._written_1h)


def usage_data(usage: TokenUsage) -> dict[str, int]:
    """Return the counts by name."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "total_tokens": usage.total_tokens,
        "cache_written_tokens": usage.cache_written_tokens,
        "cache_written_1h_tokens": usage.cache_written_1h_tokens,
    }
