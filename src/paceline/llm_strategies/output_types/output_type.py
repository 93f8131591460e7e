"""`OutputType`: the type that an answer must have, its JSON schema for the provider, and the parser of replies.

Rules owned here:

1. Parsing any text returns a value of the type or raises `InvalidOutputError` with all problems. An exception that a user's own
   validator raises is a problem too: only the answer can have caused it.
2. The answer is the one JSON value in the text (see `answer_text`). Where the type accepts no string, an object or array that is
   written as a JSON string is read as what it holds.
3. A type may be a JSON schema written by the user; the value is then the decoded JSON (see `user_schema`).
4. pydantic validates, in strict mode, a type that contains a pydantic type. cattrs structures every other type, with hooks that
   convert nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar, overload

import attrs
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from ..._core.exceptions import ConfigurationError, InvalidOutputError
from ..._core.json_values import decode_strict
from ..._core.request import NO_REQUESTS
from ..._core.usage import NO_USAGE, TokenUsage
from ..common import fingerprint
from .answer_text import JsonAnswer, read_json, root_kinds
from .check_budget import CheckTooLong, at_most
from .validation_errors import (
    MAX_FINDINGS,
    TOO_DEEP,
    UNKNOWN,
    Finding,
    Misfit,
    Place,
    at,
    cattrs_findings,
    problems_of,
    pydantic_findings,
    valid_fields,
)

__all__ = ["NO_REQUESTS", "OutputType", "problems_of"]

T = TypeVar("T")
U = TypeVar("U")  # for static methods, where pyright does not know the class's own T
_LONG = 50_000  # characters of an answer that takes some tens of milliseconds to read
_STEPS_IN_LOOP, _SECONDS_IN_LOOP = 1_000, 0.01  # of a check that may hold up the event loop: some tens of milliseconds


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
    _may_take_long: bool = attrs.field(default=False, repr=False, alias="may_take_long", kw_only=True)
    """Whether an answer can make its check take long: under a schema of the user's, which may not be the programmer's."""

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
        return OutputType(name, dict(schema), lambda _, data: check(data), may_take_long=True)

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

        return OutputType(self.name, schema, structure, may_take_long=self._may_take_long)

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
        return self._build(text, self._read(text), usage)

    async def parse_async(self, text: str, usage: TokenUsage | Mapping[str, Any] | None = NO_USAGE) -> T:
        """Parse an answer as `parse` does, without holding up the event loop: a long answer is read, and a long check made, in a worker thread.

        Validators of your own classes run in the event loop.

        Raises:
            InvalidOutputError: The answer is not of the type, or its check took too long.
        """
        if self._structure is None:
            return text  # type: ignore[return-value]  # T is str
        if len(text) > _LONG:
            answer = await _beside_the_loop(partial(self._read, text))
            if self._may_take_long:
                return await _beside_the_loop(partial(self._build, text, answer, usage))
            return self._build(text, answer, usage)
        if self._may_take_long:
            with suppress(CheckTooLong), at_most(_STEPS_IN_LOOP, _SECONDS_IN_LOOP):
                return self.parse(text, usage)
            return await _beside_the_loop(partial(self.parse, text, usage))
        return self.parse(text, usage)

    def _read(self, text: str) -> JsonAnswer:
        kinds = root_kinds(self.schema or {})
        return read_json(text, objects="object" in kinds, arrays="array" in kinds)

    def _build(self, text: str, answer: JsonAnswer, usage: TokenUsage | Mapping[str, Any] | None) -> T:
        """Return the value of an answer that was read; raise if it is not of the type."""
        structure: Any = self._structure
        data, found = answer.data, list(answer.findings)
        if not found:
            try:
                return structure(answer.body, data)  # type: ignore[no-any-return]  # see _structure
            except Exception as error:  # noqa: BLE001 - rule 1
                found = _findings_of(error, data)
            if (nested := _with_strings_read(data, found)) is not UNKNOWN:
                with suppress(Exception):  # the problems of the answer as it is are reported
                    return structure(json.dumps(nested), nested)  # type: ignore[no-any-return]  # as above
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


_threads: RunVar[CapacityLimiter] = RunVar("_threads")


async def _beside_the_loop(work: Callable[[], U]) -> U:
    """Do work in a worker thread, one at a time: more would take Python's lock from the event loop more often."""
    limiter = _threads.get(None)
    if limiter is None:
        limiter = CapacityLimiter(1)
        _threads.set(limiter)
    return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)


def _with_strings_read(data: Any, found: list[Finding]) -> Any:
    """Return an answer with the objects and arrays read that it gives as strings where it may not; UNKNOWN without such strings."""
    changed: Any = UNKNOWN
    with suppress(RecursionError):
        for place in {one.place for one in found}:
            value = data
            for step in place:
                value = at(value, step)
            if (inner := _read_string(value)) is not UNKNOWN:
                changed = _replaced(data if changed is UNKNOWN else changed, place, inner)
        return changed
    return UNKNOWN


def _read_string(value: Any) -> Any:
    """Return the object or array that a string holds; UNKNOWN if it holds none."""
    if type(value) is str and value.lstrip()[:1] in {"{", "["}:
        with suppress(ValueError, RecursionError):
            return decode_strict(value)
    return UNKNOWN


def _replaced(data: Any, place: Place, value: Any) -> Any:
    """Return a copy of decoded JSON with another value at a place."""
    if not place:
        return value
    copied = data.copy()
    copied[place[0]] = _replaced(data[place[0]], place[1:], value)
    return copied


def _findings_of(error: Exception, data: Any) -> list[Finding]:
    """Return the problems of an answer that is JSON."""
    if isinstance(error, CheckTooLong):
        raise error
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
