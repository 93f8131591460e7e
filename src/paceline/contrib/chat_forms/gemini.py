"""Gemini's form: the generateContent API of the Gemini API and Vertex AI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import attrs

from ..._core.exceptions import ConfigurationError
from ..._core.model_settings import ModelSettings
from ...llm_strategies.model_settings import gemini_arguments
from .conversation import Body, Conversation, Message, media_of, merged_turns, parts_of, refusal, text_of

_NAMES = {
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "max_tokens": "maxOutputTokens",
    "num_choices": "candidateCount",
    "presence_penalty": "presencePenalty",
    "seed": "seed",
    "stop_seqs": "stopSequences",
    "temperature": "temperature",
    "top_k": "topK",
    "top_logprobs": "logprobs",
    "top_p": "topP",
}
_OTHERS = {"reasoning_effort", "reasoning_tokens", "response_schema", "extra_body"}
_CHOICES = {"auto": "AUTO", "any": "ANY", "none": "NONE"}
_THINKING = {"thinking_level": "thinkingLevel", "thinking_budget": "thinkingBudget"}
_STOPS = {"STOP": "stop", "MAX_TOKENS": "max_tokens"}
_FILTERS = {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE"}
"""Finish reasons with which the service holds an answer back."""


def body_of(conversation: Conversation, model: str) -> Body:
    """Return a conversation as the body of a request.

    Args:
        conversation: Conversation.
        model: Name of the model, on which it depends how thinking is asked for.

    Raises:
        CallError: A message holds what cannot be sent.
        ConfigurationError: The model does not know the word of an effort.
    """
    settings = conversation.given()
    config: dict[str, Any] = {_NAMES[name]: value for name, value in settings.items() if name in _NAMES}
    if thinking := _thinking(settings, model):
        config["thinkingConfig"] = thinking
    if (schema := settings.get("response_schema")) is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": schema["json_schema"]}
    body: dict[str, Any] = {"contents": merged_turns(conversation, "model", "parts", _parts)}
    if conversation.system:
        body["systemInstruction"] = {"parts": [{"text": conversation.system}]}
    if config:
        body["generationConfig"] = config
    if conversation.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in conversation.tools]}]
        body["toolConfig"] = {"functionCallingConfig": _choice_of(conversation.tool_choice)}
    body.update(settings.get("extra_body", {}))
    return Body(body=body, ignored=tuple(sorted(settings.keys() - _NAMES.keys() - _OTHERS)))


def _thinking(settings: Mapping[str, Any], model: str) -> dict[str, Any]:
    tokens, effort = settings.get("reasoning_tokens"), settings.get("reasoning_effort")
    if tokens is not None and effort is not None:
        raise ConfigurationError(f"{model}: give either reasoning_tokens or reasoning_effort")
    if tokens is not None:
        return {"thinkingBudget": tokens}
    if effort is None:
        return {}
    given = gemini_arguments(ModelSettings(reasoning_effort=effort), {}, model)["config"]["thinking_config"]
    return {_THINKING[name]: value for name, value in given.items()}


def _declaration(tool: Mapping[str, Any]) -> dict[str, Any]:
    made = {"name": tool["name"], "description": tool["description"]}
    if tool["parameters"].get("properties"):  # Gemini refuses an object without properties
        made["parametersJsonSchema"] = tool["parameters"]
    return made


def _choice_of(choice: str | list[str]) -> dict[str, Any]:
    return {"mode": _CHOICES[choice]} if isinstance(choice, str) else {"mode": "ANY", "allowedFunctionNames": choice}


def _parts(message: Message) -> Iterator[dict[str, Any]]:
    if message["role"] == "tool":
        error = message.get("error")
        response = {"error": error["message"]} if error else {"output": text_of(message)}
        yield {"functionResponse": {"name": message["function"], "response": response}}
        yield from (_part(part) for part in parts_of(message) if part["type"] != "text")
        return
    signatures: dict[str, str] = {}
    for part in parts_of(message):
        if part["type"] == "reasoning":  # thoughts are not sent back, but their signatures are
            signatures |= (part.get("internal") or {}).get("signatures", {})
        elif part["type"] != "text" or part["text"]:
            yield _part(part)
    for call in message.get("tool_calls") or ():
        signature = {"thoughtSignature": signatures[call["id"]]} if call["id"] in signatures else {}
        yield {"functionCall": {"name": call["function"], "args": call["arguments"]}, **signature}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part["type"]
    if kind == "text":
        signature = (part.get("internal") or {}).get("signature")
        return {"text": part["text"], **({"thoughtSignature": signature} if signature else {})}
    if kind in {"image", "audio", "video", "document"}:
        if (media := media_of(part)) is not None:
            return {"inlineData": {"mimeType": media[0], "data": media[1]}}
        return {"fileData": {"fileUri": part[kind]}}
    raise refusal("Gemini", part)


@attrs.frozen(kw_only=True)
class Choice:
    """One answer of a reply."""

    content: str | list[dict[str, Any]]
    """Its text; with thoughts or signatures a list of contents as plain data."""
    tool_calls: list[dict[str, Any]]
    """Its calls of tools: `id`, `function` and `arguments`."""
    stop_reason: str
    """`stop`, `max_tokens`, `content_filter`, `tool_calls` or `unknown`."""
    explanation: str | None = None
    """What the service says of an answer that it holds back."""

    @property
    def text(self) -> str:
        """Its text without the thoughts."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part["text"] for part in self.content if part["type"] == "text")


def choices_of(reply: Mapping[str, Any]) -> list[Choice]:
    """Return the answers of a reply; of a prompt that was blocked one answer without a text."""
    candidates = reply.get("candidates") or []
    if not candidates:
        feedback = reply.get("promptFeedback") or {}
        said = feedback.get("blockReasonMessage") or feedback.get("blockReason")
        return [Choice(content="", tool_calls=[], stop_reason="content_filter", explanation=said)]
    return [_choice(candidate) for candidate in candidates]


def _choice(candidate: Mapping[str, Any]) -> Choice:
    contents: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    signatures: dict[str, str] = {}
    for part in (candidate.get("content") or {}).get("parts") or ():
        signature = part.get("thoughtSignature")
        if isinstance(call := part.get("functionCall"), Mapping):
            name = call.get("id") or f"{call.get('name')}_{uuid4().hex[:12]}"
            calls.append({"id": name, "function": call.get("name"), "arguments": dict(call.get("args") or {})})
            if signature:
                signatures[name] = signature
        elif isinstance(part.get("text"), str) and part.get("thought") is True:
            contents.append({"type": "reasoning", "reasoning": part["text"]})
        elif isinstance(part.get("text"), str):
            internal = {"internal": {"signature": signature}} if signature else {}
            contents.append({"type": "text", "text": part["text"], **internal})
    if signatures:
        contents.append(
            {"type": "reasoning", "reasoning": "", "redacted": True, "internal": {"signatures": signatures}}
        )
    finish = candidate.get("finishReason") or "STOP"
    stop = "content_filter" if finish in _FILTERS else _STOPS.get(finish, "unknown")
    if all(part["type"] == "text" and "internal" not in part for part in contents):
        content: str | list[dict[str, Any]] = "".join(part["text"] for part in contents)
    else:
        content = contents
    return Choice(
        content=content,
        tool_calls=calls,
        stop_reason="tool_calls" if calls and stop == "stop" else stop,
        explanation=candidate.get("finishMessage") or (finish if stop == "content_filter" else None),
    )


def text_of_reply(reply: Mapping[str, Any]) -> str:
    """Return the text of a reply's first answer, whatever the reason for which the model stopped; empty if it has no text."""
    return choices_of(reply)[0].text
