"""ValidationFeedback: after an invalid answer, the next prompt lists what was wrong with it.

Rules owned here:

1. The prompt after an invalid answer consists of the item's own prompt and the last answer's problems: it does not grow with
   the number of answers, and its quotations are short.
2. The report is kept until a valid answer arrives: a call that was throttled or cut off in between is repeated with the same
   prompt.
3. The report belongs to the item: each copy has its own, with its own copy of the inner strategy.
4. Everything else is delegated to the inner strategy.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import suppress
from string import Formatter
from typing import Any, Generic, TypeVar

import attrs
from anyio import Lock
from anyio.lowlevel import EventLoopToken, current_token

from .._core.accounting import Price
from .._core.connections import Connections
from .._core.exceptions import ConfigurationError, Problem
from .._core.fault import FaultKind
from .._core.prompt import Media, Parts
from .._core.quota import QuotaHint
from .._core.request import Request
from ..abc import ErrorClassifier, Ladder, LLMCallStrategy, NativeBatch, Tokens
from .common import fingerprint
from .output_types.validation_errors import problems_of, truncate

T = TypeVar("T")

_MAX_LINES = 20  # problems, and correct fields
_MAX_LINE = 300  # characters of a problem or a field
_MAX_ANSWER = 2_000  # characters
_FIELDS = ("prompt", "right", "problems", "answer")


def _inner() -> Any:
    """Return an attribute that is read from, and written to, the inner strategy."""
    return _Inner()


class _Inner:
    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, feedback: ValidationFeedback[Any] | None, owner: type) -> Any:
        return None if feedback is None else getattr(feedback.strategy, self._name)

    def __set__(self, feedback: ValidationFeedback[Any], value: Any) -> None:
        setattr(feedback.strategy, self._name, value)


class ValidationFeedback(LLMCallStrategy[T], Generic[T]):
    """Calls another strategy; after an invalid answer, the next prompt lists what was wrong with it.

    An answer is invalid if the strategy's `error_classifier` classifies its exception so, or if the exception is an
    `InvalidOutputError` or a validation error of pydantic, cattrs, msgspec or json. Around a ladder it is a ladder itself: each
    model receives the problems of the previous model's answer.

    Args:
        strategy: Strategy that makes the calls. Several feedbacks may share one: it is prepared once for all of them, and
            cleaned up after the last. If it is also used without feedback, it is prepared for that separately.
        template: Wording of the prompt for `str.format`, with `{prompt}`, `{problems}` (a list), `{right}` (names of the
            correct fields) and `{answer}`. Without `{prompt}` it is appended to the prompt. The parts of a multi-part prompt,
            including media, take the place of `{prompt}`.

    Raises:
        ConfigurationError: `strategy` is not an LLMCallStrategy or gives feedback already, or the template has an unknown field.
    """

    model: str | None = _inner()
    price: Price | None = _inner()
    max_output_tokens: int | None = _inner()
    is_sampled: bool = _inner()
    server: str | None = _inner()
    connections: Connections | None = _inner()
    quota_hint: QuotaHint | None = _inner()
    error_classifier: ErrorClassifier = _inner()

    def __init__(self, strategy: LLMCallStrategy[T], *, template: str | None = None) -> None:
        given: object = strategy
        if not isinstance(given, LLMCallStrategy) or isinstance(given, ValidationFeedback):
            name = type(given).__qualname__
            raise ConfigurationError(f"strategy must be an LLMCallStrategy without ValidationFeedback, not {name}")
        self.strategy = strategy
        """Strategy that makes the calls."""
        self._template = None if template is None else _parse(template)
        self._report: _Report | None = None
        if strategy.ladder is not None:
            steps = (
                step if isinstance(step, ValidationFeedback) else ValidationFeedback(step, template=template)
                for step in strategy.ladder.steps
            )
            self.ladder: Ladder | None = Ladder(tuple(steps), strategy.ladder.policy)

    def __copy__(self) -> ValidationFeedback[T]:
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        twin.strategy = copy.copy(self.strategy)
        return twin

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.strategy!r})"

    @property
    def quota(self) -> str:
        """Name of the lane."""
        return self.strategy.quota

    @property
    def identity(self) -> Mapping[str, Any]:
        """The inner strategy's identity, and a fingerprint of the template."""
        return {**self.strategy.identity, "feedback": fingerprint(repr(self._template))}

    def restore(self, data: Any) -> T:
        """Return an output from its data in a journal, as the inner strategy does."""
        return self.strategy.restore(data)

    @property
    def takes_requests(self) -> bool:  # type: ignore[override]  # read from the inner strategy each time
        """Whether the inner strategy accepts requests in a provider's format."""
        return self.strategy.takes_requests

    def objection(self, request: Request) -> str | None:
        """Return the inner strategy's objection; None if it has none."""
        return self.strategy.objection(request)

    def native_batch(self) -> NativeBatch:
        """Return the inner strategy's."""
        return self.strategy.native_batch()

    async def prepare(self) -> None:
        """Prepare the inner strategy, unless another feedback has prepared it."""
        key = (id(self.strategy), current_token())
        shared = _shared.setdefault(key, _Shared(self.strategy))
        shared.users.add(id(self))
        async with shared.lock:
            if not shared.prepared:
                await self.strategy.prepare()
                shared.prepared = True

    async def cleanup(self) -> None:
        """Clean the inner strategy up, unless another feedback still uses it."""
        key = (id(self.strategy), current_token())
        shared = _shared.get(key)
        if shared is not None:
            shared.users.discard(id(self))
            if not shared.users:
                del _shared[key]
                await self.strategy.cleanup()

    async def execute(self, prompt: Any, attempt: int, timeout: float) -> tuple[T, Tokens]:
        """Make one call, with a report of the last answer's problems if it was invalid."""
        reply = await self.strategy.execute(self._with_report(prompt), attempt, timeout)
        self._report = None
        return reply

    def expected_tokens(self, prompt: Any) -> float | None:
        """Return the inner strategy's estimate for the prompt with its report, in tokens."""
        return self.strategy.expected_tokens(self._with_report(prompt))

    async def on_error(self, exception: Exception, attempt: int) -> None:
        """Record an answer's problems, after the inner strategy's `on_error`."""
        try:
            await self.strategy.on_error(exception, attempt)
        finally:
            self._report = _report_of(exception, self.strategy.error_classifier) or self._report

    def take_over(self, previous: LLMCallStrategy[Any]) -> None:
        """Take over the report of the last answer from the step below."""
        if isinstance(previous, ValidationFeedback):
            self._report = previous._report  # noqa: SLF001 - the same class
            previous = previous.strategy
        self.strategy.take_over(previous)

    def _with_report(self, prompt: Any) -> Any:
        if self._report is None or not isinstance(prompt, (str, tuple)):
            return prompt
        return _render(prompt, self._template or self._report.template, self._report.values)


@attrs.define
class _Shared:
    """A strategy that several feedbacks share in one event loop."""

    strategy: LLMCallStrategy[Any]
    """Held so that its `id()` stays unique."""
    users: set[int] = attrs.field(factory=set)
    prepared: bool = False
    lock: Lock = attrs.field(factory=Lock)


_shared: dict[tuple[int, EventLoopToken], _Shared] = {}


@attrs.frozen
class _Report:
    """The problems of an invalid answer."""

    problems: tuple[Problem, ...]
    right: tuple[str, ...]
    answer: str | None

    @property
    def template(self) -> _Template:
        """Default template, without the parts that are not known."""
        lines = ["{prompt}\n\nYour last answer was not valid."]
        if self.answer:
            lines.append("It was:\n{answer}")
        if self.right:
            lines.append("Right in it: {right}.")
        lines.append("To be corrected:\n{problems}\nGive the whole answer again, with this corrected.")
        return _parse("\n".join(lines))

    @property
    def values(self) -> dict[str, str]:
        """Values of the template's fields other than the prompt."""
        return {
            "right": ", ".join(_limit([truncate(name, _MAX_LINE) for name in self.right])) or "nothing",
            "problems": "\n".join(f"- {line}" for line in _limit([_line(problem) for problem in self.problems])),
            "answer": truncate(self.answer or "", _MAX_ANSWER),
        }


def _line(problem: Problem) -> str:
    value = "" if problem.value is None else f" (given: {truncate(problem.value, _MAX_LINE)})"
    return f"{truncate(str(problem), _MAX_LINE)}{value}"


def _limit(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _MAX_LINES else [*lines[:_MAX_LINES], f"and {len(lines) - _MAX_LINES} more"]


def _report_of(exception: Exception, classifier: ErrorClassifier) -> _Report | None:
    found = problems_of(exception)
    if found is not None:
        return _Report(*found)
    with suppress(Exception):  # the engine calls the same classifier, and reports its failure
        fault = classifier.classify(exception)
        if fault.kind is FaultKind.INVALID:
            return _Report((Problem("", fault.message or "it is not of the required type"),), (), None)
    return None


_Template = tuple[tuple[str, str | None], ...]  # texts, each with the field that follows it


def _parse(template: str) -> _Template:
    """Return the parts of a template; one without `{prompt}` is appended to the prompt.

    Raises:
        ConfigurationError: The template has an unknown field, or unbalanced braces.
    """
    known = ", ".join(f"{{{name}}}" for name in _FIELDS)
    if not isinstance(template, str):
        raise ConfigurationError(f"template must be a string, not {type(template).__name__}")
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(f"template cannot be parsed: {error}; its fields are {known}") from error
    for _, name, form, conversion in parts:
        if name is not None and (name not in _FIELDS or form or conversion):
            field = f"{name}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"
            raise ConfigurationError(f"template has the unknown field {{{field}}}; its fields are {known}")
    parsed = tuple((text, name) for text, name, _, _ in parts)
    return parsed if any(name == "prompt" for _, name in parsed) else (("", "prompt"), ("\n\n", None), *parsed)


def _render(prompt: Parts, template: _Template, values: dict[str, str]) -> Parts:
    """Return the prompt and the values in the template's fields."""
    parts: list[str | Media] = []
    text = ""
    for before, name in template:
        text += before
        if name == "prompt" and isinstance(prompt, tuple):
            parts += [text, *prompt] if text else prompt
            text = ""
        elif name == "prompt":
            text += str(prompt)
        elif name is not None:
            text += values[name]
    if isinstance(prompt, str):
        return text
    return (*parts, text.strip()) if text.strip() else tuple(parts)
