"""Models named by an input: the lines of a batch file name the model that answers them, so that a run need not.

1. A model or a ladder that the options name wins: each line is then answered by it, and how many name another model is said.
2. Otherwise all lines must name the same model. Lines that name no model are answered by it, too.
3. The input is read for this, and so it must be a file; the stored options of the run have the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from .._core.exceptions import ConfigurationError
from .._core.quantity import quantity, verb
from .._core.request import Request
from ..files import BadLine, InputKind, InputRecord, read
from ..files.types import STREAM
from .option_values import MissingOptionError
from .options import RunOptions

_PROVIDERS = {"openai": "openai", "responses": "openai", "gemini": "gemini", "anthropic": "anthropic"}
_OTHER_KINDS = {InputKind.CSV, InputKind.PARQUET, InputKind.TEXT}
_SHOWN = 5  # models that a message lists
_NOT_NAMED = "a model must be named: --model NAME, or --escalate A,B,C"


def with_model(options: RunOptions) -> RunOptions:
    """Return options that name a model: these, or with the model that the lines of the input name. Blocks.

    Raises:
        ConfigurationError: No model is named, or the lines name different ones.
    """
    if options.models:
        return options
    if options.input == STREAM:
        raise MissingOptionError(_NOT_NAMED)
    models = _models_in(options)
    if not models:
        raise MissingOptionError(_NOT_NAMED)
    if len(models) > 1:
        listed = ", ".join(f"{name} ({quantity(count, 'line')})" for name, count in models.most_common(_SHOWN))
        more = "" if len(models) <= _SHOWN else ", ..."
        raise ConfigurationError(
            f"{options.input}: its lines name {quantity(len(models), 'model')}, {listed}{more}; "
            "name the one that answers all of them with --model, or make a file of each"
        )
    (name,) = models
    return attrs.evolve(options, model=name)


class ReplacedModels:
    """Counts the lines of a batch file that name another model than those that answer them.

    Args:
        answering: Names of the models that answer.
    """

    def __init__(self, answering: Sequence[str]) -> None:
        self._answering = answering
        self._others: Counter[str] = Counter()

    def add(self, record: InputRecord) -> None:
        """Count a line if it names another model."""
        name = _named_model(record.prompt) if isinstance(record.prompt, Request) else None
        if name is not None and name not in self._answering:
            self._others[name] += 1

    def sentences(self, source: str) -> list[str]:
        """Return a sentence about them in a list, which is empty if no line names another model.

        Args:
            source: Name of the input.
        """
        count = self._others.total()
        if not count:
            return []
        listed = ", ".join(name for name, _ in self._others.most_common(_SHOWN))
        more = "" if len(self._others) <= _SHOWN else ", ..."
        return [
            f"{source}: {quantity(count, 'line')} {verb(count, 'names', 'name')} another model ({listed}{more}), which is replaced by {', '.join(self._answering)}"
        ]


def _named_model(request: Request) -> str | None:
    """Return the model that a request names, without a prefix; None if it names none."""
    name = request.body.get("model")
    return name.strip().removeprefix("models/") if isinstance(name, str) and name.strip() else None


def _models_in(options: RunOptions) -> Counter[str]:
    """Count the models that the lines of a batch file name; empty if it is another kind of input."""
    found: Counter[str] = Counter()
    if options.prompt is not None or options.input_format in _OTHER_KINDS:
        return found
    for record in read(
        options.input, format=options.input_format, encoding=options.encoding, limit=options.limit, bad_lines="yield"
    ):
        if isinstance(record, BadLine):
            continue
        request = record.prompt
        if not isinstance(request, Request):
            return found
        name = _named_model(request)
        if name is not None:
            found[f"{_PROVIDERS[request.dialect]}:{name}"] += 1
    return found
