"""What is asked in a provider's own form, as a line of its batch API holds it, and what of it any other model can be asked.

1. A request is sent as it is: nothing is put into it or taken out of it, but the model's name.
2. It is plain if it is nothing but one text of the user's, and at most one of the system's before it. A limit of the answer's
   length, and what only accounts for the call, are passed over; whatever else it says (a temperature, a tool, an image, an
   earlier turn) would be lost on the way to another provider, so with it a request is not plain.
3. A stream cannot be asked for: the reply is awaited whole.
4. What is wrong with a request is told by the names of its fields, never by its words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias, get_args

import attrs

from .exceptions import InvalidWorkItemError
from .json_values import kind_name

Dialect: TypeAlias = Literal["openai", "gemini", "anthropic"]
"""Whose form it is: OpenAI's Chat Completions, Gemini's generateContent, Anthropic's Messages."""

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

_TURNS = {"openai": "messages", "gemini": "contents", "anthropic": "messages"}
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
_PASSED_OVER = {"model", "user", "metadata", "store", "service_tier", *_LIMITS}
"""Fields of rule 2 that no answer's content depends on."""
_OF_THE_SYSTEM = ("system", "systemInstruction", "system_instruction")
_SYSTEM_ROLES = ("system", "developer")
_CONFIGS = ("generationConfig", "generation_config")
_APART = "\n\n"


class _NotPlain(ValueError):  # noqa: N818 - a word for what it is
    """The message is what stands in the way."""


def _is_dialect(_: object, __: attrs.Attribute[str], value: object) -> None:
    if value not in DIALECTS:
        raise InvalidWorkItemError(f"dialect must be one of {', '.join(DIALECTS)}, not {value!r}")


def _is_body(request: Request, _: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping):
        raise InvalidWorkItemError(f"body must be an object, not {type(value).__name__}")
    name = _TURNS[request.dialect]
    turns = value.get(name)
    if not isinstance(turns, list) or not turns:
        found = "there is none" if name not in value else "it is empty" if turns == [] else f"not {kind_name(turns)}"
        raise InvalidWorkItemError(f"{name} must be a list of what was said: {found}")
    for index, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise InvalidWorkItemError(f"{name}[{index}] must be an object, not {kind_name(turn)}")
    if value.get("stream"):
        raise InvalidWorkItemError("stream must not be asked for: a reply is awaited whole")


@attrs.frozen(hash=False)
class Request:
    """A request in a provider's own form, sent as it is: a prompt for strategies that speak that form.

    `OpenAIStrategy`, `GeminiStrategy` and `AnthropicStrategy` send one of their own form as it is, and return the body of the
    reply as data. Other strategies are given its words, if it is plain.

    Raises:
        InvalidWorkItemError: the body is no request of that form, or asks for a stream.
    """

    dialect: Dialect = attrs.field(validator=_is_dialect)
    """Whose form it is: `openai`, `gemini` or `anthropic`."""
    body: Mapping[str, Any] = attrs.field(validator=_is_body, repr=False)
    """What is sent; not to be changed."""

    def __hash__(self) -> int:
        return hash((self.dialect, self.text))

    @property
    def text(self) -> str:
        """The words in it, one text below the other."""
        return _APART.join(_texts(self.body, _TURNS[self.dialect]))

    @property
    def plain(self) -> tuple[str | None, str] | None:
        """The system's text, if any, and the user's, if it is nothing but these; else None."""
        try:
            return _plain(self.dialect, self.body)
        except _NotPlain:
            return None

    @property
    def beyond_text(self) -> str | None:
        """What it is more than plain text, as the name of a field; None: it is plain."""
        try:
            _plain(self.dialect, self.body)
        except _NotPlain as reason:
            return str(reason)
        return None

    def objection(self, whose: str) -> str | None:
        """Return why a model of another provider's cannot be asked, in a sentence; None: it can.

        Args:
            whose: is asked, such as `a model of Gemini's`.
        """
        beyond = self.beyond_text
        if beyond is None:
            return None
        return f"{whose} cannot be asked what is in {self.dialect}'s form and more than text: {beyond}"


def plain_text(request: Request) -> str | None:
    """Return a plain request as one text, the system's above the user's; None: it is not plain."""
    plain = request.plain
    return None if plain is None else _APART.join(filter(None, plain))


def _texts(body: Mapping[str, Any], turns: str) -> Iterator[str]:
    for name in _OF_THE_SYSTEM:
        yield from _texts_in(body.get(name))
    for turn in body[turns]:
        yield from _texts_in(turn)


def _texts_in(value: object) -> Iterator[str]:
    """Yield the words of a text, of a turn, or of a list of parts."""
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
        elif isinstance(inner, list):  # two levels are all that there are, whatever depth it has
            yield from (part["text"] for part in inner if isinstance(part, dict) and isinstance(part.get("text"), str))


def _plain(dialect: Dialect, body: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return the two texts.

    Raises:
        _NotPlain: there is more in it.
    """
    name = _TURNS[dialect]
    for field in body:
        if field in _CONFIGS and isinstance(body[field], dict):
            _only(body[field], _LIMITS, f"{field}.")
        elif field not in (name, *_OF_THE_SYSTEM, *_PASSED_OVER):
            raise _NotPlain(field)
    system = [_one_text(body[field], field) for field in _OF_THE_SYSTEM if body.get(field) is not None]
    turns = list(body[name])
    if dialect == "openai" and turns[0].get("role") in _SYSTEM_ROLES:
        system.append(_one_text(turns.pop(0), f"{name}[0]"))
    if len(turns) != 1 or len(system) > 1:
        raise _NotPlain(f"{len(body[name])} {name}")
    place = f"{name}[{len(body[name]) - 1}]"
    if turns[0].get("role", "user") != "user":
        raise _NotPlain(f"{place}.role")
    return (system[0] if system else None), _one_text(turns[0], place)


def _one_text(value: object, place: str) -> str:
    """Return the one text that a turn, a list of parts or a system's field holds and nothing else."""
    if isinstance(value, dict) and "text" not in value:
        name = "parts" if "parts" in value else "content"
        _only(value, (name, "role"), f"{place}.")
        value, place = value.get(name), f"{place}.{name}"
    if isinstance(value, list) and len(value) == 1:
        value, place = value[0], f"{place}[0]"
    if isinstance(value, dict) and value.get("type", "text") == "text":
        _only(value, ("text", "type"), f"{place}.")
        value = value.get("text")
    if not isinstance(value, str):
        raise _NotPlain(place)
    return value


def _only(fields: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    for field in fields:
        if field not in known:
            raise _NotPlain(f"{place}{field}")
