"""reasoning-gym: questions that are generated, with verifiers. The same size and seed give the same questions, which no model has seen."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Final

from .._core.exceptions import ConfigurationError
from .packages import Package
from .scorers import text_of
from .suite import Question, Score, Suite

PACKAGE: Final = Package("reasoning-gym")
_DEFAULTS = {"size": 100, "seed": 0}
_PROMPT = "{question}\n\nEnd with a line `Answer: ` followed by the answer and nothing else."
_ANSWER = "Answer:"


def generated(name: str) -> Suite:
    """Return the suite of a generator, such as `chain_sum` or `chain_sum,size=500,seed=7`. Importing the package takes seconds.

    Raises:
        ConfigurationError: The package is not installed, there is no such generator, or a setting is not a number.
    """
    generator, *settings = name.split(",")
    values = dict(_DEFAULTS)
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in values or not value.isdecimal():
            raise ConfigurationError(f"reasoning-gym:{name}: {setting!r} is no setting; write size=100 or seed=0")
        values[key] = int(value)
    data = _data(generator, values)

    def questions() -> Iterator[Question]:
        for number in range(values["size"]):
            entry = data[number]
            yield Question(str(number), {"question": entry["question"], "entry": entry}, entry.get("answer"))

    def score(item: Question, output: Any) -> Score:
        answer = text_of(output).rpartition(_ANSWER)[2].strip()
        value = float(data.score_answer(answer, item.fields["entry"]))
        return Score(min(1.0, max(0.0, value)), f"{answer[:80]!r}, right: {str(item.target)[:80]!r}")

    return Suite(f"reasoning-gym:{name}", questions, _PROMPT, score, source="reasoning-gym", licence="Apache-2.0")


def _data(generator: str, values: dict[str, int]) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of a package that it needs
            import reasoning_gym  # noqa: PLC0415 - takes seconds  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ConfigurationError(
            f"reasoning-gym:{generator}: needs the package {PACKAGE.name}: pip install reasoning-gym"
        ) from None
    try:
        return reasoning_gym.create_dataset(generator, **values)
    except ValueError as error:
        raise ConfigurationError(f"reasoning-gym:{generator}: {error}") from None
