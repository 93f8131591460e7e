"""A canary: a key that every provider, server and exception tries to leak is in no fault, log, row, journal, repr or pickle."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import CallError, FaultKind, files, run_prompts
from paceline._core.fault import Fault, blanking
from paceline.llm_strategies.anthropic import AnthropicStrategy
from paceline.llm_strategies.feedback import ValidationFeedback
from paceline.llm_strategies.gemini import GeminiStrategy
from paceline.llm_strategies.openai import OpenAIStrategy
from paceline.runs import ReportOptions, write_report

from .chat_service import ANTHROPIC, OPENAI
from .gemini.service import Answer, prepared, reply

KEYS = {
    "a usual one": "sk-proj-CANARYCANARY1234567890",
    "with characters that URLs escape": "CANARY/CANARY+CANARY=CANARY==",
    "of a gateway": "tenant:CANARY.CANARY~CANARY",
}
CLASSES = {"openai": OpenAIStrategy, "anthropic": AnthropicStrategy, "gemini": GeminiStrategy}
ANSWERS = {"openai": OPENAI.reply, "anthropic": ANTHROPIC.reply, "gemini": reply}


def leaks(key, provider):
    """Return what a hostile server answers, by the way in which it tries to leak the key."""
    page = {"Content-Type": "text/html"}
    return {
        "error body": Answer(
            {"error": {"message": f"bad key {key} given", "code": 400, "status": "INVALID_ARGUMENT"}}, 400
        ),
        "unauthorized": Answer({"error": {"message": f"key {key} is wrong", "type": "authentication_error"}}, 401),
        "at the cut": Answer({"error": {"message": "x" * 1_930 + key * 20, "type": "e"}}, 400),
        "in a URL": Answer({"error": {"message": f"GET /v1?token={quote(key, safe='')}"}}, 500),
        "page": Answer(f"<html>{key}</html>".encode(), 404, page),
        "redirect": Answer({}, 307, {"Location": f"http://evil.invalid/?{quote(key, safe='')}"}),
        "answer": Answer(ANSWERS[provider](f'{{"a": "{key}"')),
        "broken": Answer(f'{{"error": "{key}'.encode(), 200),
        "hang up": Answer(hang_up=True),
        "header": Answer({}, 429, {"Retry-After": key, "x-ratelimit-limit-requests": key}),
    }


FINAL = (
    "error body",
    "unauthorized",
    "at the cut",
    "page",
    "redirect",
    "answer",
)  # ways whose faults are not tried again


def forms(key):
    """Return how a key may be written, its beginning at a cut among them."""
    return {key, key[:20], quote(key, safe=""), quote(key, safe="")[:20], json.dumps(key)[1:-1]}


def own(caplog):
    """Return what paceline logged; at DEBUG the HTTP packages log each header that a server sends."""
    return [logging.Formatter().format(record) for record in caplog.records if record.name.startswith("paceline")]


@pytest.fixture(params=[("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


@pytest.mark.parametrize("provider", CLASSES)
@pytest.mark.parametrize("shape", KEYS)
@pytest.mark.parametrize("way", leaks("", "openai"))
@pytest.mark.anyio
async def test_a_key_that_a_server_echoes_is_in_no_fault_and_no_log(service, provider, shape, way, caplog):
    caplog.set_level(logging.DEBUG)
    key = KEYS[shape]
    service.says(leaks(key, provider)[way])
    strategy = CLASSES[provider]("m", api_key=key, base_url=service.url, output_type=dict[str, int])
    async with prepared(strategy) as item:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - each package has its own
            await item.execute("hello", 1, 60.0)
    fault = strategy.error_classifier.classify(caught.value)
    shown = "\n".join([fault.message, fault.answer or "", repr(fault), str(fault.quota), repr(strategy), *own(caplog)])
    assert not [form for form in forms(key) if form in shown]


@pytest.mark.parametrize("provider", CLASSES)
@pytest.mark.parametrize("way", FINAL)
def test_it_is_in_no_row_no_journal_and_no_report(service, provider, way, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    key = KEYS["with characters that URLs escape"]
    service.says(leaks(key, provider)[way])
    strategy = CLASSES[provider]("m", api_key=key, base_url=service.url, output_type=dict[str, int])
    batch = run_prompts(strategy, ["hello"], journal=tmp_path / "run.journal")
    assert batch.succeeded == 0
    files.write(tmp_path / "out.jsonl", batch)
    write_report(tmp_path / "run.journal", ReportOptions(output=str(tmp_path / "report.html"), with_text=True))
    stored = [path.read_bytes().decode("utf-8", "replace") for path in tmp_path.iterdir()]
    shown = "\n".join(
        [repr(batch), batch.summary(), batch._repr_html_(), repr(batch.to_dicts()), *own(caplog), *stored]
    )
    assert not [form for form in forms(key) if form in shown]


@pytest.mark.parametrize("cls", CLASSES.values())
def test_a_strategy_is_copied_but_not_pickled_and_its_repr_has_no_key(cls):
    strategy = cls("m", api_key=KEYS["a usual one"])
    twin = copy.copy(strategy)
    assert (type(twin), vars(twin)) == (cls, vars(strategy))
    for each in (strategy, ValidationFeedback(strategy)):
        assert "CANARY" not in repr(each)
        with pytest.raises(TypeError, match="cannot be pickled, as it may hold an API key"):
            pickle.dumps(each)


@given(st.text("abcXYZ/+=", min_size=8, max_size=40), st.integers(0, 2_100))
def test_a_secret_is_blanked_before_a_message_is_cut(secret, at):
    with blanking(secret):
        fault = Fault(
            FaultKind.REJECTED, "-" * at + secret + "." + quote(secret, safe=""), answer="-" * at * 60 + secret
        )
    for text in (fault.message, fault.answer):
        assert not set(text.replace("[redacted]", "").replace("[redacte", "").replace("[reda", "")) & set("XYZ/+=")
        assert len(text) <= 126_100


def test_outside_its_block_a_secret_is_a_text_like_any_other():
    with blanking("canary"):
        assert Fault(FaultKind.BUG, "a canary", answer="canary").answer == "[redacted]"
    assert Fault(FaultKind.BUG, "a canary").message == "a canary"
    assert isinstance(CallError("x", kind=FaultKind.BUG), Exception)
