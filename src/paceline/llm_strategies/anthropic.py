"""Anthropic's models by the anthropic package, on trio and on asyncio alike.

Rules owned here, beside those of `chat`:

1. A reply whose model did not finish by itself is no answer, whatever text it has. What it cost is told all the same.
2. Tokens read from a cache, and those written to one, are tokens sent: Anthropic counts them apart.
"""

from __future__ import annotations

import inspect
import json
from base64 import b64encode
from typing import Any, Generic

from .._core.exceptions import CallError, MissingExtraError
from .._core.fault import FaultKind
from .._core.prompt import Media, Parts, parts_of
from .._core.usage import TokenUsage
from .chat import ChatStrategy, T
from .chat_client import WORDS, Provider
from .common import count, items, mapping, object_of, raise_error_of, text_of
from .output_types.provider_schema import SchemaSupport, enforced

try:
    import anthropic
    from anthropic.resources.messages import AsyncMessages
except ImportError as _error:
    raise MissingExtraError("AnthropicStrategy", "anthropic") from _error

MAX_TOKENS = 8_192
"""Tokens of an answer at most, where `options` do not say: every model of the last years can write as many."""

_ANSWERED = {"", "end_turn", "stop_sequence"}
_BY_STOP_REASON = {  # any other is a refusal, as what is to come may be
    "max_tokens": FaultKind.TRUNCATED,
    "model_context_window_exceeded": FaultKind.TRUNCATED,
    "pause_turn": FaultKind.TRUNCATED,
    "tool_use": FaultKind.INVALID,
}
_ENFORCED = SchemaSupport(recursion=False)
_IMAGES = {"image/png", "image/jpeg", "image/gif", "image/webp"}


class AnthropicStrategy(ChatStrategy[T], Generic[T]):
    """Asks one of Anthropic's models for text or for an output of a type.

    Args:
        model: the model's name.
        client: an `anthropic.AsyncAnthropic` to use, with its retries off; it is never closed. Its pool must not be smaller than
            the number of workers.
        api_key: by default ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN of the environment.
        base_url: of a gateway or a compatible server; by default ANTHROPIC_BASE_URL of the environment, or Anthropic's. It is
            sent the key.
        system_instruction: what the model is told before every prompt.
        output_type: what an answer is to be: a class of pydantic, attrs or dataclasses, a list of them and so on. Each answer is
            checked.
        schema_mode: how the model is held to `output_type`. `schema`, the default: by its JSON schema, where Anthropic can
            enforce it, else as `tool`. `tool`: by a tool that it must call with the answer, for models and servers without
            structured outputs. `text`: by an instruction alone.
        options: further arguments of the request, such as `{"max_tokens": 500, "stop_sequences": ["END"]}`. `max_tokens` is 8,192 if it is
            not given.
        price: of its tokens; by default Anthropic's own, if the `prices` extra knows it.
        quota: the lane's name; by default the class's name, the model's, and that of a compatible server.
        keep_model: whether a `Request` of Anthropic's own form is sent with the model that it names itself, if it names one.

    A `Request` of that form is sent as it is, without `system_instruction` and `options`; its output is the reply as data.

    Raises:
        ConfigurationError: an argument is wrong, or two contradict each other.
        MissingKeyError: there is no key.
        MissingExtraError: anthropic is not installed; raised by the import of this module.
    """

    _provider = Provider(
        name="anthropic",
        title="Anthropic",
        path="/v1/messages",
        client=anthropic.AsyncAnthropic,
        key_names=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        url_name="ANTHROPIC_BASE_URL",
        arguments=frozenset(inspect.signature(AsyncMessages.create).parameters) - {"self"},
        modes=("schema", "tool", "text"),
    )
    _typing = frozenset({"tools", "tool_choice"})

    def _settings(self) -> dict[str, Any]:
        return {"max_tokens": MAX_TOKENS, **self._options, **self._form()}

    def _form(self) -> dict[str, Any]:
        """Return what holds the model to the type."""
        schema = self._asked.schema
        if schema is None or self._mode == "text":
            return {}
        closed = enforced(schema, _ENFORCED) if self._mode == "schema" else None
        if closed is not None:
            form = {"type": "json_schema", "schema": anthropic.transform_schema(closed)}
            return {"output_config": {**(self._options.get("output_config") or {}), "format": form}}
        tool = {"name": self._asked.name, "description": "Takes the answer.", "input_schema": schema}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": self._asked.name}}

    def _said(self, prompt: Parts, instruction: str) -> dict[str, Any]:
        content = prompt if isinstance(prompt, str) else [_part(part) for part in parts_of(prompt)]
        said: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
        return {**said, "system": instruction} if instruction else said

    async def _send(self, client: anthropic.AsyncAnthropic, request: dict[str, Any]) -> tuple[Any, str]:
        # Given a timeout, the package does not refuse long answers: it is the engine that bounds a call.
        response = await client.messages.with_raw_response.create(**request, timeout=client.timeout)
        return response.headers, await response.text()

    def _read(self, body: str) -> tuple[str, TokenUsage]:
        return read_reply(body, answered_by_tool=self._asked.schema is not None and "tools" in self._fixed)

    def _read_whole(self, body: str) -> tuple[dict[str, Any], TokenUsage]:
        reply, usage, _ = _opened(body)
        return reply, usage


def read_reply(body: str | bytes, *, answered_by_tool: bool = False) -> tuple[str, TokenUsage]:
    """Return the text of a reply, without the model's thoughts, or the JSON that it gave the tool, and what it cost.

    Raises:
        CallError: refused, truncated, or not readable; with the usage, as far as the reply says it.
    """
    reply, usage, blocks = _opened(body)
    reason = str(reply.get("stop_reason") or "").lower()
    if reason not in _ANSWERED and not (answered_by_tool and reason == "tool_use"):
        kind = _BY_STOP_REASON.get(reason, FaultKind.REFUSED)
        raise CallError(f"the model finished with {reason}", kind=kind, usage=usage)
    if answered_by_tool:
        texts = [
            json.dumps(block.get("input"), ensure_ascii=False) for block in blocks if block.get("type") == "tool_use"
        ]
        return text_of(texts[:1], usage), usage
    texts = [block["text"] for block in blocks if block.get("type") == "text" and isinstance(block.get("text"), str)]
    return text_of(texts, usage), usage


def _opened(body: str | bytes) -> tuple[dict[str, Any], TokenUsage, list[dict[str, Any]]]:
    """Return a reply, what it cost, and the blocks of its content."""
    reply = object_of(body)
    raise_error_of(reply, WORDS)
    usage = _usage_of(mapping(reply.get("usage")))
    if not isinstance(reply.get("content"), list):
        raise CallError("the reply's content is no list", kind=FaultKind.TRANSIENT, usage=usage)
    return reply, usage, items(reply["content"])


def _usage_of(counts: dict[str, Any]) -> TokenUsage:
    cached = count(counts, "cache_read_input_tokens")
    sent = count(counts, "input_tokens") + cached + count(counts, "cache_creation_input_tokens")
    return TokenUsage(sent, count(counts, "output_tokens"), cached)


def _part(part: str | Media) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    kind, source = "document", {"type": "base64", "media_type": part.mime_type}
    if part.mime_type in _IMAGES:
        kind = "image"
    elif part.mime_type == "text/plain":
        return {"type": kind, "source": {**source, "type": "text", "data": part.data.decode("utf-8", "replace")}}
    elif part.mime_type != "application/pdf":
        raise CallError(
            f"Anthropic takes PNG, JPEG, GIF, WebP, PDF and plain text, not {part.mime_type}", kind=FaultKind.REJECTED
        )
    return {"type": kind, "source": {**source, "data": b64encode(part.data).decode("ascii")}}
