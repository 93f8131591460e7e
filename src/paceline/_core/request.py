"""Requests: prompts in a provider's own form, as a line of its batch API holds them.

Rules owned here:

1. A request is sent unchanged, except for the name of the model. One whose reply is a text is a prompt in the form of messages: the
   instruction and the settings that hold for all prompts are added to it where it says nothing itself.
2. A request is plain if it has only one text of the user and at most one system text before it. Such a request can be sent to
   another provider. A limit on the length of the answer, and fields that only account for the call, are ignored. With any other
   field (a temperature, a tool, an image, an earlier turn) the request is not plain, as the field would be lost.
3. Streamed replies are not supported: `stream` must not be set.
4. A message about a request names its fields and never quotes its texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, get_args

import attrs

from .exceptions import InvalidWorkItemError
from .json_values import kind_name

Dialect: TypeAlias = Literal["openai", "responses", "gemini", "anthropic"]
"""API whose form a request has: OpenAI's Chat Completions or Responses, Gemini's generateContent, Anthropic's Messages."""

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

NO_REQUESTS = (
    "output_type cannot be combined with a request in a provider's own form, which states its response format itself; put the "
    "schema into the request, or pass its text as a prompt"
)
"""Objection of a strategy with an output type to every request."""

_TURNS = {"openai": "messages", "responses": "input", "gemini": "contents", "anthropic": "messages"}
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
_IGNORED = {"model", "user", "metadata", "store", "service_tier", *_LIMITS}
"""Fields that the content of an answer does not depend on (rule 2)."""
_SYSTEM_FIELDS = ("system", "systemInstruction", "system_instruction", "instructions")
_SYSTEM_ROLES = ("system", "developer")
_CONFIGS = ("generationConfig", "generation_config")
_SEPARATOR = "\n\n"


class _NotPlainError(ValueError):
    """The request is not plain; the message is the path of the first field that prevents it."""


def _is_dialect(_: object, __: attrs.Attribute[Dialect], value: object) -> None:
    if value not in DIALECTS:
        raise InvalidWorkItemError(f"dialect must be one of {', '.join(DIALECTS)}, not {value!r}")


def _is_body(request: Request, _: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping):
        raise InvalidWorkItemError(f"body must be an object, not {type(value).__name__}")
    name = _TURNS[request.dialect]
    turns = value.get(name)
    if request.dialect == "responses" and isinstance(turns, str) and turns:
        turns = [{"content": turns}]
    if not isinstance(turns, list) or not turns:
        found = (
            "; it is missing" if name not in value else "; it is empty" if turns == [] else f", not {kind_name(turns)}"
        )
        raise InvalidWorkItemError(f"{name} must be a list of messages{found}")
    for index, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise InvalidWorkItemError(f"{name}[{index}] must be an object, not {kind_name(turn)}")
    if value.get("stream"):
        raise InvalidWorkItemError("stream must not be set: streamed replies are not supported")


@attrs.frozen(hash=False)
class Request:
    """A prompt in a provider's own form, for strategies that support that form.

    `OpenAIStrategy`, `GeminiStrategy` and `AnthropicStrategy` send a request in their own form unchanged, and return the body of
    the reply as data. Other strategies get its text, if the request is plain.

    Raises:
        InvalidWorkItemError: The body is not a request of that form, or sets `stream`.
    """

    dialect: Dialect = attrs.field(validator=_is_dialect)
    """Form of the request: `openai`, `responses` (OpenAI's), `gemini` or `anthropic`."""
    body: Mapping[str, Any] = attrs.field(validator=_is_body, repr=False)
    """Body of the request. It must not be changed."""
    reply: Literal["complete", "text"] = attrs.field(
        default="complete", kw_only=True, repr=False, validator=attrs.validators.in_(("complete", "text"))
    )
    """The output: the complete reply as data, or only the text of the answer, which is checked like that of a text prompt."""

    def __hash__(self) -> int:
        return hash((self.dialect, self.text))

    @property
    def text(self) -> str:
        """All texts in the request, separated by blank lines."""
        return _SEPARATOR.join(_texts(self.body, _TURNS[self.dialect]))

    @property
    def plain(self) -> tuple[str | None, str] | None:
        """The system text, if any, and the user's text; None if the request is not plain."""
        try:
            return _plain(self.dialect, self.body)
        except _NotPlainError:
            return None

    @property
    def beyond_text(self) -> str | None:
        """Path of the first field that is more than plain text; None if the request is plain."""
        try:
            _plain(self.dialect, self.body)
        except _NotPlainError as reason:
            return str(reason)
        return None

    @property
    def output_bound(self) -> int | None:
        """Its own upper bound on the tokens of the answer; None if it has none."""
        for fields in (self.body, *map(self.body.get, _CONFIGS)):
            if isinstance(fields, Mapping):
                for name in _LIMITS:
                    if type(bound := fields.get(name)) is int and bound > 0:
                        return bound
        return None

    def objection(self, whose: str) -> str | None:
        """Return why a model of another provider cannot answer the request, in a sentence; None if it can.

        Args:
            whose: The model, as the subject of the sentence: `a Gemini model`.
        """
        beyond = self.beyond_text
        if beyond is None:
            return None
        form = "the Responses API's" if self.dialect == "responses" else f"{self.dialect}'s"
        return f"{whose} cannot answer a request in {form} form with more than text: {beyond}"


def with_defaults(request: Request, *, instruction: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a request of chat messages with what holds for all prompts, where it says nothing itself.

    Args:
        request: Request in OpenAI's form.
        instruction: Instruction before the messages; it is added to a system message of the request.
        arguments: Further arguments; those of the request come before them.
    """
    turns = list(request.body["messages"])
    if instruction and _is_system(turns[0]) and isinstance(turns[0].get("content"), str):
        turns[0] = {**turns[0], "content": _SEPARATOR.join((turns[0]["content"], instruction))}
    elif instruction:
        turns.insert(0, {"role": "system", "content": instruction})
    own = overridden(request, arguments)
    return {name: value for name, value in arguments.items() if name not in own} | {**request.body, "messages": turns}


def overridden(request: Request, arguments: Iterable[str]) -> list[str]:
    """Return which arguments a request has itself; bounds on the length of the answer count as one argument."""
    has_limit = not request.body.keys().isdisjoint(_LIMITS)
    return [name for name in arguments if name in request.body or (has_limit and name in _LIMITS)]


def has_system_text(request: Request) -> bool:
    """Return whether a request of chat messages begins with a system message."""
    return _is_system(request.body["messages"][0])


def _is_system(turn: Mapping[str, Any]) -> bool:
    return turn.get("role") in _SYSTEM_ROLES


def plain_text(request: Request) -> str | None:
    """Return a plain request as one text, the system text first; None if it is not plain."""
    plain = request.plain
    return None if plain is None else _SEPARATOR.join(filter(None, plain))


def _texts(body: Mapping[str, Any], turns: str) -> Iterator[str]:
    for name in _SYSTEM_FIELDS:
        yield from _texts_in(body.get(name))
    if isinstance(body[turns], str):
        yield body[turns]
        return
    for turn in body[turns]:
        yield from _texts_in(turn)


def _texts_in(value: object) -> Iterator[str]:
    """Yield the texts of a text, a turn, or a list of parts."""
    match value:
        case str():
            yield value
        case list():
            for part in value:
                yield from (part,) if isinstance(part, str) else _texts_in_object(part)
        case _:
            yield from _texts_in_object(value)


def _texts_in_object(value: object) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    if isinstance(value.get("text"), str):
        yield value["text"]
    for name in ("content", "parts"):
        inner = value.get(name)
        if isinstance(inner, str):
            yield inner
        elif isinstance(inner, list):  # none of the forms nests texts deeper than two levels
            yield from (part["text"] for part in inner if isinstance(part, dict) and isinstance(part.get("text"), str))


def _plain(dialect: Dialect, body: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return the system text, if any, and the user's text.

    Raises:
        _NotPlainError: The request is not plain.
    """
    name = _TURNS[dialect]
    for field in body:
        if field in _CONFIGS and isinstance(body[field], dict):
            _only(body[field], _LIMITS, f"{field}.")
        elif field not in (name, *_SYSTEM_FIELDS, *_IGNORED):
            raise _NotPlainError(field)
    system = [_one_text(body[field], field) for field in _SYSTEM_FIELDS if body.get(field) is not None]
    turns = list(body[name]) if isinstance(body[name], list) else [{"content": body[name]}]
    if dialect in ("openai", "responses") and turns[0].get("role") in _SYSTEM_ROLES:
        system.append(_one_text(turns.pop(0), f"{name}[0]"))
    if len(turns) != 1 or len(system) > 1:
        raise _NotPlainError(f"{len(body[name])} {name}")
    place = f"{name}[{len(body[name]) - 1}]" if isinstance(body[name], list) else name
    if turns[0].get("role", "user") != "user":
        raise _NotPlainError(f"{place}.role")
    return (system[0] if system else None), _one_text(turns[0], place)


def _one_text(value: object, place: str) -> str:
    """Return the text of a turn, a list of parts or a system field that contains only one text."""
    if isinstance(value, dict) and "text" not in value:
        name = "parts" if "parts" in value else "content"
        known = (name, "role", "type") if value.get("type") == "message" else (name, "role")
        _only(value, known, f"{place}.")
        value, place = value.get(name), f"{place}.{name}"
    if isinstance(value, list) and len(value) == 1:
        value, place = value[0], f"{place}[0]"
    if isinstance(value, dict) and value.get("type", "text") in ("text", "input_text"):
        _only(value, ("text", "type"), f"{place}.")
        value = value.get("text")
    if not isinstance(value, str):
        raise _NotPlainError(place)
    return value


def _only(fields: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    for field in fields:
        if field not in known:
            raise _NotPlainError(f"{place}{field}")
