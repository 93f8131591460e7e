"""Suite: questions with known answers, how they are asked, and how an answer is scored.

suite = Suite("capitals", [Question("de", {"country": "Germany"}, "Berlin")], "The capital of {country}?", normalised)
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any, Protocol, TypeAlias, runtime_checkable

import attrs

from .._core.exceptions import ConfigurationError
from .._core.prompt import Prompt
from ..files.template import Template, parse_template
from ..files.types import InputError, LineError

_BETWEEN = "\n\n"  # one example and the next


@attrs.frozen
class Question:
    """One item of a suite."""

    id: str
    """Not empty, and unique in the suite."""
    fields: Mapping[str, Any] = attrs.field(repr=False)
    """What the prompt is made of: JSON values by name."""
    target: Any = attrs.field(default=None, repr=False)
    """The right answer, or a list of right answers; what it means is the scorer's matter."""


def _number(value: float) -> float:
    return float(value) if isinstance(value, bool) else value


def _is_share(_: object, attribute: attrs.Attribute[float], value: object) -> None:
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} of a score must be a number from 0 to 1, not {value!r}")


@attrs.frozen
class Score:
    """How good an answer is.

    Raises:
        ValueError: The value is not a number from 0 to 1.
    """

    value: float = attrs.field(converter=_number, validator=_is_share)
    """1: right; 0: wrong; between: partly right."""
    explanation: str = ""
    """Why, for people: what was read from the answer and what it was compared with."""
    details: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    """More for the transcript, as JSON: for example what a grader was asked and what it answered."""


class Scorer(Protocol):
    """Scores one answer: a plain function, or one that is awaited."""

    def __call__(self, item: Question, output: Any, /) -> Score | Awaitable[Score]:
        """Return the score of `output`, the strategy's output for `item`.

        A plain function runs in a worker thread: it may block. An exception is a defect of the scorer: it is recorded as the
        explanation of an unscored sample, and the suite goes on.
        """
        ...


@runtime_checkable
class CheckedScorer(Protocol):
    """A scorer that needs something of this machine, such as a sandbox."""

    def check(self) -> None:
        """Check, before the first question is asked, that answers can be scored here. May block.

        Raises:
            ConfigurationError: They cannot; the message says what to change.
        """
        ...


Questions: TypeAlias = "Iterable[Question] | Callable[[], Iterable[Question]]"
"""Items of a suite, or a function that returns them."""


def _non_empty(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{attribute.name} of a suite must be a non-empty string, not {value!r}")


def _examples(value: Iterable[Question]) -> tuple[Question, ...]:
    return tuple(value)


@attrs.frozen
class Suite:
    """Questions with known answers.

    Raises:
        ConfigurationError: The name is empty, the items are an iterator, or a function has examples.
    """

    name: str = attrs.field(validator=_non_empty)
    """Name, for results and messages."""
    items: Questions = attrs.field(repr=False)
    """Questions, or a function that returns them; they are read again for each run and must then be the same."""
    prompt: str | Callable[[Question], Prompt] = attrs.field(repr=False)
    """Template with the names of fields in braces, such as `{question}`; or a function of a question."""
    score: Scorer = attrs.field(repr=False)
    """Scores an answer."""
    examples: Sequence[Question] = attrs.field(default=(), converter=_examples, repr=False, kw_only=True)
    """Questions that are shown with their answers before each one (few-shot). Only with a template."""
    answer: str = attrs.field(default="{target}", repr=False, kw_only=True)
    """Template of the answer in an example, in which `{target}` is the right answer."""
    source: str = attrs.field(default="", kw_only=True)
    """Where the questions are from."""
    licence: str = attrs.field(default="", kw_only=True)
    """Their licence."""

    def __attrs_post_init__(self) -> None:
        if isinstance(self.items, Iterator):
            raise ConfigurationError(
                f"suite {self.name}: its items are an iterator, which can be read once only; give a list, or a function that returns them"
            )
        if self.examples and callable(self.prompt):
            raise ConfigurationError(
                f"suite {self.name}: a function that makes prompts shows its own examples; leave out `examples`"
            )

    def __iter__(self) -> Iterator[Question]:
        return iter(self.items() if callable(self.items) else self.items)

    def ask(self, item: Question) -> Prompt:
        """Return the prompt of an item, after the examples.

        Raises:
            ConfigurationError: The template names a field that the item or an example does not have.
        """
        if callable(self.prompt):
            return self.prompt(item)
        return self._shown + self._fill(self.prompt, item, item.fields)

    @cached_property
    def _shown(self) -> str:
        """The examples with their answers, and a blank line after each."""
        template = "" if callable(self.prompt) else self.prompt
        answered = (
            (self._fill(template, one, one.fields), self._fill(self.answer, one, {**one.fields, "target": one.target}))
            for one in self.examples
        )
        return "".join(f"{asked}{answer}{_BETWEEN}" for asked, answer in answered)

    def _fill(self, template: str, item: Question, fields: Mapping[str, Any]) -> str:
        try:
            return _parsed(template, tuple(fields)).fill(fields)[0]
        except InputError as error:
            raise ConfigurationError(f"suite {self.name}, item {item.id}{error}") from None
        except LineError as error:
            raise ConfigurationError(f"suite {self.name}, item {item.id}: {error}") from None


def check_items(suite: Suite, limit: int | None) -> int:
    """Check the items of a suite, before the first is asked; return their number.

    Args:
        suite: The suite.
        limit: Items to take from its start; None: all.

    Raises:
        ConfigurationError: It has no items, one is not a question or has no id, two have the same id, or a template does not fit one.
    """
    seen: set[int] = set()  # hashes: a tenth of the ids' memory
    doubtful: set[str] = set()
    count = 0
    for count, item in enumerate(islice(suite, limit), 1):
        if not isinstance(item, Question):
            raise ConfigurationError(f"suite {suite.name}: item {count} must be a Question, not {type(item).__name__}")
        if not item.id or type(item.id) is not str:
            raise ConfigurationError(
                f"suite {suite.name}: the id of item {count} must be a non-empty string, not {item.id!r}"
            )
        if isinstance(suite.prompt, str):
            suite.ask(item)
        key = hash(item.id)
        if key in seen:
            doubtful.add(item.id)
        seen.add(key)
    if not count:
        raise ConfigurationError(f"suite {suite.name}: it has no items")
    if doubtful:
        counts = Counter(item.id for item in islice(suite, limit) if item.id in doubtful)
        twice = next((name for name, times in counts.items() if times > 1), None)
        if twice is not None:
            raise ConfigurationError(f"suite {suite.name}: two items have the id {twice!r}; each needs one of its own")
    return count


@lru_cache(maxsize=64)
def _parsed(template: str, fields: tuple[str, ...]) -> Template:
    """Return a template, once for all items with the same fields. What is wrong with it is said without a place."""
    return parse_template(template, fields, "", noun="field", nested=True)


def targets_of(item: Question) -> list[str]:
    """Return the right answers of an item as texts.

    Raises:
        ValueError: It has none.
    """
    given = item.target if isinstance(item.target, (list, tuple)) else [item.target]
    targets = [
        target if isinstance(target, str) else json.dumps(target, ensure_ascii=False)
        for target in given
        if target is not None
    ]
    if not targets:
        raise ValueError(f"item {item.id} has no target")
    return targets
