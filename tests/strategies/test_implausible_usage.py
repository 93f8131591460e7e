"""Law: a server that claims more tokens than any call has spoils no sum; that is said once, and no cost is invented."""

from __future__ import annotations

import logging

import pytest

from paceline import Price, process_prompts
from paceline._core.usage import UNKNOWN_USAGE
from paceline.llm_strategies.anthropic import AnthropicStrategy
from paceline.llm_strategies.gemini import GeminiStrategy
from paceline.llm_strategies.openai import OpenAIStrategy

from .chat_service import TWO_BACKENDS, anthropic_reply, openai_reply
from .gemini.service import KEY, Answer, reply

ABSURD = 2**53 - 1
REPLIES = [
    (OpenAIStrategy, openai_reply(), "usage", "completion_tokens"),
    (AnthropicStrategy, anthropic_reply(), "usage", "cache_read_input_tokens"),
    (GeminiStrategy, reply(), "usageMetadata", "totalTokenCount"),
]


@TWO_BACKENDS
@pytest.mark.anyio
@pytest.mark.parametrize(("strategy", "body", "usage", "name"), REPLIES, ids=["openai", "anthropic", "gemini"])
async def test_tokens_that_no_call_has_are_unknown_and_said_once(  # noqa: PLR0913, PLR0917 - fixtures
    service, strategy, body, usage, name, caplog, tmp_path
):
    absurd = Answer({**body, usage: {**body[usage], name: ABSURD}})
    service.says(absurd, absurd, absurd, Answer(body))
    asked = strategy("m", api_key=KEY, base_url=service.url, price=Price(1, 1))
    batch = await process_prompts(asked, ["1", "2", "3", "4"], journal=tmp_path / "run.journal")
    assert batch.succeeded == 4
    counted = [result.usage for result in batch.results if result.usage != UNKNOWN_USAGE]
    assert len(counted) == 1
    assert batch.usage == counted[0] + UNKNOWN_USAGE + UNKNOWN_USAGE + UNKNOWN_USAGE
    assert batch.cost is None
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.getMessage() == (
        "m: a call is said to have used more than 10,000,000,000 tokens, which no call does: the tokens of such calls are not "
        "counted, and their cost is unknown"
    )
    assert "unknown: the provider reported only the total of tokens" in batch.summary()
