"""Call bounds: an upper estimate of the tokens of a call, for the reservation of a budget.

Rules owned here:

1. Input: one token for each two bytes of the prompt's text. Text in any script has fewer (English 3.5 bytes a token, Markdown for Claude 3,
   mixed scripts 2.7). Media count as 2,000 tokens each. What calls had beyond that, such as an instruction or a schema, is added from
   then on: the most that was seen.
2. Output: the bound that the call itself has, its `max_tokens`. Once 20 calls have been seen it is at most 1.5 times the most that was seen, so
   that a generous bound does not slow a batch down. Without a bound it is 4,096 until then.
3. An estimate may be too low: then the call costs more than was reserved for it. See `budget`.
"""

from __future__ import annotations

from .prompt import Media
from .request import Request
from .usage import TokenUsage

_BYTES_PER_TOKEN = 2
_MEDIA = 2_000  # tokens: an image has up to 1,600 with Claude, and 258 a tile with Gemini
_LEAST_BEYOND = 32  # tokens: the form around a prompt, such as roles
_OUTPUT = 4_096  # tokens: more than most answers have
_ENOUGH = 20  # calls
_HEADROOM = 1.5


class CallBounds:
    """The upper estimate of a model's calls."""

    __slots__ = ("_beyond", "_calls", "_output")

    def __init__(self) -> None:
        self._calls = 0
        self._beyond = _LEAST_BEYOND
        self._output = 0

    def input_tokens(self, size: int) -> int:
        """Return an upper estimate of the input tokens of a call.

        Args:
            size: Of its prompt: see `token_bytes_of`.
        """
        return size // _BYTES_PER_TOKEN + self._beyond

    def output_tokens(self, bound: int | None) -> int:
        """Return an upper estimate of the output tokens of a call.

        Args:
            bound: Its own bound on them; None: it has none.
        """
        if self._calls >= _ENOUGH and self._output:
            seen = int(_HEADROOM * self._output)
            return seen if bound is None or seen < bound else bound
        return max(_OUTPUT, self._output) if bound is None else bound

    def record(self, size: int, usage: TokenUsage) -> None:
        """Learn from a call that has ended; a usage of 0 tokens is unknown, and ignored."""
        if usage.total_tokens <= 0:
            return
        self._calls += 1
        beyond = usage.input_tokens - size // _BYTES_PER_TOKEN
        self._beyond = max(self._beyond, beyond)
        output = usage.total_tokens - usage.input_tokens
        self._output = max(self._output, output)


def token_bytes_of(prompt: object) -> int:
    """Return the bytes of a prompt's text in UTF-8, media as a text of about as many tokens; 0 if it is not a prompt."""
    if isinstance(prompt, str):
        return len(prompt) if prompt.isascii() else len(prompt.encode("utf-8", "surrogatepass"))
    if isinstance(prompt, Request):
        return token_bytes_of(prompt.text)
    if not isinstance(prompt, tuple):
        return 0
    return sum(_MEDIA * _BYTES_PER_TOKEN if isinstance(part, Media) else token_bytes_of(part) for part in prompt)
