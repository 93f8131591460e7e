"""Both chat dialects for the tests of OpenAIStrategy and AnthropicStrategy, and a batch against a local server."""

from __future__ import annotations

import os
from typing import Any

import attrs
import pytest

from paceline.llm_strategies.anthropic import AnthropicStrategy
from paceline.llm_strategies.openai import OpenAIStrategy

from .gemini.service import KEY

TWO_BACKENDS = pytest.mark.parametrize(
    "anyio_backend", [("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"], indirect=False
)
KEYS = ("OPENAI_", "ANTHROPIC_")


def forget_keys(monkeypatch):
    """Take away the keys of the machine that tests run on."""
    for name in os.environ:
        if name.startswith(KEYS):
            monkeypatch.delenv(name)


def openai_reply(text: Any = "good", reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    """Return the body of a reply of OpenAI's."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-5-mini-2025-08-07",
        "choices": [
            {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text, **message}}
        ],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 3,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 5},
        },
    }


def openai_error(message: str = "no", kind: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Return the body of an error of OpenAI's."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic_reply(text: str | None = "good", reason: str | None = "end_turn", *blocks: Any) -> dict[str, Any]:
    """Return the body of a reply of Anthropic's."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [*([] if text is None else [{"type": "text", "text": text}]), *blocks],
        "stop_reason": reason,
        "usage": {
            "input_tokens": 4,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 3,
            "output_tokens": 3,
        },
    }


def anthropic_error(message: str = "no", kind: str = "api_error", code: str | None = None) -> dict[str, Any]:
    """Return the body of an error of Anthropic's."""
    details = {} if code is None else {"details": {"error_code": code}}
    return {"type": "error", "error": {"type": kind, "message": message, **details}, "request_id": "req_1"}


@attrs.frozen
class Dialect:
    """One provider, for tests that hold for both."""

    strategy: Any
    path: str
    variable: str
    reply: Any
    error: Any
    truncated: Any
    refused: Any

    def at(self, url: str, **options: Any) -> Any:
        return self.strategy("a-model", api_key=KEY, base_url=url, **options)


OPENAI = Dialect(
    OpenAIStrategy,
    "/chat/completions",
    "OPENAI_API_KEY",
    openai_reply,
    openai_error,
    openai_reply("half an ans", "length"),
    openai_reply(None, "stop", refusal="I will not"),
)
ANTHROPIC = Dialect(
    AnthropicStrategy,
    "/v1/messages",
    "ANTHROPIC_API_KEY",
    anthropic_reply,
    anthropic_error,
    anthropic_reply("half an ans", "max_tokens"),
    anthropic_reply("I", "refusal"),
)
BOTH = pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
