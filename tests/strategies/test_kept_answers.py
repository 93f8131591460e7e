"""An answer that is not accepted was paid for: its text is in the result, and nowhere else."""

from __future__ import annotations

import json
import logging

import pytest

from paceline import CallableStrategy, CallError, FaultKind, ProcessorConfig, run_prompts
from paceline.llm_strategies import OutputType
from paceline.llm_strategies.gemini.errors import read_reply as read_gemini
from paceline.typing import FaultReason

from .chat_service import ANTHROPIC, BOTH, OPENAI, openai_reply
from .gemini.service import KEY, Answer

ONCE = ProcessorConfig()
SCHEMA = OutputType.of_schema({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


def fault_of(strategy):
    (result,) = run_prompts(strategy, ["a prompt"], config=ONCE).results
    return result.error


@BOTH
def test_the_text_of_a_truncated_answer_is_kept(service, dialect):
    service.says(Answer(dialect.truncated))
    fault = fault_of(dialect.at(service.url))
    assert (fault.kind, fault.answer) == ("truncated", "half an ans")
    assert "half an ans" not in f"{fault} {fault!r}"


@pytest.mark.parametrize(("dialect", "said"), [(OPENAI, "I will not"), (ANTHROPIC, "I")], ids=["openai", "anthropic"])
def test_what_a_model_said_when_it_refused_is_kept(service, dialect, said):
    service.says(Answer(dialect.refused))
    fault = fault_of(dialect.at(service.url))
    assert (fault.kind, fault.answer) == ("refused", said)


@BOTH
def test_the_text_of_an_answer_that_does_not_match_its_type_is_kept(service, dialect, caplog):
    caplog.set_level(logging.DEBUG, "paceline")
    service.says(Answer(dialect.reply('{"n": "half a secret"}')))
    fault = fault_of(dialect.at(service.url, output_type=SCHEMA, schema_mode="text"))
    assert (fault.kind, fault.answer) == ("invalid", '{"n": "half a secret"}')
    assert "half a secret" not in f"{fault} {caplog.text}"


def test_thoughts_without_an_answer_are_kept(service):
    service.says(Answer(openai_reply(None, reasoning_content="hm, so")))
    assert fault_of(OPENAI.at(service.url)).answer == "hm, so"


def test_a_key_that_is_echoed_in_an_answer_is_blanked(service):
    service.says(Answer(openai_reply(f"your key is {KEY}", "length")))
    assert fault_of(OPENAI.at(service.url)).answer == "your key is [redacted]"


@pytest.mark.parametrize(("reason", "kind"), [("MAX_TOKENS", "truncated"), ("SAFETY", "refused")])
def test_the_text_of_an_unfinished_answer_of_gemini_is_kept(reason, kind):
    parts = [{"text": "hm", "thought": True}, {"text": "half "}, {"text": "an ans"}]
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": reason}]}
    with pytest.raises(CallError) as caught:
        read_gemini(json.dumps(body))
    assert (caught.value.kind, caught.value.answer) == (kind, "half an ans")


def test_a_strategy_of_ones_own_may_keep_its_answer_and_give_a_reason():
    async def answer(prompt):
        raise CallError("cut", kind=FaultKind.REJECTED, answer="x" * 200_000, reason="too_large")

    fault = fault_of(CallableStrategy(answer))
    assert (len(fault.answer), fault.answer[-2:], fault.reason) == (100_000, "x…", FaultReason.TOO_LARGE)


@pytest.mark.parametrize("wrong", [{"answer": b"x"}, {"answer": 1}])
def test_an_answer_must_be_a_text(wrong):
    with pytest.raises(TypeError, match="answer must be a string, not"):
        CallError("no", kind=FaultKind.INVALID, **wrong)
