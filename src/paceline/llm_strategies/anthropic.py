"""AnthropicStrategy: calls Anthropic's models through the anthropic package, on trio and asyncio.

Rules owned here, beside those of `chat`:

1. A reply whose model did not finish by itself is not an answer, even if it has text. Its usage is reported all the same.
2. While a model thinks, no tool can be forced: the tool that takes the answer is offered with an instruction, and a text is read too.
"""

from __future__ import annotations

import inspect
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Generic

from .._core.exceptions import CallError, MissingExtraError
from .._core.fault import FaultKind
from .._core.prompt import Media, Parts, parts_of
from .._core.provider_answers.reported_usage import anthropic_usage
from .._core.usage import TokenUsage
from ..abc import NativeBatch
from .chat import ChatStrategy, T
from .chat_client import Provider
from .common import (
    as_objects,
    join_texts,
    json_text,
    parse_object,
    raise_reply_error,
    require_finished,
    texts_of,
)
from .option_conflicts import check_anthropic, thinking_budget, thinks
from .output_types.provider_schema import SchemaSupport, enforced

try:
    import anthropic
    from anthropic.resources.messages import AsyncMessages
except ImportError as _error:
    raise MissingExtraError("AnthropicStrategy", "anthropic") from _error

MAX_TOKENS = 8_192
"""Default of `max_tokens`, the upper bound on the tokens of an answer: all models of recent years support it."""

_SCHEMAS = SchemaSupport(recursion=False)
_IMAGES = {"image/png", "image/jpeg", "image/gif", "image/webp"}


class AnthropicStrategy(ChatStrategy[T], Generic[T]):
    """Calls one of Anthropic's models for text or typed output.

    Args:
        model: Name of the model.
        client: An `anthropic.AsyncAnthropic` to use, with its retries off; it is never closed. With an HTTP
            client of its own it is used in one event loop, for as many calls at once as that has connections.
        api_key: API key; by default ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN of the environment.
        base_url: URL of a gateway or a compatible server; by default ANTHROPIC_BASE_URL of the environment, or Anthropic's
            URL. The key is sent there.
        system_instruction: Instruction before every prompt.
        output_type: Type of the answers: a class of pydantic, attrs or dataclasses, a list of them and so on. Every answer is
            validated.
        schema_mode: How the model is held to `output_type`. `schema` (default): by its JSON schema if Anthropic can enforce
            it, otherwise as `tool`. `tool`: by a tool that the model must call with the answer, for models and servers without
            structured outputs. `text`: by an instruction alone.
        options: Further arguments of the request, such as `{"max_tokens": 500, "stop_sequences": ["END"]}`. `max_tokens` is
            8,192 by default.
        price: Price of tokens; by default Anthropic's own, if the `prices` extra lists the model.
        quota: Name of the lane; by default the class, the model, and the host of a compatible server.
        keep_model: Whether a `Request` in Anthropic's format keeps the model that it names, if it names one.

    A `Request` in Anthropic's format is sent unchanged, without `system_instruction` and `options`; its output is the reply as
    data.

    Raises:
        ConfigurationError: An argument is wrong, or two contradict each other.
        MissingKeyError: No API key was found.
        MissingExtraError: anthropic is not installed; raised by the import of this module.
    """

    _provider = Provider(
        name="anthropic",
        title="Anthropic",
        paths={"anthropic": "/v1/messages"},
        client=anthropic.AsyncAnthropic,
        key_names=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        home="https://api.anthropic.com",
        url_name="ANTHROPIC_BASE_URL",
        other_url_names=("ANTHROPIC_API_BASE", "ANTHROPIC_API_URL"),
        endpoints=("/messages", "/models"),
        account_names={},
        arguments=frozenset(inspect.signature(AsyncMessages.create).parameters) - {"self"},
        modes=("schema", "tool", "text"),
        hosts=(".anthropic.com",),
        body_names=frozenset({"temperature", "top_p", "top_k"}),  # newer models refuse them, older ones have them
        methods=((AsyncMessages, "create"), (anthropic.AsyncAnthropic, "post"), (anthropic.AsyncAnthropic, "request")),
    )
    _type_options = frozenset({"tools", "tool_choice"})
    _check_conflicts = staticmethod(check_anthropic)

    def native_batch(self) -> NativeBatch:
        """Return the jobs of the batch API at the same server."""
        from .native.anthropic import AnthropicBatch  # noqa: PLC0415 - it needs the HTTP client, which comes with the extra

        return AnthropicBatch(self, self._client)

    def _fixed_arguments(self) -> dict[str, Any]:
        return {**self._defaults(self._options), **self._options, **self._type_arguments()}

    def _defaults(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"max_tokens": MAX_TOKENS + (thinking_budget(options) or 0)}

    def _type_arguments(self) -> dict[str, Any]:
        """Return the arguments that hold the model to the output type."""
        schema = self._output.schema
        if schema is None or self._mode == "text":
            return {}
        closed = enforced(schema, _SCHEMAS) if self._mode == "schema" else None
        if closed is not None:
            output_format = {"type": "json_schema", "schema": anthropic.transform_schema(closed)}
            return {"output_config": {**(self._options.get("output_config") or {}), "format": output_format}}
        tool = {"name": self._output.name, "description": "Takes the answer.", "input_schema": schema}
        if thinks(self._options):  # rule 2
            return {"tools": [tool]}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": self._output.name}}

    @property
    def _tool_instruction(self) -> str:
        is_offered = self._output.schema is not None and "tools" in self._fixed and "tool_choice" not in self._fixed
        return f"Give your answer by calling the tool {self._output.name}." if is_offered else ""

    def _messages(self, prompt: Parts, instruction: str) -> dict[str, Any]:
        content = prompt if isinstance(prompt, str) else [_part(part) for part in parts_of(prompt)]
        messages: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
        return {**messages, "system": instruction} if instruction else messages

    async def _send(self, client: anthropic.AsyncAnthropic, request: dict[str, Any]) -> tuple[Any, str]:
        # Without an explicit timeout the package refuses a large `max_tokens`; the engine bounds the call.
        response = await client.messages.with_raw_response.create(**request, timeout=client.timeout)
        return response.headers, await response.text()

    def _read(self, body: str) -> tuple[str, TokenUsage]:
        return read_reply(body, answered_by_tool=self._output.schema is not None and "tools" in self._fixed)

    def _read_complete(self, body: str) -> tuple[dict[str, Any], TokenUsage]:
        reply, usage, _ = _parse(body)
        return reply, usage


def read_reply(body: str | bytes, *, answered_by_tool: bool = False) -> tuple[str, TokenUsage]:
    """Return the answer of a reply and its usage: the text without the model's thoughts, or the JSON input of the tool call.

    Args:
        body: Body of the reply.
        answered_by_tool: Whether the input of the first tool call is the answer, if there is one.

    Raises:
        CallError: The reply is refused, truncated or cannot be parsed; with the usage that the reply reports.
    """
    reply, usage, blocks = _parse(body)
    calls = [
        json_text(block["input"])
        for block in blocks
        if block.get("type") == "tool_use" and block.get("input") is not None
    ]
    is_called = answered_by_tool and bool(calls)
    texts = calls[:1] if is_called else texts_of(blocks)
    require_finished(
        reply.get("stop_reason"), usage, answer="".join(texts) or "\n".join(calls), answered_by_tool=is_called
    )
    return join_texts(texts, usage), usage


def _parse(body: str | bytes) -> tuple[dict[str, Any], TokenUsage, list[dict[str, Any]]]:
    """Return a reply, its usage, and the blocks of its content."""
    reply = parse_object(body)
    usage = anthropic_usage(reply.get("usage"))
    raise_reply_error(reply, usage)
    content = reply.get("content")
    if isinstance(content, str):  # a compatible server's
        content = [{"type": "text", "text": content}]
    if content is None and reply.get("stop_reason"):
        content = []
    if not isinstance(content, list):
        raise CallError("the reply's content is not a list", kind=FaultKind.TRANSIENT, usage=usage)
    return reply, usage, as_objects(content)


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
