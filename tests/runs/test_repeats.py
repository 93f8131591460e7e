"""Repeated prompts: which are separate samples, which share a call, and what is announced before the first call."""

from __future__ import annotations

import json

import pytest

from paceline import CallableStrategy, Request, TokenUsage, process_prompts, runs
from paceline.abc import LLMWorkItem
from paceline.exceptions import ConfigurationError
from paceline.journal import SqliteJournal
from paceline.llm_strategies import ModelEscalation, ValidationFeedback
from paceline.runs import RunOptions

from ..cli.conftest import FAST

pytestmark = pytest.mark.usefixtures("virtual_time")

TEXT = "Write a line of code."
LINES = {
    "jsonl": {"id": "{n}", "prompt": TEXT},
    "openai": {
        "custom_id": "{n}",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "m", "messages": [{"role": "user", "content": TEXT}]},
    },
    "gemini": {"key": "{n}", "request": {"contents": [{"role": "user", "parts": [{"text": TEXT}]}]}},
    "anthropic": {"custom_id": "{n}", "params": {"messages": [{"role": "user", "content": TEXT}], "max_tokens": 9}},
}


@pytest.fixture
def repeated(tmp_path):
    """Write an input of eight equal prompts."""

    def write(kind):
        path = tmp_path / f"{kind}.in"
        lines = [json.dumps(LINES[kind]).replace("{n}", f"s{n}") for n in range(8)] if kind in LINES else [TEXT] * 8
        path.write_text("\n".join(["text", *lines] if kind == "csv" else lines) + "\n")
        return path

    return write


def calls_of(options):
    messages = []
    planned = runs.plan(options)
    report = runs.run(options, on_message=messages.append)
    messages = [message for message in messages if "another model" not in message]
    assert report.is_complete
    calls = sum(use.calls for use in report.batch.models)
    assert planned.calls == calls
    return calls, messages


@pytest.mark.parametrize("kind", ["openai", "gemini", "anthropic"])
def test_lines_of_a_batch_file_are_separate_samples_unless_dedupe_is_given(repeated, tmp_path, kind):
    path = repeated(kind)
    assert calls_of(RunOptions(input=path, model=FAST, output=tmp_path / "a")) == (8, [])
    calls, (announced,) = calls_of(RunOptions(input=path, model=FAST, output=tmp_path / "b", dedupe=True))
    assert calls == 1
    assert announced.startswith("7 of 8 prompts are the same as another and share its call")


@pytest.mark.parametrize("kind", ["text", "csv", "jsonl"])
def test_other_repeats_share_a_call_and_that_is_announced_unless_no_dedupe_is_given(repeated, tmp_path, kind):
    options = {
        "input": repeated(kind),
        "model": FAST,
        "input_format": kind,
        "prompt": "{text}" if kind == "csv" else None,
    }
    announced = "7 of 8 prompts are the same as another and share its call; --no-dedupe calls the model for each"
    assert calls_of(RunOptions(**options, output=tmp_path / "a")) == (1, [announced])
    assert calls_of(RunOptions(**options, output=tmp_path / "b", dedupe=False)) == (8, [])
    assert calls_of(RunOptions(**options, output=tmp_path / "c", no_journal=True)) == (8, [])


def test_a_sample_that_grows_announces_what_its_answers_serve(repeated, tmp_path):
    path = repeated("text")
    assert calls_of(RunOptions(input=path, model=FAST, output=tmp_path / "a", limit=1)) == (1, [])
    calls, messages = calls_of(RunOptions(input=path, model=FAST, output=tmp_path / "a"))
    assert calls == 0
    assert messages[-1].startswith("7 of 7 prompts are the same as another")


def test_dedupe_without_a_journal_is_refused():
    with pytest.raises(ConfigurationError, match="--dedupe: needs a journal"):
        RunOptions(input="in.txt", model="sim", dedupe=True, no_journal=True)


class Sampling(CallableStrategy):
    is_sampled = True


async def answer(prompt):
    return "x", TokenUsage(1, 1)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("strategy", "dedupe", "calls"),
    [
        (CallableStrategy(answer), None, 1),
        (Sampling(answer), None, 4),
        (Sampling(answer), True, 1),
        (CallableStrategy(answer), False, 4),
        (ValidationFeedback(Sampling(answer)), None, 4),
        (ModelEscalation([CallableStrategy(answer, quota="a"), Sampling(answer, quota="b")]), None, 4),
    ],
)
async def test_in_a_journal_equal_prompts_share_a_call_unless_answers_are_sampled(tmp_path, strategy, dedupe, calls):
    for number, paid in ((4, calls), (6, 2 if calls > 1 else 0)):
        batch = await process_prompts(
            strategy, [TEXT] * number, journal=SqliteJournal(tmp_path / "j.db", dedupe=dedupe)
        )
        assert (batch.succeeded, batch.usage.total_tokens) == (number, 2 * paid)


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    return request.param


def test_requests_have_no_key_to_share_by_unless_dedupe_is_given(tmp_path):
    request = Request("openai", {"messages": [{"role": "user", "content": "x"}]})
    item = LLMWorkItem("a", CallableStrategy(answer), request)
    assert SqliteJournal(tmp_path / "j").key_of(item) is None
    assert SqliteJournal(tmp_path / "j", dedupe=True).key_of(item) is not None
