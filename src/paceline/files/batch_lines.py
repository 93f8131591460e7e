"""Lines of the batch APIs of OpenAI, Gemini and Anthropic, and lines of chat messages: the request in each.

1. A request is sent unchanged. Fields that the API does not know come back as the context.
2. A line without an id is identified by its position. Gemini's own files have it in `key`, or in `metadata.key`.
3. In a line of messages, the arguments of Chat Completions beside `messages` are a part of the request. Its output is the text of
   the answer; that of the other lines is the complete reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from .._core.exceptions import InvalidWorkItemError
from .._core.json_values import kind_name
from .._core.request import Dialect, Request
from .table import id_text
from .types import InputKind, LineError, quote

_CHAT, _RESPONSES = "/v1/chat/completions", "/v1/responses"
_URLS: Mapping[str, Dialect] = MappingProxyType(  # Azure's files have no version in them
    {_CHAT: "openai", "/chat/completions": "openai", _RESPONSES: "responses", "/responses": "responses"}
)
_CHAT_ARGUMENTS = frozenset(
    [
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "modalities",
        "model",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ]
)
"""Arguments of Chat Completions, by which a line of messages is answered."""


@attrs.frozen
class BatchLine:
    """A line of a batch API, taken apart."""

    id: str | None
    """None: it has none."""
    request: Request
    context: dict[str, Any] | None
    """The fields that are not the API's; None if there is no other field."""


def batch_kind(fields: Mapping[str, Any]) -> InputKind | None:
    """Return the batch API whose line these fields are; None if they are not a line of any."""
    request = fields.get("request")
    if "custom_id" in fields and "params" in fields:
        return InputKind.ANTHROPIC
    if "body" in fields and ("custom_id" in fields or "url" in fields):
        return InputKind.OPENAI
    if isinstance(request, Mapping) and ("key" in fields or "contents" in request):
        return InputKind.GEMINI
    if "prompt" in fields or "messages" in fields:
        return None
    return InputKind.OPENAI if "custom_id" in fields else InputKind.GEMINI if "key" in fields else None


def is_complete(kind: InputKind, fields: Mapping[str, Any]) -> bool:
    """Return whether a line of a batch API has a request, so that it is hardly anything else."""
    return isinstance(fields.get(_BODIES[kind]), dict)


def read_batch_line(kind: InputKind, fields: dict[str, Any]) -> BatchLine:
    """Take a line of a batch API apart.

    Raises:
        LineError: It is not a line of that API.
    """
    name = _BODIES[kind]
    if name not in fields:
        unknown = next((key for key in fields if key not in _KNOWN[kind]), None)
        raise LineError(f"has no {name}" + ("" if unknown is None else f", but the key {quote(unknown)}"))
    dialect = _openai_dialect(fields) if kind is InputKind.OPENAI else _DIALECTS[kind]
    context = {key: value for key, value in fields.items() if key not in _KNOWN[kind]}
    return BatchLine(_id_of(kind, fields), _request(dialect, fields[name], name), context or None)


def read_messages(fields: dict[str, Any]) -> tuple[Request, dict[str, Any]]:
    """Return the request of a line of chat messages, and its other fields.

    Raises:
        LineError: The messages cannot be sent.
    """
    body = {key: value for key, value in fields.items() if key == "messages" or key in _CHAT_ARGUMENTS}
    try:
        request = Request("openai", body, reply="text")
    except InvalidWorkItemError as error:
        raise LineError(str(error)) from None
    return request, {key: value for key, value in fields.items() if key not in body}


def _id_of(kind: InputKind, fields: dict[str, Any]) -> str | None:
    if kind is not InputKind.GEMINI:
        return id_text(fields["custom_id"], "custom_id") if "custom_id" in fields else None
    if "key" in fields:
        return id_text(fields["key"], "key")
    metadata = fields.get("metadata")
    if isinstance(metadata, Mapping) and "key" in metadata:
        return id_text(metadata["key"], "metadata.key")
    return None


def _openai_dialect(fields: dict[str, Any]) -> Dialect:
    if fields.get("method", "POST") != "POST":
        raise LineError("method must be POST")
    body = fields["body"]
    url = fields.get("url", _RESPONSES if isinstance(body, dict) and "input" in body else _CHAT)
    dialect = _URLS.get(url) if isinstance(url, str) else None
    if dialect is None:
        found = quote(url) if isinstance(url, str) else kind_name(url)
        raise LineError(f"url must be {_CHAT} or {_RESPONSES}, not {found}")
    return dialect


def _request(dialect: Dialect, body: object, name: str) -> Request:
    if not isinstance(body, dict):
        raise LineError(f"{name} must be an object, not {kind_name(body)}")
    try:
        return Request(dialect, body)
    except InvalidWorkItemError as error:
        raise LineError(f"{name}.{error}") from None


ID_FIELDS: Mapping[InputKind, str] = MappingProxyType(
    {InputKind.OPENAI: "custom_id", InputKind.GEMINI: "key", InputKind.ANTHROPIC: "custom_id"}
)
"""Field of the ids of each batch API."""
_BODIES = {InputKind.OPENAI: "body", InputKind.GEMINI: "request", InputKind.ANTHROPIC: "params"}
_DIALECTS: Mapping[InputKind, Dialect] = MappingProxyType(
    {InputKind.GEMINI: "gemini", InputKind.ANTHROPIC: "anthropic"}
)
_KNOWN = {
    InputKind.OPENAI: ("custom_id", "method", "url", "body"),
    InputKind.GEMINI: ("key", "request"),
    InputKind.ANTHROPIC: ("custom_id", "params"),
}
