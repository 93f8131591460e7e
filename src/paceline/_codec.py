"""Codec: result rows, learned pace and other records as JSON, by one converter.

Rules owned here:

1. A row is valid JSON in UTF-8, whatever a strategy returned: without NaN, lone surrogates and keys that are not strings.
2. Attrs classes, dataclasses, pydantic models and mappings become objects, sequences and sets arrays, enums their values. Any other
   value becomes its `str()`.
3. Every result has a row: an output that cannot be converted becomes its `str()`, and if that fails, the name of its type.
4. The learned pace of all quotas is one object with a version; an infinite rate is null. It is validated when it is read, as any
   program may have written it.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from json.encoder import encode_basestring
from typing import Any

import attrs
from cattrs import Converter

from ._core.accounting import ModelUse
from ._core.exceptions import ConfigurationError
from ._core.fault import FaultKind
from ._core.fault_groups import FaultGroup
from ._core.limitation import Limitation, LimitBasis, LimitReason
from ._core.pace import PaceKnowledge
from ._core.pace.warm_start import checked
from ._core.progress import RunProgress
from ._core.ranges import Range
from ._core.results import WorkItemResult
from ._core.usage import MOST_TOKENS, TokenUsage, token_counts

_KNOWLEDGE_VERSION = 1
_MAY_BE_INFINITE = ("rate", "token_rate")
_ROUNDING = 3  # decimals of a second


def data_text(value: object) -> str:
    """Return any value as JSON text."""
    if type(value) is str:
        return _quoted(value)
    if value is None:
        return "null"
    try:
        return _dumps([_converter.unstructure(value)])[1:-1]  # one level deeper, as the row holds it
    except Exception:  # noqa: BLE001 - rule 3: a foreign object may raise anything
        return _dumps(_str_of(value))


def row_line(  # noqa: PLR0913 - the fields of a row
    *,
    item_id: str,
    output: str,
    error: tuple[str, str, str | None] | None,
    context: str,
    model: str | None,
    counts: Sequence[int],
    attempts: int,
    seconds: float,
) -> bytes:
    """Return a result row as a line of JSON in UTF-8.

    Args:
        item_id: Id of the item.
        output: Output as JSON text.
        error: Kind and message of the fault, and the answer that was not accepted, if there is one; None for a success.
        context: Context as JSON text.
        model: Model that was called last, if any.
        counts: Tokens over all attempts, in the order of `token_counts`.
        attempts: Number of attempts.
        seconds: Seconds from the start of the first attempt to the end of the last.
    """
    sent, generated, cached, in_all, written, written_1h = counts
    fault = "null" if error is None else _dumps(_error_data(*error))
    return (
        f'{{"id": {_quoted(item_id)}, "success": {"true" if error is None else "false"}, "output": {output}, '
        f'"error": {fault}, "context": {context}, "model": {"null" if model is None else _quoted(model)}, '
        f'"usage": {{"input_tokens": {sent}, "output_tokens": {generated}, '
        f'"cached_input_tokens": {cached}, "total_tokens": {in_all}, '
        f'"cache_written_tokens": {written}, "cache_written_1h_tokens": {written_1h}}}, '
        f'"attempts": {attempts}, "seconds": {round(seconds, _ROUNDING)}}}\n'
    ).encode()


def result_row(result: WorkItemResult[Any]) -> dict[str, Any]:
    """Return the row of a result as plain JSON data."""
    fault = result.error
    return {
        "id": _text(result.item_id),
        "success": result.success,
        "output": _data_of(result.output),
        "error": None if fault is None else _error_data(fault.kind, fault.message, fault.answer),
        "context": _data_of(result.context),
        "model": _data_of(result.model),
        "usage": _converter.unstructure(result.usage),
        "attempts": len(result.attempts),
        "seconds": round(result.seconds, _ROUNDING),
    }


def _error_data(kind: str, message: str, answer: str | None) -> dict[str, str]:
    data = {"kind": str(kind), "message": _text(message)}
    return data if answer is None else {**data, "answer": _text(answer)}


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


def fault_group_data(group: FaultGroup) -> dict[str, Any]:
    """Return a group of faults as JSON data."""
    return {"kind": str(group.kind), "count": group.count, "message": group.message}


def encode_row(result: WorkItemResult[Any]) -> bytes:
    """Return the row of a result as a line of JSON in UTF-8."""
    fault = result.error
    return row_line(
        item_id=result.item_id,
        output=data_text(result.output),
        error=None if fault is None else (fault.kind, fault.message, fault.answer),
        context=data_text(result.context),
        model=result.model,
        counts=token_counts(result.usage),
        attempts=len(result.attempts),
        seconds=result.seconds,
    )


def encode_knowledge(knowledge: Mapping[str, PaceKnowledge]) -> bytes:
    """Return the learned pace of quotas as JSON in UTF-8."""
    quotas = {_text(quota): _converter.unstructure(known) for quota, known in knowledge.items()}
    return json.dumps({"version": _KNOWLEDGE_VERSION, "quotas": quotas}, indent=1).encode() + b"\n"


def decode_knowledge(data: bytes | str) -> dict[str, PaceKnowledge]:
    """Return the learned pace by quota key: the inverse of `encode_knowledge`.

    Raises:
        ConfigurationError: The data has another form, or a value is out of its bounds.
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


# ---------------------------------------------------------------------------------------------- progress

_COUNTS = ("done", "failed", "in_flight", "workers", "refusals", "pending", "retries")
_SECONDS = ("seconds", "rate", "items_rate", "wait", "time")
_RATES = ("pace", "token_pace")  # null: infinite
_MAY_LACK = ("total", "cost", "left")
_FLAGS = ("is_paused", "is_stopping", "is_finished")
_GROUPS = ("messages", "faults")
_LONGEST = 200  # characters of a message or a quota key that are read


def progress_data(progress: RunProgress) -> dict[str, Any]:
    """Return progress as JSON data, without what can be concluded."""
    data: dict[str, Any] = _converter.unstructure(progress)
    return data | {name: [fault_group_data(group) for group in getattr(progress, name)] for name in _GROUPS}


def decode_progress(data: object) -> RunProgress | None:
    """Return the progress that a file holds; None: it is not what a run has written. Any program may have written it."""
    try:
        return _progress_of(data)
    except (KeyError, TypeError, ValueError):
        return None


def _progress_of(data: Any) -> RunProgress:
    fields: dict[str, Any] = {name: _number(data[name], whole=True) for name in _COUNTS}
    fields |= {name: _number(data[name]) for name in _SECONDS}
    fields |= {name: math.inf if data[name] is None else _number(data[name]) for name in _RATES}
    fields |= {name: None if data[name] is None else _number(data[name], whole=name == "total") for name in _MAY_LACK}
    fields |= {name: None if data.get(name) is None else _number(data[name]) for name in ("spent", "max_cost")}
    caps = ("spent_tokens", "max_tokens")
    fields |= {name: None if data.get(name) is None else _number(data[name], whole=True) for name in caps}
    fields |= {name: data[name] is True for name in _FLAGS}
    fields |= {name: tuple(map(_group_of, data[name][:_COUNTED])) for name in _GROUPS}
    limit, counts, at_end = data["limitation"], data["usage"], data.get("cost_at_end")
    return RunProgress(
        **fields,
        failures={str(FaultKind(kind)): int(_number(count, whole=True)) for kind, count in data["failures"].items()},
        usage=TokenUsage(**{name: int(_number(counts[name], whole=True)) for name in _TOKEN_NAMES}),
        limitation=None if limit is None else _limitation_of(limit),
        cost_at_end=None if at_end is None else Range(*(_number(at_end[name]) for name in ("low", "likely", "high"))),
    )


def _limitation_of(data: Any) -> Limitation:
    quota, basis, value, opens_in = data["quota"], data["basis"], data["value"], data["opens_in"]
    return Limitation(
        reason=LimitReason(data["reason"]),
        quota=None if quota is None else _short(quota),
        basis=None if basis is None else LimitBasis(basis),
        value=None if value is None else _number(value),
        opens_in=None if opens_in is None else _number(opens_in),
    )


def _group_of(data: Any) -> FaultGroup:
    return FaultGroup(FaultKind(data["kind"]), int(_number(data["count"], whole=True)), _short(data["message"]))


_COUNTED = 10  # groups of faults that are read
_TOKEN_NAMES = tuple(field.name for field in attrs.fields(TokenUsage) if field.init)


def _number(value: object, *, whole: bool = False) -> Any:
    if type(value) is not int and (whole or type(value) is not float):
        raise ValueError("not a number")
    if not 0 <= value <= MOST_TOKENS:
        raise ValueError("out of bounds")
    return value


def _short(value: object) -> str:
    if type(value) is not str:
        raise ValueError("not a text")
    return value[:_LONGEST]


_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _data_of(value: object) -> Any:
    """Return a user's value as plain JSON data."""
    if value is None or type(value) is str:
        return value and _text(value)
    try:
        data = _converter.unstructure(value)
        json.dumps([data], allow_nan=False)  # raises for a depth or a number that the encoder rejects
    except Exception:  # noqa: BLE001 - rule 3: a foreign object may raise anything
        return _str_of(value)
    return data


def _str_of(value: object) -> str:
    try:
        return _text(str(value))
    except Exception:  # noqa: BLE001 - rule 3
        return f"<{type(value).__qualname__}>"


def _quoted(value: str) -> str:
    """Return a text as JSON, as `_dumps` does, without its three calls."""
    return encode_basestring(value if value.isascii() else _text(value))


def _text(value: str) -> str:
    return value if value.isascii() else str(value).encode("utf-8", "replace").decode()


def _object(pairs: Iterable[tuple[object, object]]) -> dict[str, Any]:
    return {_key(key): _converter.unstructure(value) for key, value in pairs}


def _key(key: object) -> str:
    plain = _converter.unstructure(key)
    if isinstance(plain, str):
        return plain
    return json.dumps(plain) if plain is None or isinstance(plain, (int, float)) else _str_of(key)


def _is_pydantic(cls: type) -> bool:
    return any(ancestor.__module__ == "pydantic.main" for ancestor in cls.__mro__)


def _new_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, unstructure_fallback_factory=lambda _: _str_of)
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
