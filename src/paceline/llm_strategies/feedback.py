"""Tells the model what was wrong with its last answer.

Rules owned here:

1. A prompt after an invalid answer is made of the item's own prompt and the last answer's problems: it does not grow with the
   number of answers, and what it quotes is short.
2. What was wrong is known until there is a right answer: a call that was throttled or truncate off in between is made again with
   the same prompt.
3. It is the item's: each copy has its own, beside its own copy of the strategy that makes the calls.
4. Everything else is that strategy's.
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

from .._core.exceptions import ConfigurationError, Problem
from .._core.fault import FaultKind
from .._core.prompt import Media, Parts
from .._core.request import Request
from ..abc import ErrorClassifier, Ladder, LLMCallStrategy, Tokens
from .common import fingerprint
from .output_types.validation_errors import problems_of, truncate

T = TypeVar("T")

_MOST = 20  # problems, and right fields
_LONGEST = 300  # characters of one of them
_LONGEST_ANSWER = 2_000
_FIELDS = ("prompt", "right", "problems", "answer")


def _inner() -> Any:
    """Return an attribute that is the one of the strategy within."""
    return _Inner()


class _Inner:
    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, feedback: ValidationFeedback[Any] | None, owner: type) -> Any:
        return None if feedback is None else getattr(feedback.strategy, self._name)

    def __set__(self, feedback: ValidationFeedback[Any], value: Any) -> None:
        setattr(feedback.strategy, self._name, value)


class ValidationFeedback(LLMCallStrategy[T], Generic[T]):
    """Makes its calls by another strategy; after an invalid answer, the next prompt says what was wrong with it.

    An answer is invalid where the strategy's `error_classifier` says so of an exception, and where the exception is one of
    pydantic's, cattrs', msgspec's or json's, or an `InvalidOutputError`. Given a ladder, it is a ladder itself, which tells each
    model what was wrong with the answer of the one before.

    Args:
        strategy: makes the calls. It may be within several of these: it is prepared once for them together, and cleaned up
            after the last. Used by itself beside, it is prepared for that too.
        template: how the prompt is worded, with `{prompt}`, `{problems}` (a list), `{right}` (the names of the fields that were
            right) and `{answer}`, for `str.format`. Without `{prompt}` it is put below the prompt. Where a prompt has parts,
            they stand in the place of `{prompt}`, media among them.

    Raises:
        ConfigurationError: `strategy` is none, or tells what was wrong already; or the template has another field.
    """

    model: str | None = _inner()
    price = _inner()
    quota_hint = _inner()
    error_classifier: ErrorClassifier = _inner()

    def __init__(self, strategy: LLMCallStrategy[T], *, template: str | None = None) -> None:
        given: object = strategy
        if not isinstance(given, LLMCallStrategy) or isinstance(given, ValidationFeedback):
            name = type(given).__qualname__
            raise ConfigurationError(f"strategy must be an LLMCallStrategy that gives no feedback yet, not {name}")
        self.strategy = strategy
        """Makes the calls."""
        self._template = None if template is None else _read(template)
        self._report: _Report | None = None
        if strategy.ladder is not None:
            steps = (
                step if isinstance(step, ValidationFeedback) else ValidationFeedback(step, template=template)
                for step in strategy.ladder.steps
            )
            self.ladder = Ladder(tuple(steps), strategy.ladder.policy)

    def __copy__(self) -> ValidationFeedback[T]:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.strategy = copy.copy(self.strategy)
        return twin

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.strategy!r})"

    @property
    def quota(self) -> str:
        """The lane's name."""
        return self.strategy.quota

    @property
    def identity(self) -> Mapping[str, Any]:
        """That of the strategy, as a first prompt is the same; and what a further one is worded by."""
        return {**self.strategy.identity, "feedback": fingerprint(repr(self._template))}

    def restore(self, data: Any) -> T:
        """Return an output from what a journal has kept of it, as the strategy does."""
        return self.strategy.restore(data)

    @property
    def takes_requests(self) -> bool:  # type: ignore[override]  # it is what the strategy's is, at any time
        """Whether the strategy takes them."""
        return self.strategy.takes_requests

    def objection(self, request: Request) -> str | None:
        """Return the strategy's."""
        return self.strategy.objection(request)

    async def prepare(self) -> None:
        """Prepare the strategy, unless it is prepared already for another of these."""
        here = (id(self.strategy), current_token())
        sharing = _sharing.setdefault(here, _Sharing(self.strategy))
        sharing.users.add(id(self))
        async with sharing.lock:
            if not sharing.prepared:
                await self.strategy.prepare()
                sharing.prepared = True

    async def cleanup(self) -> None:
        """Clean the strategy up, unless another of these has use for it."""
        here = (id(self.strategy), current_token())
        sharing = _sharing.get(here)
        if sharing is not None:
            sharing.users.discard(id(self))
            if not sharing.users:
                del _sharing[here]
                await self.strategy.cleanup()

    async def execute(self, prompt: Any, attempt: int, timeout: float) -> tuple[T, Tokens]:
        """Make one call by the strategy, with what was wrong with the last answer, if anything was."""
        reply = await self.strategy.execute(self._with_report(prompt), attempt, timeout)
        self._report = None
        return reply

    def expected_tokens(self, prompt: Any) -> float | None:
        """Return what the strategy expects of the prompt that it is to be sent."""
        return self.strategy.expected_tokens(self._with_report(prompt))

    async def on_error(self, exception: Exception, attempt: int) -> None:
        """Note what was wrong with an answer, after the strategy has heard of it."""
        try:
            await self.strategy.on_error(exception, attempt)
        finally:
            self._report = _report_of(exception, self.strategy.error_classifier) or self._report

    def take_over(self, previous: LLMCallStrategy[Any]) -> None:
        """Take over what was wrong with the last answer on the step below."""
        if isinstance(previous, ValidationFeedback):
            self._report = previous._report  # noqa: SLF001 - one of its own
            previous = previous.strategy
        self.strategy.take_over(previous)

    def _with_report(self, prompt: Any) -> Any:
        if self._report is None or not isinstance(prompt, (str, tuple)):
            return prompt
        return _worded(prompt, self._template or self._report.template, self._report.values)


@attrs.define
class _Sharing:
    """A strategy that several feedbacks share, in one event loop."""

    strategy: LLMCallStrategy[Any]
    """Kept, so that its identity is no other's."""
    users: set[int] = attrs.field(factory=set)
    prepared: bool = False
    lock: Lock = attrs.field(factory=Lock)


_sharing: dict[tuple[int, EventLoopToken], _Sharing] = {}


@attrs.frozen
class _Report:
    """What was wrong with an answer."""

    problems: tuple[Problem, ...]
    right: tuple[str, ...]
    answer: str | None

    @property
    def template(self) -> _Template:
        """The wording where the user has given none: what is not known is left out."""
        lines = ["{prompt}\n\nYour last answer was not valid."]
        if self.answer:
            lines.append("It was:\n{answer}")
        if self.right:
            lines.append("Right in it: {right}.")
        lines.append("To be corrected:\n{problems}\nGive the whole answer again, with this corrected.")
        return _read("\n".join(lines))

    @property
    def values(self) -> dict[str, str]:
        """What stands in the fields of a template, but for the prompt."""
        return {
            "right": ", ".join(_some([truncate(name, _LONGEST) for name in self.right])) or "nothing",
            "problems": "\n".join(f"- {line}" for line in _some([_line(problem) for problem in self.problems])),
            "answer": truncate(self.answer or "", _LONGEST_ANSWER),
        }


def _line(problem: Problem) -> str:
    given = "" if problem.value is None else f" (given: {truncate(problem.value, _LONGEST)})"
    return f"{truncate(str(problem), _LONGEST)}{given}"


def _some(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _MOST else [*lines[:_MOST], f"and {len(lines) - _MOST} more"]


def _report_of(exception: Exception, classifier: ErrorClassifier) -> _Report | None:
    told = problems_of(exception)
    if told is not None:
        return _Report(*told)
    with suppress(Exception):  # the engine asks the same classifier, and says so
        fault = classifier.classify(exception)
        if fault.kind is FaultKind.INVALID:
            return _Report((Problem("", fault.message or "it is not of its type"),), (), None)
    return None


_Template = tuple[tuple[str, str | None], ...]  # texts, each with the field that follows it


def _read(template: str) -> _Template:
    """Return the parts of a template.

    Raises:
        ConfigurationError: it has another field than those known, or braces that are none's.
    """
    known = ", ".join(f"{{{name}}}" for name in _FIELDS)
    if not isinstance(template, str):
        raise ConfigurationError(f"template must be a string, not {type(template).__name__}")
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(f"template cannot be read: {error}; its fields are {known}") from error
    for _, name, form, conversion in parts:
        if name is not None and (name not in _FIELDS or form or conversion):
            field = f"{name}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"
            raise ConfigurationError(f"template has the field {{{field}}}; its fields are {known}")
    read = tuple((text, name) for text, name, _, _ in parts)
    return read if any(name == "prompt" for _, name in read) else (("", "prompt"), ("\n\n", None), *read)


def _worded(prompt: Parts, template: _Template, values: dict[str, str]) -> Parts:
    """Return the prompt in the place that the template has for it."""
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
