"""Simulated models: the strategy that calls a simulated provider, and the model strings that describe one.

`sim` and `sim:key=value,key=value` are model strings:

    rate=100           requests per second; none for no limit
    burst=200          requests at once; default: as many as the rate
    window=60/10       requests per window / seconds of a window
    tokens=100000      tokens per minute, a minute's worth at once
    cap=32             calls in flight, refused above
    knee=40            calls in flight, slowed down above
    latency=0.5        seconds, the median
    sigma=0.3          spread of the latency
    output=100         tokens of an answer, the median
    hint=ceil          Retry-After on refusals: none, exact, ceil, one, or always so many seconds: hint=30
    refusal=503        HTTP status of refusals: 429, 503, 529
    shed=0.01          share of the calls that are refused by chance
    dialect=gemini     provider whose reports of limits it imitates: none, gemini, openai, anthropic
    faults=overloaded:0.01+invalid:0.02
    seed=7

1. A key may be given once, in any order; spaces around keys, values and commas do not matter.
2. Without rate, burst, window, tokens, cap and knee, rate=50 holds; limits that are given hold together.
3. Each strategy has a provider of its own, so its quota is the complete model string.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from .._core.exceptions import ConfigurationError
from .._core.fault import FaultKind
from .._core.provider_answers.header_hints import header_quota
from .._core.quota import QuotaHint
from .._core.request import NO_REQUESTS, Request
from .._core.usage import TokenUsage
from .._core.validators import Number, OneOf, WholeNumber
from ..abc import LLMCallStrategy
from .answers import AnswerMaker, AnswerType
from .limits import ConcurrencyCap, FixedWindow, Limit, TokenBucket
from .provider import SimulatedProvider
from .replies import DIALECTS
from .service import FAULTS, HINTS, REFUSAL_STATUSES, Service

N = TypeVar("N", float, int)

NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


class SimulatedStrategy(LLMCallStrategy[Any]):
    """Calls a simulated provider. It answers a `Request` of any dialect as it answers its text.

    Args:
        provider: Provider to call; strategies with the same provider share its limits.
        model: Name of the model, for results.
        quota: Quota key; None: the names of the class and the model.
        system_instruction: Instruction before every prompt; it costs tokens.
        output_type: `OutputType` of the answers: they are made up, and valid; None: text.
        settings: Settings that a real model would have, such as a temperature, as plain data for the identity.
        is_sampled: Whether equal prompts stand for separate samples.

    Raises:
        ConfigurationError: `provider` is not a SimulatedProvider, or no valid answer of the type was found.
    """

    takes_requests = True

    def __init__(  # noqa: PLR0913 - all but the provider have defaults
        self,
        provider: SimulatedProvider,
        *,
        model: str = "sim",
        quota: str | None = None,
        system_instruction: str | None = None,
        output_type: AnswerType | None = None,
        settings: Mapping[str, Any] = NO_SETTINGS,
        is_sampled: bool = False,
    ) -> None:
        if not isinstance(provider, SimulatedProvider):
            raise ConfigurationError(f"provider must be a SimulatedProvider, not {provider!r}")
        if not isinstance(system_instruction, str | None):
            raise ConfigurationError(f"system_instruction must be a string, not {type(system_instruction).__name__}")
        self._system = system_instruction or ""
        self._output = output_type if output_type is not None and output_type.schema is not None else None
        self._answers = None if self._output is None else AnswerMaker(self._output)
        self._settings = dict(settings)
        self.is_sampled = is_sampled
        self.provider = provider
        self.model: str | None = model
        self._quota = quota
        self._reports_limits = provider.reports_limits

    @property
    def quota(self) -> str:
        """Quota key."""
        return super().quota if self._quota is None else self._quota

    @property
    def identity(self) -> Mapping[str, Any]:
        """Class, model and quota key, by which one simulated service differs from another; what else was given."""
        return {
            **super().identity,
            "service": self.quota,
            **({"system_instruction": _fingerprint(self._system)} if self._system else {}),
            **({} if self._output is None else self._output.identity),
            **({"settings": self._settings} if self._settings else {}),
        }

    def restore(self, data: Any) -> Any:
        """Return an output from its data in a journal."""
        return data if self._output is None else self._output.restore(data)

    def objection(self, request: Request) -> str | None:
        """Return why a request in a provider's form cannot be sent: its complete reply cannot be of an output type."""
        return NO_REQUESTS if self._output is not None and request.reply == "complete" else None

    def __copy__(self) -> SimulatedStrategy:
        if not self._reports_limits:
            return self  # nothing changes after __init__, so items can share it
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    async def execute(self, prompt: str | Request, attempt: int, timeout: float) -> tuple[Any, TokenUsage]:  # noqa: ARG002
        """Make one call; it raises what `SimulatedProvider.call` raises."""
        if isinstance(prompt, Request):
            prompt = prompt.text
        reply = await self.provider.call(prompt, attempt, system=self._system)
        if reply.headers:
            self.quota_hint: QuotaHint | None = header_quota(reply.headers, wall_time=time.time())
        if self._output is None or self._answers is None:
            return reply.text, reply.usage
        return self._output.parse(self._answers.make(prompt)), reply.usage


def _fingerprint(text: str) -> str:
    """Return the hash of a text as strategies of providers have it, so that the same instruction is the same for a rehearsal."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


_RATE = 50.0
_LIMITS = ("rate", "burst", "window", "tokens", "cap", "knee")
_SECONDS_A_MINUTE = 60.0


def parse_model(
    text: str,
    *,
    system_instruction: str | None = None,
    output_type: AnswerType | None = None,
    settings: Mapping[str, Any] = NO_SETTINGS,
    is_sampled: bool = False,
) -> SimulatedStrategy:
    """Return a strategy that calls a new simulated provider as a model string describes it.

    Args:
        text: Model string.
        system_instruction: As of `SimulatedStrategy`; so are the others.
        output_type: Type of the answers.
        settings: Settings that a real model would have.
        is_sampled: Whether equal prompts stand for separate samples.

    Raises:
        ConfigurationError: `text` is not such a model string; the message names the key, the value and what is known.
    """
    name, colon, rest = text.partition(":")
    if name.strip() != "sim":
        raise ConfigurationError(f"model must be sim or sim:key=value,..., not {text!r}")
    options = _parse_options(rest) if colon else {}
    fields = {_SETTING[key]: options[key] for key in _SETTING.keys() & options.keys()}
    service = Service(limits=_limits(options), **fields)
    provider = SimulatedProvider(service, seed=options.get("seed", 0))
    return SimulatedStrategy(
        provider,
        model="sim",
        quota=text,
        system_instruction=system_instruction,
        output_type=output_type,
        settings=settings,
        is_sampled=is_sampled,
    )


def _parse_options(text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for option in text.split(","):
        key, equals, value = (part.strip() for part in option.partition("="))
        if not equals:
            raise ConfigurationError(f"an option of sim must be key=value, not {option!r}; the keys are {_KEYS}")
        if key not in _READERS:
            raise ConfigurationError(f"sim has no option {key!r} (given as {option.strip()}); it has {_KEYS}")
        if key in options:
            raise ConfigurationError(f"{key} is given twice, the second time as {value!r}")
        options[key] = _READERS[key](key, value)
    return options


def _limits(options: dict[str, Any]) -> tuple[Limit, ...]:
    limits: list[Limit] = []
    rate = options.get("rate", _RATE)
    if rate is None and "burst" in options:
        raise ConfigurationError(f"burst needs a rate: remove burst={options['burst']:g}, or rate=none")
    if rate is not None and ({"rate", "burst"} & options.keys() or not options.keys() & set(_LIMITS)):
        limits.append(TokenBucket(rate, options.get("burst", max(1.0, rate))))
    limits.extend(options[key] for key in ("window", "tokens", "cap") if key in options)
    return tuple(limits)


def _read_by(parse: Callable[[str], N], bound: Number) -> Callable[[str, str], N]:
    def read(key: str, text: str) -> N:
        try:
            value = parse(text)
        except ValueError:
            raise ConfigurationError(f"{key} must be {bound}, not {text!r}") from None
        bound.check(key, value)
        return value

    return read


def _number(bound: Number) -> Callable[[str, str], float]:
    return _read_by(float, bound)


def _whole_number(bound: WholeNumber) -> Callable[[str, str], int]:
    return _read_by(int, bound)


def _rate(key: str, text: str) -> float | None:
    return None if text == "none" else _positive(key, text)


def _window(key: str, text: str) -> FixedWindow:
    amount, slash, seconds = text.partition("/")
    if not slash:
        raise ConfigurationError(f"{key} must be amount/seconds, such as 60/10, not {text!r}")
    return FixedWindow(_at_least_one(f"the amount of {key}", amount), _positive(f"the seconds of {key}", seconds))


def _tokens(key: str, text: str) -> TokenBucket:
    minute = _at_least_one(key, text)
    return TokenBucket(minute / _SECONDS_A_MINUTE, minute, per="tokens")


def _cap(key: str, text: str) -> ConcurrencyCap:
    return ConcurrencyCap(_whole_number(WholeNumber(at_least=0))(key, text))


def _one_of(words: tuple[str, ...]) -> Callable[[str, str], str]:
    def read(key: str, text: str) -> str:
        OneOf(words).check(key, text)
        return text

    return read


def _hint(key: str, text: str) -> str | float:
    try:
        return _not_negative(key, text) if text not in HINTS else text
    except ConfigurationError:
        raise ConfigurationError(
            f"{key} must be one of {', '.join(HINTS)}, or a number of seconds, 0 or more, not {text!r}"
        ) from None


def _refusal(key: str, text: str) -> int:
    OneOf(tuple(map(str, REFUSAL_STATUSES))).check(key, text)
    return int(text)


def _faults(key: str, text: str) -> dict[FaultKind, float]:
    faults: dict[FaultKind, float] = {}
    for part in text.split("+"):
        name, colon, probability = (piece.strip() for piece in part.partition(":"))
        if not colon:
            raise ConfigurationError(f"{key} must be kind:probability+..., such as overloaded:0.01, not {text!r}")
        if name not in FAULTS:
            raise ConfigurationError(
                f"{key} has no kind {name!r} (given as {part.strip()}); it has {', '.join(FAULTS)}"
            )
        if name in faults:
            raise ConfigurationError(f"{key} has {name} twice, the second time as {probability!r}")
        faults[FaultKind(name)] = _number(Number(at_least=0, at_most=1))(f"{name} in {key}", probability)
    return faults


_positive = _number(Number(above=0))
_not_negative = _number(Number(at_least=0))
_at_least_one = _number(Number(at_least=1))

_READERS: dict[str, Callable[[str, str], Any]] = {
    "burst": _at_least_one,
    "cap": _cap,
    "dialect": _one_of(DIALECTS),
    "faults": _faults,
    "hint": _hint,
    "knee": _whole_number(WholeNumber(at_least=1)),
    "latency": _not_negative,
    "output": _not_negative,
    "rate": _rate,
    "refusal": _refusal,
    "seed": _whole_number(WholeNumber(at_least=0)),
    "shed": _number(Number(at_least=0, at_most=1)),
    "sigma": _number(Number(at_least=0, at_most=5)),
    "tokens": _tokens,
    "window": _window,
}
_KEYS = ", ".join(_READERS)
_SETTING = {
    "dialect": "dialect",
    "faults": "faults",
    "hint": "hint",
    "knee": "knee",
    "latency": "latency",
    "output": "output_tokens",
    "refusal": "refusal_status",
    "shed": "shed_share",
    "sigma": "sigma",
}
