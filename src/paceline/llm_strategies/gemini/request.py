"""Gemini requests: prompts, configuration and the cacheable context in the SDK's types.

Rules owned here:

1. One attempt is one HTTP request: the SDK's retries, automatic continuation and automatic function calling are off.
2. Tools in the user's config are sent but never called: a reply that calls one is an invalid output.
3. A request that uses a cache has no system instruction and no tools: they are in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from json import JSONDecodeError
from typing import Any

import attrs
from google.genai import types
from pydantic import BaseModel, ValidationError

from ..._core.exceptions import CallError, ConfigurationError
from ..._core.fault import FaultKind
from ..._core.model_settings import check_values
from ..._core.prompt import Parts, parts_of
from ..._core.request import Request
from ..output_types.provider_schema import SchemaSupport, open_schema

_CACHED_FIELDS = ("system_instruction", "tools", "tool_config")
"""Fields of a config that go into the cache."""
_TYPE_FIELDS = ("response_mime_type", "response_schema", "response_json_schema")
"""Fields of a config that follow from `output_type`."""
_TRANSPORT_FIELDS = ("automatic_continuation", "automatic_function_calling", "should_return_http_response")
"""Fields of a config that say how to send a request."""
SETTINGS = (
    "temperature",
    "top_p",
    "top_k",
    "candidate_count",
    "max_output_tokens",
    "stop_sequences",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "thinking_config",
    "media_resolution",
    "service_tier",
)
"""Fields of a config that a user compares: an identity shows them."""
_SCHEMAS = SchemaSupport(  # https://ai.google.dev/api/generate-content: responseJsonSchema
    keywords=frozenset(["format", "minItems", "maxItems", "minimum", "maximum"]),
    formats=frozenset(["date-time", "date", "time"]),
    open_objects=True,
    boolean_choices=False,
)
_HASH_LENGTH = 40  # characters: a display name may have 128


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
        config: The user's config.
        system_instruction: The user's instruction, if it is not in `config`.
        safety_settings: The user's safety settings, if they are not in `config`.
        schema: JSON schema of the output; None for text.
        given: Whether the client is the user's, whose retries must be turned off.

    Raises:
        ConfigurationError: The config is invalid, or a setting is given twice.
    """
    model = _validated(types.GenerateContentConfig, "config", config)
    check_values(settings_of(model))
    ours: dict[str, Any] = {"system_instruction": system_instruction}
    if safety_settings is not None:
        checked = _validated(types.GenerateContentConfig, "", {"safety_settings": safety_settings})
        ours["safety_settings"] = checked.safety_settings
    for name, value in ours.items():
        if value is not None and getattr(model, name) is not None:
            raise ConfigurationError(f"{name} is given twice: as an argument and in config")
    if model.cached_content is not None:
        raise ConfigurationError(
            "config.cached_content is not supported; use GeminiCachedStrategy, which makes a cache"
        )
    if schema is not None:
        for name in _TYPE_FIELDS:
            if getattr(model, name) is not None:
                raise ConfigurationError(f"config.{name} follows from output_type; give only one of them")
        ours |= {"response_mime_type": "application/json", "response_json_schema": open_schema(schema, _SCHEMAS)}
    always: dict[str, Any] = {
        "automatic_continuation": False,
        "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True),
        "should_return_http_response": True,
    }
    if given or model.http_options is not None:  # a request's retry options override the client's
        options = model.http_options or types.HttpOptions()
        always["http_options"] = options.model_copy(update={"retry_options": types.HttpRetryOptions(attempts=1)})
    return model.model_copy(update=always | {name: value for name, value in ours.items() if value is not None})


def settings_of(config: types.GenerateContentConfig) -> dict[str, Any]:
    """Return the fields of a config in `SETTINGS` that are given, as plain data."""
    return config.model_dump(mode="json", exclude_none=True, include={*SETTINGS})


def content_of(prompt: Parts) -> types.Content:
    """Return a prompt as a user turn: its texts and media, in order."""
    parts = [
        types.Part(text=part)
        if isinstance(part, str)
        else types.Part(inline_data=types.Blob(mime_type=part.mime_type, data=part.data))
        for part in parts_of(prompt)
    ]
    return types.Content(role="user", parts=parts)


def unchanged(
    request: Request, config: types.GenerateContentConfig
) -> tuple[list[types.Content], types.GenerateContentConfig]:
    """Return the SDK's arguments that send a request unchanged, under rule 1.

    Args:
        request: Request in Gemini's format. Its `model` is left out, as it is part of the URL.
        config: The strategy's config: its transport fields apply, its instructions and settings are not sent.
    """
    body = {name: value for name, value in request.body.items() if name != "model"}
    options = (config.http_options or types.HttpOptions()).model_copy(update={"extra_body": body})
    transport = {name: getattr(config, name) for name in _TRANSPORT_FIELDS}
    bare = types.GenerateContentConfig(**transport, http_options=options)
    return [content_of("replaced by the body")], bare


def with_system_text(config: types.GenerateContentConfig, system: str) -> types.GenerateContentConfig:
    """Return a config with a request's system text appended to its own.

    Raises:
        CallError: The config's own system instruction is not a text.
    """
    own = config.system_instruction
    if not isinstance(own, str | None):
        raise CallError(
            "the request's system text cannot be added: the strategy's system_instruction is not a text",
            kind=FaultKind.REJECTED,
        )
    return config.model_copy(update={"system_instruction": "\n\n".join(filter(None, (own, system)))})


@attrs.frozen
class Context:
    """The part that all requests share and that a cache can hold."""

    model: str
    contents: tuple[types.Content, ...]
    config: types.GenerateContentConfig
    """Config of requests that send the context themselves."""

    @classmethod
    def of(cls, model: str, contents: Parts | None, config: types.GenerateContentConfig) -> Context:
        """Return the context.

        Raises:
            ConfigurationError: There is nothing to cache, or a tool that a cache cannot hold.
        """
        shared = () if contents is None else (content_of(contents),)
        if config.system_instruction is None and not shared:
            raise ConfigurationError("there is nothing to cache: give system_instruction or contents")
        if not all(isinstance(tool, types.Tool) for tool in config.tools or ()):
            raise ConfigurationError("config.tools: a cache holds google.genai.types.Tool only")
        return cls(model, shared, config)

    @property
    def fingerprint(self) -> str:
        """Display name of its cache, by which a later run finds it: the same for the same model and content."""
        digest = hashlib.sha256(self.model.encode())
        instruction, tools, tool_config = (getattr(self.config, name) for name in _CACHED_FIELDS)
        for part in (instruction, *self.contents, *(tools or ()), tool_config):
            text = part.model_dump_json(exclude_none=True) if isinstance(part, BaseModel) else repr(part)
            digest.update(b"\0" + text.encode("utf-8", "backslashreplace"))
        return f"paceline-{digest.hexdigest()[:_HASH_LENGTH]}"

    def creation_config(self, seconds: float) -> types.CreateCachedContentConfig:
        """Return the config that creates a cache with a lifetime of some seconds."""
        return types.CreateCachedContentConfig(
            display_name=self.fingerprint,
            ttl=duration(seconds),
            contents=list(self.contents) or None,
            http_options=self.config.http_options,
            **{name: getattr(self.config, name) for name in _CACHED_FIELDS},
        )

    def config_with_cache(self, name: str) -> types.GenerateContentConfig:
        """Return the config of requests that use a cache, under rule 3."""
        return self.config.model_copy(update={**dict.fromkeys(_CACHED_FIELDS), "cached_content": name})


@contextmanager
def sdk_errors() -> Iterator[None]:
    """Translate the validation and decoding errors that the SDK raises about its own data, not about an output.

    Raises:
        CallError: The SDK refused the request, or cannot read the reply.
    """
    try:
        yield
    except ValidationError as error:
        raise CallError(f"google-genai refused the request: {error}", kind=FaultKind.BUG) from error
    except (JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallError(f"the reply cannot be read: {error}", kind=FaultKind.TRANSIENT) from error


def duration(seconds: float) -> str:
    """Return a duration as Google writes it, such as `1.5s`."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def _validated(kind: type[types.GenerateContentConfig], name: str, value: Any) -> types.GenerateContentConfig:
    try:
        return kind.model_validate({} if value is None else value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in (name, *first["loc"]) if part != "")
        message = first["msg"]
        if first["type"] == "extra_forbidden":
            near = get_close_matches(str(first["loc"][-1]), kind.model_fields, n=1)
            message = "there is no such field" + (f" (did you mean {near[0]}?)" if near else "")
        raise ConfigurationError(f"{where}: {message}") from error
