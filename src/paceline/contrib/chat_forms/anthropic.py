"""Anthropic's form: the Messages API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..._core.exceptions import ConfigurationError
from ..._core.model_settings import ModelSettings
from ...llm_strategies.model_settings import anthropic_arguments
from .conversation import Body, Conversation, Message, media_of, merged_turns, parts_of, refusal, tool_result

_DEFAULT_BOUND = 8_192  # tokens of an answer, as of `AnthropicStrategy`: the API asks for a bound
_NAMES = {
    "max_tokens": "max_tokens",
    "stop_seqs": "stop_sequences",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
}
_CHOICES = {"auto": "auto", "any": "any", "none": "none"}
_OTHERS = {"reasoning_effort", "reasoning_tokens", "response_schema", "parallel_tool_calls", "extra_body"}


def body_of(conversation: Conversation, model: str) -> Body:
    """Return a conversation as the body of a request.

    Args:
        conversation: Conversation.
        model: Name of the model, on which it depends how thinking is asked for.

    Raises:
        CallError: A message holds what cannot be sent.
        ConfigurationError: The model does not know a word of an effort, or two settings contradict each other.
    """
    settings = conversation.given()
    thinking = _thinking(settings, model)
    bound = _DEFAULT_BOUND + (thinking.get("thinking", {}).get("budget_tokens") or 0)
    body: dict[str, Any] = {
        "max_tokens": bound,
        "messages": merged_turns(conversation, "assistant", "content", _blocks),
        **{_NAMES[name]: value for name, value in settings.items() if name in _NAMES},
        **thinking,
    }
    if conversation.system:
        body["system"] = conversation.system
    if (schema := settings.get("response_schema")) is not None:
        form = {"type": "json_schema", "schema": schema["json_schema"]}
        body["output_config"] = {**body.get("output_config", {}), "format": form}
    if conversation.tools:
        body["tools"] = [
            {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}
            for tool in conversation.tools
        ]
        body["tool_choice"] = _choice_of(conversation.tool_choice, parallel=settings.get("parallel_tool_calls"))
    body.update(settings.get("extra_body", {}))
    return Body(body=body, ignored=tuple(sorted(settings.keys() - _NAMES.keys() - _OTHERS)))


def _thinking(settings: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return the fields that ask the model to think, from a number of tokens or from an effort."""
    tokens, effort = settings.get("reasoning_tokens"), settings.get("reasoning_effort")
    if tokens is not None and effort is not None:
        raise ConfigurationError(f"{model}: give either reasoning_tokens or reasoning_effort")
    if tokens is not None:
        return {"thinking": {"type": "enabled", "budget_tokens": tokens}}
    if effort is None:
        return {}
    known = ModelSettings(
        reasoning_effort=effort, temperature=settings.get("temperature"), max_tokens=settings.get("max_tokens")
    )
    options = anthropic_arguments(known, {}, model)["options"]
    return {name: options[name] for name in ("thinking", "output_config") if name in options}


def _choice_of(choice: str | list[str], *, parallel: bool | None) -> dict[str, Any]:
    made = {"type": _CHOICES[choice]} if isinstance(choice, str) else {"type": "tool", "name": choice[0]}
    if parallel is False and made["type"] != "none":
        return {**made, "disable_parallel_tool_use": True}
    return made


def _blocks(message: Message) -> Iterator[dict[str, Any]]:
    if message["role"] == "tool":
        yield {
            "type": "tool_result",
            "tool_use_id": message["tool_call_id"],
            "content": [block for part in parts_of(message) if (block := _block(part)) is not None]
            if not message.get("error")
            else tool_result(message),
            **({"is_error": True} if message.get("error") else {}),
        }
        return
    yield from filter(None, map(_block, parts_of(message)))
    for call in message.get("tool_calls") or ():
        yield {"type": "tool_use", "id": call["id"], "name": call["function"], "input": call["arguments"]}


def _block(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a content as a block; None if it is empty."""
    match part["type"]:
        case "text":
            return {"type": "text", "text": part["text"]} if part["text"] else None
        case "reasoning":
            return _thought(part)
        case "image" | "document" as kind:
            media = media_of(part)
            source: dict[str, Any] = {"type": "url", "url": part[kind]}
            if media is not None:
                source = {"type": "base64", "media_type": media[0], "data": media[1]}
            return {"type": kind, "source": source}
        case _:
            raise refusal("Anthropic", part)


def _thought(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a thought as Anthropic gave it; None if it is of another provider.

    inspect_ai keeps the signature as the `reasoning`, and the thought, if it may be read, as the `summary`.
    """
    if not part.get("redacted"):
        return None
    if part.get("summary") is not None:
        return {"type": "thinking", "thinking": part["summary"], "signature": part["reasoning"]}
    return {"type": "redacted_thinking", "data": part["reasoning"]}


def text_of_reply(reply: Mapping[str, Any]) -> str:
    """Return the text of a reply, whatever the reason for which the model stopped; empty if it has no text."""
    content = reply.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(block["text"] for block in content if isinstance(block.get("text"), str))
