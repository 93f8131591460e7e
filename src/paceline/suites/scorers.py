"""Scorers: compare what a model wrote with the right answer.

    exact          the answer is a target
    includes       a target stands in the answer; `begins`: at its start
    normalised     it is a target without case, punctuation, articles and white space
    numeric        the final number of the answer is that of a target
    choice         the letter that the answer chooses is the target
    matches        the answer has a match of a pattern
    json_fields    fields of a JSON answer, with weights

Each is a function of an item and an output that returns a `Score`, or makes one.
"""

from __future__ import annotations

import json
import re
import string
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from .._core.exceptions import ConfigurationError, MissingExtraError
from ..llm_strategies.output_types.answer_text import read_json, without_thoughts
from .suite import Question, Score, targets_of

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|(?<![\w.])[-+]?\.\d+")
_FINAL = "####"  # stands before the answer in GSM8K
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")  # around it, in answers that are written in TeX
_LONGEST_NUMBER: Final = 400  # characters, and digits once written out: longer ones are no results
_LETTER = r"(?:\(([A-Za-z])\)|([B-HJ-Z]|[AI](?!['\u2019]|\s+(?!because|since|as|for)[a-z]))\b)"  # A and I are words too
_SAYS = re.compile(rf"(?i:answer|choice|option)(?:\s+(?i:is|was|would be|should be))?\W{{0,8}}{_LETTER}")
_BEGINS = re.compile(r"[^\w]{0,4}([A-Za-z])(?:[).:,\n]|\W{0,4}$)")
_ENDS = re.compile(rf"(?<!\w){_LETTER}\W{{0,4}}$")
_SHOWN = 80  # characters of an answer in an explanation
_PATTERN_SECONDS = 1.0  # that a match may take


def exact(item: Question, output: Any) -> Score:
    """Score whether the answer, without surrounding white space, is one of the targets."""
    found, targets = text_of(output).strip(), [target.strip() for target in targets_of(item)]
    return Score(found in targets, _compared(found, targets))


def normalised(item: Question, output: Any) -> Score:
    """Score whether the answer is one of the targets once case, punctuation, English articles and white space are taken away.

    The normalisation is that of SQuAD (Rajpurkar et al., 2016).
    """
    found, targets = _normal(text_of(output)), [_normal(target) for target in targets_of(item)]
    return Score(found in targets, _compared(found, targets))


def includes(item: Question, output: Any) -> Score:
    """Score whether a target stands anywhere in the answer."""
    text, targets = text_of(output), targets_of(item)
    return Score(any(target in text for target in targets), _compared(text.strip(), targets))


def begins(item: Question, output: Any) -> Score:
    """Score whether the answer begins with a target."""
    text, targets = text_of(output).strip(), targets_of(item)
    return Score(any(text.startswith(target.strip()) for target in targets), _compared(text, targets))


def numeric(item: Question, output: Any) -> Score:
    r"""Score whether the final number of the answer equals that of a target: `1,250.0` equals `1250`.

    It is the number after the last `####`, else in the last `\boxed{}`, else the last number of the answer.
    """
    found, targets = final_number(text_of(output)), [final_number(target) for target in targets_of(item)]
    if found is None:
        return Score(0, "the answer has no number")
    return Score(found in targets, _compared(str(found), [str(target) for target in targets]))


def choice(item: Question, output: Any) -> Score:
    """Score whether the answer chooses the target, a letter such as `B`.

    It chooses the letter that it says is its answer ("The answer is (B)"), else the one that it begins with, else the one that it
    ends with. The last of several sayings counts.
    """
    found, targets = (
        chosen_letter(text_of(output)),
        [target.strip().strip("().").upper() for target in targets_of(item)],
    )
    if found is None:
        return Score(0, "the answer names no choice")
    return Score(found in targets, _compared(found, targets))


def matches(pattern: str) -> Callable[[Question, Any], Score]:
    """Return a scorer of whether the answer has a match of a regular expression, in which `{target}` stands for a target's text.

    The expression is one of the package `regex`, which has all that Python's `re` has. A match that takes over a second does not count.

    Raises:
        ConfigurationError: It is not a regular expression.
        MissingExtraError: `regex` is not installed.
    """
    try:
        import regex  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtraError("the scorer `matches`", "cli") from None
    try:
        regex.compile(pattern.replace("{target}", ""))
    except regex.error as error:
        raise ConfigurationError(f"the pattern {pattern!r} is no regular expression: {error}") from None

    def scorer(item: Question, output: Any) -> Score:
        answer = text_of(output)
        for target in targets_of(item) if "{target}" in pattern else [""]:
            try:
                found = regex.search(
                    pattern.replace("{target}", regex.escape(target)), answer, timeout=_PATTERN_SECONDS
                )
            except TimeoutError:
                return Score(0, f"the pattern takes more than {_PATTERN_SECONDS:g} s for this answer")
            if found is not None:
                return Score(1, f"found {_short(found.group())!r}")
        return Score(0, "no match")

    return scorer


def json_fields(weights: Mapping[str, float] | None = None) -> Callable[[Question, Any], Score]:
    """Return a scorer of a JSON answer: the share, by weight, of the target's fields that the answer has with the same value.

    Numbers are compared as numbers and texts without surrounding white space; other fields of the answer do not matter.

    Args:
        weights: Weight of each field, above 0; None: each field of the target has the same weight.

    Raises:
        ConfigurationError: A weight is not above 0.
    """
    if weights is not None and not (weights and all(weight > 0 for weight in weights.values())):
        raise ConfigurationError(f"weights of fields must be above 0, not {dict(weights)!r}")

    def scorer(item: Question, output: Any) -> Score:
        if not isinstance(item.target, Mapping):
            raise TypeError(
                f"the target of item {item.id} must be an object with fields, not {type(item.target).__name__}"
            )
        answer = output if isinstance(output, Mapping) else read_json(text_of(output), objects=True, arrays=False).data
        if not isinstance(answer, Mapping):
            return Score(0, "the answer is not a JSON object")
        of_field = weights or dict.fromkeys(item.target, 1.0)
        wrong = [
            field
            for field in of_field
            if field not in answer or _plain(answer[field]) != _plain(item.target.get(field))
        ]
        whole = sum(of_field.values())
        value = sum(weight for field, weight in of_field.items() if field not in wrong) / whole if whole else 1.0
        return Score(min(1.0, value), f"wrong: {', '.join(wrong)}" if wrong else "all fields are right")

    return scorer


def text_of(output: Any) -> str:
    """Return an output as a text: itself without the model's thoughts, or as JSON."""
    return without_thoughts(output) if isinstance(output, str) else json.dumps(output, ensure_ascii=False, default=str)


def final_number(text: str) -> Decimal | None:
    """Return the final number of a text by the rules of `numeric`; None if it has no number."""
    if _FINAL in text:
        found = _NUMBER.search(text.rpartition(_FINAL)[2])
        return None if found is None else _decimal(found.group())
    boxed = _BOXED.findall(text)
    found = _last(_NUMBER, boxed[-1] if boxed else text)
    return None if found is None else _decimal(found.group())


def chosen_letter(text: str) -> str | None:
    """Return the letter that an answer chooses by the rules of `choice`, in upper case; None if it chooses none."""
    found = _last(_SAYS, text) or _BEGINS.match(text.strip()) or _ENDS.search(text.strip())
    if found is None:
        return None
    letter: str = next(filter(None, found.groups()))
    return letter.upper()


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return next(iter(deque(pattern.finditer(text), maxlen=1)), None)


def _decimal(number: str) -> Decimal | None:
    if len(number) > _LONGEST_NUMBER:
        return None
    found = Decimal(number.replace(",", ""))
    return found if abs(found.adjusted()) <= _LONGEST_NUMBER else None  # 1e999999999 could not be written out


def _normal(text: str) -> str:
    return " ".join(_ARTICLES.sub(" ", text.casefold().translate(_PUNCTUATION)).split())


def _plain(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _compared(found: str, targets: list[str]) -> str:
    return f"{_short(found)!r}, right: {' or '.join(repr(_short(target)) for target in targets[:3])}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
