"""What a Gemini request says.

Rules owned here:

1. One attempt is one HTTP request: the SDK's retries, automatic continuation and automatic function calling are off.
2. Tools of the user's config are sent as they are, and never called: a reply that calls one is an invalid output.
3. A request that uses a cache has no system instruction and no tools: they are in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Any

import attrs
from google import genai
from google.genai import types
from pydantic import BaseModel, ValidationError

from ..._core.accounting import Price
from ..._core.exceptions import CallError, ConfigurationError
from ..._core.fault import FaultKind
from ..._core.prompt import Parts, parts_of
from ..._core.request import Request

_CACHED = ("system_instruction", "tools", "tool_config")
"""The fields of a config that go into the cache."""
_TYPED = ("response_mime_type", "response_schema", "response_json_schema")
_SENDING = ("automatic_continuation", "automatic_function_calling", "should_return_http_response")
"""The fields of a config that say how to send."""
_LONGEST_HASH = 40  # characters: a display name may have 128


def check(model: object, client: object, base_url: object, system_instruction: object, price: object) -> None:
    """Refuse what is of a wrong type.

    Raises:
        ConfigurationError: names the argument.
    """
    if not isinstance(model, str) or not model.strip():
        raise ConfigurationError(f"model must be a model's name, not {model!r}")
    if not isinstance(client, genai.Client | None):
        raise ConfigurationError(f"client must be a google.genai.Client, not {type(client).__qualname__}")
    if base_url is not None and not (isinstance(base_url, str) and base_url.startswith(("http://", "https://"))):
        raise ConfigurationError(f"base_url must begin with http:// or https://, not {base_url!r}")
    if not isinstance(system_instruction, str | None):
        raise ConfigurationError(f"system_instruction must be a string, not {type(system_instruction).__name__}")
    if not isinstance(price, Price | None):
        raise ConfigurationError(f"price must be a paceline.Price, not {type(price).__name__}")


def config_of(
    config: types.GenerateContentConfig | Mapping[str, Any] | None,
    system_instruction: str | None,
    safety_settings: Sequence[types.SafetySetting | Mapping[str, Any]] | None,
    schema: Mapping[str, Any] | None,
    *,
    given: bool,
) -> types.GenerateContentConfig:
    """Return the config of every request, under rule 1.

    Args:
        config: the user's.
        system_instruction: the user's, if it is not in `config`.
        safety_settings: the same.
        schema: the JSON schema of the output; None: it is text.
        given: whether the client is the user's, and may have been told to repeat requests.

    Raises:
        ConfigurationError: the config is none, or something is given twice.
    """
    model = _validated(types.GenerateContentConfig, "config", config)
    ours: dict[str, Any] = {"system_instruction": system_instruction}
    if safety_settings is not None:
        checked = _validated(types.GenerateContentConfig, "", {"safety_settings": safety_settings})
        ours["safety_settings"] = checked.safety_settings
    for name, value in ours.items():
        if value is not None and getattr(model, name) is not None:
            raise ConfigurationError(f"{name} is given twice: as an argument and in config")
    if model.cached_content is not None:
        raise ConfigurationError("config.cached_content: a cache is made by GeminiCachedStrategy")
    if schema is not None:
        for name in _TYPED:
            if getattr(model, name) is not None:
                raise ConfigurationError(f"config.{name} follows from output_type: give one of them")
        ours |= {"response_mime_type": "application/json", "response_json_schema": dict(schema)}
    always: dict[str, Any] = {
        "automatic_continuation": False,
        "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True),
        "should_return_http_response": True,
    }
    if given or model.http_options is not None:  # whatever the client's retries are, a request's own come first
        options = model.http_options or types.HttpOptions()
        always["http_options"] = options.model_copy(update={"retry_options": types.HttpRetryOptions(attempts=1)})
    return model.model_copy(update=always | {name: value for name, value in ours.items() if value is not None})


def content_of(prompt: Parts) -> types.Content:
    """Return a prompt as the user's turn: its texts and its media, in order."""
    parts = [
        types.Part(text=part)
        if isinstance(part, str)
        else types.Part(inline_data=types.Blob(mime_type=part.mime_type, data=part.data))
        for part in parts_of(prompt)
    ]
    return types.Content(role="user", parts=parts)


def as_it_is(
    request: Request, config: types.GenerateContentConfig
) -> tuple[list[types.Content], types.GenerateContentConfig]:
    """Return what the SDK is to be given so that it sends a request as it is, under rule 1.

    Args:
        request: of Gemini's form. The model that it may name is left out, as it is in the URL.
        config: the strategy's, for how to send; what it says to the model is not sent.
    """
    body = {name: value for name, value in request.body.items() if name != "model"}
    options = (config.http_options or types.HttpOptions()).model_copy(update={"extra_body": body})
    bare = types.GenerateContentConfig(**{name: getattr(config, name) for name in _SENDING}, http_options=options)
    return [content_of("replaced by the body")], bare


def beside(config: types.GenerateContentConfig, system: str) -> types.GenerateContentConfig:
    """Return a config with a system's text of a request's below its own.

    Raises:
        CallError: its own is no text.
    """
    own = config.system_instruction
    if not isinstance(own, str | None):
        raise CallError(
            "the strategy's system_instruction is no text: the request's has no place", kind=FaultKind.REJECTED
        )
    return config.model_copy(update={"system_instruction": "\n\n".join(filter(None, (own, system)))})


@attrs.frozen
class Context:
    """What all requests have in common, and a cache can hold."""

    model: str
    contents: tuple[types.Content, ...]
    whole: types.GenerateContentConfig
    """Of requests that send it themselves."""

    @classmethod
    def of(cls, model: str, contents: Parts | None, whole: types.GenerateContentConfig) -> Context:
        """Return it.

        Raises:
            ConfigurationError: there is nothing to cache, or a tool that no cache can hold.
        """
        said = () if contents is None else (content_of(contents),)
        if whole.system_instruction is None and not said:
            raise ConfigurationError("there is nothing to cache: give system_instruction or contents")
        if not all(isinstance(tool, types.Tool) for tool in whole.tools or ()):
            raise ConfigurationError("config.tools: a cache holds google.genai.types.Tool only")
        return cls(model, said, whole)

    @property
    def fingerprint(self) -> str:
        """A name for a cache of it, by which it is found again: of the same content and model, the same."""
        digest = hashlib.sha256(self.model.encode())
        held = [getattr(self.whole, name) for name in _CACHED]
        for thing in (held[0], *self.contents, *(held[1] or ()), held[2]):
            text = thing.model_dump_json(exclude_none=True) if isinstance(thing, BaseModel) else repr(thing)
            digest.update(b"\0" + text.encode("utf-8", "backslashreplace"))
        return f"paceline-{digest.hexdigest()[:_LONGEST_HASH]}"

    def to_cache(self, seconds: float) -> types.CreateCachedContentConfig:
        """Return the request for a cache that lives so long."""
        return types.CreateCachedContentConfig(
            display_name=self.fingerprint,
            ttl=duration(seconds),
            contents=list(self.contents) or None,
            http_options=self.whole.http_options,
            **{name: getattr(self.whole, name) for name in _CACHED},
        )

    def cached_as(self, name: str) -> types.GenerateContentConfig:
        """Return the config of requests that use a cache, under rule 3."""
        return self.whole.model_copy(update={**dict.fromkeys(_CACHED), "cached_content": name})


@contextmanager
def understood() -> Iterator[None]:
    """Tell what the SDK raises of itself from what it says of an output.

    Raises:
        CallError: the SDK refuses the request, or cannot read the reply.
    """
    try:
        yield
    except ValidationError as error:
        raise CallError(f"the SDK refuses the request: {error}", kind=FaultKind.BUG) from error
    except (JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallError(f"the reply cannot be read: {error}", kind=FaultKind.TRANSIENT) from error


def duration(seconds: float) -> str:
    """Return a number of seconds as Google writes it."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def _validated(kind: type[types.GenerateContentConfig], name: str, value: Any) -> types.GenerateContentConfig:
    try:
        return kind.model_validate({} if value is None else value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in (name, *first["loc"]) if part != "")
        raise ConfigurationError(f"{where}: {first['msg']}") from error
