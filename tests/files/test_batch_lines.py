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
    (own,) = prompts(file(lines({"id": "a", "prompt": "x", "line": line})), kind=InputKind.JSONL)
    assert (own.id, own.prompt, own.context) == ("a", "x", {"line": line})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            {**OPENAI, "url": "/v1/embeddings"},
            "url must be /v1/chat/completions or /v1/responses, not '/v1/embeddings'",
        ),
        ({**OPENAI, "url": 7}, "url must be /v1/chat/completions or /v1/responses, not an integer"),
        ({**OPENAI, "method": "GET"}, "method must be POST"),
        ({**OPENAI, "custom_id": ""}, "custom_id must not be empty"),
        ({**OPENAI, "custom_id": []}, "custom_id must be a string or a number, not an array"),
        ({**OPENAI, "body": []}, "body must be an object, not an array"),
        ({**OPENAI, "body": {}}, "body.messages must be a list of messages; it is missing"),
        ({**OPENAI, "body": {"messages": []}}, "body.messages must be a list of messages; it is empty"),
        ({**OPENAI, "body": {"messages": "x"}}, "body.messages must be a list of messages, not a string"),
        ({**OPENAI, "body": {"messages": [7]}}, "body.messages[0] must be an object, not an integer"),
        (
            {**OPENAI, "body": {**CHAT, "stream": True}},
            "body.stream must not be set: streamed replies are not supported",
        ),
        ({"custom_id": "a", "x": CHAT}, "has no body, but the key 'x'"),
        ({**GEMINI, "key": None}, "key must be a string or a number, not null"),
        ({**GEMINI, "request": {"contents": {}}}, "request.contents must be a list of messages, not an object"),
        ({"key": "a"}, "has no request"),
        ({**ANTHROPIC, "params": "x"}, "params must be an object, not a string"),
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


@ALL
@pytest.mark.parametrize(("option", "name"), [({"template": "{x}"}, "--prompt"), ({"id_column": "x"}, "--id-column")])
def test_options_for_tables_are_refused_for_requests(file, line, kind, body, option, name):  # noqa: PLR0913, PLR0917 - what is parametrized
    path = file(lines(line))
    assert complaint(path, **option) == (
        f"{path}: {name} is for tables and JSON objects; its lines are requests of a batch API ({kind})"
    )


def test_a_template_is_not_for_lines_of_text(file):
    path = file(b"one\n", "in.txt")
    assert complaint(path, template="{x}") == (
        f"{path}: a prompt template is for CSV, Parquet and JSON; set --input-format if it is one of them"
    )


def test_a_request_without_an_id_is_numbered_and_that_is_said_once(file):
    gemini = {"request": CONTENTS}
    (named,) = prompts(file(lines({**gemini, "metadata": {"key": "m"}})))
    assert (named.id, named.context) == ("m", {"metadata": {"key": "m"}})
    path = file(lines(gemini, {**gemini, "metadata": {"topic": "x"}}))
    checked = opened(path)
    assert [(prompt.id, prompt.context) for prompt in prompts(path)] == [
        ("1", None),
        ("2", {"metadata": {"topic": "x"}}),
    ]
    (note,) = checked.notes
    assert note.startswith(f"{path}: 2 lines have no id, and are identified by their numbers")


@ALL
def test_other_fields_of_a_request_come_back_as_the_context(file, line, kind, body):
    (prompt,) = prompts(file(lines({**line, "topic": "x"})))
    assert (prompt.prompt.body, prompt.context) == (body, {"topic": "x"})


@pytest.mark.parametrize("url", ["/v1/responses", "/responses", None])
@pytest.mark.parametrize(
    "content", ["Why?", [{"role": "user", "content": [{"type": "input_text", "text": "Why?"}]}], [{"content": "Why?"}]]
)
def test_lines_of_the_responses_api_are_requests_of_their_own_form(file, url, content):
    body = {"model": "gpt-5-mini", "instructions": "Be brief.", "input": content, "max_output_tokens": 10}
    line = {"custom_id": "a", "body": body, **({} if url is None else {"url": url})}
    (prompt,) = prompts(file(lines(line)))
    assert (prompt.prompt.dialect, prompt.prompt.body) == ("responses", body)
    assert prompt.prompt.plain == ("Be brief.", "Why?")
    assert prompt.prompt.text == "Be brief.\n\nWhy?"


@pytest.mark.parametrize("content", [None, "", [], {}, 7, [7]])
def test_a_request_of_the_responses_api_has_an_input(file, content):
    assert "body.input" in complaint(
        file(lines({"custom_id": "a", "url": "/v1/responses", "body": {"input": content}}))
    )


def test_a_line_of_messages_is_a_request_whose_output_is_text_and_its_other_fields_are_the_context(file):
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    (first, second) = prompts(
        file(lines({"messages": turns, "temperature": 0, "label": "x"}, {"id": 7, "messages": turns[1:], "context": 1}))
    )
    assert first.prompt == Request("openai", {"messages": turns, "temperature": 0}, reply="text")
    assert (first.id, first.context, second.id, second.context) == ("1", {"label": "x"}, "7", 1)


@pytest.mark.parametrize(("line", "field"), [(OPENAI, "custom_id"), (ANTHROPIC, "custom_id"), (GEMINI, "key")])
@pytest.mark.parametrize("is_array", [False, True])
def test_a_line_without_an_id_among_lines_that_have_one_is_never_numbered(file, line, field, is_array):
    named = [{**line, field: f"q{n}"} for n in range(1, 10)]
    misspelt = {key: value for key, value in line.items() if key != field} | {f"{field}d": "q8"}

    def written(lines):
        if is_array:
            return file(b"[" + b",\n".join(json.dumps(one).encode() for one in lines) + b"]", "in.json")
        return file(b"".join(json.dumps(one).encode() + b"\n" for one in lines))

    late = written([*named[:7], misspelt, named[8]])
    assert [complaint.partition(":8: ")[2].removeprefix("entry 8: ") for complaint in opened(late).complaints()] == [
        f"{field} is missing; other lines have one"
    ]
    assert [one.id for one in prompts(late)] == ["q1", "q2", "q3", "q4", "q5", "q6", "q7", "q9"]
    early = written([misspelt, *named])
    if line is ANTHROPIC:  # without its id it is not recognised
        assert [complaint.partition(":1: ")[0] for complaint in opened(early).complaints()] == [early]
    else:
        assert complaint(early) == f"{early}:1: {field} is missing, but line 2 has one; add it"
