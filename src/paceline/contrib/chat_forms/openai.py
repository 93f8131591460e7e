"""OpenAI's form: the Chat Completions API, also of compatible servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .conversation import Body, Conversation, Message, text_of

_NAMES = {
    "frequency_penalty": "frequency_penalty",
    "logit_bias": "logit_bias",
    "logprobs": "logprobs",
    "max_tokens": "max_tokens",
    "num_choices": "n",
    "presence_penalty": "presence_penalty",
    "reasoning_effort": "reasoning_effort",
    "seed": "seed",
    "stop_seqs": "stop",
    "temperature": "temperature",
    "top_logprobs": "top_logprobs",
    "top_p": "top_p",
    "verbosity": "verbosity",
}
_OF_SERVERS = {"top_k": "top_k", "prompt_logprobs": "prompt_logprobs", "best_of": "best_of"}
"""Settings that OpenAI does not have, and compatible servers may have."""
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def body_of(
    conversation: Conversation, *, messages: Sequence[Message] | None = None, is_own_service: bool = False
) -> Body:
    """Return a conversation as the body of a request, without a model.

    Args:
        conversation: Conversation.
        messages: Its messages in OpenAI's form; None: they are made here, of texts alone.
        is_own_service: Whether OpenAI itself is called, which refuses `max_tokens` for its reasoning models.
    """
    settings = conversation.given()
    names = dict(_NAMES) if is_own_service else {**_NAMES, **_OF_SERVERS}
    if is_own_service:
        names["max_tokens"] = "max_completion_tokens"
    body: dict[str, Any] = {
        "messages": list(plain_messages(conversation.messages) if messages is None else messages),
        **{names[name]: value for name, value in settings.items() if name in names},
    }
    if (schema := settings.get("response_schema")) is not None:
        form = {"name": schema["name"], "schema": schema["json_schema"]}
        extra = {name: schema[name] for name in ("description", "strict") if schema.get(name) is not None}
        body["response_format"] = {"type": "json_schema", "json_schema": {**form, **extra}}
    if conversation.tools:
        body["tools"] = [{"type": "function", "function": dict(tool)} for tool in conversation.tools]
        body["tool_choice"] = _choice_of(conversation.tool_choice)
        if (parallel := settings.get("parallel_tool_calls")) is not None:
            body["parallel_tool_calls"] = parallel
    body.update(settings.get("extra_body", {}))
    known = {*names, "response_schema", "parallel_tool_calls", "extra_body"}
    return Body(body=body, ignored=tuple(sorted(settings.keys() - known)))


def _choice_of(choice: str | list[str]) -> str | dict[str, Any]:
    return _CHOICES[choice] if isinstance(choice, str) else {"type": "function", "function": {"name": choice[0]}}


def plain_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages that hold only texts in OpenAI's form."""
    return [{"role": message["role"], "content": text_of(message)} for message in messages]


def text_of_reply(reply: Mapping[str, Any]) -> str:
    """Return the text of a reply's first choice, whatever the reason for which the model stopped; empty if it has no text."""
    choices = reply.get("choices") or [{}]
    content = (choices[0].get("message") or {}).get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content if isinstance(part, Mapping))
