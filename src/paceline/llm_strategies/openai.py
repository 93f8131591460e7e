"""OpenAI and whoever speaks its Chat Completions, by the openai package, on trio and on asyncio alike.

Rules owned here, beside those of `chat`:

1. A reply whose model did not finish by itself is no answer, whatever text it has. What it cost is told all the same.
2. A server of one's own may need no key; then it is sent one that says so.
"""

from __future__ import annotations

import inspect
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
    import openai
    from openai.resources.chat.completions import AsyncCompletions
except ImportError as _error:
    raise MissingExtraError("OpenAIStrategy", "openai") from _error

_ANSWERED = {"", "stop", "eos", "eos_token", "end_turn", "stop_sequence"}  # some servers have words of their own
_BY_FINISH_REASON = {  # any other is a refusal, as what is to come may be
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
    """Asks a model of OpenAI's, or of a compatible server, for text or for an output of a type.

    Args:
        model: the model's name.
        client: an `openai.AsyncOpenAI` to use, with its retries off; it is never closed. Its pool must not be smaller than the
            number of workers.
        api_key: by default OPENAI_API_KEY of the environment. A server of your own may need none.
        base_url: of a compatible server (vLLM, Ollama, OpenRouter, DeepSeek, ...) up to `/v1`; by default OPENAI_BASE_URL of the
            environment, or OpenAI's. It is sent the key, OPENAI_API_KEY too.
        system_instruction: what the model is told before every prompt.
        output_type: what an answer is to be: a class of pydantic, attrs or dataclasses, a list of them and so on. Each answer is
            checked.
        schema_mode: how the model is held to `output_type`. `schema`, the default: by its JSON schema, strictly where the schema
            allows. `json`: by the server to JSON, and by an instruction to the schema. `text`: by the instruction alone.
        options: further arguments of the request, such as `{"temperature": 0, "max_completion_tokens": 500}`.
        price: of its tokens; by default OpenAI's own, if the `prices` extra knows it.
        quota: the lane's name; by default the class's name, the model's, and that of a compatible server.
        keep_model: whether a `Request` of OpenAI's own form is sent with the model that it names itself, if it names one.

    A `Request` of that form is sent as it is, without `system_instruction` and `options`; its output is the reply as data.

    Raises:
        ConfigurationError: an argument is wrong, or two contradict each other.
        MissingKeyError: there is no key.
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
    )
    _typing = frozenset({"response_format"})

    def _settings(self) -> dict[str, Any]:
        return {**self._options, **self._form()}

    def _form(self) -> dict[str, Any]:
        """Return what holds the model to the type."""
        schema = self._asked.schema
        if schema is None or self._mode == "text":
            return {}
        if self._mode == "json":
            return {"response_format": {"type": "json_object"}}
        strict = enforced(schema, _STRICT)
        asked = {"name": self._asked.name, "schema": strict or schema, "strict": strict is not None}
        return {"response_format": {"type": "json_schema", "json_schema": asked}}

    def _said(self, prompt: Parts, instruction: str) -> dict[str, Any]:
        content = prompt if isinstance(prompt, str) else [_part(part) for part in parts_of(prompt)]
        asked = {"role": "user", "content": content}
        return {"messages": [{"role": "system", "content": instruction}, asked] if instruction else [asked]}

    async def _send(self, client: openai.AsyncOpenAI, request: dict[str, Any]) -> tuple[Any, str]:
        response = await client.chat.completions.with_raw_response.create(**request)
        return response.headers, response.http_response.text

    def _read(self, body: str) -> tuple[str, TokenUsage]:
        return read_reply(body)

    def _read_whole(self, body: str) -> tuple[dict[str, Any], TokenUsage]:
        reply, usage, _ = _opened(body)
        return reply, usage


def read_reply(body: str | bytes) -> tuple[str, TokenUsage]:
    """Return the text of a reply's first choice, and what it cost.

    Raises:
        CallError: refused, truncated, or not readable; with the usage, as far as the reply says it.
    """
    _, usage, choice = _opened(body)
    message = mapping(choice.get("message"))
    if message.get("refusal"):
        raise CallError(f"the model refused: {message['refusal']}", kind=FaultKind.REFUSED, usage=usage)
    reason = str(choice.get("finish_reason") or "").lower()
    if reason not in _ANSWERED:
        kind = _BY_FINISH_REASON.get(reason, FaultKind.REFUSED)
        raise CallError(f"the model finished with {reason}", kind=kind, usage=usage)
    content = message.get("content")
    texts = [content] if isinstance(content, str) else [part.get("text") for part in items(content)]
    return text_of([text for text in texts if isinstance(text, str)], usage), usage


def _opened(body: str | bytes) -> tuple[dict[str, Any], TokenUsage, dict[str, Any]]:
    """Return a reply, what it cost, and its first choice."""
    reply = object_of(body)
    raise_error_of(reply, WORDS)
    usage = _usage_of(mapping(reply.get("usage")))
    choices = items(reply.get("choices"))
    if not choices:
        raise CallError("the reply has no choices", kind=FaultKind.TRANSIENT, usage=usage)
    raise_error_of(choices[0], WORDS)
    return reply, usage, choices[0]


def _usage_of(counts: dict[str, Any]) -> TokenUsage:
    sent, generated = count(counts, "prompt_tokens"), count(counts, "completion_tokens")
    cached = count(mapping(counts.get("prompt_tokens_details")), "cached_tokens")
    cached = cached or count(counts, "prompt_cache_hit_tokens")  # DeepSeek's
    return TokenUsage(sent, generated, cached, count(counts, "total_tokens") or sent + generated)


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
