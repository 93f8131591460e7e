"""Model-graded answers: another model says whether an answer is right."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from .._core.exceptions import ConfigurationError
from .._core.results import WorkItemResult
from ..abc import LLMCallStrategy
from .scorers import text_of
from .suite import Question, Score

GRADE: str = (
    "You grade answers.\n\nQuestion:\n{question}\n\nRight answer:\n{target}\n\nAnswer to grade:\n{answer}\n\n"
    "Does the answer to grade say the same as the right answer? Explain in one sentence. End with a line `GRADE: C` if it does, "
    "or `GRADE: I` if it does not."
)
"""The default prompt of a grader."""

_GRADE = re.compile(r"GRADE:\W{0,4}([CPI])\b", re.IGNORECASE)
_VALUES = {"C": 1.0, "P": 0.5, "I": 0.0}
_FIELD = re.compile(r"\{(\w+)\}")

Call = Callable[[LLMCallStrategy[Any], str, str], Awaitable[WorkItemResult[Any]]]
"""Makes a call: strategy, prompt, and what the id of the call ends with."""


@attrs.frozen
class ModelGraded:
    """A scorer that asks a model, which has a lane, a price and a journal's rows of its own like any other.

    The grader's answer must have a line `GRADE: C` (correct, 1), `GRADE: P` (partly, 0.5) or `GRADE: I` (incorrect, 0); the last one counts.
    What the grader was asked and what it answered is in the transcript.

    Raises:
        ConfigurationError: The prompt does not name the answer.
    """

    strategy: LLMCallStrategy[Any]
    """The grader."""
    prompt: str = attrs.field(default=GRADE, repr=False)
    """Its prompt: `{answer}` stands for the answer, `{target}` for the right one, and other names for fields of the question."""

    def __attrs_post_init__(self) -> None:
        if "{answer}" not in self.prompt:
            raise ConfigurationError("the prompt of a grader must have {answer}, where the answer to grade stands")

    def __call__(self, _item: Question, _output: Any, /) -> Score:
        """Not called: a suite's run calls `grade`."""
        raise ConfigurationError("an answer that a model grades is scored by running its suite")

    async def grade(self, item: Question, output: Any, call: Call) -> Score:
        """Return the score of an answer; `call` asks the grader.

        Raises:
            ValueError: The grader's answer has no grade.
            CallError: The grader gave no answer.
        """
        fields = {**item.fields, "target": item.target, "answer": text_of(output)}
        asked = _FIELD.sub(lambda match: text_of(fields[match[1]]) if match[1] in fields else match[0], self.prompt)
        answered = text_of((await call(self.strategy, asked, "grade")).unwrap())
        grades = _GRADE.findall(answered)
        if not grades:
            raise ValueError("the grader's answer has no line `GRADE: C` or `GRADE: I`")
        return Score(_VALUES[grades[-1].upper()], f"graded {grades[-1].upper()}", {"prompt": asked, "answer": answered})
