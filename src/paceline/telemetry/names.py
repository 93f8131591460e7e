"""Names of spans, metrics and attributes: the one table of them.

1. `STABLE` are the names of OpenTelemetry's semantic conventions up to 1.41, which today's dashboards use. `LATEST` are those of the
   conventions for generative AI 0.1.0, which replace them: used where OTEL_SEMCONV_STABILITY_OPT_IN has `gen_ai_latest_experimental`.
2. Conventions have no names for batches, items and pace: these begin with `paceline.`.
3. The constants of the package for semantic conventions are deprecated ("moved"), so the names are written out.
"""

from __future__ import annotations

from typing import Final

import attrs

# attributes of both conventions
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
MODEL: Final = "gen_ai.request.model"
ERROR: Final = "error.type"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - no password
TOKEN_MODALITY: Final = "gen_ai.token.modality"  # noqa: S105 - no password

# paceline's own
BATCH: Final = "paceline.batch"
ITEM: Final = "paceline.item"
ITEM_ID: Final = "paceline.item.id"
ITEMS: Final = "paceline.batch.items"
SUCCEEDED: Final = "paceline.batch.succeeded"
ATTEMPT: Final = "paceline.attempt"
ATTEMPTS: Final = "paceline.attempts"
QUOTA: Final = "paceline.quota"
COST: Final = "paceline.cost"
REFUSALS: Final = "paceline.refusals"
WORKERS: Final = "paceline.workers"
CALL_RATE: Final = "paceline.pace.calls"
TOKEN_RATE: Final = "paceline.pace.tokens"  # noqa: S105 - no password

OPT_IN: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
"""Environment variable whose comma-separated values choose conventions."""
LATEST_VALUE: Final = "gen_ai_latest_experimental"
CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""Environment variable that asks for prompts and answers in spans."""

SECONDS: Final = tuple(0.01 * 2**power for power in range(14))
"""Buckets of durations, as the conventions advise."""
TOKENS: Final = tuple(float(4**power) for power in range(14))
"""Buckets of token counts, as the conventions advise."""

PROVIDERS: Final = {
    "OpenAIStrategy": ("openai", "chat"),
    "AnthropicStrategy": ("anthropic", "chat"),
    "GeminiStrategy": ("gcp.gemini", "generate_content"),
}
"""The provider's name and the operation of each class of strategies; others go by their class."""


@attrs.frozen(kw_only=True)
class Names:
    """The names in which the two conventions differ."""

    duration: str
    """Histogram of the seconds of a call."""
    tokens: tuple[str, ...]
    """Histograms of the tokens of a call: one, with `gen_ai.token.type`, or one of input and one of output tokens."""
    totals: tuple[str, ...]
    """Counters of input tokens and of output tokens."""
    written_tokens: str
    """Attribute: input tokens that were written to a cache."""


STABLE: Final = Names(
    duration="gen_ai.client.operation.duration",
    tokens=("gen_ai.client.token.usage",),
    totals=(),
    written_tokens="gen_ai.usage.cache_creation.input_tokens",
)
LATEST: Final = Names(
    duration="gen_ai.client.inference.duration",
    tokens=("gen_ai.client.inference.operation.input_tokens", "gen_ai.client.inference.operation.output_tokens"),
    totals=("gen_ai.client.inference.usage.input_tokens", "gen_ai.client.inference.usage.output_tokens"),
    written_tokens="gen_ai.usage.cache_write.input_tokens",
)
