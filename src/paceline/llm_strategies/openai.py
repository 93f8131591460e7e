"""OpenAIStrategy: calls OpenAI and compatible Chat Completions servers through the openai package, on trio and asyncio.

Rules owned here, beside those of `chat`:

1. A reply whose model did not finish by itself is not an answer, even if it has text. Its usage is reported all the same.
2. In strict mode every field is required. A schema that OpenAI cannot enforce is sent without `strict`.
"""

from __future__ import annotations

import inspect
from base64 import b64encode
from typing import Any, Generic

from .._core.exceptions import CallError, MissingExtraError
from .._core.fault import FaultKind, FaultReason
from .._core.prompt import Media, Parts, parts_of
from .._core.provider_answers.reported_usage import chat_usage
from .._core.usage import TokenUsage
from ..abc import NativeBatch
from .chat import ChatStrategy, T
from .chat_client import Provider
from .common import (
    as_mapping,
    as_objects,
    join_texts,
    json_text,
    parse_object,
    raise_reply_error,
    require_finished,
    texts_of,
)
from .option_conflicts import check_openai
from .output_types.provider_schema import SchemaSupport, enforced

try:
    import openai
    from openai.resources.chat.completions import AsyncCompletions
except ImportError as _error:
    raise MissingExtraError("OpenAIStrategy", "openai") from _error

_STRICT = SchemaSupport(
    keywords=frozenset(
        [
            "pattern",
            "format",
            "multipleOf",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "minItems",
            "maxItems",
        ]
    ),
    formats=frozenset(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"]),
    needs_every_field=True,
)
_SOUNDS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


class OpenAIStrategy(ChatStrategy[T], Generic[T]):
    """Calls a model of OpenAI, or of a compatible server, for text or typed output.

    Args:
        model: Name of the model.
        client: An `openai.AsyncOpenAI` to use, with its retries off; it is never closed. With an HTTP
            client of its own it is used in one event loop, for as many calls at once as that has connections.
        api_key: API key; by default OPENAI_API_KEY of the environment. A compatible server may need none.
        base_url: URL of a compatible server (vLLM, Ollama, OpenRouter, DeepSeek, ...) up to `/v1`; by default OPENAI_BASE_URL
            of the environment, or OpenAI's URL. The key is sent there, also the one from OPENAI_API_KEY.
        system_instruction: Instruction before every prompt.
        output_type: Type of the answers: a class of pydantic, attrs or dataclasses, a list of them and so on. Every answer is
            validated.
        schema_mode: How the model is held to `output_type`. `schema` (default): by its JSON schema, strictly if the schema
            allows. `json`: the server enforces JSON, an instruction names the schema. `text`: the instruction alone.
        options: Further arguments of the request, such as `{"temperature": 0, "max_completion_tokens": 500}`. A compatible server also
            gets those that OpenAI does not have, such as `top_k`.
        price: Price of tokens; by default OpenAI's own, if the `prices` extra lists the model.
        quota: Name of the lane; by default the class, the model, and the host of a compatible server.
        keep_model: Whether a `Request` in OpenAI's format keeps the model that it names, if it names one.

    A `Request` in OpenAI's format is sent unchanged, without `system_instruction` and `options`; its output is the reply as data.

    Raises:
        ConfigurationError: An argument is wrong, or two contradict each other.
        MissingKeyError: No API key was found.
        MissingExtraError: openai is not installed; raised by the import of this module.
    """

    _provider = Provider(
        name="openai",
        title="OpenAI",
        paths={"openai": "/chat/completions", "responses": "/responses"},
        client=openai.AsyncOpenAI,
        key_names=("OPENAI_API_KEY",),
        home="https://api.openai.com/v1",
        url_name="OPENAI_BASE_URL",
        other_url_names=("OPENAI_API_BASE", "OPENAI_API_BASE_URL"),
        endpoints=("/chat/completions", "/completions", "/responses", "/models"),
        account_names={"organization": "OPENAI_ORG_ID", "project": "OPENAI_PROJECT_ID"},
        arguments=frozenset(inspect.signature(AsyncCompletions.create).parameters) - {"self"},
        modes=("schema", "json", "text"),
        hosts=(".openai.com", ".azure.com"),
        methods=((AsyncCompletions, "create"), (openai.AsyncOpenAI, "post"), (openai.AsyncOpenAI, "request")),
    )
    _type_options = frozenset({"response_format"})
    _check_conflicts = staticmethod(check_openai)

    def native_batch(self) -> NativeBatch:
        """Return the jobs of the batch API at the same server."""
        from .native.openai import OpenAIBatch  # noqa: PLC0415 - it needs the HTTP client, which comes with the extra

        return OpenAIBatch(self, self._client)

    def _fixed_arguments(self) -> dict[str, Any]:
        return {**self._options, **self._type_arguments()}

    def _type_arguments(self) -> dict[str, Any]:
        """Return the arguments that hold the model to the output type."""
        schema = self._output.schema
        if schema is None or self._mode == "text":
            return {}
        if self._mode == "json":
            return {"response_format": {"type": "json_object"}}
        strict = enforced(schema, _STRICT)
        json_schema = {"name": self._output.name, "schema": strict or schema, "strict": strict is not None}
        return {"response_format": {"type": "json_schema", "json_schema": json_schema}}

    def _messages(self, prompt: Parts, instruction: str) -> dict[str, Any]:
        content = prompt if isinstance(prompt, str) else [_part(part) for part in parts_of(prompt)]
        user = {"role": "user", "content": content}
        return {"messages": [{"role": "system", "content": instruction}, user] if instruction else [user]}

    async def _send(self, client: openai.AsyncOpenAI, request: dict[str, Any]) -> tuple[Any, str]:
        response = await client.chat.completions.with_raw_response.create(**request)
        return response.headers, response.http_response.text

    def _read(self, body: str) -> tuple[str, TokenUsage]:
        return read_reply(body, answered_by_tool=self._output.schema is not None and not self._options.get("tools"))

    def _read_complete(self, body: str) -> tuple[dict[str, Any], TokenUsage]:
        reply = parse_object(body)
        if not isinstance(reply.get("output"), list):
            reply, usage, _ = _parse(body)
            return reply, usage
        usage = chat_usage(reply.get("usage"))  # a reply of the Responses API
        raise_reply_error(reply, usage)
        return reply, usage


def read_reply(body: str | bytes, *, answered_by_tool: bool = False) -> tuple[str, TokenUsage]:
    """Return the text of a reply's first choice, without the model's thoughts, and its usage.

    Args:
        body: Body of the reply.
        answered_by_tool: Whether the arguments of a tool call are an answer, where the text is empty.

    Raises:
        CallError: The reply is refused, truncated or cannot be parsed; with the usage that the reply reports.
    """
    _, usage, choice = _parse(body)
    message = as_mapping(choice.get("message"))
    texts = texts_of(message.get("content"))
    refusals = [message.get("refusal"), *(part.get("refusal") for part in as_objects(message.get("content")))]
    if words := next(filter(None, refusals), None):
        answer = "\n".join(filter(None, ["".join(texts), json_text(words)]))
        raise CallError(f"the model refused: {words}", kind=FaultKind.REFUSED, usage=usage, answer=answer)
    calls = _call_arguments(message) if answered_by_tool and not "".join(texts).strip() else []
    require_finished(
        choice.get("finish_reason"),
        usage,
        vendors_own=choice.get("native_finish_reason"),
        answer="".join(texts) or "\n".join(_call_arguments(message)),
        answered_by_tool=len(calls) == 1,
    )
    if len(calls) == 1:
        return join_texts(calls, usage), usage
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    if not "".join(texts) and thoughts:
        raise CallError(
            "the reply has the model's thoughts but no answer",
            kind=FaultKind.INVALID,
            usage=usage,
            answer=json_text(thoughts),
        )
    return join_texts(texts, usage), usage


def _call_arguments(message: dict[str, Any]) -> list[str]:
    """Return the arguments of a message's tool calls as JSON; servers give them as a text or as an object."""
    calls = [as_mapping(call.get("function")) for call in as_objects(message.get("tool_calls"))]
    calls += [as_mapping(message.get("function_call"))]
    return [json_text(call["arguments"]) for call in calls if call.get("arguments")]


def _parse(body: str | bytes) -> tuple[dict[str, Any], TokenUsage, dict[str, Any]]:
    """Return a reply, its usage, and its first choice."""
    reply = parse_object(body)
    usage = chat_usage(reply.get("usage"))
    raise_reply_error(reply, usage)
    choices = as_objects(reply.get("choices"))
    if not choices:
        raise _no_choices(reply, usage)
    raise_reply_error(choices[0], usage)
    return reply, usage, choices[0]


def _no_choices(reply: dict[str, Any], usage: TokenUsage) -> CallError:
    """Return the fault of a reply without choices: a filtered prompt, as Azure marks it, or a failure of the server."""
    for result in as_objects(reply.get("prompt_filter_results")):
        filters = as_mapping(result.get("content_filter_results"))
        if named := [name for name, found in filters.items() if as_mapping(found).get("filtered") is True]:
            message = f"the prompt was filtered: {', '.join(named)}"
            return CallError(message, kind=FaultKind.REFUSED, usage=usage, reason=FaultReason.POLICY)
    said = next((reply[name] for name in ("message", "detail", "msg") if isinstance(reply.get(name), str)), "")
    return CallError(f"the reply has no choices{said and f': {said}'}", kind=FaultKind.TRANSIENT, usage=usage)


def _part(part: str | Media) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    data = b64encode(part.data).decode("ascii")
    url = f"data:{part.mime_type};base64,{data}"
    if part.mime_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    if part.mime_type == "application/pdf":
        return {"type": "file", "file": {"filename": "document.pdf", "file_data": url}}
    if part.mime_type in _SOUNDS:
        return {"type": "input_audio", "input_audio": {"data": data, "format": _SOUNDS[part.mime_type]}}
    raise CallError(f"Chat Completions take images, PDFs, WAV and MP3, not {part.mime_type}", kind=FaultKind.REJECTED)
