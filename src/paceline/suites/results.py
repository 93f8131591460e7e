"""Results of a suite: one record for each sample, and what they come to.

A result is a folder:

| file | |
|---|---|
| `result.json` | the summary, as one JSON object |
| `transcript.jsonl` | each sample: prompt, output, score and why, tokens, cost |
| `journal.db` | the calls, from which a suite that was stopped goes on |
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import cattrs

from .._core.exceptions import ConfigurationError
from .._core.fault import FaultKind
from .statistics import Interval, accuracy, pass_at_k

SUMMARY, TRANSCRIPT, JOURNAL = "result.json", "transcript.jsonl", "journal.db"
"""Names of the files in a result's folder."""

WRONG: frozenset[FaultKind] = frozenset((FaultKind.INVALID, FaultKind.TRUNCATED, FaultKind.REFUSED))
"""Faults that are the model's answer: they score 0. With any other fault a sample is unanswered, and not scored."""

_RIGHT = 1.0


@attrs.frozen(kw_only=True)
class SuiteResult:
    """What a suite came to."""

    suite: str
    """Name of the suite."""
    model: str
    """The model or models that answered, cheapest first."""
    strategy: str
    """How they were asked: `model` or `ladder`, `with feedback` on invalid answers or without."""
    items: int
    """Items of the suite."""
    samples: int
    """Samples of each item."""
    scored: int
    """Samples with a score."""
    unanswered: Mapping[str, int]
    """Samples without an answer, by kind of fault: they have no score. Run the suite again to call them."""
    unscored: int
    """Samples with an answer on which the scorer raised."""
    accuracy: float
    """Mean score of the items with a score, 0 to 1; nan without scores."""
    interval: Interval
    """Its interval, at 95 %."""
    pass_at: Mapping[int, float]
    """By k: the chance that at least one of k samples is right, as a mean over items; a sample is right if its score is 1."""
    input_tokens: int
    """Tokens of all calls, the grader's included."""
    output_tokens: int
    """As above."""
    cost: float | None
    """USD of all calls; None: a price is not known."""
    seconds: float
    """Seconds of this run; recalled answers take none."""
    total_seconds: float
    """Seconds of all runs, from the journal; one that was killed lasts until the last call that it recorded."""
    goodput: float
    """Answers per second of this run."""
    refusals: int
    """Calls of this run that providers refused."""
    stopped: str | None = None
    """Why this run ended early; None: it did not."""
    is_over_budget: bool = False
    """Whether that is the budget: the same suite with a higher one goes on."""

    @property
    def is_complete(self) -> bool:
        """Whether each sample has a score."""
        return not self.unanswered and not self.unscored

    def to_json(self) -> str:
        """Return the result as a JSON object; `accuracy` is null if nothing was scored."""
        data = attrs.asdict(self)
        data["accuracy"] = None if math.isnan(self.accuracy) else self.accuracy
        data["pass_at"] = {str(k): value for k, value in self.pass_at.items()}
        return json.dumps(data, indent=2)


def read_result(folder: str | Path) -> SuiteResult:
    """Return the result in a folder.

    Raises:
        ConfigurationError: It does not exist, or cannot be read.
    """
    path = Path(folder, SUMMARY)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        data["accuracy"] = math.nan if data["accuracy"] is None else data["accuracy"]
        return _CONVERTER.structure(data, SuiteResult)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: {error.strerror}; name the folder of a finished `paceline suite run`"
        ) from None
    except Exception as error:  # noqa: BLE001 - a file from anywhere
        raise ConfigurationError(
            f"{path}: is no result of a suite ({type(error).__name__}); run the suite again"
        ) from None


_CONVERTER = cattrs.Converter()


def read_scores(folder: str | Path) -> dict[str, list[float]]:
    """Return the scores of each item in a folder's transcript, by the item's id.

    Raises:
        ConfigurationError: There is no transcript, or a line of it cannot be read.
    """
    scores: dict[str, list[float]] = {}
    for row in read_transcript(folder):
        score = row["score"]
        if score is not None:
            scores.setdefault(row["item"], []).append(score)
    return scores


def read_transcript(folder: str | Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a folder's transcript.

    Raises:
        ConfigurationError: There is no transcript, or a line of it cannot be read.
    """
    path = Path(folder, TRANSCRIPT)
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                yield _row_of(line, f"{path}:{number}")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None


def _row_of(line: str, place: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
        score = row["score"]
        is_sample = isinstance(row["item"], str) and isinstance(row["sample"], int)
        if is_sample and (score is None or 0 <= score <= 1):
            return dict(row)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise ConfigurationError(f"{place}: is no sample of a suite; run the suite again")


class Tally:
    """The running sums of a suite, 20 bytes an item."""

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._sums: array[float] = array("d")
        self._scored: array[int] = array("L")
        self._right: array[int] = array("L")
        self.unanswered: dict[str, int] = {}
        self.unscored: int = 0
        self.input_tokens: int = 0
        self.output_tokens: int = 0
        self.cost: float = 0.0
        self.has_unknown_cost: bool = False

    def add_item(self) -> int:
        """Add an item; return its number."""
        self._sums.append(0.0)
        self._scored.append(0)
        self._right.append(0)
        return len(self._sums) - 1

    def score(self, item: int, value: float) -> None:
        """Add the score of a sample."""
        self._sums[item] += value
        self._scored[item] += 1
        self._right[item] += value == _RIGHT

    def lose(self, kind: str) -> None:
        """Count a sample without an answer."""
        self.unanswered[kind] = self.unanswered.get(kind, 0) + 1

    @property
    def items(self) -> int:
        """Items so far."""
        return len(self._sums)

    @property
    def scored(self) -> int:
        """Scored samples so far."""
        return sum(self._scored)

    @property
    def samples(self) -> int:
        """Samples so far: scored ones, and those without an answer or a score."""
        return self.scored + self.unscored + sum(self.unanswered.values())

    def accuracy(self) -> tuple[float, Interval]:
        """Return the mean score so far, and its interval."""
        means = [total / count for total, count in zip(self._sums, self._scored, strict=True) if count]
        return accuracy([min(1.0, mean) for mean in means], self.scored)

    def pass_at(self) -> dict[int, float]:
        """Return pass@k for k = 1 and the number of samples; of items with that many scores."""
        found = {}
        for k in sorted({1, self._samples}):
            chances = [
                pass_at_k(right, count, k) for right, count in zip(self._right, self._scored, strict=True) if count >= k
            ]
            if chances:
                found[k] = math.fsum(chances) / len(chances)
        return found


def labels_of(results: Sequence[SuiteResult], folders: Sequence[str | Path]) -> list[str]:
    """Return what to call results in a comparison: their models, or their folders where models are the same."""
    models = [result.model for result in results]
    return [
        model if models.count(model) == 1 else Path(folder).name or str(folder)
        for model, folder in zip(models, folders, strict=True)
    ]


def models_of(names: Sequence[str]) -> str:
    """Return the models of a ladder as one text."""
    return " > ".join(names)
