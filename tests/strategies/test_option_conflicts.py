"""Options that a provider refuses together: named in one sentence before the first call, or sent in a form that it accepts."""

from __future__ import annotations

from typing import Literal

import attrs
import pytest

from paceline.exceptions import ConfigurationError
from paceline.llm_strategies.anthropic import MAX_TOKENS, AnthropicStrategy
from paceline.llm_strategies.gemini import GeminiStrategy
from paceline.llm_strategies.openai import OpenAIStrategy

from .chat_service import TWO_BACKENDS, anthropic_reply
from .gemini.service import KEY, Answer, prepared

THINKS = {"type": "enabled", "budget_tokens": 2_048}
ADAPTIVE = {"type": "adaptive"}
TOOL = {"type": "function", "function": {"name": "f"}}


@attrs.frozen
class Scores:
    label: str
    scores: dict[str, float]  # open: Anthropic cannot enforce it, so that a tool takes the answer


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"thinking": THINKS, "temperature": 0}, "temperature"),
        ({"thinking": ADAPTIVE, "temperature": 0.5}, "temperature"),
        ({"thinking": THINKS, "extra_body": {"temperature": 0}}, "temperature"),
        ({"thinking": THINKS, "top_k": 5}, "top_k"),
        ({"thinking": THINKS, "top_p": 0.5}, "top_p from 0.95 to 1"),
        ({"thinking": THINKS, "max_tokens": 2_048}, "max_tokens (2,048) must be above thinking.budget_tokens (2,048)"),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "1,024 or more"),
        ({"tool_choice": {"type": "any"}, "tools": []}, "tool_choice"),
        ({"tool_choice": {"type": "tool", "name": "f"}, "tools": [], "thinking": THINKS}, "tool_choice"),
    ],
    ids=str,
)
def test_anthropic_options_that_exclude_each_other_are_named(options, words):
    with pytest.raises(ConfigurationError) as caught:
        AnthropicStrategy("claude-haiku-4-5", api_key=KEY, options=options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [[], {}], ids=str)
def test_a_value_of_another_type_is_compared_as_any_other(value):
    AnthropicStrategy(
        "claude-haiku-4-5", api_key=KEY, options={"tool_choice": {"type": value}, "thinking": {"type": value}}
    )
    with pytest.raises(ConfigurationError, match="temperature"):
        AnthropicStrategy("claude-haiku-4-5", api_key=KEY, options={"thinking": ADAPTIVE, "temperature": value})
    with pytest.raises(ConfigurationError, match="temperature"):
        OpenAIStrategy("o3", api_key=KEY, options={"temperature": value})


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("claude-haiku-4-5", {"thinking": THINKS, "temperature": 1, "top_p": 0.95, "max_tokens": 2_049}),
        ("claude-haiku-4-5", {"thinking": {"type": "disabled"}, "temperature": 0, "top_k": 5}),
        ("claude-haiku-4-5", {"tool_choice": {"type": "auto"}, "tools": []}),
        (
            "claude-haiku-4-5",
            {
                "thinking": THINKS,
                "max_tokens": 500,
                "extra_headers": {"anthropic-beta": "interleaved-thinking-2025-05-14"},
            },
        ),
        ("kimi-k2", {"thinking": THINKS, "temperature": 0}),  # a compatible server has its own rules
    ],
)
def test_anthropic_options_that_go_together_are_accepted(model, options):
    url = None if model.startswith("claude") else "http://127.0.0.1:1"
    AnthropicStrategy(model, api_key=KEY, base_url=url, options=options)


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "gpt-5-nano-2025-08-07"]
)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        *(({name: 0.5}, name) for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty")),
        ({"logprobs": True}, "logprobs"),
        ({"max_tokens": 5}, "use max_completion_tokens"),
    ],
    ids=str,
)
def test_what_openais_reasoning_models_refuse_is_named(model, options, words):
    with pytest.raises(ConfigurationError) as caught:
        OpenAIStrategy(model, api_key=KEY, options=options)
    assert model in str(caught.value)
    assert words in str(caught.value)
    OpenAIStrategy(model, api_key=KEY, base_url="http://127.0.0.1:1/v1", options=options)  # who knows what serves there


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5.2", "gpt-5-chat-latest", "o5ther"])
def test_other_models_of_openai_have_a_temperature(model):
    OpenAIStrategy(model, api_key=KEY, options={"temperature": 0, "max_tokens": 5})
    OpenAIStrategy("gpt-5", api_key=KEY, options={"temperature": 1, "max_completion_tokens": 5})


@pytest.mark.parametrize(
    "options", [{"tool_choice": "required"}, {"tool_choice": TOOL}, {"function_call": {"name": "f"}}], ids=str
)
@pytest.mark.parametrize("url", [None, "http://127.0.0.1:1/v1"])
def test_a_forced_tool_leaves_no_answer_and_is_refused(options, url):
    with pytest.raises(ConfigurationError, match="not an answer"):
        OpenAIStrategy("gpt-4.1", api_key=KEY, base_url=url, options={"tools": [TOOL], **options})
    OpenAIStrategy("gpt-4.1", api_key=KEY, base_url=url, options={"tools": [TOOL], "tool_choice": "auto"})


def test_gemini_accepts_no_tools_beside_a_type_before_its_third_generation():
    config = {"tools": [{"google_search": {}}]}
    with pytest.raises(ConfigurationError, match="no tools together with output_type"):
        GeminiStrategy("gemini-2.5-flash", api_key=KEY, config=config, output_type=Literal["a", "b"])
    GeminiStrategy("gemini-3-pro-preview", api_key=KEY, config=config, output_type=Literal["a", "b"])
    GeminiStrategy("gemini-2.5-flash", api_key=KEY, config=config)


def test_gemini_has_a_budget_or_a_level_of_thought():
    config = {"thinking_config": {"thinking_budget": 5, "thinking_level": "LOW"}}
    with pytest.raises(ConfigurationError, match="either thinking_budget or thinking_level"):
        GeminiStrategy("gemini-3-pro-preview", api_key=KEY, config=config)


@pytest.mark.anyio
@TWO_BACKENDS
class TestThinking:
    """A model that thinks is offered the tool that takes the answer, as it cannot be forced."""

    @pytest.mark.parametrize("thinking", [THINKS, ADAPTIVE])
    @pytest.mark.parametrize("by_tool", [True, False])
    async def test_the_tool_is_offered_and_a_text_is_read_too(self, service, thinking, by_tool):
        answer = {"label": "a", "scores": {"x": 1.0}}
        thoughts = {"type": "thinking", "thinking": "hm", "signature": "s"}
        block = {"type": "tool_use", "id": "t", "name": "Scores", "input": answer}
        reply = (
            anthropic_reply(None, "tool_use", thoughts, block)
            if by_tool
            else anthropic_reply(f"It is {answer}".replace("'", '"'))
        )
        service.says(Answer(reply))
        made = AnthropicStrategy(
            "claude-haiku-4-5", api_key=KEY, base_url=service.url, output_type=Scores, options={"thinking": thinking}
        )
        async with prepared(made) as item:
            output, _ = await item.execute("Why?", 1, 5)
        assert output == Scores("a", {"x": 1.0})
        (received,) = service.received
        body = received.body
        assert body["tools"][0]["name"] == "Scores"
        assert "tool_choice" not in body
        assert "calling the tool Scores" in body["system"]

    async def test_the_default_bound_has_room_for_the_thoughts(self, service):
        service.says(Answer(anthropic_reply()))
        made = AnthropicStrategy(
            "claude-haiku-4-5",
            api_key=KEY,
            base_url=service.url,
            options={"thinking": {"type": "enabled", "budget_tokens": 20_000}},
        )
        async with prepared(made) as item:
            await item.execute("Why?", 1, 5)
        assert service.received[0].body["max_tokens"] == MAX_TOKENS + 20_000
