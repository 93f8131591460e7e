"""OpenAI's evals: folders of chat messages with ideal answers, read from the package `evals` or its wheel.

The wheel has 46 MB and 755 unpacked: it need not be installed. An eval's own definition says how its answers are compared: the answer
begins with an ideal one (Match), has one in it (Includes), or equals one without case, punctuation and articles (FuzzyMatch).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .._core.exceptions import ConfigurationError
from .builtin import rows_of
from .packages import Package
from .scorers import begins, includes, normalised
from .suite import Question, Suite

EVALS: Final = Package("evals==3.0.1.post1")
_DEFINITIONS, _DATA = "evals/registry/evals/", "evals/registry/data/"
_CLASS = re.compile(r"(?m)^\s+class:\s*evals\.elsuite\.basic\.\w+:(\w+)")
_SAMPLES = re.compile(r"(?m)^\s+samples_jsonl:\s*(\S+)")
_SCORERS = {"Match": begins, "Includes": includes, "FuzzyMatch": normalised}
_SPEAKERS = {"system": "", "user": "User: ", "assistant": "Assistant: "}


def eval_suite(name: str) -> Suite:
    """Return the suite of an eval, by the name of its definition.

    Raises:
        ConfigurationError: There is no such eval, or it is not one of questions with ideal answers.
    """
    path = f"{_DEFINITIONS}{name}.yaml"
    known = [found.removeprefix(_DEFINITIONS).removesuffix(".yaml") for found in EVALS.paths(_DEFINITIONS)]
    if name not in known:
        from difflib import get_close_matches  # noqa: PLC0415 - only for a message

        near = get_close_matches(name, known, n=3)
        raise ConfigurationError(
            f"there is no eval {name!r} in {EVALS.name}{': nearest are ' + ', '.join(near) if near else ''}"
        )
    definition = EVALS.read(path).decode()
    kind, samples = _CLASS.search(definition), _SAMPLES.search(definition)
    if kind is None or samples is None or kind[1] not in _SCORERS:
        raise ConfigurationError(
            f"the eval {name!r} is not of questions with ideal answers (Match, Includes, FuzzyMatch), so it cannot be run here"
        )
    file = f"{_DATA}{samples[1]}"

    def questions() -> Iterator[Question]:
        for number, row in enumerate(rows_of(EVALS.read(file), file)):
            yield Question(str(number), {"messages": _text_of(row)}, row.get("ideal"))

    return Suite(
        f"evals:{name}",
        questions,
        "{messages}",
        _SCORERS[kind[1]],
        source="OpenAI evals",
        licence="MIT, exceptions in the package",
    )


def _text_of(row: Mapping[str, Any]) -> str:
    """Return chat messages as one text, for models of all providers; who speaks is named where the model spoke before."""
    messages = row["input"]
    if isinstance(messages, str):
        return messages
    is_dialogue = any(message["role"] == "assistant" for message in messages)
    return "\n\n".join(
        (_SPEAKERS.get(message["role"], "") if is_dialogue else "") + str(message["content"]) for message in messages
    )
