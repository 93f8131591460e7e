"""A batch file names the model that answers it, so that a run need not."""

from __future__ import annotations

import json

import pytest

from paceline import runs
from paceline._core.request import Request
from paceline.exceptions import ConfigurationError
from paceline.files import InputRecord
from paceline.runs import RunOptions
from paceline.runs.model_of_input import ReplacedModels, with_model

TURNS = [{"role": "user", "content": "Why?"}]


def chat(number, model="gpt-5-mini"):
    return {"custom_id": str(number), "body": {"messages": TURNS, **({} if model is None else {"model": model})}}


@pytest.fixture
def options(tmp_path):
    def make(*lines, **more):
        path = tmp_path / "batch.jsonl"
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return RunOptions(**{"input": path, **more})

    return make


@pytest.mark.parametrize(
    ("line", "model"),
    [
        (chat(1), "openai:gpt-5-mini"),
        (chat(1, "ft:gpt-4o-mini:org::7"), "openai:ft:gpt-4o-mini:org::7"),
        ({"custom_id": "a", "url": "/v1/responses", "body": {"model": "gpt-5", "input": "x"}}, "openai:gpt-5"),
        ({"custom_id": "a", "params": {"model": "claude-haiku-4-5", "messages": TURNS}}, "anthropic:claude-haiku-4-5"),
        ({"request": {"model": "models/gemini-2.5-flash", "contents": [{}]}, "key": "a"}, "gemini:gemini-2.5-flash"),
        ({"id": "a", "messages": TURNS, "model": "gpt-5-mini"}, "openai:gpt-5-mini"),
    ],
)
def test_the_model_of_the_lines_is_taken(options, line, model):
    assert with_model(options("broken", line)).model == model


def test_a_model_or_ladder_of_the_options_wins(options):
    for given in ({"model": "sim"}, {"escalate": ("sim", "sim:rate=5")}):
        made = options(chat(1), **given)
        assert with_model(made) is made


def test_lines_without_a_model_do_not_count(options):
    assert with_model(options(chat(1, None), chat(2), chat(3, " "))).model == "openai:gpt-5-mini"


def test_different_models_are_refused_in_one_sentence_with_their_numbers(options, tmp_path):
    made = options(chat(1), chat(2, "gpt-5"), chat(3))
    with pytest.raises(ConfigurationError) as caught:
        runs.run(made)
    assert str(caught.value) == (
        f"{tmp_path}/batch.jsonl: its lines name 2 models, openai:gpt-5-mini (2 lines), openai:gpt-5 (1 line); "
        "name the one that answers all of them with --model, or make a file of each"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["batch.jsonl"]


@pytest.mark.parametrize("line", [chat(1, None), {"id": "a", "prompt": "x"}, "broken"])
@pytest.mark.parametrize("start", [runs.run, runs.plan])
def test_an_input_that_names_no_model_needs_one(options, line, start):
    with pytest.raises(ConfigurationError, match="a model must be named: --model NAME, or --escalate A,B,C"):
        start(options(line))


def test_stdin_is_not_read_for_a_model():
    with pytest.raises(ConfigurationError, match="a model must be named"):
        runs.run(RunOptions(input="-", output="-"))


def test_a_batch_file_is_answered_by_its_own_model_and_resumed_without_naming_it(
    paceline, service, monkeypatch, options
):
    from ..strategies.chat_service import openai_reply  # noqa: PLC0415 - beside its only use
    from ..strategies.gemini.service import Answer  # noqa: PLC0415

    service.says(Answer(openai_reply("yes")))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
    path = options(chat(1), chat(2)).input
    run = paceline("run", path, "-o", f"{path}.csv", "--limit", "1")
    assert run.code == 0, run.err
    assert paceline("run", path, "-o", f"{path}.csv").code == 0
    assert paceline("resume", f"{path}.csv").code == 0
    assert [received.body["model"] for received in service.received] == ["gpt-5-mini"] * 2


def notes_of(options):
    return [note for note in runs.plan(options).notes if "another model" in note]


def test_how_many_lines_name_a_model_that_is_replaced_is_said_once(options, tmp_path):
    made = options(chat(1), chat(2, "gpt-5"), chat(3, None), chat(4), model="sim", output=tmp_path / "out.jsonl")
    (note,) = notes_of(made)
    assert (
        note == f"{made.input}: 3 lines name another model (gpt-5-mini, gpt-5), which is replaced by {note.split()[-1]}"
    )
    said = []
    runs.run(made, on_message=said.append)
    assert said.count(note) == 1


def test_lines_that_name_the_model_that_answers_are_not_mentioned():
    replaced = ReplacedModels(["gemini-2.5-flash", "gpt-5-mini"])
    for name in ("models/gemini-2.5-flash", " gpt-5-mini ", None, 7):
        replaced.add(InputRecord(1, "a", Request("gemini", {"contents": [{}], "model": name})))
    replaced.add(InputRecord(2, "b", "a text"))
    assert replaced.sentences("in.jsonl") == []
    replaced.add(InputRecord(3, "c", Request("gemini", {"contents": [{}], "model": "gpt-5"})))
    assert replaced.sentences("in.jsonl") == [
        "in.jsonl: 1 line names another model (gpt-5), which is replaced by gemini-2.5-flash, gpt-5-mini"
    ]
