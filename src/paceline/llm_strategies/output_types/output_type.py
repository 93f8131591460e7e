"""`OutputType`: the type that an answer must have, its JSON schema for the provider, and the parser of replies.

Rules owned here:

1. Parsing any text returns a value of the type or raises `InvalidOutputError` with all problems. An exception that a user's own
   validator raises is a problem too: only the answer can have caused it.
2. Ambiguous JSON is a problem, not a guess: a name that occurs twice in one object, NaN, and the infinities.
3. One Markdown fence around the whole answer is removed; two are not.
4. A type may be a JSON schema written by the user; the value is then the decoded JSON (see `user_schema`).
5. pydantic validates, in strict mode, a type that contains a pydantic type. cattrs structures every other type, with hooks that
   convert nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar, overload

import attrs

from ..._core.exceptions import ConfigurationError, InvalidOutputError
from ..._core.json_values import DuplicateKeyError, NonFiniteNumberError, decode_strict
from ..._core.usage import NO_USAGE, TokenUsage
from ..common import fingerprint
from .validation_errors import (
    MAX_FINDINGS,
    TOO_DEEP,
    UNKNOWN,
    Finding,
    Misfit,
    cattrs_findings,
    json_finding,
    problems_of,
    pydantic_findings,
    valid_fields,
)

__all__ = ["OutputType", "problems_of"]

T = TypeVar("T")
U = TypeVar("U")  # for static methods, where pyright does not know the class's own T

_FENCE = "```"
_INFO = re.compile(r"[\w+-]*[ \t\r]*")

NO_REQUESTS = (
    "output_type cannot be combined with a request in a provider's own form, which states its response format itself; put the "
    "schema into the request, or pass its text as a prompt"
)


@attrs.frozen(eq=False)
class OutputType(Generic[T]):
    """The type that answers must have; built by `OutputType.of` or `OutputType.of_schema`."""

    name: str
    """The type's name, for messages."""
    schema: Mapping[str, Any] | None = attrs.field(repr=False)
    """The JSON schema; None for free text."""
    _structure: Callable[[str, Any], T] | None = attrs.field(repr=False)
    """Builds a value from the text without its fence and the decoded JSON."""
    _by_name: Callable[[str], T] | None = attrs.field(default=None, repr=False)
    """Builds a value from JSON text whose fields have their Python names; None if these are the names of the schema."""

    @overload
    @staticmethod
    def of(output_type: type[U]) -> OutputType[U]: ...
    @overload
    @staticmethod
    def of(output_type: Any) -> OutputType[Any]: ...
    @staticmethod
    def of(output_type: Any) -> OutputType[Any]:
        """Return the `OutputType` of a Python type.

        Args:
            output_type: `str` for free text; or a pydantic model, an attrs class, a dataclass or a TypedDict, a literal, an
                enum, a number, a date, lists, tuples, sets and dicts of these, or a union of them. An `OutputType` is returned as
                it is.

        Raises:
            ConfigurationError: The type has no JSON schema; the message says why.
        """
        if isinstance(output_type, OutputType):
            return output_type
        if output_type is str:
            return OutputType("str", None, None)
        from .introspect import name_of  # noqa: PLC0415 - as above
        from .type_schema import PydanticIsNeeded, schema_of  # noqa: PLC0415 - slow imports, not needed for free text

        name = name_of(output_type)
        schema: Mapping[str, Any]
        try:
            schema = schema_of(output_type)
            from .structure import structure_hook  # noqa: PLC0415 - as above

            hook = structure_hook(output_type)
        except PydanticIsNeeded:
            schema, validate, by_name = _of_pydantic(output_type, name)
            return OutputType(name, schema, lambda text, _: validate(text), by_name)
        except RecursionError:
            raise ConfigurationError(f"{name} has no JSON schema: it contains itself without a base case") from None
        return OutputType(name, schema, lambda _, data: hook(data, output_type))

    @staticmethod
    def of_schema(schema: Mapping[str, Any], name: str = "Answer") -> OutputType[Any]:
        """Return the type of all JSON values that are valid under a schema.

        Args:
            schema: A JSON schema. References to other documents are never followed.
            name: The type's name, for messages and for providers.

        Raises:
            ConfigurationError: `schema` is not a JSON schema, or has a reference that it does not define.
            MissingExtraError: The package jsonschema is not installed.
        """
        from .user_schema import schema_checker  # noqa: PLC0415 - needs an extra

        check = schema_checker(schema, name)
        return OutputType(name, dict(schema), lambda _, data: check(data))

    def within(self, field: str, schema: Mapping[str, Any]) -> OutputType[T]:
        """Return the type of an object with one field of this type; parsing returns the field's value.

        Args:
            field: The field's name.
            schema: The JSON schema of the object.
        """
        if self._structure is None:
            raise ConfigurationError("free text has no schema and cannot be wrapped in an object")
        inner = self._structure

        def structure(_: str, data: Any) -> T:
            given = data if type(data) is dict else {}
            found = [Finding((name,), "is not a field of this object", given[name]) for name in given if name != field]
            if field not in given:
                found.append(Finding((field,), "is missing"))
            if found:
                raise Misfit(found)
            try:
                return inner(json.dumps(given[field], ensure_ascii=False), given[field])
            except Exception as error:
                below = _findings_of(error, given[field])
                raise Misfit([attrs.evolve(one, place=(field, *one.place)) for one in below]) from error

        return OutputType(self.name, schema, structure)

    def parse(self, text: str, usage: TokenUsage | Mapping[str, Any] | None = NO_USAGE) -> T:
        """Parse an answer.

        Args:
            text: The answer.
            usage: Tokens of the call; the exception carries them too.

        Raises:
            InvalidOutputError: The answer is not of the type. It lists the problems and the fields that are valid.
        """
        if self._structure is None:
            return text  # type: ignore[return-value]  # T is str
        body, offset = _unfenced(text)
        data, found = _decoded(body, text, offset)
        if not found:
            try:
                return self._structure(body, data)
            except Exception as error:  # noqa: BLE001 - rule 1
                found = _findings_of(error, data)
        right = () if data is UNKNOWN else _valid_fields(data, found)
        raise InvalidOutputError(text, [one.problem for one in found[:MAX_FINDINGS]], right=right, usage=usage)

    def restore(self, data: Any) -> T:
        """Return a value of the type from its plain data, as a journal stores it.

        Raises:
            InvalidOutputError: The data is not of the type.
        """
        if self._structure is None:
            return data  # type: ignore[no-any-return]  # T is str
        text = json.dumps(data)
        with suppress(Exception):  # an answer uses the aliases of fields, stored data their names
            if self._by_name is not None:
                return self._by_name(text)
        return self.parse(text)

    @property
    def identity(self) -> dict[str, Any]:
        """What distinguishes it from another type, as plain data."""
        return {"output_type": self.name, "schema": fingerprint(self.schema)}


def _unfenced(text: str) -> tuple[str, int]:
    """Return a text without the fence around it, and the offset of the rest in the text."""
    stripped = text.strip()
    head, line_end, rest = stripped.partition("\n")
    if not (line_end and head.startswith(_FENCE) and rest.endswith(_FENCE) and _INFO.fullmatch(head[len(_FENCE) :])):
        return text, 0
    return rest[: -len(_FENCE)], text.index(stripped) + len(head) + 1


class _DuplicateNames(dict[str, Any]):
    """An object in which a name occurs twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.names = sorted({name for name in names if names.count(name) > 1})


class _NonFinite(str):
    """The text of a number that JSON cannot express."""

    __slots__ = ()


_MARKING = json.JSONDecoder(
    object_pairs_hook=lambda pairs: fields if len(fields := dict(pairs)) == len(pairs) else _DuplicateNames(pairs),
    parse_float=lambda text: _NonFinite(text) if math.isinf(float(text)) else float(text),
    parse_constant=_NonFinite,
)


def _decoded(body: str, text: str, offset: int) -> tuple[Any, list[Finding]]:
    """Return the decoded JSON of a text, or its problems as JSON."""
    try:
        try:
            return decode_strict(body), []
        except (DuplicateKeyError, NonFiniteNumberError):
            return UNKNOWN, _ambiguities(_MARKING.decode(body))
    except json.JSONDecodeError as error:
        return UNKNOWN, [json_finding(error, text, offset)]
    except ValueError:
        return UNKNOWN, [Finding((), "must not have a number with that many digits")]
    except RecursionError:
        return UNKNOWN, [_TOO_DEEP]


def _findings_of(error: Exception, data: Any) -> list[Finding]:
    """Return the problems of an answer that is JSON."""
    if isinstance(error, Misfit):
        return list(error.found)
    try:
        found = list(pydantic_findings(error, data) if _is_of_pydantic(error) else cattrs_findings(error, (), data))
    except RecursionError:
        return [_TOO_DEEP]
    return [_TOO_DEEP] if any(one.rule == TOO_DEEP for one in found) else found


_TOO_DEEP = Finding((), TOO_DEEP)


def _is_of_pydantic(error: Exception) -> bool:
    return type(error).__module__.startswith("pydantic_core")


def _ambiguities(data: Any) -> list[Finding]:
    found: list[Finding] = []
    pending: list[tuple[tuple[str | int, ...], Any]] = [((), data)]
    while pending and len(found) < MAX_FINDINGS:
        place, value = pending.pop()
        if isinstance(value, _DuplicateNames):
            found += [Finding((*place, name), "occurs twice in one object") for name in value.names]
        if isinstance(value, _NonFinite):
            found.append(Finding(place, "must be a finite number, which JSON can hold", value))
        steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        pending += reversed([((*place, step), below) for step, below in steps])
    return found


def _valid_fields(data: Any, found: list[Finding]) -> tuple[str, ...]:
    try:
        return valid_fields(data, found)
    except RecursionError:
        return ()


def _of_pydantic(output_type: Any, name: str) -> tuple[Mapping[str, Any], Callable[[str], Any], Callable[[str], Any]]:
    from pydantic import TypeAdapter  # noqa: PLC0415 - the type contains one of pydantic's, so it is installed

    try:
        adapter: Any = TypeAdapter(output_type)
        schema: Mapping[str, Any] = adapter.json_schema()
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise ConfigurationError(f"{name} has no JSON schema; pydantic says: {why}") from error
    return (
        schema,
        lambda text: adapter.validate_json(text, strict=True),
        lambda text: adapter.validate_json(text, strict=True, by_alias=True, by_name=True),
    )
