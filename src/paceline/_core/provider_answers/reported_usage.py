"""Reported usage: the token counts of each provider's replies, as tokens that are billed once each.

Rules owned here:

1. `input_tokens` are all tokens that were sent, and `output_tokens` all that were generated, those of thinking included. Which of a
   provider's counts contain others is documented in docs/reference/usage.md, with the sources.
2. A provider that reports thinking beside its other output gives it away by its total. What a total has beyond the counts is output, unless
   it equals the tokens of a cache, which some gateways count beside the prompt.
3. If only the total and one of input and output are reported, the other is the rest. A total alone is kept as a total: its cost is unknown.
4. A count may be missing, null, a float or a numeral. One that is negative or not finite is missing. One that is larger than any call's is
   `MOST_TOKENS` + 1: none of that call's tokens are believed (`TokenUsage.is_plausible`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..usage import MOST_TOKENS, NO_USAGE, TokenUsage

_LONGEST_NUMERAL = 40  # digits: longer ones are no numbers of anything


def chat_usage(counts: object) -> TokenUsage:
    """Return the usage of a reply in OpenAI's form, from any server: the value of its `usage`."""
    within = _first_mapping(counts, "prompt_tokens_details", "input_tokens_details")
    spent = _first_mapping(counts, "completion_tokens_details", "output_tokens_details")
    read = (
        _count(within, "cached_tokens")
        or _count(counts, "prompt_cache_hit_tokens")
        or _count(counts, "cached_tokens")
        or _count(counts, "cache_read_input_tokens")
    )
    written = (
        _count(within, "cache_write_tokens")
        or _count(within, "cache_creation_input_tokens")
        or _count(within, "cache_creation_tokens")
        or _count(counts, "cache_creation_input_tokens")
    )
    sent = _first_count(counts, "prompt_tokens", "input_tokens")
    if sent is None and _count(counts, "prompt_cache_miss_tokens"):
        sent = read + _count(counts, "prompt_cache_miss_tokens")
    made = _first_count(counts, "completion_tokens", "output_tokens")
    total, thought = _count(counts, "total_tokens"), _count(spent, "reasoning_tokens")
    thought = thought or _count(counts, "reasoning_tokens")
    if sent is None or made is None:
        return _rest(sent, made, total, read, written)
    beyond = total - sent - made
    if beyond > 0 and beyond != thought and beyond in {read + written, read, written}:
        sent += beyond
    elif beyond > 0:
        made += beyond
    elif thought > made:
        made += thought
    if read + written > sent:
        sent += read + written
    return _usage(sent, made, read, total, written)


def anthropic_usage(counts: object) -> TokenUsage:
    """Return the usage of a reply in Anthropic's form, from any server: the value of its `usage`."""
    usage = _anthropic_counts(counts)
    iterations = counts.get("iterations") if isinstance(counts, Mapping) else None
    for entry in iterations if isinstance(iterations, list) else ():
        if isinstance(entry, Mapping) and entry.get("type") == "compaction":
            usage += _anthropic_counts(entry)
    return usage


def gemini_usage(counts: object) -> TokenUsage:
    """Return the usage of a reply in Gemini's form: the value of its `usageMetadata`."""
    prompt, answer = _first_count(counts, "promptTokenCount"), _first_count(counts, "candidatesTokenCount")
    tools, thought = _count(counts, "toolUsePromptTokenCount"), _count(counts, "thoughtsTokenCount")
    total, read = _count(counts, "totalTokenCount"), _count(counts, "cachedContentTokenCount")
    if prompt is None:
        return _rest(None, None if answer is None and not thought else (answer or 0) + thought, total, read, 0)
    sent, made = prompt + tools, (answer or 0) + thought  # an answer without text has no count
    return _usage(sent, max(made, total - sent), read, total, 0)


def _anthropic_counts(counts: object) -> TokenUsage:
    by_ttl = _first_mapping(counts, "cache_creation")
    for_an_hour = _count(by_ttl, "ephemeral_1h_input_tokens")
    for_minutes = _count(by_ttl, "ephemeral_5m_input_tokens")
    written = max(_count(counts, "cache_creation_input_tokens"), for_an_hour + for_minutes)
    read = _count(counts, "cache_read_input_tokens")
    sent = _count(counts, "input_tokens") + read + written
    return _usage(sent, _count(counts, "output_tokens"), read, 0, written, for_an_hour)


def _rest(sent: int | None, made: int | None, total: int, read: int, written: int) -> TokenUsage:
    """Return the usage of a reply in which input, output or both are missing, under rule 3."""
    if sent is None and made is None:
        cached = read + written
        return _usage(cached, 0, read, total, written) if total or cached else NO_USAGE
    if sent is None:
        return _usage(max(total - (made or 0), read + written), made or 0, read, total, written)
    return _usage(sent, max(0, total - sent), read, total, written)


def _usage(sent: int, made: int, read: int, total: int, written: int, for_an_hour: int = 0) -> TokenUsage:  # noqa: PLR0913, PLR0917 - the counts
    if not (sent or made or total):
        return NO_USAGE
    read = min(read, sent)
    written = min(written, sent - read)
    return TokenUsage(sent, made, read, max(total, sent + made), written, min(for_an_hour, written))


def _first_count(counts: object, *names: str) -> int | None:
    """Return the first count among some names; None if all are missing."""
    if not isinstance(counts, Mapping):
        return None
    return next((count for name in names if (count := _whole(counts.get(name))) is not None), None)


def _count(counts: object, name: str) -> int:
    return _first_count(counts, name) or 0


def _whole(value: object) -> int | None:
    """Return a count as a whole number, under rule 4; None if it is missing."""
    if isinstance(value, str) and len(value) <= _LONGEST_NUMERAL and value.isascii() and value.isdecimal():
        value = int(value)
    if isinstance(value, float) and math.isfinite(value):
        value = math.ceil(value)  # half a token is billed as one
    return min(value, MOST_TOKENS + 1) if type(value) is int and value >= 0 else None


def _first_mapping(counts: object, *names: str) -> Mapping[str, Any]:
    """Return the first object among some names; an empty one if all are missing."""
    if not isinstance(counts, Mapping):
        return {}
    return next((found for name in names if isinstance(found := counts.get(name), Mapping)), {})
