"""JSON: a strict decoder, and the names of the kinds of values in messages.

Rules owned here:

1. The decoder rejects what RFC 8259 leaves open or excludes and Python's decoder accepts: a key given twice in one object, NaN and
   the infinities, and a number beyond the range of a float.
2. A message names a kind of value as JSON Schema does, with an article: "a string", "an integer", "null".
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from json.scanner import make_scanner
from types import MappingProxyType
from typing import Any, NoReturn

KIND_NAMES: Mapping[type, str] = MappingProxyType(
    {
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        type(None): "null",
        list: "an array",
        dict: "an object",
    }
)
"""The name of a kind of JSON value, by the Python type that the decoder makes of it."""

SCHEMA_TYPE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "string": KIND_NAMES[str],
        "boolean": KIND_NAMES[bool],
        "integer": KIND_NAMES[int],
        "number": KIND_NAMES[float],
        "null": KIND_NAMES[type(None)],
        "array": KIND_NAMES[list],
        "object": KIND_NAMES[dict],
    }
)
"""The same names, by the value of JSON Schema's keyword `type`."""


def kind_name(value: object) -> str:
    """Return the name of a value's kind for a message; of a value that is not JSON, the name of its type."""
    return KIND_NAMES.get(type(value), type(value).__name__)


class DuplicateKeyError(ValueError):
    """A key is given twice in one object."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} is given twice")
        self.key = key


class NonFiniteNumberError(ValueError):
    """A number is NaN, infinite, or beyond the range of a float."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text:.40} is not a finite number")
        self.text = text
        """The number as it stands in the document."""


def decode_strict(text: str) -> Any:
    """Decode a JSON document.

    Raises:
        DuplicateKeyError: A key is given twice in one object.
        NonFiniteNumberError: A number is not finite.
        json.JSONDecodeError: The text is not JSON.
        ValueError: An integer has more digits than the interpreter converts.
        RecursionError: The document is nested too deeply.
    """
    try:
        value, end = _scan(text, 0)
    except StopIteration:  # no value begins here
        return _decoder.decode(text)
    return value if end == len(text) else _decoder.decode(text)  # blanks around it, or an error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise DuplicateKeyError(next(key for key, count in counts.items() if count > 1))
    return fields


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NonFiniteNumberError(text)
    return number


def _constant(text: str) -> NoReturn:
    raise NonFiniteNumberError(text)


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_constant)
_scan: Callable[[str, int], tuple[Any, int]] = make_scanner(_decoder)  # type: ignore[arg-type]  # without the search for blanks, which few texts have
