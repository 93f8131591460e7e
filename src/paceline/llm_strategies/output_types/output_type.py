"""What type is an answer to have? Its schema, for the provider, and its reading, for what comes back.

Rules owned here:

1. Reading gives a value of the type or an `InvalidOutputError` with all that is wrong, whatever the text; of the mistakes of a
   user's validators too, as only the answer can have brought them out.
2. What JSON leaves open is a problem, not a guess: a name twice in one object, NaN and the infinities.
3. A Markdown fence around the whole answer is no part of it. Two are.
4. A type may be a JSON schema that the user wrote: the value is then what JSON makes of the answer (see `given_schema`).
5. A type that has a part of pydantic's is pydantic's, in its strict mode; any other is cattrs', by hooks that coerce nothing.
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
    MOST,
    TOO_DEEP,
    UNKNOWN,
    Found,
    Misfit,
    in_json,
    of_cattrs,
    of_pydantic,
    problems_of,
    right_in,
)

__all__ = ["OutputType", "problems_of"]

T = TypeVar("T")
U = TypeVar("U")  # of a static method: the class's own would be unknown to pyright there

_FENCE = "```"
_INFO = re.compile(r"[\w+-]*[ \t\r]*")

NO_REQUESTS = (
    "a request in a provider's own form says itself what its answer is to be: it cannot be held to output_type; ask for the type "
    "in the request, or give its words as a prompt"
)


@attrs.frozen(eq=False)
class OutputType(Generic[T]):
    """A type that an answer is to have; made by `OutputType.of`."""

    name: str
    """The type's, for people."""
    schema: Mapping[str, Any] | None = attrs.field(repr=False)
    """As JSON schema; None: free text."""
    _structure: Callable[[str, Any], T] | None = attrs.field(repr=False)
    """Makes a value of the text without its fence, and of what JSON makes of that."""
    _by_name: Callable[[str], T] | None = attrs.field(default=None, repr=False)
    """Makes a value of a text in which fields have their names, where these may not be what an answer calls them."""

    @overload
    @staticmethod
    def of(output_type: type[U]) -> OutputType[U]: ...
    @overload
    @staticmethod
    def of(output_type: Any) -> OutputType[Any]: ...
    @staticmethod
    def of(output_type: Any) -> OutputType[Any]:
        """Return what is to be known of a type.

        Args:
            output_type: `str` for free text; or a pydantic model, an attrs class, a dataclass or a TypedDict, a literal, an
                enum, a number, a date, lists, tuples, sets and dicts of such, or a union of them; or an `OutputType`.

        Raises:
            ConfigurationError: it has no JSON schema; the message says why.
        """
        if isinstance(output_type, OutputType):
            return output_type
        if output_type is str:
            return OutputType("str", None, None)
        from .introspect import name_of  # noqa: PLC0415 - as above
        from .type_schema import PydanticIsNeeded, schema_of  # noqa: PLC0415 - what they need takes time, for free text in vain

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
            raise ConfigurationError(f"{name} has no JSON schema: it contains itself without end") from None
        return OutputType(name, schema, lambda _, data: hook(data, output_type))

    @staticmethod
    def of_schema(schema: Mapping[str, Any], name: str = "Answer") -> OutputType[Any]:
        """Return the type of all JSON that fits a schema.

        Args:
            schema: a JSON schema; references to other documents are never followed.
            name: the type's, for people and for providers.

        Raises:
            ConfigurationError: it is no schema, or refers to what is not in it.
            MissingExtraError: jsonschema is not installed.
        """
        from .user_schema import check_of  # noqa: PLC0415 - needs an extra

        check = check_of(schema, name)
        return OutputType(name, dict(schema), lambda _, data: check(data))

    def within(self, field: str, schema: Mapping[str, Any]) -> OutputType[T]:
        """Return the type of an object whose one field is of this type; what is read is the field's value.

        Args:
            field: its name.
            schema: of the object.
        """
        if self._structure is None:
            raise ConfigurationError("free text has no schema, so there is no object around it")
        inner = self._structure

        def structure(_: str, data: Any) -> T:
            given = data if type(data) is dict else {}
            found = [Found((name,), "is no field here", given[name]) for name in given if name != field]
            if field not in given:
                found.append(Found((field,), "is missing"))
            if found:
                raise Misfit(found)
            try:
                return inner(json.dumps(given[field], ensure_ascii=False), given[field])
            except Exception as error:
                below = _found_by(error, given[field])
                raise Misfit([attrs.evolve(one, place=(field, *one.place)) for one in below]) from error

        return OutputType(self.name, schema, structure)

    def parse(self, text: str, usage: TokenUsage | Mapping[str, Any] | None = NO_USAGE) -> T:
        """Read an answer.

        Args:
            text: the answer.
            usage: what it cost; it is on the exception too.

        Raises:
            InvalidOutputError: it is not of the type; with all that is wrong, and the fields that are right.
        """
        if self._structure is None:
            return text  # type: ignore[return-value]  # T is str
        body, offset = _unfenced(text)
        data, found = _decoded(body, text, offset)
        if not found:
            try:
                return self._structure(body, data)
            except Exception as error:  # noqa: BLE001 - rule 1
                found = _found_by(error, data)
        right = () if data is UNKNOWN else _right(data, found)
        raise InvalidOutputError(text, [one.problem for one in found[:MOST]], right=right, usage=usage)

    def restore(self, data: Any) -> T:
        """Return a value of the type from what is left of one as plain data.

        Raises:
            InvalidOutputError: it is not of the type.
        """
        if self._structure is None:
            return data  # type: ignore[no-any-return]  # T is str
        text = json.dumps(data)
        with suppress(Exception):  # an answer has the aliases of fields, data has their names
            if self._by_name is not None:
                return self._by_name(text)
        return self.parse(text)

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it from another type, as plain data."""
        return {"output_type": self.name, "schema": fingerprint(self.schema)}


def _unfenced(text: str) -> tuple[str, int]:
    """Return a text without a fence around it, and where in the text that begins."""
    stripped = text.strip()
    head, line_end, rest = stripped.partition("\n")
    if not (line_end and head.startswith(_FENCE) and rest.endswith(_FENCE) and _INFO.fullmatch(head[len(_FENCE) :])):
        return text, 0
    return rest[: -len(_FENCE)], text.index(stripped) + len(head) + 1


class _Twice(dict[str, Any]):
    """An object in which a name is twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.names = sorted({name for name in names if names.count(name) > 1})


class _NoNumber(str):
    """What JSON has no number for."""

    __slots__ = ()


_MARKING = json.JSONDecoder(
    object_pairs_hook=lambda pairs: made if len(made := dict(pairs)) == len(pairs) else _Twice(pairs),
    parse_float=lambda text: _NoNumber(text) if math.isinf(float(text)) else float(text),
    parse_constant=_NoNumber,
)


def _decoded(body: str, text: str, offset: int) -> tuple[Any, list[Found]]:
    """Return what JSON makes of a text, or what is wrong with it as JSON."""
    try:
        try:
            return decode_strict(body), []
        except (DuplicateKeyError, NonFiniteNumberError):
            return UNKNOWN, _left_open(_MARKING.decode(body))
    except json.JSONDecodeError as error:
        return UNKNOWN, [in_json(error, text, offset)]
    except ValueError:
        return UNKNOWN, [Found((), "must not have a number of so many digits")]
    except RecursionError:
        return UNKNOWN, [_TOO_DEEP]


def _found_by(error: Exception, data: Any) -> list[Found]:
    """Return what was found wrong with an answer that is JSON."""
    if isinstance(error, Misfit):
        return list(error.found)
    try:
        found = list(of_pydantic(error, data) if _is_of_pydantic(error) else of_cattrs(error, (), data))
    except RecursionError:
        return [_TOO_DEEP]
    return [_TOO_DEEP] if any(one.rule == TOO_DEEP for one in found) else found


_TOO_DEEP = Found((), TOO_DEEP)


def _is_of_pydantic(error: Exception) -> bool:
    return type(error).__module__.startswith("pydantic_core")


def _left_open(data: Any) -> list[Found]:
    found: list[Found] = []
    pending: list[tuple[tuple[str | int, ...], Any]] = [((), data)]
    while pending and len(found) < MOST:
        place, value = pending.pop()
        if isinstance(value, _Twice):
            found += [Found((*place, name), "is there twice in one object") for name in value.names]
        if isinstance(value, _NoNumber):
            found.append(Found(place, "must be a finite number, which JSON can hold", value))
        steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        pending += reversed([((*place, step), below) for step, below in steps])
    return found


def _right(data: Any, found: list[Found]) -> tuple[str, ...]:
    try:
        return right_in(data, found)
    except RecursionError:
        return ()


def _of_pydantic(output_type: Any, name: str) -> tuple[Mapping[str, Any], Callable[[str], Any], Callable[[str], Any]]:
    from pydantic import TypeAdapter  # noqa: PLC0415 - the type is pydantic's, so it is there

    try:
        adapter: Any = TypeAdapter(output_type)
        schema: Mapping[str, Any] = adapter.json_schema()
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise ConfigurationError(f"{name} has no JSON schema: pydantic says: {why}") from error
    return (
        schema,
        lambda text: adapter.validate_json(text, strict=True),
        lambda text: adapter.validate_json(text, strict=True, by_alias=True, by_name=True),
    )
