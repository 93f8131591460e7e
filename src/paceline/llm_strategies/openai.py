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
from .._core.fault import FaultKind
from .._core.prompt import Media, Parts, parts_of
from .._core.reported_usage import chat_usage
from .._core.usage import TokenUsage
from .chat import ChatStrategy, T
from .chat_client import Provider
from .common import as_mapping, as_objects, join_texts, parse_object, raise_reply_error
from .output_types.provider_schema import SchemaSupport, enforced

try:
    import openai
    from openai.resources.chat.completions import AsyncCompletions
except ImportError as _error:
    raise MissingExtraError("OpenAIStrategy", "openai") from _error

_FINISHED = {
    "",
    "stop",
    "eos",
    "eos_token",
    "end_turn",
    "stop_sequence",
}  # compatible servers use other words than "stop"
_BY_FINISH_REASON = {  # any other reason, also one that is not known yet, is a refusal
    "length": FaultKind.TRUNCATED,
    "max_tokens": FaultKind.TRUNCATED,
    "tool_calls": FaultKind.INVALID,
    "function_call": FaultKind.INVALID,
    "error": FaultKind.TRANSIENT,
    "abort": FaultKind.TRANSIENT,
    "insufficient_system_resource": FaultKind.OVERLOADED,
}
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
        client: An `openai.AsyncOpenAI` to use, with its retries off; it is never closed. Its pool must not be smaller than the
            number of workers.
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
        path="/chat/completions",
        client=openai.AsyncOpenAI,
        key_names=("OPENAI_API_KEY",),
        url_name="OPENAI_BASE_URL",
        arguments=frozenset(inspect.signature(AsyncCompletions.create).parameters) - {"self"},
        modes=("schema", "json", "text"),
        hosts=(".openai.com", ".azure.com"),
    )
    _type_options = frozenset({"response_format"})

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
        return read_reply(body)

    def _read_complete(self, body: str) -> tuple[dict[str, Any], TokenUsage]:
        reply, usage, _ = _parse(body)
        return reply, usage


def read_reply(body: str | bytes) -> tuple[str, TokenUsage]:
    """Return the text of a reply's first choice and its usage.

    Raises:
        CallError: The reply is refused, truncated or cannot be parsed; with the usage that the reply reports.
    """
    _, usage, choice = _parse(body)
    message = as_mapping(choice.get("message"))
    if message.get("refusal"):
        raise CallError(f"the model refused: {message['refusal']}", kind=FaultKind.REFUSED, usage=usage)
    reason = str(choice.get("finish_reason") or "").lower()
    if reason not in _FINISHED:
        kind = _BY_FINISH_REASON.get(reason, FaultKind.REFUSED)
        raise CallError(f"the model finished with {reason}", kind=kind, usage=usage)
    content = message.get("content")
    texts = [content] if isinstance(content, str) else [part.get("text") for part in as_objects(content)]
    return join_texts([text for text in texts if isinstance(text, str)], usage), usage


def _parse(body: str | bytes) -> tuple[dict[str, Any], TokenUsage, dict[str, Any]]:
    """Return a reply, its usage, and its first choice."""
    reply = parse_object(body)
    raise_reply_error(reply)
    usage = chat_usage(reply.get("usage"))
    choices = as_objects(reply.get("choices"))
    if not choices:
        raise CallError("the reply has no choices", kind=FaultKind.TRANSIENT, usage=usage)
    raise_reply_error(choices[0])
    return reply, usage, choices[0]


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
