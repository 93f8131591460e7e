"""`--schema`, `--system` and `--cache`: the requests that a model gets, on a local server."""

from __future__ import annotations

import json

import pytest

from ..strategies.chat_service import OPENAI
from ..strategies.gemini.service import Answer
from .conftest import FAST

pytestmark = pytest.mark.usefixtures("no_keys")

SCHEMA = {
    "title": "City",
    "type": "object",
    "properties": {"name": {"type": "string"}, "inhabitants": {"type": "integer", "minimum": 1}},
    "required": ["name", "inhabitants"],
    "additionalProperties": False,
}
GOOD = '{"name": "Lyon", "inhabitants": 522250}'
BAD = '{"name": "Lyon", "inhabitants": "many"}'


@pytest.fixture
def schema(tmp_path):
    path = tmp_path / "city.json"
    path.write_text(json.dumps(SCHEMA), "utf-8")
    return path


def sent(received):
    return "\n".join(message["content"] for message in received.body["messages"])


def test_outputs_are_data_that_matches_the_schema(paceline, jsonl, service, schema):
    service.says(Answer(OPENAI.reply(GOOD)))
    run = paceline("run", jsonl(3), "-o", "-", "-m", f"openai:m@{service.url}/v1", "--schema", schema)
    assert run.code == 0, run.err
    assert [row["output"] for row in run.rows] == [json.loads(GOOD)] * 3
    form = service.received[0].body["response_format"]["json_schema"]
    assert (form["name"], form["strict"], form["schema"]["required"]) == ("City", True, ["name", "inhabitants"])


def test_on_mismatch_the_model_is_called_again_with_the_errors(paceline, jsonl, service, schema):
    service.says(Answer(OPENAI.reply(BAD)), Answer(OPENAI.reply(GOOD)))
    run = paceline("run", jsonl(1), "-o", "-", "-m", f"openai:m@{service.url}/v1", "--schema", schema)
    assert [row["output"] for row in run.rows] == [json.loads(GOOD)]
    assert "inhabitants: must be an integer" in sent(service.received[1])
    assert "Right in it: name." in sent(service.received[1])


def test_an_answer_that_never_matches_is_invalid_and_its_row_has_the_error_without_the_value(
    paceline, jsonl, service, schema
):
    service.says(Answer(OPENAI.reply(BAD)))
    run = paceline("run", jsonl(1), "-o", "-", "-m", f"openai:m@{service.url}/v1", "--schema", schema)
    (row,) = run.rows
    assert run.code == 1
    assert row["error"]["kind"] == "invalid"
    assert "inhabitants must be an integer" in row["error"]["message"].replace(":", "")
    assert "many" not in row["error"]["message"]


def test_on_mismatch_an_item_moves_up_the_ladder(paceline, jsonl, service, schema):
    service.says(Answer(OPENAI.reply(BAD)), Answer(OPENAI.reply(GOOD)))
    ladder = f"openai:small@{service.url}/v1,openai:large@{service.url}/v1"
    run = paceline("run", jsonl(1), "-o", "-", "--escalate", ladder, "--schema", schema)
    assert [received.body["model"] for received in service.received] == ["small", "large"]
    assert [(row["model"], row["output"]) for row in run.rows] == [("large", json.loads(GOOD))]
    assert "inhabitants: must be an integer" in sent(service.received[1])


def test_a_schema_that_is_not_an_object_is_wrapped_in_one(paceline, jsonl, service, tmp_path):
    path = tmp_path / "list.json"
    path.write_text('{"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "integer"}}}')
    service.says(Answer(OPENAI.reply('{"value": [1, 2]}')))
    run = paceline("run", jsonl(1), "-o", "-", "-m", f"openai:m@{service.url}/v1", "--schema", path)
    assert [row["output"] for row in run.rows] == [[1, 2]]


def test_the_system_instruction_comes_from_a_file(paceline, jsonl, service, tmp_path):
    path = tmp_path / "system.txt"
    path.write_bytes(b"\xef\xbb\xbfBe brief.\n\nBe kind.\n")
    service.says(Answer(OPENAI.reply("yes")))
    run = paceline("run", jsonl(1), "-o", "-", "-m", f"openai:m@{service.url}/v1", "--system", path)
    assert run.code == 0, run.err
    assert service.received[0].body["messages"][0] == {"role": "system", "content": "Be brief.\n\nBe kind."}


def test_a_gemini_cache_is_shared_and_finally_deleted(paceline, jsonl, service, tmp_path, monkeypatch):
    (tmp_path / "system.txt").write_text("Know this. " * 100)
    monkeypatch.setenv("GEMINI_API_KEY", "AIza" + "k" * 35)
    reply = {
        "name": "cachedContents/1",  # of the cache; the rest is that of an answer, so that one reply fits all requests
        "expireTime": "2100-01-01T00:00:00Z",
        "candidates": [{"content": {"parts": [{"text": "yes"}]}, "finishReason": "STOP"}],
    }
    service.says(Answer(reply))
    arguments = ("--system", tmp_path / "system.txt", "--cache")
    run = paceline("run", jsonl(4), "-o", "-", "-m", f"gemini:gemini-2.5-flash@{service.url}", *arguments)
    assert run.code == 0, run.err
    assert [row["output"] for row in run.rows] == ["yes"] * 4
    calls = [received for received in service.received if received.path.endswith(":generateContent")]
    assert {received.body["cachedContent"] for received in calls} == {"cachedContents/1"}
    assert service.received[-1].method == "DELETE"


WRONG = [
    (b"{", "--schema: not JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
    (b"\xff", "--schema: is not UTF-8 at byte 1"),
    (b"[" * 100_000, "--schema: not readable as JSON"),
    (b"[]", "a JSON schema must be an object, not list"),
    (b'{"type": "strin"}', "not a valid JSON schema: at type: "),
    (b'{"pattern": "("}', "not a valid JSON schema: the pattern "),
    (b'{"$ref": "#/$defs/x"}', "$ref '#/$defs/x' does not resolve"),
    (
        b'{"$ref": "http://127.0.0.1:9/x.json"}',
        "points to another document, which is never fetched; copy it into $defs",
    ),
    (b'{"$ref": "file:///etc/passwd"}', "points to another document, which is never fetched; copy it into $defs"),
]


@pytest.mark.parametrize(("content", "words"), WRONG)
def test_an_invalid_schema_is_refused_in_one_message(paceline, jsonl, tmp_path, content, words):
    path = tmp_path / "schema.json"
    path.write_bytes(content)
    out = tmp_path / "out.jsonl"
    run = paceline("run", jsonl(1), "-o", out, "-m", "openai:m@http://127.0.0.1:9/v1", "--schema", path)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith(f"paceline: {path}: --schema: ")
    assert words in run.err
    assert len(run.err.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), (b" \n", "is empty"), (b"a\xff", "not UTF-8 at byte 2")],
)
def test_an_invalid_system_instruction_is_refused_in_one_message(paceline, jsonl, tmp_path, content, words):
    path = tmp_path / "system.txt"
    if content is not None:
        path.write_bytes(content)
    run = paceline("run", jsonl(1), "-o", "-", "-m", "openai:m@http://127.0.0.1:9/v1", "--system", path)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith(f"paceline: {path}: --system: ")
    assert words in run.err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (f"-m {FAST} --system city.json --cache", "only models of gemini have a context cache"),
        ("-m openai:m@http://127.0.0.1:9/v1 --system city.json --cache", "only models of gemini have a context cache"),
    ],
)
@pytest.mark.usefixtures("schema")
def test_an_option_that_a_model_cannot_use_is_refused_in_one_message(process, jsonl, tmp_path, command, words):
    run = process("run", jsonl(1), "-o", "-", *command.split(), cwd=tmp_path)
    assert (run.code, run.out) == (2, "")
    assert words in run.err
    assert len(run.err.splitlines()) == 1


def test_without_jsonschema_a_message_names_what_to_install(process, jsonl, schema):
    blocked = "import sys; sys.modules['jsonschema'] = None; from paceline.cli import main; sys.exit(main())"
    arguments = ("run", jsonl(1), "-o", "-", "-m", "openai:m@http://127.0.0.1:9/v1")
    run = process(*arguments, "--schema", schema, command=("-c", blocked))
    assert run.code == 2
    assert (
        run.err == "paceline: a JSON schema needs an optional package; install it with: pip install 'paceline[cli]'\n"
    )
