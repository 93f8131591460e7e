"""Lines of the batch APIs of OpenAI, Gemini and Anthropic."""

from __future__ import annotations

import json

import pytest

from paceline import Request
from paceline.files import InputKind

from .conftest import complaint, opened, prompts

CHAT = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Why?"}], "temperature": 0.5}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Why?"}]}], "generation_config": {"temperature": 0}}
MESSAGES = {"model": "claude-haiku-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "Why?"}]}
OPENAI = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": CHAT}
GEMINI = {"key": "a", "request": CONTENTS}
ANTHROPIC = {"custom_id": "a", "params": MESSAGES}

ALL = pytest.mark.parametrize(
    ("line", "kind", "body"),
    [
        (OPENAI, InputKind.OPENAI, CHAT),
        (GEMINI, InputKind.GEMINI, CONTENTS),
        (ANTHROPIC, InputKind.ANTHROPIC, MESSAGES),
    ],
    ids=["openai", "gemini", "anthropic"],
)


def lines(*fields):
    return b"".join(json.dumps(each).encode() + b"\n" for each in fields)


@ALL
@pytest.mark.parametrize("name", ["batch.jsonl", "batch.json", "batch"])
def test_lines_of_a_batch_api_are_recognised_by_their_keys(file, name, line, kind, body):
    path = file(b"\n" + lines(line), name)
    assert opened(path).kind is kind
    (prompt,) = prompts(path)
    assert (prompt.position, prompt.id, prompt.context) == (2, "a", None)
    assert prompt.prompt == Request(str(kind), body)


@ALL
def test_bad_lines_before_the_first_good_one_do_not_hide_the_format(file, line, kind, body):
    checked = opened(file(b"broken\n{}\n[1]\n" + lines(line)))
    assert (checked.kind, checked.count, checked.bad_count) == (kind, 1, 3)


@ALL
def test_the_caller_may_give_the_format(file, line, kind, body):
    assert opened(file(lines(line), "batch.txt"), kind=kind).kind is kind
    assert "unknown key" in complaint(file(lines({"id": "a", "prompt": "", **line})), kind=InputKind.JSONL)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({**OPENAI, "url": "/v1/embeddings"}, "url must be /v1/chat/completions, not '/v1/embeddings'"),
        ({**OPENAI, "url": 7}, "url must be /v1/chat/completions, not an integer"),
        ({**OPENAI, "method": "GET"}, "method must be POST"),
        ({**OPENAI, "custom_id": ""}, "custom_id must not be empty"),
        ({**OPENAI, "custom_id": 7}, "custom_id must be a string, not an integer"),
        ({**OPENAI, "body": []}, "body must be an object, not an array"),
        ({**OPENAI, "body": {}}, "body.messages must be a list of messages; it is missing"),
        ({**OPENAI, "body": {"messages": []}}, "body.messages must be a list of messages; it is empty"),
        ({**OPENAI, "body": {"messages": "x"}}, "body.messages must be a list of messages, not a string"),
        ({**OPENAI, "body": {"messages": [7]}}, "body.messages[0] must be an object, not an integer"),
        (
            {**OPENAI, "body": {**CHAT, "stream": True}},
            "body.stream must not be set: streamed replies are not supported",
        ),
        ({**OPENAI, "x": 1}, "unknown key 'x'; known keys are custom_id, method, url and body"),
        ({"custom_id": "a", "body": CHAT}, "has no method"),
        ({**GEMINI, "key": None}, "key must be a string, not null"),
        ({**GEMINI, "request": {"contents": {}}}, "request.contents must be a list of messages, not an object"),
        ({"key": "a"}, "has no request"),
        ({**ANTHROPIC, "params": "x"}, "params must be an object, not a string"),
        ({**ANTHROPIC, "id": "x"}, "unknown key 'id'; known keys are custom_id and params"),
    ],
)
def test_each_bad_line_has_one_reason(file, line, reason):
    path = file(lines(line))
    assert complaint(path) == f"{path}:1: {reason}"


def test_a_file_has_one_format(file):
    checked = opened(file(lines(OPENAI, GEMINI, {"id": "c", "prompt": "x"})))
    assert (checked.kind, checked.count, checked.bad_count) == (InputKind.OPENAI, 1, 2)


def test_a_repeated_id_is_a_bad_line(file):
    path = file(lines(ANTHROPIC, ANTHROPIC))
    assert opened(path).complaints() == [f"{path}:2: id 'a' is on line 1 already"]


def test_a_template_is_for_csv_and_parquet_only(file):
    path = file(lines(OPENAI))
    assert complaint(path, template="{x}") == (
        f"{path}: a prompt template is for CSV and Parquet; set --input-format if it is one of them"
    )
