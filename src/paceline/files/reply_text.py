"""Reply text: the answer in a provider's complete reply, for people who read a table.

1. A reply of OpenAI (Chat Completions and Responses), Anthropic or Gemini is recognised by its list of answers and its usage.
2. The text is what the model said without its thoughts; where it said nothing, the refusal or the calls of tools, as JSON. Several answers to
   one prompt are a JSON array of their texts.
3. Every level of a reply may be missing or of another type. Then the reply itself is shown, as JSON: nothing is hidden.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeGuard

_ANSWERS = ("choices", "candidates", "content", "output")  # lists in the replies of providers
_USAGES = ("usage", "usageMetadata", "usage_metadata")
_TEXTS = (None, "text", "output_text")  # types of parts whose text is the answer's
_CALLS = ("tool_calls", "function_call", "functionCall")


def is_reply(output: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether an output is the complete reply of a provider."""
    return (
        isinstance(output, Mapping)
        and any(name in output for name in _USAGES)
        and any(isinstance(output.get(name), list) for name in _ANSWERS)
    )


def reply_text(reply: Mapping[str, Any]) -> str:
    """Return the answer in a complete reply; without one that is known, the reply as JSON."""
    texts = [text for text in map(_text_of, _answers(reply)) if text]
    if len(texts) == 1:
        return texts[0]
    return json.dumps(texts or reply, ensure_ascii=False)


def finish_reason(reply: Mapping[str, Any]) -> str | None:
    """Return why the model stopped, in the provider's word: `stop`, `length`, `end_turn`, `MAX_TOKENS`; None if it is not said."""
    found = [reply.get("stop_reason")]
    for answer in _mappings(reply.get("choices")) + _mappings(reply.get("candidates")):
        found += [answer.get("finish_reason"), answer.get("finishReason")]
    incomplete = reply.get("incomplete_details")
    found += [incomplete.get("reason") if isinstance(incomplete, Mapping) else None, reply.get("status")]
    return next((reason for reason in found if isinstance(reason, str) and reason), None)


def _answers(reply: Mapping[str, Any]) -> list[object]:
    """Return the answers of a reply: a message, a content or a list of parts each."""
    if isinstance(reply.get("choices"), list):
        return [choice.get("message") or choice.get("text") for choice in _mappings(reply["choices"])]
    if isinstance(reply.get("candidates"), list):
        return [candidate.get("content") for candidate in _mappings(reply["candidates"])]
    return [reply.get("content") or reply.get("output")]


def _text_of(answer: object) -> str:
    """Return the text of an answer, or else what stands for it."""
    said = "".join(_texts(answer))
    if said.strip():
        return said
    message = answer if isinstance(answer, Mapping) else {}
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        return str(message["refusal"])
    calls = [message[name] for name in _CALLS if message.get(name)]
    calls += [part for part in _parts(answer) if isinstance(part, Mapping) and _is_call(part)]
    return json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False) if calls else said


def _texts(answer: object) -> list[str]:
    content = answer.get("content") if isinstance(answer, Mapping) else answer
    if isinstance(content, str):
        return [content]
    texts: list[str] = []
    for part in _parts(answer):
        if isinstance(part, Mapping) and part.get("type") in _TEXTS and part.get("thought") is not True:
            texts += [part["text"]] if isinstance(part.get("text"), str) else []
        elif isinstance(part, Mapping) and part.get("type") == "message":  # of the Responses API
            texts += _texts(part)
    return texts


def _parts(answer: object) -> list[object]:
    """Return the parts of an answer: a list, or what a message holds in `content` or `parts`."""
    if isinstance(answer, Mapping):
        inner = answer.get("content") or answer.get("parts")
        return list(inner) if isinstance(inner, list) else []
    return list(answer) if isinstance(answer, list) else []


def _is_call(part: Mapping[str, Any]) -> bool:
    return part.get("type") in ("tool_use", "function_call") or any(name in part for name in _CALLS)


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
