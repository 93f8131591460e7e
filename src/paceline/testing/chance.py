"""What chance brings a call.

1. It depends on the seed, the prompt and the attempt's number, and on nothing else: not on the order in which calls
   arrive, the event loop, or what befell other calls. So a batch has the same luck however it is scheduled, and a call
   that is made again under the same number has the same luck again.
2. A change of the service changes what a draw means, not the draw.
"""

from __future__ import annotations

import random
import zlib
from typing import NamedTuple

from .checks import WholeNumber


class Chance(NamedTuple):
    """The numbers drawn for one call."""

    fault: float
    """Uniform from [0, 1)."""
    refusal: float
    """Uniform from [0, 1)."""
    latency: float
    """Standard normal."""
    output: float
    """Standard normal."""


class Dice:
    """Draws for calls.

    Args:
        seed: a whole number, 0 or more.

    Raises:
        ConfigurationError: the seed is none.
    """

    def __init__(self, seed: int) -> None:
        WholeNumber(at_least=0).check("seed", seed)
        self._seed = seed << 64
        self._random = random.Random()  # noqa: S311 - a simulation

    def throw(self, prompt: str, attempt: int) -> Chance:
        """Return the chance of a call."""
        draw = self._random
        # A checksum is enough: two prompts that share one share their luck, no more. Seeding is most of the price.
        draw.seed(self._seed | attempt << 32 | zlib.crc32(prompt.encode("utf-8", "surrogatepass")))
        return Chance(draw.random(), draw.random(), draw.gauss(0.0, 1.0), draw.gauss(0.0, 1.0))
