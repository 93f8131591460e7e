"""What a record looks like as JSON: the one converter.

1. A row is valid JSON in UTF-8, whatever a strategy returned: no NaN, no half of a surrogate pair, no key that is no text.
2. Attrs classes, dataclasses, pydantic models and mappings become objects, sequences and sets arrays, enums their values.
   What is none of these and no JSON is its `str()`.
3. Nothing makes a row impossible: an output that cannot be taken apart is its `str()`; what has not even that, its type.
4. What was learned of quotas is one object with a version; a rate that is infinite is null. What is read back is checked, as
   anybody may have written it.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import attrs
from cattrs import Converter

from ._core.accounting import ModelUse
from ._core.exceptions import ConfigurationError
from ._core.pace import PaceKnowledge
from ._core.pace.warm_start import checked
from ._core.results import WorkItemResult
from ._core.usage import TokenUsage

_KNOWLEDGE_VERSION = 1
_MAY_BE_INFINITE = ("rate", "token_rate")
_ROUNDING = 3  # decimals of a second


def data_text(value: object) -> str:
    """Return any value as JSON, under the rules above."""
    return _dumps(_data_of(value))


def row_line(  # noqa: PLR0913 - the fields of a row
    *,
    item_id: str,
    output: str,
    error: tuple[str, str] | None,
    context: str,
    model: str | None,
    usage: TokenUsage,
    attempts: int,
    seconds: float,
) -> bytes:
    """Return a row as a line of JSON in UTF-8, from parts of which `output` and `context` are JSON already."""
    fault = "null" if error is None else f'{{"kind": "{error[0]}", "message": {_dumps(_text(error[1]))}}}'
    return (
        f'{{"id": {_dumps(_text(item_id))}, "success": {"true" if error is None else "false"}, "output": {output}, '
        f'"error": {fault}, "context": {context}, "model": {"null" if model is None else _dumps(_text(model))}, '
        f'"usage": {{"input_tokens": {usage.input_tokens}, "output_tokens": {usage.output_tokens}, '
        f'"cached_input_tokens": {usage.cached_input_tokens}, "total_tokens": {usage.total_tokens}}}, '
        f'"attempts": {attempts}, "seconds": {round(seconds, _ROUNDING)}}}\n'
    ).encode()


def result_row(result: WorkItemResult[Any]) -> dict[str, Any]:
    """Return the row of a result, made of nothing but what JSON knows."""
    fault = result.error
    return {
        "id": _text(result.item_id),
        "success": result.success,
        "output": _data_of(result.output),
        "error": None if fault is None else {"kind": str(fault.kind), "message": _text(fault.message)},
        "context": _data_of(result.context),
        "model": _data_of(result.model),
        "usage": _converter.unstructure(result.usage),
        "attempts": len(result.attempts),
        "seconds": round(result.seconds, _ROUNDING),
    }


def model_use_data(use: ModelUse, cost: float | None) -> dict[str, Any]:
    """Return what a model was used for as data that JSON can hold.

    Args:
        use: The model's calls and tokens.
        cost: USD; None: unknown.
    """
    return {
        "model": use.model,
        "calls": use.calls,
        "accepted": use.accepted,
        "usage": _converter.unstructure(use.usage),
        "cost": cost,
    }


def encode_row(result: WorkItemResult[Any]) -> bytes:
    """Return the row of a result as a line of JSON in UTF-8."""
    fault = result.error
    return row_line(
        item_id=result.item_id,
        output=data_text(result.output),
        error=None if fault is None else (fault.kind, fault.message),
        context=data_text(result.context),
        model=result.model,
        usage=result.usage,
        attempts=len(result.attempts),
        seconds=result.seconds,
    )


def encode_knowledge(knowledge: Mapping[str, PaceKnowledge]) -> bytes:
    """Return what was learned of quotas as JSON in UTF-8."""
    quotas = {_text(quota): _converter.unstructure(known) for quota, known in knowledge.items()}
    return json.dumps({"version": _KNOWLEDGE_VERSION, "quotas": quotas}, indent=1).encode() + b"\n"


def decode_knowledge(data: bytes | str) -> dict[str, PaceKnowledge]:
    """Return what `encode_knowledge` was given.

    Raises:
        ConfigurationError: it is something else, or a value is out of its bounds.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"knowledge must be JSON: {error}") from error
    if not isinstance(document, dict) or document.get("version") != _KNOWLEDGE_VERSION:
        raise ConfigurationError(f"knowledge must be an object with version {_KNOWLEDGE_VERSION}")
    quotas = document.get("quotas")
    if not isinstance(quotas, dict):
        raise ConfigurationError(f"knowledge.quotas must be an object, not {quotas!r:.100}")
    return checked({quota: _known_of(quota, fields) for quota, fields in quotas.items()})


def _known_of(quota: str, fields: object) -> PaceKnowledge:
    names = sorted(field.name for field in attrs.fields(PaceKnowledge))
    if not isinstance(fields, dict) or sorted(fields) != names:
        raise ConfigurationError(
            f"knowledge[{quota!r}] must have {', '.join(names)} and nothing else, not {fields!r:.200}"
        )
    values: dict[str, Any] = fields | {name: math.inf for name in _MAY_BE_INFINITE if fields[name] is None}
    return PaceKnowledge(**values)


_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _data_of(value: object) -> Any:
    """Return a user's value as data."""
    if value is None or type(value) is str:
        return value and _text(value)
    try:
        data = _converter.unstructure(value)
        json.dumps([data], allow_nan=False)  # a depth or a number that the encoder refuses is found here
    except Exception:  # noqa: BLE001 - rule 3: a foreign object may do anything when it is looked at
        return _words_of(value)
    return data


def _words_of(value: object) -> str:
    try:
        return _text(str(value))
    except Exception:  # noqa: BLE001 - rule 3
        return f"<{type(value).__qualname__}>"


def _text(value: str) -> str:
    return value if value.isascii() else str(value).encode("utf-8", "replace").decode()


def _object(pairs: Iterable[tuple[object, object]]) -> dict[str, Any]:
    return {_key(key): _converter.unstructure(value) for key, value in pairs}


def _key(key: object) -> str:
    plain = _converter.unstructure(key)
    if isinstance(plain, str):
        return plain
    return json.dumps(plain) if plain is None or isinstance(plain, (int, float)) else _words_of(key)


def _is_pydantic(cls: type) -> bool:
    return any(ancestor.__module__ == "pydantic.main" for ancestor in cls.__mro__)


def _new_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, unstructure_fallback_factory=lambda _: _words_of)
    unstructure = converter.unstructure

    def fields_of(record: Any, fields: Iterable[Any]) -> dict[str, Any]:
        return _object((field.name, getattr(record, field.name)) for field in fields)

    def bytes_of(value: Any) -> str:
        return bytes(value).decode("utf-8", "replace")

    by_class: dict[Any, Callable[[Any], Any]] = {
        Sequence: lambda values: [unstructure(value) for value in values],
        AbstractSet: lambda values: [unstructure(value) for value in values],
        Mapping: lambda mapping: _object(mapping.items()),
        str: _text,
        bytes: bytes_of,
        bytearray: bytes_of,
        memoryview: bytes_of,
        int: int,
        bool: bool,
        float: lambda number: float(number) if math.isfinite(number) else None,
        type(None): lambda _: None,
        enum.Enum: lambda member: unstructure(member.value),
    }
    by_likeness: list[tuple[Callable[[Any], bool], Callable[[Any], Any]]] = [
        (dataclasses.is_dataclass, lambda record: fields_of(record, dataclasses.fields(record))),
        (attrs.has, lambda record: fields_of(record, attrs.fields(type(record)))),
        (_is_pydantic, lambda model: unstructure(model.model_dump(mode="json", warnings=False))),
    ]
    for cls, hook in by_class.items():
        converter.register_unstructure_hook(cls, hook)
    for predicate, hook in by_likeness:
        converter.register_unstructure_hook_func(predicate, hook)
    return converter


_converter = _new_converter()
