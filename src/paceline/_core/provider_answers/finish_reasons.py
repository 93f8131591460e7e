"""Finish reasons: why a model stopped, as every vendor words it, and what that makes of its answer.

Rules owned here:

1. One table serves all vendors, as gateways pass on the words of others. Upper and lower case, `-` and spaces do not matter.
2. A reply without a reason is an answer if it has a text.
3. A reason that is not in the table is a refusal: safety rules are what gets new names most often, and an answer that stopped for
   an unknown reason is not trusted.
4. A gateway that reports the vendor's own reason beside its own has translated it; the vendor's counts if it is known and worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from ..fault import FaultKind

TABLE: tuple[tuple[FaultKind | None, str, str], ...] = (
    (None, "OpenAI, Anthropic and most servers", "stop end_turn stop_sequence"),
    (None, "Together, Hugging Face TGI", "eos eos_token"),
    (None, "llama.cpp, LM Studio", "word eosfound stopstringfound"),
    (None, "Cohere, Qianfan and gateways", "complete completed finished done normal end stop_token"),
    (FaultKind.TRUNCATED, "OpenAI and most servers", "length max_output_tokens max_completion_tokens"),
    (FaultKind.TRUNCATED, "Anthropic", "max_tokens model_context_window_exceeded pause_turn"),
    (FaultKind.TRUNCATED, "Gemini", "max_tokens continuation"),
    (FaultKind.TRUNCATED, "Mistral", "model_length"),
    (FaultKind.TRUNCATED, "Cohere, watsonx, llama.cpp", "error_limit token_limit limit"),
    (FaultKind.TRUNCATED, "LM Studio", "maxpredictedtokensreached contextlengthreached"),
    (FaultKind.REFUSED, "OpenAI, Azure", "content_filter"),
    (FaultKind.REFUSED, "Anthropic", "refusal"),
    (FaultKind.REFUSED, "Gemini", "safety recitation language blocklist prohibited_content spii model_armor other"),
    (FaultKind.REFUSED, "Gemini", "image_safety image_prohibited_content image_recitation image_other"),
    (FaultKind.REFUSED, "Bedrock", "content_filtered guardrail_intervened"),
    (FaultKind.REFUSED, "Zhipu, Cohere", "sensitive error_toxic"),
    (FaultKind.INVALID, "OpenAI and most servers", "tool_calls function_call"),
    (FaultKind.INVALID, "Anthropic, Cohere", "tool_use tool_call"),
    (FaultKind.INVALID, "Gemini", "malformed_function_call unexpected_tool_call too_many_tool_calls no_image"),
    (FaultKind.INVALID, "Bedrock", "malformed_tool_use malformed_model_output"),
    (FaultKind.INVALID, "vLLM", "repetition"),
    (FaultKind.OVERLOADED, "DeepSeek", "insufficient_system_resource"),
    (FaultKind.TRANSIENT, "Mistral, OpenRouter, vLLM, SGLang", "error abort"),
    (FaultKind.TRANSIENT, "Gemini", "malformed_response"),
    (FaultKind.TRANSIENT, "Zhipu, Cohere, watsonx", "network_error user_cancel cancelled not_finished"),
    (FaultKind.TRANSIENT, "Ollama", "load unload"),
    (FaultKind.TIMEOUT, "Cohere, watsonx", "timeout time_limit"),
    (FaultKind.REJECTED, "Gemini", "missing_thought_signature"),
    (FaultKind.DENIED, "Gemini", "pup_limited_disabled"),
)
"""Kind of fault (None: an answer), vendors, and their reasons."""

_MISSING = "", "null", "none", "unknown", "unspecified", "finish_reason_unspecified"
_BY_REASON: Mapping[str, FaultKind | None] = MappingProxyType(
    {**{reason: kind for kind, _, reasons in TABLE for reason in reasons.split()}, **dict.fromkeys(_MISSING)}
)


@attrs.frozen
class Unfinished:
    """An answer that does not count, as its model stopped for another reason than being finished."""

    kind: FaultKind
    """The kind of fault."""
    reason: str
    """The reason, as the reply words it."""


def unfinished(reason: object, vendors_own: object = None) -> Unfinished | None:
    """Return why an answer does not count; None if it counts.

    Args:
        reason: Reason in the reply: a word, an object with a `type`, or None.
        vendors_own: Reason of the vendor behind a gateway, if the reply has it.
    """
    word = _word(reason)
    if word not in _BY_REASON:
        return Unfinished(FaultKind.REFUSED, str(reason))
    for given in (reason, vendors_own):
        kind = _BY_REASON.get(_word(given))
        if kind is not None:
            return Unfinished(kind, str(given))
    return None


def _word(reason: object) -> str:
    """Return a reason in the table's spelling."""
    if isinstance(reason, Mapping):  # SGLang's own API
        reason = reason.get("type")
    return "" if reason is None else str(reason).strip().lower().replace("-", "_").replace(" ", "_")
