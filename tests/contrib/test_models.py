"""Models under evaluation: the form of their requests, and the texts of their outputs."""

from __future__ import annotations

import pytest

from paceline.contrib.models import EvaluatedModel
from paceline.exceptions import ConfigurationError, InvalidWorkItemError, MissingKeyError

from .conversations import SYSTEM, USER, conversation


@pytest.mark.parametrize(
    ("text", "dialect", "field"),
    [("openai:tiny", "openai", "messages"), ("gemini:gemini-2.5-flash", "gemini", "contents"), ("claude-haiku-4-5", "anthropic", "messages"), ("sim", "openai", "messages")],
)  # fmt: skip
def test_a_request_has_the_form_of_the_models_provider(text, dialect, field):
    model = EvaluatedModel(text, api_key=None if text == "sim" else "any")
    request, ignored = model.request(conversation(SYSTEM, USER, temperature=0))
    assert request.dialect == dialect
    assert field in request.body
    assert request.reply == "complete"
    assert ignored == ()


def test_semicolons_stand_for_the_commas_of_a_simulated_model():
    assert EvaluatedModel("sim:rate=5;latency=0").strategy.quota == "sim:rate=5,latency=0"


def test_a_request_to_a_simulated_model_has_no_settings_as_its_answers_do_not_depend_on_them():
    request, ignored = EvaluatedModel("sim").request(conversation(USER, temperature=0, seed=3))
    assert request.body.keys() == {"messages"}
    assert ignored == ()


def test_openai_itself_and_a_compatible_server_get_different_names_of_the_bound(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    asked = conversation(USER, max_tokens=5)
    assert "max_completion_tokens" in EvaluatedModel("gpt-5-mini", api_key="any").request(asked)[0].body
    assert "max_tokens" in EvaluatedModel("openai:tiny", base_url="http://127.0.0.1:9/v1").request(asked)[0].body


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("openai:tiny@http://127.0.0.1:9/v1", {"choices": [{"message": {"content": "A cat."}}]}),
        ("gemini-2.5-flash", {"candidates": [{"content": {"parts": [{"text": "A cat."}]}}]}),
        ("claude-haiku-4-5", {"content": [{"type": "text", "text": "A cat."}]}),
        ("sim", "A cat."),
    ],
)
def test_the_text_of_an_output_is_found_in_each_form(text, output, monkeypatch):
    for name in ("GEMINI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "any")
    assert EvaluatedModel(text).text_of(output) == "A cat."


def test_what_cannot_be_asked_is_one_sentence(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(MissingKeyError, match="OPENAI_API_KEY"):
        EvaluatedModel("gpt-5-mini")
    with pytest.raises(ConfigurationError, match="unknown model"):
        EvaluatedModel("gemni:flash")
    with pytest.raises(InvalidWorkItemError, match="contents"):
        EvaluatedModel("gemini-2.5-flash", api_key="any").request(conversation(SYSTEM))
