"""Settings of models under the names of each provider: what `model` makes of temperature, max_tokens, reasoning_effort and seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import model
from paceline._core.model_settings import REASONING_EFFORTS, ModelSettings
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies import ModelEscalation, OutputType, ValidationFeedback
from paceline.llm_strategies.anthropic import AnthropicStrategy
from paceline.llm_strategies.gemini import GeminiStrategy
from paceline.llm_strategies.model_settings import anthropic_arguments, gemini_arguments, openai_arguments
from paceline.llm_strategies.openai import OpenAIStrategy

from .chat_service import ANTHROPIC, OPENAI, TWO_BACKENDS
from .gemini.service import Answer, prepared

ALL = ModelSettings(temperature=0.5, max_tokens=5_000, reasoning_effort="low", seed=7)


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "k" * 39)


def test_openai_bounds_completion_tokens_and_a_compatible_server_tokens():
    common = {"temperature": 0.5, "reasoning_effort": "low", "seed": 7}
    own = openai_arguments(ALL, {}, is_own_service=True)
    assert own == {"options": {**common, "max_completion_tokens": 5_000}}
    other = openai_arguments(ALL, {"options": {"top_k": 4}, "quota": "q"}, is_own_service=False)
    assert other == {"options": {**common, "max_tokens": 5_000, "top_k": 4}, "quota": "q"}


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (None, "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("http://127.0.0.1:9/v1", "max_tokens"),
        ("https://openai.com.example.net/v1", "max_tokens"),
    ],
)
def test_the_service_that_is_called_decides_the_name_of_the_bound(monkeypatch, url, name):
    options = {} if url is None else {"base_url": url}
    assert model("openai:m", max_tokens=9, **options).identity["settings"] == {name: 9}
    if url is not None:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        assert model("openai:m", max_tokens=9).identity["settings"] == {name: 9}


@pytest.mark.parametrize(
    ("name", "effort", "thinking"),
    [
        ("gemini-2.5-flash", "none", {"thinking_budget": 0}),
        ("gemini-2.5-flash", "minimal", {"thinking_budget": 1_024}),
        ("gemini-2.5-pro", "medium", {"thinking_budget": 8_192}),
        ("gemini-2.5-pro", "high", {"thinking_budget": 24_576}),
        ("gemini-3-flash-preview", "minimal", {"thinking_level": "MINIMAL"}),
        ("gemini-3.5-flash", "high", {"thinking_level": "HIGH"}),
        ("gemini-flash-latest", "low", {"thinking_level": "LOW"}),
    ],
)
def test_gemini_has_a_budget_up_to_2_5_and_a_level_after_it(name, effort, thinking):
    made = gemini_arguments(ModelSettings(reasoning_effort=effort), {}, name)
    assert made == {"config": {"thinking_config": thinking}}
    assert model(name, reasoning_effort=effort).identity["settings"] == {"thinking_config": thinking}


def test_gemini_has_settings_and_options_in_its_config():
    arguments = {"options": {"topP": 0.9, "thinking_config": {"include_thoughts": True}}, "config": {"top_k": 5}}
    assert gemini_arguments(ALL, arguments, "gemini-2.5-flash") == {
        "config": {
            "temperature": 0.5,
            "max_output_tokens": 5_000,
            "seed": 7,
            "top_p": 0.9,
            "top_k": 5,
            "thinking_config": {"include_thoughts": True, "thinking_budget": 1_024},
        }
    }


@pytest.mark.parametrize(
    ("name", "effort", "options"),
    [
        ("claude-haiku-4-5", "low", {"thinking": {"type": "enabled", "budget_tokens": 1_024}}),
        ("claude-sonnet-4-5", "high", {"thinking": {"type": "enabled", "budget_tokens": 24_576}}),
        ("claude-3-7-sonnet-latest", "none", {"thinking": {"type": "disabled"}}),
        ("claude-opus-4-1", "low", {"thinking": {"type": "enabled", "budget_tokens": 1_024}}),
        ("claude-opus-4-5", "high", {"output_config": {"effort": "high"}}),
        ("claude-opus-4-6", "max", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
        ("claude-sonnet-5", "none", {"thinking": {"type": "disabled"}}),
        ("claude-haiku-5-5", "low", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    ],
)
def test_anthropic_thinks_within_a_budget_or_with_an_effort(name, effort, options):
    assert anthropic_arguments(ModelSettings(reasoning_effort=effort), {}, name) == {"options": options}


@given(st.integers(1_025, 10**6), st.sampled_from(["low", "medium", "high"]))
def test_the_thoughts_of_an_anthropic_model_leave_room_for_the_answer(tokens, effort):
    settings = ModelSettings(max_tokens=tokens, reasoning_effort=effort)
    options = anthropic_arguments(settings, {}, "claude-haiku-4-5")["options"]
    assert options["max_tokens"] == tokens
    assert 1_024 <= options["thinking"]["budget_tokens"] < tokens


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("claude-haiku-4-5", {"seed": 1}, "claude-haiku-4-5: Anthropic's models have no seed"),
        ("claude-haiku-4-5", {"temperature": 1.5}, "temperature must be a number from 0 to 1, not 1.5"),
        ("claude-haiku-4-5", {"temperature": 0, "reasoning_effort": "low"}, "a model that reasons has no temperature"),
        ("claude-haiku-4-5", {"reasoning_effort": "xhigh"}, "reasoning_effort must be one of none, low, medium, high"),
        ("claude-haiku-4-5", {"reasoning_effort": "low", "max_tokens": 500}, "max_tokens must be above 1,024"),
        (
            "gemini-2.5-flash",
            {"reasoning_effort": "max"},
            "gemini-2.5-flash: reasoning_effort must be one of none, minimal",
        ),
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, "always reasons"),
        ("gemini-3-pro-preview", {"reasoning_effort": "none"}, "reasoning_effort must be one of minimal, low"),
        ("gemini-2.5-flash", {"temperature": 0, "options": {"temperature": 1}}, "temperature is given twice"),
        ("gemini-2.5-flash", {"max_tokens": 1, "options": {"maxOutputTokens": 1}}, "max_output_tokens is given twice"),
        (
            "gemini-2.5-flash",
            {"options": {"temperatures": 1}},
            "config.temperatures: there is no such field (did you mean temperature?)",
        ),
        ("gemini-2.5-flash", {"options": {"top_p": 2}}, "top_p must be a number from 0 to 1"),
        ("gpt-5-mini", {"options": {"top_k": 2}}, "the name of an option is unknown: 'top_k'"),
        ("gpt-5-mini", {"options": {"temprature": 2}}, "did you mean 'temperature'"),
        ("gpt-5-mini", {"options": {"temperature": 3}}, "temperature must be a number from 0 to 2, not 3"),
        ("gpt-5-mini", {"options": {"messages": []}}, "options may not hold 'messages'"),
        ("gpt-5-mini", {"options": 3}, "options must be a mapping"),
        ("openai:m@http://127.0.0.1:9/v1", {"options": {"temprature": 0}}, "did you mean 'temperature'"),
        ("sim", {"options": {"top_p": 2}}, "top_p must be a number from 0 to 1"),
        ("sim", {"temperature": 5}, "temperature must be a number from 0 to 2"),
    ],
)
def test_what_a_provider_does_not_take_is_refused_before_a_call(name, settings, words):
    with pytest.raises(ConfigurationError) as refused:
        model(name, **settings)
    assert words in str(refused.value)


@given(
    st.sampled_from(["gemini-2.5-flash", "gemini-3-flash", "claude-haiku-4-5", "claude-opus-4-6"]),
    st.sampled_from(REASONING_EFFORTS),
)
def test_every_effort_is_a_setting_of_the_model_or_refused_with_the_words_that_it_has(name, effort):
    translate = gemini_arguments if name.startswith("gemini") else anthropic_arguments
    try:
        made = translate(ModelSettings(reasoning_effort=effort), {}, name)
    except ConfigurationError as error:
        assert "must be one of" in str(error)  # noqa: PT017 - the other outcome is asserted below
        return
    assert "thinking" in str(made)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (lambda **given: OpenAIStrategy("m", options=given), True),
        (lambda **given: AnthropicStrategy("m", options=given), True),
        (lambda **given: GeminiStrategy("gemini-2.5-flash", config=given), True),
        (lambda **given: model("sim", **given), True),
        (lambda **given: ValidationFeedback(model("gpt-4.1-mini", **given)), True),
        (lambda **given: ModelEscalation([model("gpt-4.1-nano"), model("gpt-4.1-mini", **given)]), True),
    ],
)
def test_answers_are_samples_at_a_temperature_above_0_and_only_there(strategy, expected):
    assert strategy(temperature=0.1).is_sampled is expected
    assert strategy(temperature=0).is_sampled is False
    assert strategy().is_sampled is False


@pytest.mark.parametrize("name", ["gpt-4.1-mini", "gemini-2.5-flash", "claude-haiku-4-5", "sim"])
def test_without_settings_the_identity_is_what_it_was_and_with_them_it_names_them(name):
    plain, warm = model(name).identity, model(name, temperature=0.25).identity
    assert "settings" not in plain
    assert warm == {**plain, "settings": {"temperature": 0.25}}
    private = model(
        name, options={"stop_sequences" if name[0] in "gc" and name[1] in "el" else "stop": ["secret words"]}
    )
    assert "secret" not in str(private.identity)


@pytest.mark.parametrize("settings", [{"max_tokens": 100}, {"reasoning_effort": "low"}])
def test_a_default_that_a_setting_replaces_is_no_difference_of_its_own(settings):
    plain, other = model("claude-haiku-4-5").identity, model("claude-haiku-4-5", **settings).identity
    assert plain["options"] == other["options"]


@pytest.mark.anyio
@TWO_BACKENDS
async def test_settings_are_fields_of_the_request(service):
    service.says(Answer(OPENAI.reply("good")))
    strategy = model(
        f"openai:m@{service.url}/v1", temperature=0, max_tokens=5, seed=1, options={"top_k": 3, "stop": ["."]}
    )
    async with prepared(strategy) as item:
        await item.execute("x", 1, 60.0)
    (received,) = service.received
    assert received.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "temperature": 0,
        "max_tokens": 5,
        "seed": 1,
        "top_k": 3,
        "stop": ["."],
    }


@pytest.mark.anyio
@TWO_BACKENDS
async def test_anthropic_gets_a_temperature_though_its_package_has_no_argument_for_it(service):
    service.says(Answer(ANTHROPIC.reply("good")))
    strategy = model(f"anthropic:claude-haiku-4-5@{service.url}", temperature=0.5, options={"top_k": 3})
    async with prepared(strategy) as item:
        await item.execute("x", 1, 60.0)
    (received,) = service.received
    assert (received.body["temperature"], received.body["top_k"], received.body["max_tokens"]) == (0.5, 3, 8_192)


def test_an_effort_and_a_schema_share_the_output_config():
    output_type = OutputType.of_schema(
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
    )
    plain = model("claude-opus-4-6", output_type=output_type).identity
    made = model("claude-opus-4-6", output_type=output_type, reasoning_effort="low").identity
    assert made["settings"] == {"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}}
    assert plain["output_type"] == made["output_type"]
