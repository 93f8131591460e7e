"""Options of the models in a run: in its plan, its journal, its status, and on resume."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from paceline import runs
from paceline.exceptions import ConfigurationError, JournalChangedError
from paceline.runs import ResumeOptions, RunOptions
from paceline.runs.options_data import from_data, to_data

from ..cli.conftest import FAST
from ..strategies.chat_service import OPENAI
from ..strategies.gemini.service import Answer

GIVEN = {"temperature": 0.5, "max_tokens": 90, "reasoning_effort": "low", "seed": 3, "option": {"top_p": 0.9}}
SETTINGS = {"temperature": 0.5, "max_tokens": 90, "reasoning_effort": "low", "seed": 3, "options": {"top_p": 0.9}}


@pytest.fixture
def options(jsonl, tmp_path, virtual_time):
    """Make options of a run of six prompts."""

    def make(**changes):
        return RunOptions(**{"input": jsonl(6), "model": FAST, "output": tmp_path / "out.jsonl"} | changes)

    return make


def test_settings_are_stored_and_planned_and_shown(options):
    made = options(**GIVEN)
    assert made.settings == SETTINGS
    assert from_data(json.loads(json.dumps(to_data(made)))).settings == SETTINGS
    assert runs.plan(made).options.settings == SETTINGS
    report = runs.run(made)
    assert report.is_complete
    found = runs.status(report.output)
    assert found.options.settings == SETTINGS
    (identity,) = found.identities
    assert identity["settings"] == {name: value for name, value in SETTINGS.items() if name != "options"} | {
        "top_p": 0.9
    }


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"temperature": 0.7}, "temperature was 0.5, is 0.7"),
        ({"temperature": None}, "temperature was 0.5, is not given"),
        ({"max_tokens": 91}, "max_tokens was 90, is 91"),
        ({"reasoning_effort": "high"}, "reasoning_effort was low, is high"),
        ({"seed": 4}, "seed was 3, is 4"),
        ({"option": {"top_p": 0.8}}, "top_p was 0.9, is 0.8"),
        ({"option": {"top_p": 0.9, "stop": ["x"]}}, "stop was not given, is given"),
    ],
)
def test_a_changed_setting_is_named_and_must_be_allowed(options, change, sentence):
    runs.run(options(**GIVEN))
    changed = options(**GIVEN | change)
    with pytest.raises(JournalChangedError) as refused:
        runs.run(changed)
    assert refused.value.changes == (sentence,)
    assert runs.plan(changed).journal_state.changes == (sentence,)
    messages = []
    assert runs.run(attrs.evolve(changed, allow_changes=True), on_message=messages.append).is_complete
    assert messages == [
        f"{sentence}; answers that are there stay, and only what has none is called with the new settings"
    ]


def test_the_same_settings_in_another_spelling_are_no_change(options):
    runs.run(options(temperature=1, option={"a": {"b": 2}}))
    assert runs.run(options(temperature=1.0, option={"a.b": 2.0})).is_complete


def test_a_resumed_run_keeps_the_settings_and_replaces_those_that_are_given(options):
    journal = runs.run(options(**GIVEN)).journal.path
    assert runs.resumed_options(journal).settings == SETTINGS
    changes = ResumeOptions(max_tokens=500, option={"min_p": 0.1}, allow_changes=True)
    made = runs.resumed_options(journal, changes)
    assert made.settings == SETTINGS | {"max_tokens": 500, "options": {"top_p": 0.9, "min_p": 0.1}}
    with pytest.raises(JournalChangedError, match=r"max_tokens was 90, is 500"):
        runs.resume(journal, attrs.evolve(changes, allow_changes=False))
    assert runs.resume(journal, changes).is_complete


def test_settings_apply_to_each_model_of_a_ladder(options):
    made = options(model=None, escalate=[FAST, f"{FAST},seed=2"], **GIVEN)
    (identity,) = runs.status(runs.run(made).output).identities
    assert [step["settings"]["temperature"] for step in identity["steps"]] == [0.5, 0.5]
    with pytest.raises(JournalChangedError) as refused:
        runs.run(attrs.evolve(made, seed=5))
    assert refused.value.changes == ("step 1: seed was 3, is 5", "step 2: seed was 3, is 5")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": 2.5}, "--temperature: must be a number from 0 to 2, not 2.5"),
        ({"max_tokens": 0}, "--max-tokens: must be a whole number, 1 or more, not 0"),
        ({"reasoning_effort": "big"}, "--reasoning-effort: must be one of none, minimal"),
        ({"seed": -1}, "--seed: must be a whole number, 0 or more, not -1"),
        ({"option": {"top_p": 2}}, "--option: top_p must be a number from 0 to 1, not 2"),
        ({"option": ["top_p"]}, "--option: must be KEY=VALUE, such as top_p=0.9, not 'top_p'"),
        ({"option": "=1"}, "--option: must be KEY=VALUE"),
        ({"option": {"": 1}}, "--option: the name of an option must not be empty"),
        ({"option": {"extra_headers": {"a": "b"}}}, "--option: extra_headers may hold a key"),
        ({"option": {"x": {1, 2}}}, "--option: must have values that JSON can hold"),
        ({"option": 5}, "--option: must be a table of options"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_with_the_option_s_name(options, change, words):
    with pytest.raises(ConfigurationError) as refused:
        options(**change)
    assert words in str(refused.value)


def test_a_value_is_json_where_it_is_json_and_otherwise_text(options):
    texts = ["a=1", "b=true", "c=[1, 2]", "d=high", "e=", "f=x=y", "g.h=null", "g.i=2", 'j="1"']
    assert options(option=texts).option == {
        "a": 1, "b": True, "c": [1, 2], "d": "high", "e": "", "f": "x=y", "g": {"h": None, "i": 2}, "j": "1",
    }  # fmt: skip


@pytest.mark.parametrize("given", [{"temperature": 0}, {"option": {"top_p": 0.5}}, {"seed": 0, "max_tokens": 5}])
def test_lines_that_are_sent_unchanged_are_refused_with_settings_that_would_be_lost(tmp_path, given):
    path = tmp_path / "batch.jsonl"
    body = {"messages": [{"role": "user", "content": "x"}]}
    path.write_text(json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}))
    names = " and ".join(
        f"--{name.replace('_', '-')}" for name in ("max_tokens", "seed", "temperature", "option") if name in given
    )
    with pytest.raises(ConfigurationError, match=f"is sent unchanged, without {names}: put that into the line"):
        runs.plan(RunOptions(input=path, model="openai:m@http://127.0.0.1:9/v1", **given))
    assert runs.plan(RunOptions(input=path, model="sim", **given)).wanted == 1


def test_a_run_at_a_temperature_above_0_calls_for_each_repeat(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("same\n" * 5)
    for temperature, calls in (0.0, 1), (0.3, 5):
        report = runs.run(
            RunOptions(input=path, model=FAST, output=tmp_path / f"{temperature}", temperature=temperature)
        )
        assert sum(use.calls for use in report.batch.models) == calls


def test_a_run_with_a_schema_and_a_system_instruction_is_rehearsed(options, tmp_path):
    schema, system = tmp_path / "schema.json", tmp_path / "system.txt"
    schema.write_text(
        json.dumps(
            {
                "type": "object",
                "properties": {
                    "label": {"enum": ["good", "bad"]},
                    "stars": {"type": "integer", "minimum": 1, "maximum": 5},
                },
                "required": ["label", "stars"],
                "additionalProperties": False,
            }
        )
    )
    system.write_text("Be fair.")
    report = runs.run(options(schema=schema, system=system, model=f"{FAST},faults=invalid:0.3"))
    assert report.is_complete
    for row in map(json.loads, Path(report.output).read_text("utf-8").splitlines()):
        assert row["output"]["label"] in {"good", "bad"}
        assert 1 <= row["output"]["stars"] <= 5
    system.write_text("Be kind.")
    with pytest.raises(JournalChangedError, match="the system instruction has changed"):
        runs.run(options(schema=schema, system=system, model=f"{FAST},faults=invalid:0.3"))


@pytest.fixture
def messages(tmp_path):
    """Write a line of chat messages with further fields."""

    def write(*turns, **fields):
        path = tmp_path / "chat.jsonl"
        path.write_text(
            json.dumps({"id": "a", "messages": [*turns, {"role": "user", "content": "x"}], **fields}) + "\n"
        )
        return path

    return write


def test_lines_of_messages_get_the_settings_and_the_instruction_of_the_run(messages, service, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k" * 20)
    service.says(Answer(OPENAI.reply("good")))
    system = tmp_path / "system.txt"
    system.write_text("Be brief.")
    given = {"temperature": 0, "max_tokens": 5, "option": {"top_k": 3}, "system": system}
    url = f"openai:m@{service.url}/v1"
    report = runs.run(RunOptions(input=messages(top_p=0.5), model=url, output=tmp_path / "o.jsonl", **given))
    assert report.is_complete
    (received,) = service.received
    assert received.body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "x"}],
        "temperature": 0,
        "max_tokens": 5,
        "top_k": 3,
        "top_p": 0.5,
    }


@pytest.mark.parametrize(
    ("line", "given", "names"),
    [
        ({"temperature": 1}, {"temperature": 1}, "--temperature"),
        ({"max_completion_tokens": 9}, {"max_tokens": 5, "seed": 3}, "--max-tokens"),
        ({"top_p": 0.1, "seed": 1}, {"option": {"top_p": 0.2}, "seed": 3}, "--seed and --option"),
        ({}, {"system": "system.txt"}, "--system"),
    ],
)
def test_a_line_of_messages_with_a_setting_of_its_own_is_refused_with_the_option(
    messages, monkeypatch, line, given, names
):
    monkeypatch.setenv("OPENAI_API_KEY", "k" * 20)
    path = messages({"role": "system", "content": "Be long."}, **line)
    path.with_name("system.txt").write_text("Be brief.")
    monkeypatch.chdir(path.parent)
    options = RunOptions(input=path, model="openai:m@http://127.0.0.1:9/v1", **given)
    with pytest.raises(ConfigurationError, match=f"says itself what {names} says: leave one of them out"):
        runs.plan(options)


def test_lines_of_messages_are_answered_by_a_schema(messages, service, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k" * 20)
    service.says(Answer(OPENAI.reply('{"n": "many"}')), Answer(OPENAI.reply('{"n": 3}')))
    schema = tmp_path / "schema.json"
    schema.write_text(
        '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false}'
    )
    options = RunOptions(
        input=messages(), model=f"openai:m@{service.url}/v1", output=tmp_path / "o.jsonl", schema=schema
    )
    report = runs.run(options)
    assert report.is_complete
    assert json.loads(Path(report.output).read_text())["output"] == {"n": 3}
    assert {"response_format"} <= service.received[0].body.keys()
    assert runs.run(attrs.evolve(options, model=FAST, output=tmp_path / "rehearsed.jsonl")).is_complete


def test_lines_of_the_responses_api_are_refused_with_settings_too(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k" * 20)
    path = tmp_path / "batch.jsonl"
    path.write_text(json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"input": "x"}}))
    with pytest.raises(ConfigurationError, match="is sent unchanged, without --seed: put that into the line"):
        runs.plan(RunOptions(input=path, model="openai:m@http://127.0.0.1:9/v1", seed=0))
