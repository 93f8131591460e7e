"""Service: the limits, speed, faults and token counts of a simulated provider, and the chance that a call draws.

A call meets, in this order:

1. Faults on arrival (overloaded, transient, rejected, denied, exhausted): after `fault_seconds`, without admission.
2. Refusals by chance (`shed_share`), as of a gateway that sheds load, and the limits: a 429, or another `refusal_status`, after
   `refusal_seconds`.
3. The work, once one of the `slots` is free: `latency`, spread by `sigma`, shared with other calls above the `knee`. A timeout is
   work that never ends.
4. Faults of the answer (invalid, truncated, refused): after the work, with the tokens that it cost.

What happens to a call is a pure function of its `Chance`. A chance depends on the seed, the prompt and the number of the attempt, and
on nothing else: not on the order in which calls arrive, the event loop, or other calls. A batch therefore has the same luck however
it is scheduled, and a call that is repeated under the same number has the same luck. Only whether it is refused by chance is drawn again
each time that it comes back: otherwise it would be refused for ever. A change of the service changes what a draw means, not the draw.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import attrs

from .._core.exceptions import ConfigurationError
from .._core.fault import FaultKind
from .._core.usage import TokenUsage
from .._core.validators import Number, OneOf, WholeNumber
from .limits import ConcurrencyCap, FixedWindow, Limit, TokenBucket
from .replies import DIALECTS, Dialect


class Chance(NamedTuple):
    """Random numbers of one call."""

    fault: float
    """Uniform from [0, 1)."""
    refusal: float
    """Uniform from [0, 1)."""
    latency: float
    """Standard normal."""
    output: float
    """Standard normal."""


class Dice:
    """Draws the chance of each call.

    Args:
        seed: A whole number, 0 or more.

    Raises:
        ConfigurationError: `seed` is not a whole number, 0 or more.
    """

    def __init__(self, seed: int) -> None:
        WholeNumber(at_least=0).check("seed", seed)
        self._seed = seed << 64
        self._random = random.Random()  # noqa: S311 - a simulation

    def draw(self, prompt: str, attempt: int) -> Chance:
        """Return the chance of a call."""
        generator = self._random
        # A checksum is enough: two prompts with the same one have the same luck, nothing worse. Seeding takes most of the time.
        generator.seed(self._seed | attempt << 32 | zlib.crc32(prompt.encode("utf-8", "surrogatepass")))
        return Chance(generator.random(), generator.random(), generator.gauss(0.0, 1.0), generator.gauss(0.0, 1.0))

    def draw_again(self, prompt: str, attempt: int, times: int) -> float:
        """Return a uniform number from [0, 1) for a call that came `times` times before, under the same number."""
        text = f"{times} {attempt} {prompt}"
        self._random.seed(self._seed | 1 << 63 | zlib.crc32(text.encode("utf-8", "surrogatepass")))
        return self._random.random()


Hint: TypeAlias = Literal["none", "exact", "ceil", "one"] | float
HINTS = ("none", "exact", "ceil", "one")
RefusalStatus: TypeAlias = Literal[429, 503, 529]
REFUSAL_STATUSES = (429, 503, 529)

ARRIVAL_FAULTS = frozenset(
    {FaultKind.OVERLOADED, FaultKind.TRANSIENT, FaultKind.REJECTED, FaultKind.DENIED, FaultKind.EXHAUSTED}
)
ANSWER_FAULTS = frozenset({FaultKind.INVALID, FaultKind.TRUNCATED, FaultKind.REFUSED})
FAULTS = tuple(kind for kind in FaultKind if kind in ARRIVAL_FAULTS | ANSWER_FAULTS | {FaultKind.TIMEOUT})

_CHARACTERS_PER_TOKEN = 4
_REFUSAL_SPREAD = 0.3  # share of `refusal_seconds`
_PROBABILITY = Number(at_least=0, at_most=1)
_SPREAD = Number(at_least=0, at_most=5)
_AMOUNT = Number(at_least=0)


def _are_limits(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple):
        raise ConfigurationError(f"{attribute.name} must be a tuple of limits, not {value!r}")
    for limit in value:
        if not isinstance(limit, (TokenBucket, FixedWindow, ConcurrencyCap)):
            raise ConfigurationError(
                f"{attribute.name} must hold TokenBucket, FixedWindow or ConcurrencyCap, not {limit!r}"
            )


def _own_copy(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _are_faults(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{attribute.name} must map kinds of faults to probabilities, not {value!r}")
    for kind, probability in value.items():
        if not isinstance(kind, FaultKind) or kind not in FAULTS:
            raise ConfigurationError(f"{attribute.name} has no kind {str(kind)!r}; the kinds are {', '.join(FAULTS)}")
        _PROBABILITY.check(f"the probability of {kind}", probability)
    if (total := sum(value.values())) > 1 + 1e-9:
        raise ConfigurationError(f"the probabilities of {attribute.name} must add up to 1 or less, not {total:g}")


def _is_status(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in REFUSAL_STATUSES or isinstance(value, float):
        raise ConfigurationError(f"{attribute.name} must be one of 429, 503, 529, not {value!r}")


def _is_time(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple):
        _AMOUNT.check(attribute.name, value)
    elif len(value) != 2 or not all(map(_AMOUNT.accepts, value)) or value[0] > value[1]:  # noqa: PLR2004 - a range
        raise ConfigurationError(
            f"{attribute.name} must be a number or a range such as (1.5, 3.0), the smaller number first, not {value!r}"
        )


def _is_hint(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in HINTS and not _AMOUNT.accepts(value):
        raise ConfigurationError(
            f"{attribute.name} must be one of {', '.join(HINTS)}, or a number of seconds, 0 or more, not {value!r}"
        )


def _is_knee(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        WholeNumber(at_least=1)(instance, attribute, value)


@attrs.frozen(kw_only=True)
class Service:
    """Limits, speed, faults and token counts of a provider.

    Raises:
        ConfigurationError: A field is out of its bounds.
    """

    limits: tuple[Limit, ...] = attrs.field(default=(), validator=_are_limits)
    """Limits; a call must pass all of them."""
    latency: float = attrs.field(default=1.0, validator=_AMOUNT)
    """Median duration of a call in seconds, below the knee."""
    sigma: float = attrs.field(default=0.4, validator=_SPREAD)
    """Spread of the latency (sigma of a lognormal distribution), 0 to 5; 0 makes it constant."""
    seconds_per_token: float = attrs.field(default=0.0, validator=_AMOUNT)
    """Seconds that each token of input and output adds to the median latency."""
    knee: int | None = attrs.field(default=None, validator=_is_knee)
    """Most calls at full speed; n calls above it run at knee / n each. None: any number at full speed."""
    slots: int | None = attrs.field(default=None, validator=_is_knee)
    """Most calls that are worked on at once; the others wait in line, and are in flight. None: any number."""
    faults: Mapping[FaultKind, float] = attrs.field(
        factory=dict, converter=_own_copy, validator=_are_faults, hash=False
    )
    """Probability of each kind of fault per call, together 1 at most. Throttling does not occur by chance: the limits cause it."""
    fault_seconds: float = attrs.field(default=0.3, validator=_AMOUNT)
    """Seconds until a fault on arrival is answered."""
    refusal_seconds: float | tuple[float, float] = attrs.field(default=0.15, validator=_is_time)
    """Seconds until a refusal is answered: a number, give or take 30 %; or a range, the least and the most."""
    refusal_status: RefusalStatus = attrs.field(default=429, validator=_is_status)
    """HTTP status of a refusal by a limit or by chance: 429; 503 as nginx, HAProxy and Envoy answer by default; 529 as Anthropic does
    under load."""
    shed_share: float = attrs.field(default=0.0, validator=_PROBABILITY)
    """Share of the calls that are refused by chance, before the limits and however many calls there are, 0 to 1."""
    hint: Hint = attrs.field(default="none", validator=_is_hint)
    """Retry-After of a refusal: "exact" to the millisecond, "ceil" in whole seconds, "one" always one second, or "none"; a number:
    always so many seconds, rounded up, however long the wait is."""
    dialect: Dialect = attrs.field(default="none", validator=OneOf(DIALECTS))
    """Provider whose reports of limits it imitates: `gemini` names the limit that refused in the body of a 429; `openai` and
    `anthropic` report the status of the limits in the headers of every reply."""
    output_tokens: float = attrs.field(default=100.0, validator=_AMOUNT)
    """Median of the tokens of an answer; 0: no tokens."""
    output_sigma: float = attrs.field(default=0.5, validator=_SPREAD)
    """Spread of the output tokens (sigma of a lognormal distribution), 0 to 5."""
    cached_share: float = attrs.field(default=0.0, validator=_PROBABILITY)
    """Share of the input tokens that is read from a cache, 0 to 1."""

    def fault_of(self, chance: Chance) -> FaultKind | None:
        """Return the fault of a call; None if it has no fault."""
        if not self.faults:
            return None
        cumulative = 0.0
        for kind in FAULTS:
            cumulative += self.faults.get(kind, 0.0)
            if chance.fault < cumulative:
                return kind
        return None

    def usage_of(self, prompt: str, chance: Chance) -> TokenUsage:
        """Return the tokens of a call: one per four characters of input, a lognormal number of output."""
        read = max(1, round(len(prompt) / _CHARACTERS_PER_TOKEN))
        written = 0
        if self.output_tokens:
            written = max(1, round(self.output_tokens * math.exp(self.output_sigma * chance.output)))
        return TokenUsage(read, written, int(read * self.cached_share))

    def work_of(self, usage: TokenUsage, chance: Chance) -> float:
        """Return the seconds that a call takes at full speed."""
        median = self.latency + self.seconds_per_token * usage.total_tokens
        return median * math.exp(self.sigma * chance.latency)

    def refusal_seconds_of(self, chance: Chance) -> float:
        """Return the seconds until a call's refusal is answered."""
        if isinstance(self.refusal_seconds, tuple):
            least, most = self.refusal_seconds
            return least + (most - least) * chance.refusal
        return self.refusal_seconds * (1 + _REFUSAL_SPREAD * (2 * chance.refusal - 1))

    def retry_after(self, wait: float) -> str | None:
        """Return the hint for a call that would be admitted after `wait` seconds; inf if that is not known."""
        if self.hint == "one":
            return "1"
        if not isinstance(self.hint, str):
            return str(math.ceil(self.hint))
        if self.hint == "none" or math.isinf(wait):
            return None
        if self.hint == "ceil":
            return str(math.ceil(wait))
        return f"{math.ceil(wait * 1_000) / 1_000:.3f}"
